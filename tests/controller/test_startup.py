"""A controller that cannot start says why in the status of every PieProbe."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from pie.controller.caches import Caches
from pie.controller.startup import Startup
from pie.kube.client import Client
from tests.kube.scripted import ScriptedServer, answer, bookmark, event, eventually, failure

PROBE: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "pie", "uid": "u", "resourceVersion": "1", "generation": 3},
    "spec": {},
    "status": {},
}
FORBIDDEN = failure(403, "Forbidden", 'nodes is forbidden: User "pie" cannot watch resource "nodes"')


class Server:
    """It has one PieProbe, and nothing else; nodes may not be watched while `forbidden`."""

    def __init__(self) -> None:
        self.forbidden = True
        self.written: list[dict[str, Any]] = []
        self.scripted = ScriptedServer(*[self.step] * 10_000)

    async def step(self, request: web.Request) -> web.StreamResponse:
        kind = request.path.rpartition("/")[2]
        if request.method == "PATCH":
            self.written.append(msgspec.json.decode(await request.read()))
            return await answer(PROBE)(request)
        if kind == "nodes" and self.forbidden:
            return await FORBIDDEN(request)
        there = [event("ADDED", PROBE)] if kind == "pieprobes" else []
        return await self.scripted.stream(*there, bookmark(5, ends=True))(request)


async def test_a_watch_that_is_not_allowed_at_the_start_is_a_condition_and_pie_starts_once_it_is() -> None:
    server = Server()
    async with server.scripted as scripted, Client(scripted.config) as client:
        caches = Caches(client, "pie")
        watching = asyncio.create_task(caches.run())
        starting = asyncio.create_task(Startup(client, caches, every_seconds=0.05).wait_synced())
        await eventually(lambda: len(server.written) > 0, "a status is written")
        assert server.written[0]["metadata"] == {"uid": "u"}
        status = server.written[0]["status"]
        ready = next(each for each in status["conditions"] if each["type"] == "Ready")
        assert (ready["status"], ready["reason"]) == ("False", "PermissionMissing")
        assert "pie cannot start: waiting for the first list of nodes: " in ready["message"]
        assert 'User "pie" cannot watch resource "nodes"' in ready["message"]
        assert status["summary"] == "not probed: PermissionMissing"
        server.forbidden = False
        await asyncio.wait_for(starting, 60)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

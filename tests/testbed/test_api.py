"""The testbed's client: what it makes of a watch's bytes, and of an API server with a fault of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from pie.serve.http import serving
from testbed.api import lines
from testbed.binder import SELECTED_NODE, STORAGE_PROVISIONER, Binder
from tests.embedded.conftest import PlainApi

LINE = st.binary(max_size=20).filter(lambda line: b"\n" not in line)


@given(whole=st.lists(LINE), rest=LINE, cuts=st.lists(st.integers(0, 200)))
def test_lines_are_whole_wherever_the_stream_is_cut(whole: list[bytes], rest: bytes, cuts: list[int]) -> None:
    stream = b"".join(line + b"\n" for line in whole) + rest
    ends = [*sorted(cuts), len(stream)]

    async def chunks() -> AsyncIterator[bytes]:
        start = 0
        for end in ends:
            yield stream[start:end]
            start = max(start, end)

    async def read() -> list[bytes]:
        return [line async for line in lines(chunks())]

    assert asyncio.run(read()) == whole


CLAIM = {
    "metadata": {
        "name": "c",
        "namespace": "n",
        "uid": "u",
        "resourceVersion": "1",
        "annotations": {STORAGE_PROVISIONER: "p", SELECTED_NODE: "node-1"},
    },
    "spec": {"accessModes": [], "resources": {"requests": {}}, "storageClassName": "s"},
}


class BusyOnce:
    """An API server that has a fault of its own at the first request."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.app = web.Application()
        self.app.router.add_route("*", "/{path:.*}", self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path}")
        if len(self.asked) == 1:
            raise web.HTTPInternalServerError(text='{"kind":"Status","message":"request timed out"}\n')
        return web.Response(text=json.dumps({"type": "ADDED", "object": CLAIM}) + "\n")


async def test_a_watch_that_a_busy_server_refuses_is_asked_for_again() -> None:
    server, seen = BusyOnce(), asyncio.Event()

    async def handle(event: dict[str, Any]) -> None:
        assert event["object"] == CLAIM
        seen.set()

    async with serving(server.app, "127.0.0.1:0") as port, PlainApi(f"http://127.0.0.1:{port}") as api:
        watching = asyncio.create_task(api.watch("/claims", handle))
        await asyncio.wait_for(seen.wait(), 60)
        watching.cancel()
    assert server.asked[:2] == ["GET /claims"] * 2


async def test_what_a_busy_server_did_not_read_is_asked_for_again() -> None:
    server = BusyOnce()
    async with serving(server.app, "127.0.0.1:0") as port, PlainApi(f"http://127.0.0.1:{port}") as api:
        assert (await api.get("/claims/c"))["object"] == CLAIM
    assert server.asked == ["GET /claims/c"] * 2


async def test_a_volume_that_a_busy_server_did_not_take_is_created_again() -> None:
    server = BusyOnce()
    async with serving(server.app, "127.0.0.1:0") as port, PlainApi(f"http://127.0.0.1:{port}") as api:
        await Binder(api, "p").on_claim({"type": "ADDED", "object": CLAIM})
    assert server.asked == ["POST /api/v1/persistentvolumes"] * 2

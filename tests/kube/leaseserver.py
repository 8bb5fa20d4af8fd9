"""An API server that has nothing but one Lease, and takes note of every other write."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from tests.kube.scripted import ScriptedServer


class LeaseServer(ScriptedServer):
    """Serves one Lease with optimistic locking. `lose_answers` writes are done, and their answers dropped.

    A write to anything else is noted in `writes`, with the time, and answered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lease: dict[str, Any] | None = None
        self.lose_answers = 0
        self.down = False
        self.lease_writes = 0
        self.writes: list[float] = []

    @property
    def holder(self) -> str:
        """Who holds the lease by the record."""
        return self.lease["spec"].get("holderIdentity", "") if self.lease else ""

    def hold(self, holder: str, **spec: Any) -> None:
        """Write the lease as somebody else would."""
        version = int(self.lease["metadata"]["resourceVersion"]) + 1 if self.lease else 1
        self.lease = {
            "metadata": {"name": "pie", "namespace": "ns", "resourceVersion": str(version)},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 1, **spec},
        }

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if "/leases" not in request.path:
            self.writes.append(asyncio.get_running_loop().time())
            return web.json_response({"metadata": {}})
        if request.method == "GET":
            return web.json_response(self.lease) if self.lease else _failure(404, "NotFound")
        body = msgspec.json.decode(await request.read())
        if request.method == "POST":
            if self.lease is not None:
                return _failure(409, "AlreadyExists")
            self.hold("", **body["spec"])
        else:
            assert self.lease is not None
            if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
                return _failure(409, "Conflict")
            self.hold("", **(self.lease["spec"] | body["spec"]))
        self.lease_writes += 1
        if self.lose_answers:
            self.lose_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(self.lease)


def _failure(status: int, reason: str) -> web.Response:
    return web.json_response({"reason": reason, "message": reason, "code": status}, status=status)

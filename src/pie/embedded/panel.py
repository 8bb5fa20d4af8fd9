"""Faults over HTTP, on a port of its own, which stays when the API server goes.

curl localhost:PORT/faults                           # what there is, and what is active
curl -X POST   'localhost:PORT/faults/hang?node=node-2'
curl -X DELETE 'localhost:PORT/faults/hang?node=node-2'
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from pie.embedded.faults import FAULTS, FaultError, Faults


def panel_app(faults: Faults) -> web.Application:
    """Return the application that injects and clears faults."""

    async def show(_request: web.Request) -> web.Response:
        known = {fault.name: fault.meaning for fault in FAULTS.values()}
        active = [{"fault": name, "node": node} for name, node in sorted(faults.active)]
        return web.json_response({"faults": known, "active": active})

    async def change(request: web.Request) -> web.Response:
        act = faults.inject if request.method == "POST" else faults.clear
        try:
            await act(request.match_info["fault"], request.query.get("node", ""))
        except FaultError as error:
            return web.json_response({"error": str(error)}, status=400)
        return await show(request)

    app = web.Application()
    app.router.add_get("/faults", show)
    app.router.add_post("/faults/{fault}", change)
    app.router.add_delete("/faults/{fault}", change)
    return app


@asynccontextmanager
async def panel(faults: Faults) -> AsyncIterator[str]:
    """Serve the faults while the context lasts; yields the address."""
    runner = web.AppRunner(panel_app(faults), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()

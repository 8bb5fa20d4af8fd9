"""Faults over HTTP, on a port of its own that stays when the API server goes: a page, and what it calls.

curl localhost:PORT/faults                                          # what there is, and what is active
curl -X POST   -H 'X-Pie-Panel: 1' 'localhost:PORT/faults/hang?node=node-2'
curl -X DELETE -H 'X-Pie-Panel: 1' 'localhost:PORT/faults/hang?node=node-2'

A browser lets no other site set that header without asking, and is told no; nor does a name that was made to
point here get an answer (DNS rebinding).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from pie.embedded.errors import Refused
from pie.embedded.faults import FAULTS
from pie.embedded.guard import only_from_here

if TYPE_CHECKING:
    from pie.embedded.cluster import EmbeddedCluster

HEADER: Final = "X-Pie-Panel"
_PAGE: Final = {"/": "index.html", "/panel.js": "panel.js", "/panel.css": "panel.css"}
_SHOWN: Final = ("name", "meaning", "per_node")
_SAFE: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer only requests to this address, and change nothing without the header."""
    try:
        only_from_here(request, pages=True)
        if request.method != "GET" and HEADER not in request.headers:
            raise Refused(403, "Forbidden", f"a change needs the header {HEADER}: 1")  # noqa: TRY301  for one way out
        return await handler(request)
    except Refused as refused:
        return web.json_response({"error": str(refused)}, status=refused.code)


async def _mark(_request: web.Request, answer: web.StreamResponse) -> None:
    """Send the headers with every answer, also for an unknown path or method."""
    answer.headers.update(_SAFE)


def panel_app(cluster: "EmbeddedCluster") -> web.Application:
    """Return the application that shows, injects and clears faults."""
    faults = cluster.faults

    async def page(request: web.Request) -> web.FileResponse:
        return web.FileResponse(Path(__file__).with_name("panel_page") / _PAGE[request.path])

    async def show(_request: web.Request) -> web.Response:
        known = [{key: getattr(each, key) for key in _SHOWN} for each in FAULTS.values()]
        active = [{"fault": name, "node": node} for name, node in sorted(faults.active)]
        return web.json_response({"faults": known, "nodes": list(cluster.machines), "active": active})

    async def change(request: web.Request) -> web.Response:
        act = faults.inject if request.method == "POST" else faults.clear
        await act(request.match_info["fault"], request.query.get("node", ""))
        return await show(request)

    app = web.Application(middlewares=[_guard])
    app.on_response_prepare.append(_mark)
    for path in _PAGE:
        app.router.add_get(path, page)
    app.router.add_get("/faults", show)
    app.router.add_post("/faults/{fault}", change)
    app.router.add_delete("/faults/{fault}", change)
    return app

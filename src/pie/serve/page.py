"""The page: a few static files of this package, and headers that forbid everything else."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

from aiohttp import web

_FILES: Final = {
    "index.html": "text/html",
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
    "app.js": "text/javascript",
    "dom.js": "text/javascript",
    "heatmap.js": "text/javascript",
    "names.js": "text/javascript",
    "overview.js": "text/javascript",
    "target.js": "text/javascript",
    "trend.js": "text/javascript",
}

_HEADERS: Final = {
    # No inline code, no other host, no frame: names from the cluster can only be text.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_page(app: web.Application) -> None:
    """Serve the page at `/` from an application."""
    folder = files("pie.serve") / "page_files"
    for name, kind in _FILES.items():
        path = "/" if name == "index.html" else f"/{name}"
        app.router.add_get(path, _serving((folder / name).read_bytes(), kind))


def _serving(body: bytes, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(_request: web.Request) -> web.Response:
        response = web.Response(body=body, content_type=kind, charset="utf-8", headers=_HEADERS)
        response.enable_compression()
        return response

    return serve

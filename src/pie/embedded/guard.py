"""Which requests on loopback are answered: those of programs, but not of web pages, also by DNS rebinding."""

import re
from typing import Final

from aiohttp import hdrs, web

from pie.embedded.errors import Refused

_HERE: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?")


def only_from_here(request: web.Request, *, pages: bool = False, keys: frozenset[str] = frozenset()) -> None:
    """Raise Refused: for another host (421), unless `pages` for a page (403), without one of `keys` (401)."""
    if not _HERE.fullmatch(request.host):
        raise Refused(421, "MisdirectedRequest", "this is 127.0.0.1 or localhost")
    if not pages and (origin := request.headers.get(hdrs.ORIGIN)):
        raise Refused(403, "Forbidden", f"a web page ({origin}) may not ask this server")
    if keys and request.headers.get(hdrs.AUTHORIZATION) not in keys:
        raise Refused(401, "Unauthorized", "Unauthorized")

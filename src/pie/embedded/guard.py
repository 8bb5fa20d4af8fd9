"""Which requests on loopback are answered: those of programs, but not those of web pages in a browser.

Without this, any page could write here (a form needs no leave), and a name that its owner lets point to
127.0.0.1 could read as well (DNS rebinding).
"""

import re
from typing import Final

from aiohttp import hdrs, web

from pie.embedded.errors import Refused

_HERE: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?")


def only_from_here(request: web.Request, *, pages: bool = False) -> None:
    """Raise Refused for a request to another host (421), and unless `pages`, for one of a web page (403)."""
    if not _HERE.fullmatch(request.host):
        raise Refused(421, "MisdirectedRequest", "this is 127.0.0.1 or localhost")
    if not pages and (origin := request.headers.get(hdrs.ORIGIN)):
        raise Refused(403, "Forbidden", f"a web page ({origin}) may not ask this server")

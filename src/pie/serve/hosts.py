"""No DNS name can lead a browser to a listener on loopback."""

import re
from ipaddress import ip_address
from typing import Final

from aiohttp import hdrs, web

_PORT: Final = re.compile(r":[0-9]*$")


def host_is_fit(request: web.Request) -> bool:
    """Tell whether a request on loopback was meant for it: its Host is an address, or localhost.

    A page of another site can have its own DNS name lead to 127.0.0.1 (DNS rebinding), but not an address.
    """
    here = request.transport.get_extra_info("sockname") if request.transport is not None else None
    host = _PORT.sub("", request.headers.get(hdrs.HOST, "")).strip("[]").lower()
    if not host or host == "localhost" or not isinstance(here, tuple) or not _loopback(here[0]):
        return True
    return _address(host)


def _loopback(host: str) -> bool:
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

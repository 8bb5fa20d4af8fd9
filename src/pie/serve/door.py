"""Who may ask: users with passwords, and headers that every answer has.

A password that was right once is known again without its hash, which is slow to compute by intention. Wrong
passwords are checked one at a time, and cost a fifth of a CPU at most.
"""

import asyncio
import hmac
import secrets
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from pie.core.apitypes import Failure
from pie.serve.webfile import Serving

_COST_FACTOR: Final = 4
"""After a wrong password, the next one waits for this many times the time that the check took."""

_MOST_WAITING: Final = 16
_PASSWORD_BYTES: Final = 72
"""bcrypt reads no more of a password."""


class Door:
    """A middleware that admits only users of the web config file, if it has users."""

    def __init__(self, serving: Callable[[], Serving]) -> None:
        self._serving = serving
        self._secret = secrets.token_bytes()
        self._admitted: dict[str, bytes] = {}
        """For each user a proof of the password that was right, and not the password."""
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def middleware(self) -> Any:
        """Return the middleware."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            serving = self._serving()
            if serving.users and (refusal := await self._refusal(request, serving.users)) is not None:
                return refusal
            return await handler(request)

        return guarded

    async def add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Set the headers of the web config file where pie sets none of its own."""
        for name, value in self._serving().headers.items():
            response.headers.setdefault(name, value)

    async def _refusal(self, request: web.Request, users: Mapping[str, str]) -> web.Response | None:
        """Return the answer to a request without a user's password; None: it has one."""
        user, password = _given(request.headers.get(hdrs.AUTHORIZATION, ""))
        if not user:
            return _unauthorized()
        # An unknown user takes as long as a known one.
        hashed = users.get(user, next(iter(users.values())))
        proof = hmac.digest(self._secret, f"{hashed}\n{password}".encode(), "sha256")
        if hmac.compare_digest(self._admitted.get(user, b""), proof) and user in users:
            return None
        if self._waiting >= _MOST_WAITING:
            return _failure(429, "too many passwords are being checked; try again later")
        self._waiting += 1
        try:
            async with self._turn:
                if await _fits(password, hashed) and user in users:
                    self._admitted[user] = proof
                    return None
        finally:
            self._waiting -= 1
        return _unauthorized()


def _given(header: str) -> tuple[str, str]:
    """Return the user and the password of an Authorization header; without them the user is empty."""
    scheme, _, encoded = header.partition(" ")
    try:
        given = b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return "", ""
    user, _, password = given.partition(":")
    return (user, password) if scheme.lower() == "basic" else ("", "")


async def _fits(password: str, hashed: str) -> bool:
    """Tell whether a password has this hash; a no takes longer."""
    import bcrypt  # noqa: PLC0415  most controllers have no users

    began = time.monotonic()
    fits: bool = await asyncio.to_thread(bcrypt.checkpw, password.encode()[:_PASSWORD_BYTES], hashed.encode())
    if not fits:
        await asyncio.sleep(_COST_FACTOR * (time.monotonic() - began))
    return fits


def _unauthorized() -> web.Response:
    response = _failure(401, "a user of the web config file and the password are needed")
    response.headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="pie", charset="UTF-8"'
    return response


def _failure(status: int, error: str) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(Failure(error)), content_type="application/json"
    )

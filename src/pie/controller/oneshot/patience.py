"""Repeats requests, so that a short outage of the API server does not end a check of an hour."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from pie.kube.errors import ServerError, TooManyRequests, Unreachable
from pie.kube.timing import RECONNECT

T = TypeVar("T")

_LONGEST_SECONDS: Final = 60.0


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer, for a minute at most; the last error is raised."""
    loop = asyncio.get_running_loop()
    give_up_at, failures = loop.time() + _LONGEST_SECONDS, 0
    while True:
        try:
            return await ask()
        except (Unreachable, ServerError, TooManyRequests):
            if loop.time() >= give_up_at:
                raise
        await asyncio.sleep(RECONNECT.delay(failures))
        failures += 1

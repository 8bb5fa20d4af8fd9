"""Waiting for a condition."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def until(
    read: Callable[[], Awaitable[Any]], condition: Callable[[Any], bool], *, timeout_seconds: float = 120
) -> Any:
    """Read until the condition holds; return what was read last.

    Raises:
        TimeoutError: it did not hold in time. Says what was read last.

    """
    value: Any = "nothing"
    try:
        async with asyncio.timeout(timeout_seconds):
            while not condition(value := await read()):  # noqa: ASYNC110  the other side is a server
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise TimeoutError(f"not so within {timeout_seconds} s; read last: {value}") from error
    return value

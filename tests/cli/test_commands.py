"""The commands that tests run, `tests/cli/conftest.py`: they end with their test, however it ends."""

import asyncio

import pytest

from tests.cli.conftest import started


async def test_a_command_that_is_waited_for_ends_when_its_test_is_cancelled() -> None:
    async def use() -> None:
        async with started("demo", "--help") as command:
            waiting = asyncio.create_task(command.ended())
            await asyncio.sleep(0)
            waiting.cancel()
            await waiting

    with pytest.raises(asyncio.CancelledError):
        await use()

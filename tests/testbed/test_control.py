"""Commands over a unix socket: results come back, and so does whatever went wrong, in words."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed import control
from testbed.errors import TestbedError


async def add(left: int, right: int) -> int:
    return left + right


async def echo(value: Any) -> Any:
    return value


async def refuse() -> None:
    raise TestbedError("the pool is full")


async def fail() -> None:
    raise KeyError("surprise")


async def refuse_twice() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(refuse())
        group.create_task(refuse())


@pytest.fixture
async def socket() -> AsyncIterator[Path]:
    # Not tmp_path: a unix socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "control.sock"
        handlers: dict[str, control.Handler] = {
            "add": add,
            "echo": echo,
            "refuse": refuse,
            "fail": fail,
            "refuse-twice": refuse_twice,
        }
        async with control.serve(path, handlers):
            yield path
        assert not path.exists()


async def test_a_command_gets_its_result(socket: Path) -> None:
    assert await control.call(socket, "add", left=2, right=3) == 5


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("refuse", "^the pool is full$"),
        ("refuse-twice", "^the pool is full\nthe pool is full$"),
        ("fail", "KeyError: 'surprise'"),
        ("add", "TypeError: .*missing 2 required"),
        ("no-such", "no command 'no-such' \\(there are: add, echo"),
    ],
)
async def test_what_goes_wrong_is_told_to_the_caller(socket: Path, command: str, message: str) -> None:
    with pytest.raises(TestbedError, match=message):
        await control.call(socket, command)
    assert await control.call(socket, "add", left=1, right=1) == 2


async def test_lines_that_are_no_commands_are_answered_with_an_error(socket: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(socket)
    for line in (b"not json\n", b"[]\n", b"{}\n", b'{"command": ["add"]}\n'):
        writer.write(line)
        assert "error" in json.loads(await reader.readline())
    writer.close()


async def test_when_nobody_listens_the_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r"nothing answers on .*/none.sock: No such file"):
        await control.call(tmp_path / "none.sock", "add")


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_json_value_comes_back_as_it_was(value: Any) -> None:
    async def there_and_back() -> Any:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "s"
            async with control.serve(path, {"echo": echo}):
                return await control.call(path, "echo", value=value)

    assert asyncio.run(there_and_back()) == value

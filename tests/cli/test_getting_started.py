"""The first page of the docs, typed as it is: each command, until it prints what the page says.

Only the port is another one, so that tests can run beside each other.
"""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness import ROOT
from tests.ports import free_port
from tests.probe.conftest import demand

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.real,  # for its length only
]

_PAGE = (ROOT / "docs/getting-started.md").read_text()
_ON_A_MACHINE = _PAGE[_PAGE.index("## On your machine") : _PAGE.index("## On a cluster")]
STEPS = re.findall(r"^```sh\n(.*?)\n```\n.*?^```text\n(.*?)\n```", _ON_A_MACHINE, re.DOTALL | re.MULTILINE)


async def typed(command: str) -> Process:
    """Start a command as a shell does, with the `pie` of this Python first in the PATH."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"exec {command}",
        stdout=PIPE,
        stderr=STDOUT,
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
    )


_LONGEST_SECONDS = 90.0


async def said_until(process: Process, words: str) -> str:
    """Return what a command prints until it prints these words, or ends."""
    assert process.stdout is not None
    said = ""
    while words not in said and (line := await process.stdout.readline()):
        said += line.decode()
    return said


async def printed(command: str, words: str) -> str:
    """Return what a command prints, once it prints these words, or at last: it is typed again and again."""
    said = ""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_SECONDS):
            while words not in said:
                ended, _ = await (await typed(command)).communicate()
                said = ended.decode()
    return said


async def test_every_command_prints_what_the_page_says() -> None:
    demand("fio")
    assert len(STEPS) > 5
    port = str(free_port())
    (start, greeting), *steps = [(command.replace("18080", port), words) for command, words in STEPS]
    demo = await typed(start)
    try:
        assert greeting in await said_until(demo, greeting)
        for command, words in steps:
            assert words in await printed(command, words), command
    finally:
        demo.send_signal(signal.SIGINT)
        await demo.communicate()
    assert demo.returncode == 0


def test_nothing_is_typed_that_the_page_does_not_show_the_result_of() -> None:
    assert len(STEPS) == _ON_A_MACHINE.count("```sh\n")

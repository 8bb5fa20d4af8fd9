"""`pie demo` as a user runs it."""

import asyncio
import os
import sys

from tests.probe.conftest import demand


async def run(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pie", "demo", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "200"},
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_it_shows_verdicts_as_they_come_and_ends_when_its_time_is_over() -> None:
    demand("fio")
    status, said = await run("--nodes", "1", "--minute-seconds", "3", "--duration", "10", "--headless")
    assert status == 0, said
    assert "ok         mount/demo/embedded/node-1" in said
    assert "ok         provision/demo/embedded" in said
    assert "KUBECONFIG=" in said


async def test_an_unknown_story_is_refused_with_the_names_of_those_there_are() -> None:
    status, said = await run("--scenario", "flood")
    assert status == 2
    assert "crash" in said

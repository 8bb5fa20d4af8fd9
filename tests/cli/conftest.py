"""Commands as users run them, on an embedded cluster in this process."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.embedded.conftest import start_embedded  # noqa: F401  a fixture for the tests here
from tests.probe.conftest import demand


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    said: str
    complained: str


class Command:
    """A command that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def says(self, words: str, timeout_seconds: float = 30) -> None:
        """Return when a line on standard error has these words."""
        assert self.process.stderr is not None
        async with asyncio.timeout(timeout_seconds):
            async for raw in self.process.stderr:
                self.lines.append(raw.decode())
                if words in self.lines[-1]:
                    return
        raise AssertionError(f"it ended without saying {words!r}: {''.join(self.lines)}")

    async def ended(self, timeout_seconds: float = 60) -> Ended:
        """Return what it said when it has ended."""
        async with asyncio.timeout(timeout_seconds):
            said, complained = await self.process.communicate()
        status = self.process.returncode
        assert status is not None
        return Ended(status, said.decode(), "".join(self.lines) + complained.decode())


async def start(*arguments: str, **environment: str) -> Command:
    """Start `pie` with these arguments."""
    return Command(
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pie", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "COLUMNS": "200", "PIE_CONTAINER_IMAGE": "", "KUBECONFIG": "", **environment},
        )
    )


async def run(*arguments: str, timeout_seconds: float = 60, **environment: str) -> Ended:
    """Run `pie` with these arguments to its end."""
    return await (await start(*arguments, **environment)).ended(timeout_seconds)


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """Give a kubeconfig of a cluster that is not there."""
    path = tmp_path / "nowhere"
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
        "clusters: [{name: x, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: x, user: {}}]\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n"
    )
    return path


@pytest.fixture
def fio() -> None:
    """Demand fio."""
    demand("fio")

"""Commands as users run them, on an embedded cluster in this process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from pie.cli.app import app
from tests import forked
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
        self._ending: asyncio.Future[tuple[bytes, bytes]] | None = None

    async def says(self, words: str, timeout_seconds: float = 60) -> None:
        """Return when a line on standard error has these words."""
        await self._until(words, self.process.stderr, self.lines, timeout_seconds)

    async def prints(self, words: str, timeout_seconds: float = 60) -> None:
        """Return when a line on standard output has these words; nobody sees the lines before it again."""
        await self._until(words, self.process.stdout, [], timeout_seconds)

    @staticmethod
    async def _until(
        words: str, stream: asyncio.StreamReader | None, lines: list[str], timeout_seconds: float
    ) -> None:
        assert stream is not None
        async with asyncio.timeout(timeout_seconds):
            async for raw in stream:
                lines.append(raw.decode())
                if words in lines[-1]:
                    return
        raise AssertionError(f"it ended without saying {words!r}: {''.join(lines)}")

    async def ended(self, timeout_seconds: float = 60) -> Ended:
        """Return what it said when it has ended; one that does not end has to say where it is.

        It can be asked again when it was cancelled: its output can be read only once.
        """
        ending = self._ending = self._ending or asyncio.ensure_future(self.process.communicate())
        in_time, _ = await asyncio.wait([ending], timeout=timeout_seconds)
        if not in_time:
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGABRT)  # faulthandler writes its stack
        async with asyncio.timeout(60):
            said, complained = await asyncio.shield(ending)
        words = "".join(self.lines) + complained.decode()
        assert in_time, f"it does not end within {timeout_seconds:g} s: {words}"
        status = self.process.returncode
        assert status is not None
        return Ended(status, said.decode(), words)


@asynccontextmanager
async def started(*arguments: str, **environment: str) -> AsyncIterator[Command]:
    """Run `pie` with these arguments; it ends with the context at the latest."""
    ours = {"COLUMNS": "200", "PIE_CONTAINER_IMAGE": "", "KUBECONFIG": "", "PYTHONFAULTHANDLER": "1"}
    # aiohttp reads $SSL_CERT_FILE when it is imported.
    fresh = "SSL_CERT_FILE" in environment
    process = await asyncio.create_subprocess_exec(
        *([sys.executable, "-m", "pie", *arguments] if fresh else forked.command(*arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **ours, **environment},
    )
    command = Command(process)
    try:
        yield command
    finally:
        if process.returncode is None:
            process.kill()
            await command.ended()


async def run(*arguments: str, timeout_seconds: float = 60, **environment: str) -> Ended:
    """Run `pie` with these arguments to its end."""
    async with started(*arguments, **environment) as command:
        return await command.ended(timeout_seconds)


async def within(*arguments: str) -> Ended:
    """Run `pie` with these arguments to its end, in a thread of this process: quicker than `run`."""
    result = await asyncio.to_thread(CliRunner(env={"COLUMNS": "200"}).invoke, app, arguments)
    structlog.reset_defaults()  # commands silence the logs of their process
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """Give a kubeconfig of a cluster that is not there."""
    path = tmp_path / "nowhere"
    point(path, "http://127.0.0.1:1")
    return path


def point(kubeconfig: Path, server: str) -> None:
    """Make it the kubeconfig of the cluster at an address."""
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
        f"clusters: [{{name: x, cluster: {{server: '{server}'}}}}]\n"
        "users: [{name: x, user: {}}]\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n"
    )


@pytest.fixture
def fio() -> None:
    """Demand fio."""
    demand("fio")

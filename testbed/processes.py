"""The child processes of one testbed, each with a name and a log file."""

import asyncio
import contextlib
import os
import signal as signals
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import TestbedError

LOG_TAIL_BYTES = 2000


class ProcessError(TestbedError):
    """A process could not be started, is not known, or ended too early."""


@dataclass(frozen=True, slots=True)
class _Started:
    argv: tuple[str, ...]
    env: Mapping[str, str] | None
    process: asyncio.subprocess.Process


class Processes:
    """Starts and ends processes by name.

    Each has its own session, and its output goes to `<log_dir>/<name>.log`.
    """

    def __init__(self, log_dir: Path) -> None:
        """`log_dir` is created if it does not exist."""
        self._log_dir = log_dir
        self._started: dict[str, _Started] = {}
        log_dir.mkdir(parents=True, exist_ok=True)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of all processes ever started, in the order of their first start."""
        return iter(tuple(self._started))

    async def start(self, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start `argv` as `name`; `env` is added to this process's environment.

        Starting a name that runs is an error.
        """
        if self.running(name):
            raise ProcessError(f"{name} runs already (pid {self.pid(name)})")
        with self.log_path(name).open("ab") as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *argv,
                    env={**os.environ, **env} if env else None,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessError(f"{name} cannot be started: {argv[0]}: {error.strerror}") from error
        self._started[name] = _Started(tuple(argv), env, process)

    async def start_again(self, name: str) -> None:
        """Start a process again that has ended."""
        last = self._find(name)
        await self.start(name, last.argv, env=last.env)

    async def stop(self, name: str, *, signal: int = signals.SIGTERM, timeout_seconds: float = 10) -> None:
        """End a process with `signal`; if that takes too long, kill its process group.

        It is no error if the process has ended already.
        """
        process = self._find(name).process
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):  # it may end at this very moment
            # Not `send_signal`: it polls first, and so takes the exit code before asyncio sees it.
            os.kill(process.pid, signal)
            os.kill(process.pid, signals.SIGCONT)  # a frozen process would not see the signal
        try:
            await asyncio.wait_for(process.wait(), timeout_seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signals.SIGKILL)
            await process.wait()

    async def stop_all(self, *, timeout_seconds: float = 10) -> None:
        """End every process, the newest first."""
        for name in reversed(tuple(self._started)):
            await self.stop(name, timeout_seconds=timeout_seconds)

    def send_signal(self, name: str, signal: int) -> None:
        """Send a signal, for example SIGSTOP, to a running process."""
        self._require_running(name)
        self._find(name).process.send_signal(signal)

    def running(self, name: str) -> bool:
        """Tell whether the process runs; a frozen one does."""
        started = self._started.get(name)
        return started is not None and started.process.returncode is None

    def pid(self, name: str) -> int:
        """Return the process id, as seen in the PID namespace of the caller."""
        self._require_running(name)
        return self._find(name).process.pid

    async def wait(self, name: str) -> int:
        """Wait until the process ends; return its exit code (negative: the signal that ended it)."""
        return await self._find(name).process.wait()

    def log_path(self, name: str) -> Path:
        """Return the file with the output of all runs of the process."""
        return self._log_dir / f"{name}.log"

    def log_tail(self, name: str) -> str:
        """Return the end of the output of the process, for error messages."""
        return self.log_path(name).read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def _find(self, name: str) -> _Started:
        try:
            return self._started[name]
        except KeyError:
            known = ", ".join(self._started) or "none"
            raise ProcessError(f"no process {name!r} in this testbed (there are: {known})") from None

    def _require_running(self, name: str) -> None:
        started = self._find(name)
        if started.process.returncode is not None:
            code = started.process.returncode
            raise ProcessError(f"{name} has ended with code {code}; its log ends:\n{self.log_tail(name)}")

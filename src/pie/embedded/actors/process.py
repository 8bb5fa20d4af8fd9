"""The process of a probe pod's container, and what its machine's faults do to it."""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pie.embedded.machines import Machine

Json = dict[str, Any]

_LONGEST_MESSAGE_BYTES: Final = 4096
# While its disk is slow, fio may run for a part of each turn only.
_RUN_SECONDS: Final = 0.02
_STAND_SECONDS: Final = 0.08


class ProbeProcess:
    """`pie probe …` of a container, started on a directory instead of a mount."""

    def __init__(
        self, machine: Machine, container: Json, volume: Path, directory: Path, options: tuple[str, ...]
    ) -> None:
        self._machine = machine
        self._log = directory / "termination-log"
        command = [*(container.get("command") or []), *(container.get("args") or [])]
        self.problem = ""
        """Why the container cannot be run; empty if it can."""
        if command[:2] != ["pie", "probe"] or len(command) < 3:  # noqa: PLR2004  pie probe KIND
            self.problem = "the embedded kubelet runs nothing but `pie probe …`"
        mounts = {mount["mountPath"] for mount in container.get("volumeMounts") or []}
        self._arguments = [
            *(str(volume) if word in mounts else word for word in command[2:]),
            *("--no-mount-check", "--termination-log", str(self._log)),
            *(("--without-fio", *options) if command[2:3] == ["mount"] else ()),
        ]
        self._process: asyncio.subprocess.Process | None = None
        self._kill_at = float("inf")
        self._frozen = False
        self._turns: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process."""
        self._log.touch()
        failing = [self._machine.errno] if self._machine.errno else []
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pie.embedded.launch", *failing, "--", "probe", *self._arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self.obey()

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process is not None and self._process.returncode is not None

    @property
    def exit_code(self) -> int:
        """The exit code as a container runtime gives it: 128 and the signal's number for a killed process."""
        code = self._process.returncode if self._process is not None else None
        if code is None:
            raise RuntimeError("the process has not ended")
        return code if code >= 0 else 128 - code

    def message(self) -> str:
        """Return the termination message."""
        return self._log.read_bytes()[:_LONGEST_MESSAGE_BYTES].decode(errors="replace")

    def obey(self) -> None:
        """Do to the process what its machine's state asks for now."""
        if self._machine.hung != self._frozen:
            self._frozen = self._machine.hung
            self._signal(signal.SIGSTOP if self._frozen else signal.SIGCONT)
        if self._machine.slow and self._turns is None:
            self._turns = asyncio.create_task(self._take_turns())
        # What hangs in its disk cannot be killed either.
        if not self._frozen and time.monotonic() >= self._kill_at:
            self._signal(signal.SIGKILL)

    def stop(self, grace_seconds: float) -> None:
        """Ask the process to end; after the grace, `obey` kills it."""
        self._signal(signal.SIGTERM)
        self._kill_at = time.monotonic() + grace_seconds

    def kill(self) -> None:
        """End the process at once, as a machine that goes down does."""
        if self._turns is not None:
            self._turns.cancel()
        for pid in self._below():
            _send(pid, signal.SIGKILL)
        self._signal(signal.SIGKILL)

    async def wait(self, woken: asyncio.Event, seconds: float) -> None:
        """Return when the process ended, something changed, or the time is over."""
        if self._process is None:
            raise RuntimeError("the process was not started")
        tasks = [asyncio.create_task(self._process.wait()), asyncio.create_task(woken.wait())]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _take_turns(self) -> None:
        """Let fio run for a part of the time only, while the disk is slow."""
        while self._machine.slow and not self.ended:
            for number, seconds in ((signal.SIGSTOP, _STAND_SECONDS), (signal.SIGCONT, _RUN_SECONDS)):
                for pid in self._below():
                    _send(pid, number)
                await asyncio.sleep(seconds)
        self._turns = None

    def _below(self) -> list[int]:
        """Return the process IDs of fio, and of what it started."""
        if self._process is None or self.ended:
            return []
        found: list[int] = []
        looked_at = [self._process.pid]
        while looked_at:
            pid = looked_at.pop()
            with suppress(OSError):
                listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                found += [int(child) for child in listed]
                looked_at += [int(child) for child in listed]
        return found

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and not self.ended:
            # Not asyncio's send_signal: it looks first whether the process ended, and takes its status away.
            _send(self._process.pid, number)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)

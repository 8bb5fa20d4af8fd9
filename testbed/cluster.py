"""A testbed as its users see it: bring it up, talk to it, break it, bring it down."""

import asyncio
import fcntl
import os
import shutil
import signal as signals
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from testbed import control
from testbed.api import Api
from testbed.audit import Audit
from testbed.build import binaries
from testbed.errors import TestbedError
from testbed.janitor import GRACE_SECONDS, ROOT
from testbed.packages import require
from testbed.spec import (
    AUDIT_LOG_FILE,
    CONTROL_SOCKET,
    KUBECONFIG_FILE,
    LOCK_FILE,
    LOG_DIRECTORY,
    Spec,
    read_spec,
    write_spec,
)

PREFIX = "pie-tb-"


class Cluster:
    """A Kubernetes cluster on this machine.

    `async with Cluster(nodes=2) as cluster:` brings one up and takes it down; it ends with this process, however
    this process ends. `Cluster.start_detached("dev", Spec(nodes=2))` leaves one running, which
    `Cluster.attach("dev")` finds again.
    """

    def __init__(
        self,
        *,
        nodes: int = 0,
        kwok_nodes: int = 0,
        kube_controller_manager: bool = True,
        kube_scheduler: bool = True,
        arguments: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Describe a testbed; see `Spec` for what the arguments mean."""
        self.spec = Spec(
            nodes=nodes,
            kwok_nodes=kwok_nodes,
            kube_controller_manager=kube_controller_manager,
            kube_scheduler=kube_scheduler,
            arguments={component: list(flags) for component, flags in (arguments or {}).items()},
        )
        self._directory: Path | None = None
        self._janitor: asyncio.subprocess.Process | None = None
        self._api: Api | None = None

    @classmethod
    async def start_detached(cls, name: str, spec: Spec) -> Self:
        """Bring up a testbed that lasts until `shutdown`, and return it."""
        cluster = cls._of(named_directory(name), spec)
        if is_running(cluster.directory):
            raise TestbedError(f"a testbed {name!r} runs already: `python -m testbed down --name {name}`")
        shutil.rmtree(cluster.directory, ignore_errors=True)
        cluster.directory.mkdir()
        await cluster._start(detached=True)
        return cluster

    @classmethod
    def attach(cls, name: str) -> Self:
        """Return a running testbed by the name it was started with."""
        directory = named_directory(name)
        if not is_running(directory):
            raise TestbedError(
                f"no testbed {name!r} runs (there are: {', '.join(running_names()) or 'none'})"
            )
        return cls._of(directory, read_spec(directory))

    @classmethod
    def _of(cls, directory: Path, spec: Spec) -> Self:
        cluster = cls()
        cluster.spec = spec
        cluster._directory = directory
        return cluster

    async def __aenter__(self) -> Self:
        """Bring the testbed up; return when every part of it is ready."""
        self._directory = Path(tempfile.mkdtemp(prefix=PREFIX))
        await self._start(detached=False)
        self._api = Api(self.kubeconfig)
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the testbed down; nothing of it is left."""
        if self._api is not None:
            await self._api.__aexit__(kind, error, trace)
        await self._end()

    @property
    def directory(self) -> Path:
        """Where everything of this testbed lies."""
        if self._directory is None:
            raise TestbedError("this testbed is not up: use it in `async with`")
        return self._directory

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig file of a cluster administrator."""
        return self.directory / KUBECONFIG_FILE

    @property
    def log_directory(self) -> Path:
        """One file per process, `<name>.log`."""
        return self.directory / LOG_DIRECTORY

    @property
    def audit(self) -> Audit:
        """The API server's audit log: who wrote what."""
        return Audit(self.directory / AUDIT_LOG_FILE)

    @property
    def api(self) -> Api:
        """A client of the API server, as administrator, with user agent `testbed`."""
        if self._api is None:
            raise TestbedError("this testbed is not up: use it in `async with`")
        return self._api

    async def stop(self, name: str) -> None:
        """End a process, such as `kube-apiserver`, with SIGTERM (SIGKILL after 10 s)."""
        await self.call("stop", name=name)

    async def kill(self, name: str) -> None:
        """End a process with SIGKILL."""
        await self.call("stop", name=name, signal=int(signals.SIGKILL))

    async def start(self, name: str) -> None:
        """Start a process that has ended; a component of the control plane until it is healthy."""
        await self.call("start", name=name)

    async def restart(self, name: str) -> None:
        """Stop and start a process."""
        await self.stop(name)
        await self.start(name)

    async def freeze(self, name: str) -> None:
        """Stop a process from running, with SIGSTOP: it keeps its connections and says nothing."""
        await self.call("signal", name=name, signal=int(signals.SIGSTOP))

    async def thaw(self, name: str) -> None:
        """Let a frozen process go on."""
        await self.call("signal", name=name, signal=int(signals.SIGCONT))

    async def processes(self) -> dict[str, bool]:
        """Return all processes of the testbed by name, and whether each runs."""
        processes: dict[str, bool] = await self.call("processes")
        return processes

    async def call(self, command: str, **arguments: Any) -> Any:
        """Send a command to the supervisor inside."""
        return await control.call(self.directory / CONTROL_SOCKET, command, **arguments)

    async def shutdown(self) -> None:
        """Take a detached testbed down and wait until nothing of it is left."""
        await self.call("shutdown")
        async with asyncio.timeout(GRACE_SECONDS + 10):
            while is_running(self.directory):
                await asyncio.sleep(0.1)

    async def _start(self, *, detached: bool) -> None:
        require(self.spec)
        # Out here, where a person sees it, instead of in the supervisor's log: a first build takes minutes.
        await binaries(["etcd", "kube-apiserver", *self.spec.components])
        write_spec(self.directory, self.spec)
        self._janitor = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "testbed.janitor", str(self.directory)),
            *(["--detached"] if detached else []),
            stdin=asyncio.subprocess.DEVNULL if detached else asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,  # Ctrl-C is for us: the testbed ends in good order, by the end of the pipe
        )
        try:
            await self._wait_for_control_socket(self._janitor)
            await self.call("ready")
        except BaseException:
            await self._end()
            raise

    async def _wait_for_control_socket(self, janitor: asyncio.subprocess.Process) -> None:
        while not (self.directory / CONTROL_SOCKET).exists():
            if janitor.returncode is not None or not self.directory.exists():
                raise TestbedError(
                    "the testbed ended while it started: it needs root, and namespaces; "
                    "PIE_TESTBED_KEEP_LOGS=<directory> keeps its logs"
                )
            await asyncio.sleep(0.05)

    async def _end(self) -> None:
        janitor, self._janitor = self._janitor, None
        if janitor is None:
            shutil.rmtree(self.directory, ignore_errors=True)
            return
        if janitor.stdin is None:
            janitor.terminate()
        else:
            janitor.stdin.close()
        await janitor.wait()


def named_directory(name: str) -> Path:
    """Return where the testbed of that name lies, or would lie."""
    return Path(tempfile.gettempdir()) / f"{PREFIX}{name}"


def running_names() -> list[str]:
    """Return the names of the testbeds that run on this machine; of one in `async with` it is a random one."""
    found = Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK_FILE}")
    return sorted(lock.parent.name.removeprefix(PREFIX) for lock in found if is_running(lock.parent))


def is_running(directory: Path) -> bool:
    """Say whether somebody looks after the testbed in a directory."""
    try:
        lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)

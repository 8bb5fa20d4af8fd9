"""A testbed as its users see it: start it, use it, break it, stop it."""

import asyncio
import contextlib
import fcntl
import os
import signal as signals
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from testbed import control, images, rights
from testbed.api import Api
from testbed.audit import Audit
from testbed.build import binaries
from testbed.errors import TestbedError
from testbed.janitor import GRACE_SECONDS, KEEP_LOGS_VARIABLE, ROOT, clean
from testbed.kubeconfig import Kubeconfig
from testbed.packages import require
from testbed.spec import (
    AUDIT_LOG_FILE,
    CONTROL_SOCKET,
    IMAGES_DIRECTORY,
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

    `async with Cluster(nodes=2) as cluster:` starts one and stops it. It ends with this process, also if this
    process is killed. `Cluster(name="dev").bring_up(detached=True)` leaves one running, and
    `async with Cluster.attach("dev") as cluster:` uses it.
    """

    def __init__(
        self,
        *,
        name: str = "",
        nodes: int = 0,
        kwok_nodes: int = 0,
        pool_bytes: int = 4 * 2**30,
        attachable: bool = False,
        kubernetes: str = "",
        kube_controller_manager: bool = True,
        kube_scheduler: bool = True,
        arguments: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Describe a testbed; see `Spec` for what the arguments mean. Without a name it gets a random one."""
        self.spec = Spec(
            nodes=nodes,
            kwok_nodes=kwok_nodes,
            pool_bytes=pool_bytes,
            attachable=attachable,
            kubernetes=kubernetes,
            kube_controller_manager=kube_controller_manager,
            kube_scheduler=kube_scheduler,
            arguments={component: list(flags) for component, flags in (arguments or {}).items()},
        )
        self._name = name
        self._directory: Path | None = None
        self._attached = False
        self._janitor: subprocess.Popen[bytes] | None = None
        self._api: Api | None = None

    @classmethod
    def attach(cls, name: str) -> Self:
        """Return a running testbed by its name. It still runs after the end of its `async with`."""
        directory = _directory_of(name)
        if not is_running(directory):
            raise TestbedError(
                f"no testbed {name!r} runs (there are: {', '.join(running_names()) or 'none'})"
            )
        cluster = cls(name=name)
        cluster.spec = read_spec(directory)
        cluster._directory = directory
        cluster._attached = True
        return cluster

    async def __aenter__(self) -> Self:
        """Start the testbed, unless this is an attached one; return when all its parts are ready."""
        if not self._attached:
            await self.bring_up()
        self._api = Api(self.kubeconfig)
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the testbed and remove all of it, unless this is an attached one."""
        if self._api is not None:
            await self._api.__aexit__(kind, error, trace)
        if not self._attached:
            await self.take_down()

    @property
    def directory(self) -> Path:
        """The directory with all files of this testbed."""
        if self._directory is None:
            raise TestbedError("this testbed is not up: use it in `async with`")
        return self._directory

    @property
    def name(self) -> str:
        """The name that `attach` takes."""
        return self.directory.name.removeprefix(PREFIX)

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
        """The API server's audit log: which program wrote what."""
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

    async def run(self, name: str, argv: Sequence[str]) -> None:
        """Run one more process in the testbed, under a name; it ends with the testbed."""
        await self.call("run", name=name, argv=list(argv))

    async def start(self, name: str) -> None:
        """Start a process that has ended; for a component of the control plane, return when it is healthy."""
        await self.call("start", name=name)

    async def restart(self, name: str) -> None:
        """Stop and start a process."""
        await self.stop(name)
        await self.start(name)

    async def freeze(self, name: str) -> None:
        """Freeze a process with SIGSTOP: it keeps its connections and does not answer."""
        await self.call("signal", name=name, signal=int(signals.SIGSTOP))

    async def thaw(self, name: str) -> None:
        """Continue a frozen process."""
        await self.call("signal", name=name, signal=int(signals.SIGCONT))

    async def power_off(self, node: str) -> None:
        """Power a real node off: all its processes end, and the API server is not informed."""
        await self.call("power-off", node=node)

    async def power_on(self, node: str, *, boot_id: str | None = None) -> None:
        """Boot a real node again, with a new boot ID; return when its kubelet was started."""
        await self.call("power-on", node=node, boot_id=boot_id)

    async def reboot(self, node: str) -> None:
        """Power a real node off and on. Its containers end; the pods in the API server stay."""
        await self.power_off(node)
        await self.power_on(node)

    async def processes(self) -> dict[str, bool]:
        """Return all processes of the testbed by name, and whether each runs."""
        processes: dict[str, bool] = await self.call("processes")
        return processes

    async def create_namespace(self, name: str, *, level: str = "restricted") -> None:
        """Create a namespace that holds pods to a Pod Security level; return when they can be created.

        With the label from its creation on: admission reads namespaces from a watch, and may not know of a
        label set later.
        """
        metadata = {"name": name, "labels": {"pod-security.kubernetes.io/enforce": level}}
        await self.api.create("/api/v1/namespaces", {"metadata": metadata})
        if self.spec.kube_controller_manager:
            account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
            async with asyncio.timeout(90):
                while await self.api.find(account) is None:  # noqa: ASYNC110  the other side is a server
                    await asyncio.sleep(0.05)

    async def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """Write a kubeconfig file of an existing service account, valid for a day, and return its path.

        The namespace of its context is that of the account, as inside a pod.
        Roles and bindings that were written before are in force when this returns.
        """
        await rights.until_in_force(self.api, namespace, name)
        account = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"
        answer = await self.api.create(f"{account}/token", {"spec": {"expirationSeconds": 86400}})
        path = self.directory / "users" / f"{namespace}.{name}.kubeconfig"
        admin = Kubeconfig.read(self.kubeconfig)
        msgspec.structs.replace(admin, token=answer["status"]["token"], namespace=namespace).write(path)
        return path

    async def call(self, command: str, **arguments: Any) -> Any:
        """Send a command to the supervisor inside."""
        return await control.call(self.directory / CONTROL_SOCKET, command, **arguments)

    async def bring_up(self, *, detached: bool = False) -> None:
        """Start everything; return when it is ready. A detached testbed lasts until `take_down`."""
        require(self.spec)
        await asyncio.to_thread(sweep)
        # Not in the supervisor: its output is in a log, and the first build takes minutes.
        await binaries(self.spec.programs)
        self._directory = _make_directory(self._name)
        write_spec(self._directory, self.spec)
        if self.spec.nodes:
            await images.make(self._directory / IMAGES_DIRECTORY)
        self._janitor = subprocess.Popen(  # noqa: ASYNC220  one fork, and the process must not belong to an event loop
            [
                *(sys.executable, "-m", "testbed.janitor", str(self._directory)),
                *(["--detached"] if detached else []),
            ],
            stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,  # only this process gets Ctrl-C, and stops the testbed in the right order
        )
        try:
            await _poll(self._answers)
            await self.call("ready")
        except BaseException:
            await self.take_down()
            raise

    async def take_down(self) -> None:
        """Stop everything; return when all of it is removed."""
        if self._janitor is None:
            os.kill(int((self.directory / LOCK_FILE).read_text()), signals.SIGTERM)
            await _wait_until_gone(self.directory)
            return
        self._janitor.terminate()
        await asyncio.to_thread(self._janitor.wait)
        if self._janitor.stdin is not None:
            self._janitor.stdin.close()

    def _answers(self) -> bool:
        if self._janitor is not None and self._janitor.poll() is not None:
            raise TestbedError(
                "the testbed ended while it started; its supervisor's last words are above. With "
                f"{KEEP_LOGS_VARIABLE}=<directory> in the environment the logs of all parts are kept"
            )
        return (self.directory / CONTROL_SOCKET).exists()


def running_names() -> list[str]:
    """Return the names of the testbeds that run on this machine."""
    found = Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK_FILE}")
    return sorted(lock.parent.name.removeprefix(PREFIX) for lock in found if is_running(lock.parent))


def sweep() -> None:
    """Remove the files of testbeds whose processes were all killed at once.

    A directory whose lock is gone is being removed already, by its own testbed or by another sweep.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK_FILE}"):
        with _taken(path.parent) as taken:
            if taken:
                clean(path.parent)


def is_running(directory: Path) -> bool:
    """Tell whether a process still owns the testbed in a directory."""
    with _taken(directory) as taken:
        return taken is False


@contextlib.contextmanager
def _taken(directory: Path) -> Iterator[bool | None]:
    """Hold the lock of a testbed, and tell whether it was free; None: there is no lock."""
    try:
        lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: others may look at the same moment
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(lock)


def _directory_of(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{PREFIX}{name}"


def _make_directory(name: str) -> Path:
    if not name:
        return Path(tempfile.mkdtemp(prefix=PREFIX))
    directory = _directory_of(name)
    if is_running(directory):
        raise TestbedError(f"a testbed {name!r} runs already: `python -m testbed down --name {name}`")
    directory.mkdir()
    return directory


async def _wait_until_gone(directory: Path) -> None:
    limit_seconds = GRACE_SECONDS + 90
    try:
        async with asyncio.timeout(limit_seconds):
            await _poll(lambda: not directory.exists())
    except TimeoutError:
        raise TestbedError(f"{directory} is still there {limit_seconds} s after it was told to end") from None


async def _poll(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  the other side is another process
        await asyncio.sleep(0.05)

"""The process inside a testbed's namespaces that owns all other processes there.

It starts the parts, answers commands on the control socket, and ends when its standard input ends: a process
outside holds the other end of that pipe.
"""

import asyncio
import os
import signal as signals
import sys
from pathlib import Path

from testbed import control
from testbed.api import Api
from testbed.attachable import Attachable
from testbed.central import Central
from testbed.controlplane import ControlPlane
from testbed.errors import TestbedError
from testbed.kwok import Kwok
from testbed.node import Node
from testbed.ports import Slot
from testbed.processes import Processes
from testbed.spec import CONTROL_SOCKET, LOG_DIRECTORY, Spec, read_spec
from testbed.storage import Storage, apply_classes


class Supervisor:
    """The parts of one testbed, and the commands for callers outside."""

    def __init__(self, directory: Path, spec: Spec, slot: Slot) -> None:
        """Nothing is started yet."""
        self.ended = asyncio.Event()
        self._processes = Processes(directory / LOG_DIRECTORY)
        self._control_plane = ControlPlane(
            directory,
            self._processes,
            slot,
            programs={name: spec.program(name) for name in ("kube-apiserver", *spec.components)},
            nodes=spec.node_names,
            arguments=spec.arguments,
        )
        self._nodes = {
            name: Node(
                name,
                index=index,
                testbed=directory,
                processes=self._processes,
                slot=slot,
                kubeconfig=self._control_plane.user_kubeconfig(f"system:node:{name}"),
                kubelet=spec.program("kubelet"),
            )
            for index, name in enumerate(spec.node_names)
        }
        self._storage = {
            name: Storage(node, self._processes, self._control_plane.kubeconfig, pool_bytes=spec.pool_bytes)
            for name, node in self._nodes.items()
        }
        kubeconfig = self._control_plane.kubeconfig
        self._attachable = (
            Attachable(directory, self._processes, kubeconfig, pool_bytes=spec.pool_bytes)
            if spec.attachable
            else None
        )
        self._central = Central(directory, self._processes, kubeconfig, pool_bytes=spec.pool_bytes)
        self._kwok_nodes = spec.kwok_node_names
        self._kwok = Kwok(directory, self._processes, self._control_plane.kubeconfig)

    async def start(self) -> None:
        """Start every part; return when all are ready."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._control_plane.start())
            for node in self._nodes.values():
                group.create_task(node.prepare())
        if self._nodes:
            await self._start_nodes()
        if self._kwok_nodes:
            await self._kwok.start(self._kwok_nodes)

    async def _start_nodes(self) -> None:
        async with Api(self._control_plane.kubeconfig) as api:
            await apply_classes(api)
            if self._attachable:
                await self._attachable.start(api)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._central.start())
                for node in self._nodes.values():
                    await node.start_kubelet()
                    group.create_task(self._complete(node, api))

    async def _complete(self, node: Node, api: Api) -> None:
        """Start a node's storage, and wait until all of it is ready."""
        await self._start_storage(node)
        await node.until_kubelet_serves()
        await node.wait_until_ready(api)
        if self._attachable:
            await self._attachable.wait_until_registered(node, api)
        await self._storage[node.name].wait_until_registered(api)

    async def _start_storage(self, node: Node) -> None:
        await self._storage[node.name].start()
        if self._attachable:
            await self._attachable.start_on(node)

    async def stop(self) -> None:
        """End every part: power the nodes off, then end the other processes, the newest first."""
        async with asyncio.TaskGroup() as group:
            for node in self._nodes.values():
                group.create_task(node.power_off())
        await self._processes.stop_all()

    def commands(self) -> dict[str, control.Handler]:
        """Return the commands, by name."""
        return {
            "run": self.run_process,
            "start": self.start_process,
            "stop": self.stop_process,
            "signal": self.send_signal,
            "processes": self.list_processes,
            "power-off": self.power_off,
            "power-on": self.power_on,
        }

    async def run_process(self, name: str, argv: list[str]) -> None:
        """Start one more process."""
        await self._processes.start(name, argv)

    async def start_process(self, name: str) -> None:
        """Start a process again; return when it is healthy, if that is known."""
        await self._processes.start_again(name)
        if name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
            await self._control_plane.wait_until_healthy(name)

    async def stop_process(self, name: str, signal: int = signals.SIGTERM) -> None:
        """End a process, and wait until it has ended."""
        await self._processes.stop(name, signal=signal)

    async def send_signal(self, name: str, signal: int) -> None:
        """Send a signal to a process."""
        self._processes.send_signal(name, signal)

    async def list_processes(self) -> dict[str, bool]:
        """Return every process by name, and whether it runs."""
        return {name: self._processes.running(name) for name in self._processes}

    async def power_off(self, node: str) -> None:
        """Power a real node off: all its processes end, and the API server is not informed."""
        await self._node(node).power_off()
        for name in self._processes:
            if name.startswith("csi-") and name.endswith(f"-{node}"):
                await self._processes.wait(name)  # it has been killed; now it can be started again

    async def power_on(self, node: str, boot_id: str | None = None) -> None:
        """Boot a real node again, with a new boot ID; return when its processes have been started."""
        await self._node(node).power_on(boot_id=boot_id)
        await self._start_storage(self._node(node))

    def _node(self, name: str) -> Node:
        try:
            return self._nodes[name]
        except KeyError:
            known = ", ".join(self._nodes) or "none"
            raise TestbedError(f"no real node {name!r} in this testbed (there are: {known})") from None


async def run(directory: Path) -> None:
    """Start the testbed, wait until it should end, and stop it."""
    spec = read_spec(directory)
    await _private_run()
    await _name_nodes(directory, spec)
    with Slot() as slot:
        supervisor = Supervisor(directory, spec, slot)
        started = asyncio.create_task(supervisor.start())

        async def ready() -> None:
            await asyncio.shield(started)

        watcher = asyncio.create_task(_set_at_end_of_input(supervisor.ended))
        async with control.serve(directory / CONTROL_SOCKET, {"ready": ready, **supervisor.commands()}):
            await supervisor.ended.wait()
            watcher.cancel()
            if not started.done():
                started.cancel()
            await asyncio.wait([started])
            await supervisor.stop()


async def _set_at_end_of_input(event: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await reader.read()
    event.set()


async def _private_run() -> None:
    """Give this mount namespace its own `/run`, so that files of containers there disappear with it."""
    if os.getpid() == 1 or not Path("/proc/1/comm").read_text().startswith("sh"):  # noqa: ASYNC240  procfs
        raise TestbedError("the supervisor runs inside its own namespaces only: see testbed/janitor.py")
    await _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")


async def _name_nodes(directory: Path, spec: Spec) -> None:
    """Let the API server find the kubelets by the names of their nodes; they listen on loopback only."""
    hosts = directory / "hosts"
    local = " ".join(("127.0.0.1", *spec.node_names))
    hosts.write_text(f"{Path('/etc/hosts').read_text()}\n{local}\n")  # noqa: ASYNC240  two small files
    await _mount("--bind", str(hosts), "/etc/hosts")


async def _mount(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec("mount", *arguments)
    if await process.wait() != 0:
        raise TestbedError(f"mount {' '.join(arguments)} failed in the testbed's mount namespace")


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))

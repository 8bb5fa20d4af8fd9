"""The embedded cluster: everything wired together, as one async context.

async with EmbeddedCluster(nodes=3) as cluster:
cluster.kubeconfig   # for pie, kubectl, or any client
await cluster.faults.inject("plugin-crash", "node-1")
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog
import yaml

from pie.embedded.actors.claims import ClaimProtection, EphemeralClaims
from pie.embedded.actors.cronjobs import CronJobs
from pie.embedded.actors.garbage import GarbageCollector
from pie.embedded.actors.jobs import Jobs
from pie.embedded.actors.kubelet import Kubelet
from pie.embedded.actors.loop import Actor, run
from pie.embedded.actors.nodes import Heartbeats, NodeLifecycle, join
from pie.embedded.actors.provisioner import Provisioner
from pie.embedded.actors.scheduler import Scheduler
from pie.embedded.apiserver import ApiServer
from pie.embedded.crd import pieprobe_crd
from pie.embedded.cronschedule import Minutes
from pie.embedded.faults import Faults
from pie.embedded.front import Front
from pie.embedded.kinds import CRDS, CSI_DRIVERS, NAMESPACES, STORAGE_CLASSES
from pie.embedded.machines import DRIVER, STORAGE_CLASS, Machines
from pie.embedded.registry import Registry
from pie.embedded.store import Store
from pie.embedded.watch import Watches

Json = dict[str, Any]

_log = structlog.get_logger()


class EmbeddedCluster:
    """A cluster with machines `node-1` to `node-N`, a StorageClass, and pie's CRD.

    `directory` holds the volumes; without one, a temporary one is made and removed. `port` 0: a free one.
    `minute_seconds` is how long one minute of a cron schedule lasts. `pool_bytes` is each machine's room for
    volumes. `scheduler` False: pods are bound by who uses the cluster. `history` is how many changes can be
    watched from. `probe_options` are added to the command of every mount probe.
    """

    def __init__(
        self,
        *,
        nodes: int = 3,
        directory: Path | None = None,
        port: int = 0,
        minute_seconds: float = 60.0,
        pool_bytes: int = 10 * 1024**3,
        scheduler: bool = True,
        history: int = 4096,
        bookmark_seconds: float = 60.0,
        node_grace_seconds: float = 40.0,
        probe_options: Sequence[str] = (),
    ) -> None:
        self.store = Store(history=history)
        self.registry = Registry(self.store)
        self._first_nodes = nodes
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="pie-embedded-"))
        self.machines = Machines(self.directory / "volumes", pool_bytes)
        self.watches = Watches(self.store, bookmark_seconds=bookmark_seconds)
        self.front = Front(ApiServer(self.registry, self.watches).handle, self.watches, port)
        self.faults = Faults(self)
        self.heartbeats = Heartbeats(self.registry, self.machines)
        self._probe_options = tuple(probe_options)
        self._group = asyncio.TaskGroup()
        self._running: asyncio.Task[None] | None = None
        self._actors: list[Actor] = [
            GarbageCollector(self.registry),
            CronJobs(self.registry, Minutes(minute_seconds)),
            Jobs(self.registry),
            EphemeralClaims(self.registry),
            ClaimProtection(self.registry),
            Provisioner(self.registry, self.machines),
            self.heartbeats,
            NodeLifecycle(self.registry, node_grace_seconds),
            *([Scheduler(self.registry)] if scheduler else []),
        ]

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the cluster."""
        return self.directory / "kubeconfig"

    async def __aenter__(self) -> Self:
        """Bring the cluster up."""
        self._bootstrap()
        await self.front.start()
        self._write_kubeconfig()
        up = asyncio.Event()
        self._running = asyncio.create_task(self._run(up))
        waiting = asyncio.create_task(up.wait())
        await asyncio.wait([self._running, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take everything down, probes included. Raises what an actor died of."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        await self.front.stop()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)
        if self._running is not None and not self._running.cancelled():
            self._running.result()

    async def _run(self, up: asyncio.Event) -> None:
        """Run the actors and all that is spawned, in a task of its own."""
        try:
            async with asyncio.TaskGroup() as self._group:
                for actor in self._actors:
                    self.spawn(run(actor, self.store, self.machines, self.front.reachable))
                for number in range(1, self._first_nodes + 1):
                    self.add_node(f"node-{number}")
                up.set()
        except ExceptionGroup:
            _log.exception("an actor died, and the cluster with it")
            raise

    def add_node(self, name: str, taints: Sequence[Json] = ()) -> None:
        """Put up a machine and have it join the cluster."""
        machine = self.machines.add(name)
        join(self.registry, name, list(taints))
        kubelet = Kubelet(self.registry, self.machines, machine, self.front.reachable, self._probe_options)
        self.spawn(kubelet.run())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something for as long as the cluster is up."""
        self._group.create_task(work)

    def _bootstrap(self) -> None:
        for name in ("default", "kube-system", "kube-node-lease", "pie"):
            self.registry.create(NAMESPACES, {"metadata": {"name": name}})
        self.registry.create(CRDS, pieprobe_crd())
        self.registry.create(CSI_DRIVERS, {"metadata": {"name": DRIVER}, "spec": {"attachRequired": False}})
        self.registry.create(
            STORAGE_CLASSES,
            {
                "metadata": {"name": STORAGE_CLASS},
                "provisioner": DRIVER,
                "volumeBindingMode": "WaitForFirstConsumer",
            },
        )

    def _write_kubeconfig(self) -> None:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "embedded", "cluster": {"server": self.front.address}}],
            "users": [{"name": "anybody", "user": {}}],
            "contexts": [
                {
                    "name": "embedded",
                    "context": {"cluster": "embedded", "user": "anybody", "namespace": "pie"},
                }
            ],
            "current-context": "embedded",
        }
        self.directory.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.write_text(yaml.safe_dump(config))

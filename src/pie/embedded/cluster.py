"""The embedded cluster: everything wired together, as one async context.

async with EmbeddedCluster(nodes=3) as cluster:
cluster.kubeconfig   # for pie, kubectl, or any client
await cluster.faults.inject("node-plugin-gone", "node-1")
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

import structlog

from pie.embedded.actors.cronjobs import run_cronjobs
from pie.embedded.actors.expansion import expand
from pie.embedded.actors.garbage import collect_garbage
from pie.embedded.actors.jobs import run_jobs
from pie.embedded.actors.kubelet import Kubelets
from pie.embedded.actors.nodes import join, watch_nodes
from pie.embedded.actors.scheduler import schedule
from pie.embedded.actors.volumes import make_ephemeral_claims, protect_claims, provision
from pie.embedded.apiserver import ApiServer
from pie.embedded.errors import ActorDied, Refused
from pie.embedded.faults import Faults
from pie.embedded.kinds import CRDS, CSI_DRIVERS, NAMESPACES, STORAGE_CLASSES, Json
from pie.embedded.machines import DRIVER, STORAGE_CLASS, Machine, Machines
from pie.embedded.registry import Registry
from pie.embedded.store import Store
from pie.packaged import pieprobe_crd

_log = structlog.get_logger()

_PAUSE_SECONDS: Final = 0.02  # changes within this time are handled together
_RETRY_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 60.0
_KUBECONFIG: Final = """\
apiVersion: v1
kind: Config
clusters: [{{name: embedded, cluster: {{server: "{server}"}}}}]
users: [{{name: admin, user: {{token: "{token}"}}}}]
contexts: [{{name: embedded, context: {{cluster: embedded, user: admin, namespace: pie}}}}]
current-context: embedded
"""


class EmbeddedCluster:
    """A cluster with machines `node-1` to `node-N`, a StorageClass, and pie's CRD.

    `directory` holds the volumes; without one, a temporary one is made and removed. `minute_seconds` is how
    long one minute of a cron schedule lasts. `pool_bytes` is each machine's room for volumes. `scheduler`
    False: pods are bound by who uses the cluster. `history` is how many changes can be watched from.
    `probe_options` are added to the command of every mount probe. `running` is the task in which it lives.
    """

    def __init__(
        self,
        *,
        nodes: int = 3,
        directory: Path | None = None,
        minute_seconds: float = 60.0,
        pool_bytes: int = 10 * 1024**3,
        scheduler: bool = True,
        history: int = 4096,
        bookmark_seconds: float = 60.0,
        node_grace_seconds: float = 40.0,
        probe_options: Sequence[str] = (),
    ) -> None:
        self.store = Store(history=history)
        self.registry = registry = Registry(self.store)
        self._first_nodes = nodes
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="pie-embedded-"))
        self.kubeconfig = self.directory / "kubeconfig"
        self.machines: Machines = {}
        self._pool_bytes = pool_bytes
        self.front = ApiServer(registry, bookmark_seconds)
        self.faults = Faults(self)
        self._kubelets = Kubelets(registry, self.machines, tuple(probe_options))
        self._actors: list[Callable[[], float | None]] = [
            partial(watch_nodes, registry, self.machines, node_grace_seconds),
            partial(run_cronjobs, registry, minute_seconds),
            partial(run_jobs, registry),
            partial(make_ephemeral_claims, registry),
            *([partial(schedule, registry)] if scheduler else []),
            partial(provision, registry, self.machines),
            partial(expand, registry, self.machines),
            self._kubelets.run_pods,
            partial(protect_claims, registry),
            partial(collect_garbage, registry),
        ]

    async def __aenter__(self) -> Self:
        """Start the cluster."""
        for name in ("default", "kube-system", "pie"):
            self.registry.create(NAMESPACES, {"metadata": {"name": name}})
        self.registry.create(CRDS, pieprobe_crd())
        self.registry.create(CSI_DRIVERS, {"metadata": {"name": DRIVER}, "spec": {"attachRequired": False}})
        late = {
            "provisioner": DRIVER,
            "volumeBindingMode": "WaitForFirstConsumer",
            "allowVolumeExpansion": True,
        }
        self.registry.create(STORAGE_CLASSES, {"metadata": {"name": STORAGE_CLASS}, **late})
        for number in range(1, self._first_nodes + 1):
            self.add_node(f"node-{number}")
        await self.front.start()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(_KUBECONFIG.format(server=self.front.address, token=self.front.token))
        self.running = asyncio.create_task(self._control())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything, also the probes. Raises ActorDied if an actor failed."""
        self.running.cancel()
        await asyncio.wait([self.running])
        await self.front.stop()
        self._kubelets.close()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)
        if not self.running.cancelled():
            self.running.result()

    async def _control(self) -> None:
        """Run all actors after every change, and when one of them asked for it. Raises ActorDied."""
        while True:
            before, wait_seconds = self.store.version, _QUIET_SECONDS
            for act in self._actors if self.front.reachable else []:
                name = getattr(act, "func", act).__name__
                try:
                    wait_seconds = min(wait_seconds, act() or _QUIET_SECONDS)
                except Refused as refused:  # as by a namespace that is being deleted: it may go
                    _log.warning("refused", actor=name, error=str(refused))
                    wait_seconds = _RETRY_SECONDS
                except Exception as error:
                    _log.exception("an actor died, and all others with it", actor=name)
                    raise ActorDied(f"the embedded cluster is dead: {name} met {error!r}") from error
            if self.store.version == before:
                await self.store.moved(wait_seconds)
            await asyncio.sleep(_PAUSE_SECONDS)

    def add_node(self, name: str, *taints: Json) -> None:
        """Create a machine and let it join the cluster."""
        self.machines[name] = Machine(name, self.directory / "volumes" / name, self._pool_bytes)
        join(self.registry, name, list(taints))

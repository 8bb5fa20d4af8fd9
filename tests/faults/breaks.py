"""Ways to break a cluster, each with its mending: faults of `testbed.faults`, and what happens to nodes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from testbed import faults
from testbed.api import Json
from testbed.cluster import Cluster
from testbed.faults import Options
from testbed.node_faults import BOOT_SECONDS, until_ready
from testbed.storage import DRIVER
from tests.harness import until

CILIUM = {"key": "node.cilium.io/agent-not-ready", "effect": "NoExecute"}
DEDICATED = "example.com/dedicated=others:NoSchedule"
AUTOSCALER = "ToBeDeletedByClusterAutoscaler=1700000000:NoSchedule"
STARTUP = f"{DRIVER}/agent-not-ready:NoExecute"
KURED = {"weave.works/kured-reboot-in-progress": "2026-01-01T00:00:00Z"}


class Place(Protocol):
    """Where something breaks: a PieProbe of a cluster. `claims` is a pattern for its volumes' claims."""

    @property
    def cluster(self) -> Cluster:
        """The cluster."""

    @property
    def probe(self) -> str:
        """The PieProbe's name."""

    @property
    def claims(self) -> str:
        """A pattern for `<namespace>/<name>` of its claims."""

    @property
    def pods(self) -> str:
        """Its Jobs and pods, as `Options.pods`."""

    def path(self, plural: str, name: str = "") -> str:
        """Return the path of objects in its namespace."""

    async def next_good_run(self) -> None:
        """Return when another mount run has gone well."""


class Break(Protocol):
    """Something that breaks, or is maintained, and is mended."""

    async def begin(self, at: Place) -> None:
        """Break it."""

    async def end(self, at: Place) -> None:
        """Mend it; no error when it never began."""


@dataclass(frozen=True)
class Fault(Break):
    """A fault of `testbed.faults` on some nodes (`attachable`: that storage's controller), or of pods."""

    name: str
    nodes: tuple[str, ...] = ("",)
    options: Options = field(default_factory=Options)

    async def begin(self, at: Place) -> None:
        """Inflict it on the PieProbe's volumes."""
        options = replace(self.options, claims=at.claims, pods=at.pods)
        for node in self.nodes:
            await faults.inflict(at.cluster, self.name, node=node, options=options)

    async def end(self, at: Place) -> None:
        """Undo it."""
        for node in self.nodes:
            await faults.undo(at.cluster, self.name, node=node)


@dataclass(frozen=True)
class OldMount(Fault):
    """A fault of volumes that stay mounted, and of no other."""

    async def begin(self, at: Place) -> None:
        """Inflict it on the volumes of the resident probes."""
        options = replace(self.options, claims=_of_residents(at))
        for node in self.nodes:
            await faults.inflict(at.cluster, self.name, node=node, options=options)


@dataclass(frozen=True)
class ResidentPodsDeleted(Break):
    """The pods of the resident probes are deleted, as a drain or a person does it; pie starts new ones."""

    unmounted: str = ""
    """The node on which no volume of them may be mounted then."""

    async def begin(self, at: Place) -> None:
        """Delete them, and wait until they are gone."""
        pods = await self._pods(at)
        before = {pod["metadata"]["uid"] for pod in pods}
        for pod in pods:
            await at.cluster.api.delete(at.path("pods", pod["metadata"]["name"]))

        async def gone() -> bool:
            return not before & {pod["metadata"]["uid"] for pod in await self._pods(at)}

        await until(gone, "the resident pods are gone", 60)
        if self.unmounted:
            await until(lambda: self._is_unmounted(at), "no volume of a resident probe is mounted", 60)

    async def end(self, at: Place) -> None:
        """Leave it to pie to start them."""

    async def _is_unmounted(self, at: Place) -> bool:
        found = await faults.volume(at.cluster, node=self.unmounted, claims=_of_residents(at))
        return not found.mounts

    async def _pods(self, at: Place) -> list[Json]:
        selector = f"pie-probe={at.probe},pie.topolvm.io/kind=resident"
        return await at.cluster.api.items(at.path("pods"), selector=selector)


@dataclass(frozen=True)
class Restarted(Break):
    """A process of a node that ends and is there again at once: `kubelet`, or the driver."""

    name: str
    node: str

    async def begin(self, at: Place) -> None:
        """Restart it."""
        await faults.inflict(at.cluster, self.name, node=self.node, options=Options())
        await faults.undo(at.cluster, self.name, node=self.node)

    async def end(self, at: Place) -> None:
        """Leave it: it is there."""


def _of_residents(at: Place) -> str:
    return at.claims.replace("/*-", "/pie-resident-")


@dataclass(frozen=True)
class Snapshot(Break):
    """Copies of a node's volumes, older than what is in them: `stale` goes back to them."""

    node: str

    async def begin(self, at: Place) -> None:
        """Copy them, and wait until more is written."""
        await faults.snapshot(at.cluster, node=self.node, claims=at.claims)
        await at.next_good_run()

    async def end(self, at: Place) -> None:
        """Leave them: copies do no harm."""


@dataclass(frozen=True)
class Annotated(Break):
    """A node's annotations as another program sets them."""

    node: str
    annotations: Mapping[str, str]

    async def begin(self, at: Place) -> None:
        """Set them."""
        await self._patch(at, self.annotations)

    async def end(self, at: Place) -> None:
        """Take them away."""
        await self._patch(at, dict.fromkeys(self.annotations))

    async def _patch(self, at: Place, annotations: Mapping[str, str | None]) -> None:
        body = {"metadata": {"annotations": dict(annotations)}}
        await at.cluster.api.patch(f"/api/v1/nodes/{self.node}", body)


def cordoned(node: str) -> Fault:
    """Return what `kubectl cordon` does."""
    return Fault("cordoned", (node,))


def tainted(node: str, taint: str) -> Fault:
    """Return what `kubectl taint` does."""
    return Fault("tainted", (node,), Options(taint=taint))


@dataclass(frozen=True)
class WithoutProcess(Break):
    """A process of the testbed's control plane that is gone."""

    process: str

    async def begin(self, at: Place) -> None:
        """Kill it."""
        await at.cluster.kill(self.process)

    async def end(self, at: Place) -> None:
        """Start it."""
        if not (await at.cluster.processes())[self.process]:
            await at.cluster.start(self.process)


@dataclass(frozen=True)
class Removed(Break):
    """A node that is taken out of the cluster; mended, a machine of its name joins as a new node."""

    node: str

    async def begin(self, at: Place) -> None:
        """Power it off, and delete the Node."""
        await at.cluster.power_off(self.node)
        await at.cluster.api.delete(f"/api/v1/nodes/{self.node}")

    async def end(self, at: Place) -> None:
        """Boot it: it registers anew."""
        await at.cluster.power_on(self.node)
        await until_ready(at.cluster, self.node)


@dataclass(frozen=True)
class New(Break):
    """A node that joins, and whose network agent takes its time."""

    node: str

    async def begin(self, at: Place) -> None:
        """Let it join, with the taint of its CNI."""
        await Removed(self.node).begin(at)
        await at.cluster.power_on(self.node)
        await until(lambda: self._taint(at), f"{self.node} joins", BOOT_SECONDS, 0.05)

    async def end(self, at: Place) -> None:
        """Take the taint away."""
        await at.cluster.api.patch(f"/api/v1/nodes/{self.node}", {"spec": {"taints": None}})
        await until_ready(at.cluster, self.node)

    async def _taint(self, at: Place) -> bool:
        found = await at.cluster.api.find(f"/api/v1/nodes/{self.node}")
        if found is None:
            return False
        taints = [*(found["spec"].get("taints") or []), CILIUM]
        await at.cluster.api.patch(f"/api/v1/nodes/{self.node}", {"spec": {"taints": taints}})
        return True


@dataclass(frozen=True)
class Suspended(Break):
    """The PieProbe's CronJobs are suspended by hand."""

    async def begin(self, at: Place) -> None:
        """Suspend them."""
        for each in await at.cluster.api.items(at.path("cronjobs"), selector=f"pie-probe={at.probe}"):
            path = at.path("cronjobs", each["metadata"]["name"])
            await at.cluster.api.patch(path, {"spec": {"suspend": True}})

    async def end(self, at: Place) -> None:
        """Leave it to pie to resume them."""

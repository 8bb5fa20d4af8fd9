"""What `pie plan --from-cluster` reads: PieProbes, their nodes, classes and drivers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pie.cli.planinput import DEFAULT_VERSION, CannotPlan, Flags, Labels, has_unused, parsed, probes_in
from pie.core import selector
from pie.core.classes import labels_of
from pie.core.cost.load import Demand, demand_of
from pie.core.cost.report import CostReport, report
from pie.core.model import Probe
from pie.core.suitable import unsuitable
from pie.core.text import PlainText, few
from pie.core.volumeobjects import CSIDriver
from pie.core.wire import Metadata, Node, NodeInfo, NodeStatus, Object, PieProbe, StorageClass
from pie.kube.client import Client
from pie.kube.config import load
from pie.kube.errors import ConfigError, KubeError, NotFound
from pie.kube.listing import list_all
from pie.kube.resources import CSI_DRIVERS, CSI_NODES, NODES, PIE_PROBES, STORAGE_CLASSES, Resource
from pie.kube.watchstream import T

_PAGE = 500


class _VersionedInfo(NodeInfo, frozen=True):
    kubelet_version: PlainText = ""


class _VersionedStatus(NodeStatus, frozen=True):
    node_info: _VersionedInfo = _VersionedInfo()


class _Node(Node, frozen=True):
    status: _VersionedStatus = _VersionedStatus()


class _Allocatable(Object, frozen=True):
    count: int | None = None


class _Driver(Object, frozen=True):
    name: PlainText = ""
    allocatable: _Allocatable = _Allocatable()


class _CSINodeSpec(Object, frozen=True):
    drivers: tuple[_Driver, ...] = ()


class _CSINode(Object, frozen=True):
    metadata: Metadata
    spec: _CSINodeSpec = _CSINodeSpec()


async def from_the_cluster(
    flags: Flags, manifest: str | None, namespace: str, kubeconfig: str | None, context: str | None
) -> CostReport:
    """Return what the PieProbes of a manifest, or those that the cluster has, cost it. Raises CannotPlan."""
    config = load(kubeconfig, context)
    async with Client(config) as client:
        where = namespace or config.namespace
        nodes = await _all(client, NODES, _Node)
        csi_nodes = await _all(client, CSI_NODES, _CSINode)
        classes = {each.metadata.name: each for each in await _all(client, STORAGE_CLASSES, StorageClass)}
        labels = labels_of(classes.values())
        if manifest is not None:
            probes = probes_in(manifest, labels)
        else:
            probes = await _stored(client, where, labels)
        demands, least = list[Demand](), list[int]()
        notes = await _others(client, where, probes) if manifest is not None else []
        for probe in probes:
            storage_class = classes.get(probe.storage_class)
            matching = _matching(probe, nodes, storage_class)
            driver = storage_class.driver if storage_class is not None else ""
            if storage_class is None:
                notes.append(
                    f"there is no StorageClass {probe.storage_class}: {probe.name} is not probed yet"
                )
            attach = await _attaches(client, driver) if driver else flags.attach
            demands.append(demand_of(probe, len(matching), attach=attach))
            least += _volume_limits(driver, matching, csi_nodes)
    cluster = flags.cluster()
    if cluster.volumes_per_node is None and least:
        cluster = replace(cluster, volumes_per_node=min(least))
    if not flags.kubernetes:
        cluster = replace(cluster, unused=has_unused(_newest(nodes)))
    return report(demands, cluster, notes)


async def _others(client: Client, namespace: str, planned: Iterable[Probe]) -> list[str]:
    """Return a note about the PieProbes of the namespace that a manifest does not have."""
    try:
        page = await client.list_page(PIE_PROBES, namespace, decode=PieProbe, limit=0)
    except KubeError:  # pie is not installed yet, or its PieProbes may not be read
        return []
    others = {each.metadata.name for each in page.items} - {each.name for each in planned}
    if not others:
        return []
    return [
        f"not counted: {few(sorted(others))}, in namespace {namespace}; pie plan --from-cluster counts them"
    ]


async def _stored(client: Client, namespace: str, labels: Labels) -> list[Probe]:
    try:
        page = await client.list_page(PIE_PROBES, namespace, decode=PieProbe, limit=0)
    except NotFound as error:
        raise ConfigError(
            "pie is not installed here: the cluster knows no PieProbes; name a manifest with -f"
        ) from error
    if not page.items:
        raise CannotPlan(f"there is no PieProbe in the namespace {namespace}; name a manifest with -f")
    return [each for stored in page.items for each in parsed(stored, labels)]


def _matching(probe: Probe, nodes: Iterable[Node], storage_class: StorageClass | None) -> set[str]:
    return {
        node.metadata.name
        for node in nodes
        if selector.matches(probe.node_selector, node.metadata.name, node.metadata.labels)
        and not unsuitable(node, probe, storage_class)
    }


async def _attaches(client: Client, driver: str) -> bool:
    """Tell whether a driver's volumes are attached; without a CSIDriver they are."""
    found = await client.get_or_none(CSI_DRIVERS, driver, decode=CSIDriver)
    return found is None or found.spec.attach_required


def _volume_limits(driver: str, matching: set[str], csi_nodes: Iterable[_CSINode]) -> list[int]:
    """Return how many volumes of a driver the matching nodes can have, where they say so."""
    return [
        each.allocatable.count
        for node in csi_nodes
        if node.metadata.name in matching
        for each in node.spec.drivers
        if each.name == driver and each.allocatable.count is not None
    ]


def _newest(nodes: Sequence[_Node]) -> str:
    """Return the newest version of the kubelets: the control plane is at least as new."""
    found = [each.status.node_info.kubelet_version for each in nodes]
    return max((each for each in found if each), key=_numbers, default=DEFAULT_VERSION)


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.removeprefix("v").split(".")[:2]
    return tuple(int(part) if part.isdecimal() else 0 for part in parts)


async def _all(client: Client, resource: Resource, kind: type[T]) -> list[T]:
    listed = await list_all(
        client, resource, None, decode=kind, label_selector=None, field_selector=None, page_size=_PAGE
    )
    return list(listed.objects.values())

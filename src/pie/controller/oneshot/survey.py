"""Finds what can be checked: the StorageClass, its nodes, and an image for the pods."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from pie.core.manifests import KIND
from pie.core.naming import CONTAINER, LABEL_PROBE
from pie.core.oneshot import Order, Skipped, choose, probe_of
from pie.core.preflight import preflight, topology_segments, warnings
from pie.core.reasons import Reason
from pie.core.wire import CSINode, Metadata, Node, StorageClass
from pie.kube.client import Client
from pie.kube.errors import BadRequest, Forbidden, NotFound
from pie.kube.listing import list_all
from pie.kube.resources import CRONJOBS, CSI_NODES, NODES, PIE_PROBES, STORAGE_CLASSES, Resource
from pie.kube.watchstream import Marked, T

_SELECTOR_MARKS = frozenset("=!() ")


class CannotCheck(Exception):  # noqa: N818  reads as what it says: the order, or the cluster, is not fit
    """There is nothing to check, or it cannot be checked; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What can be checked. `notes` say what was ordered and cannot be checked.

    `nodes` are the names of the nodes to check, `seen` these nodes as they were.
    """

    storage_class: StorageClass
    nodes: tuple[str, ...]
    seen: tuple[Node, ...]
    skipped: tuple[Skipped, ...]
    kinds: frozenset[str]
    image: str
    notes: tuple[str, ...]


class _Template(msgspec.Struct):
    """The part of a CronJob that has the image of pie's probes."""

    metadata: Metadata
    spec: dict[str, Any] = {}


async def survey(client: Client, order: Order) -> Survey:
    """Look at the cluster; raises CannotCheck."""
    odd: list[str] = []
    classes = await _all(client, STORAGE_CLASSES, StorageClass, odd)
    storage_class = next((each for each in classes if each.metadata.name == order.storage_class), None)
    if storage_class is None:
        names = ", ".join(sorted(each.metadata.name for each in classes)) or "none"
        raise CannotCheck(
            "; ".join([f"there is no StorageClass {order.storage_class}; there are: {names}", *odd])
        )
    nodes = await _nodes(client, order.nodes, odd)
    csi_nodes = await _all(client, CSI_NODES, CSINode, odd)
    driver = storage_class.driver
    registered = {
        each.metadata.name: set(found.topology_keys or ())
        for each in csi_nodes
        for found in each.spec.drivers
        if found.name == driver
    }
    chosen, skipped = choose(
        nodes,
        probe_of(order, "", ()),
        client.now(),
        driver=driver,
        with_driver=frozenset() if order.nodes else frozenset(registered),
        storage_class=storage_class,
    )
    keys = sorted({key for each in chosen for key in registered.get(each.metadata.name, ())})
    segments = topology_segments(keys, [each.metadata.labels for each in chosen])
    kinds, notes = _kinds(order, storage_class, len(chosen), segments)
    return Survey(
        storage_class,
        tuple(each.metadata.name for each in chosen),
        tuple(chosen),
        tuple(skipped),
        kinds,
        order.image or await _image(client, order.pie_namespace),
        (*notes, *odd),
    )


def _kinds(
    order: Order, storage_class: StorageClass, nodes: int, segments: frozenset[tuple[str, ...]]
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the kinds that can be checked, and why others cannot."""
    if not nodes:
        return order.kinds, ("no node is left to check",)
    paused = preflight(probe_of(order, "", ()), storage_class, nodes, segments)
    # A class that retains volumes can be checked: a check deletes its volumes itself.
    why = {kind: pause for kind, pause in paused.items() if pause.reason is not Reason.RECLAIM_POLICY_RETAIN}
    kinds = frozenset(kind for kind in order.kinds if kind not in why)
    notes = tuple(f"no {kind} check: {why[kind].message}" for kind in sorted(order.kinds - kinds))
    if not kinds:
        raise CannotCheck("; ".join(notes))
    doubts = tuple(each.message for each in warnings(probe_of(order, "", ()), storage_class))
    return kinds, (*notes, *doubts)


async def _nodes(client: Client, wanted: str, odd: list[str]) -> list[Node]:
    """Return the nodes that are asked for: by name, by label selector, or all."""
    if _SELECTOR_MARKS.intersection(wanted):
        return await _selected(client, wanted, odd)
    everything = await _all(client, NODES, Node, odd)
    names = [name for name in wanted.split(",") if name]
    if not names:
        return everything
    known = {node.metadata.name: node for node in everything}
    missing = [name for name in names if name not in known]
    if len(missing) == len(names):  # labels that need only be there: node-role.kubernetes.io/worker
        return await _selected(client, wanted, odd)
    if missing:
        raise CannotCheck(f"there is no node {', '.join(missing)}")
    return [known[name] for name in names]


async def _selected(client: Client, selector: str, odd: list[str]) -> list[Node]:
    try:
        found = await _all(client, NODES, Node, odd, selector)
    except BadRequest as error:
        raise CannotCheck(
            f"{selector!r} is neither a list of node names nor a label selector: {error}"
        ) from error
    if not found:
        raise CannotCheck(f"no node has the name or the labels {selector!r}")
    return found


async def _image(client: Client, namespace: str) -> str:
    """Return the image of a CronJob in this namespace that a PieProbe owns."""
    if not namespace:
        raise CannotCheck(
            "no image: give --image (or set PIE_CONTAINER_IMAGE), or name with --pie-namespace"
            " the namespace of a pie whose image the check can use"
        )
    try:
        probes = await client.list_page(PIE_PROBES, namespace, decode=Marked, limit=0)
        cronjobs = await client.list_page(
            CRONJOBS, namespace, decode=_Template, label_selector=LABEL_PROBE, limit=0
        )
    except (Forbidden, NotFound) as error:
        raise CannotCheck(f"no image: {error}; give --image, or set PIE_CONTAINER_IMAGE") from error
    uids = {each.metadata.uid for each in probes.items}
    for each in cronjobs.items:
        owner = each.metadata.controller_owner
        if owner is None or owner.kind != KIND or owner.uid not in uids:
            continue
        with suppress(LookupError, TypeError, StopIteration):
            containers = each.spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
            return next(str(one["image"]) for one in containers if one["name"] == CONTAINER)
    raise CannotCheck(
        f"no image: no PieProbe in namespace {namespace} owns a CronJob whose image the check can use;"
        " give --image, or set PIE_CONTAINER_IMAGE"
    )


async def _all(
    client: Client, resource: Resource, kind: type[T], odd: list[str], selector: str | None = None
) -> list[T]:
    """Return all objects of a kind; add to `odd` why others could not be read."""
    listed = await list_all(
        client,
        resource,
        None,
        decode=kind,
        label_selector=selector,
        field_selector=None,
        page_size=500,
    )
    odd += [
        f"{resource.describe(None, each.object.metadata.name)} is left out: {each.reason}"
        for each in listed.skipped
    ]
    return list(listed.objects.values())

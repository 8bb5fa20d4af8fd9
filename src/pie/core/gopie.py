"""What versions of Go pie without PieProbes (up to 0.10) left, and what pie does not take over.

Their CronJobs and pods name no PieProbe and have no owner: nothing shows whether somebody still wants them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pie.core.naming import LABEL_PROBE, LABEL_STORAGE_CLASS
from pie.core.wire import Metadata

SELECTOR: Final = f"{LABEL_STORAGE_CLASS},!{LABEL_PROBE}"
"""A label selector for its CronJobs and pods."""

FINALIZERS: Final = frozenset({"pie.topolvm.io/node", "pie.topolvm.io/storage-class"})
"""On nodes and StorageClasses. Without that Go pie they cannot be deleted."""

_NAME: Final = "pie-probe-"
_MOST_NAMES: Final = 20


@dataclass(frozen=True, slots=True)
class Leftover:
    """Objects of one kind: how many, the names of the first, and what is bad about them."""

    kind: str
    count: int
    names: tuple[str, ...]
    effect: str


def leftovers(
    cronjobs: Iterable[Metadata],
    pods: Iterable[Metadata],
    nodes: Iterable[Metadata],
    storage_classes: Iterable[Metadata],
) -> tuple[Leftover, ...]:
    """Return what is left, of all objects of the cluster; CronJobs and pods are those of `SELECTOR`."""
    stuck = "they cannot be deleted, because a finalizer waits for the Go implementation"
    rows = (
        ("CronJob", _probes(cronjobs), "they continue to start pods whose results are not used"),
        ("Pod", (each for each in _probes(pods) if each.finalizers), stuck),
        ("Node", _held(nodes), stuck),
        ("StorageClass", _held(storage_classes), stuck),
    )
    named = ((kind, sorted(each.name for each in found), effect) for kind, found, effect in rows)
    return tuple(
        Leftover(kind, len(names), tuple(names[:_MOST_NAMES]), effect)
        for kind, names, effect in named
        if names
    )


def _probes(found: Iterable[Metadata]) -> Iterable[Metadata]:
    return (each for each in found if each.name.startswith(_NAME) and LABEL_PROBE not in each.labels)


def _held(found: Iterable[Metadata]) -> Iterable[Metadata]:
    return (each for each in found if not FINALIZERS.isdisjoint(each.finalizers))

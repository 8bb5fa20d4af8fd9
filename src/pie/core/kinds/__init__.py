"""The table of the kinds of probe. A new kind is a module beside this one, and a row here.

Code that all kinds share asks the row of a target's kind, and never for a kind by its name.
"""

from collections.abc import Iterator
from typing import Final

from pie.core.kinds import block, clone, expand, mount, provision, resident, shared, snapshot
from pie.core.kinds.row import Row
from pie.core.model import Probe, Target

KINDS: Final[dict[str, Row]] = {
    row.name: row
    for row in (
        provision.ROW,
        mount.ROW,
        resident.ROW,
        block.ROW,
        clone.ROW,
        shared.ROW,
        expand.ROW,
        snapshot.ROW,
    )
}
"""By name, in the order in which they are shown."""


ALWAYS: Final = frozenset(row.name for row in KINDS.values() if not row.optional)
"""The kinds that are on unless a spec switches them off."""


def kind_of(target: Target) -> Row:
    """Return the row of a target's kind."""
    return KINDS[target.kind]


def is_canary(target: Target) -> bool:
    """Tell whether a target is one of a canary."""
    return kind_of(target).canary


def spec_for(probe: Probe, target: Target) -> Probe:
    """Return a PieProbe as a target of it sees it: with the period and the runner of its kind."""
    return kind_of(target).spec(probe)


def targets_of(probe: Probe, node: str = "") -> Iterator[Target]:
    """Yield the targets that a PieProbe has on a node; without a node, those that any node can serve."""
    for row in KINDS.values():
        if row.per_node == bool(node) and row.enabled(probe):
            yield probe.target(row.name, node)


def read_target(text: str, namespace: str) -> Target | None:
    """Return the target of a namespace that `str` wrote so; None: none is written like that."""
    name, *parts = text.split("/")
    row = KINDS.get(name)
    if row is None or len(parts) != (3 if row.per_node else 2):
        return None
    probe, storage_class, node = (*parts, "")[:3]
    return Target(probe, name, storage_class, node, namespace)


def asked_target(text: str, namespace: str = "") -> Target | None:
    """Return the target that somebody asks for: as `str` writes it, or with its namespace (`full_name`)."""
    kind, _, rest = text.partition("/")
    named, _, without = rest.partition("/")
    return read_target(text, namespace) or read_target(f"{kind}/{without}", named)

"""All kinds of texts, in their order on docs/verdicts.md, and that page."""

import re

from pie.core.reasons import AREA
from tests.core.cases import creating, drivers, images, kubelets, othervolumes, pvcs, schedulers
from tests.core.cases.rows import Row

KINDS: dict[str, tuple[Row, ...]] = {
    "Pods that are refused": creating.REFUSED,
    "Pods that are not created for now": creating.NOT_NOW,
    "Pods that no node takes": schedulers.FREE,
    "Pods that their own node does not take": schedulers.PINNED,
    "What a PVC's own state says": pvcs.PVCS,
    "No room and no quota in the back end": drivers.CAPACITY,
    "Limits that are not about room": drivers.OTHER_LIMITS,
    "The first cause, not the last echo": drivers.ECHOES,
    "Warnings that resolve by themselves": drivers.PASSING,
    "Volumes that are not attached": drivers.ATTACHED,
    "Causes at the end of a long text": drivers.LONG,
    "Volumes that are not the probed one": othervolumes.OTHER_VOLUMES,
    "Images": images.IMAGES,
    "Pods that a kubelet refuses": kubelets.REFUSED,
    "Pods that a node ends": kubelets.ENDED,
    "Volumes that are mounted and dead": kubelets.DEAD_MOUNTS,
    "Containers that do not start": kubelets.NOT_STARTED,
}

_INTRODUCTION = """\
# What pie makes of what clusters say

Texts of real clusters, drivers and versions of Kubernetes, what pie makes of them, and where each was published. The
reasons are explained in [reasons.md](reasons.md). Identifiers are left out.

The tables in `tests/core/cases` make this page: each row is a test. `make verdicts` writes it.
"""


def normalised(text: str) -> str:
    """Return a text without what is different in each cluster, as a cell of a table."""
    text = re.sub(r"\b[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}\b", "<uuid>", text)
    text = re.sub(r"\b[0-9a-f]{17,}\b", "<id>", text)
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


def linked(source: str) -> str:
    """Return a source, with links to the issues and pull requests of GitHub that it names."""
    return re.sub(r"\b([\w.-]+/[\w.-]+)#(\d+)", r"[\1#\2](https://github.com/\1/issues/\2)", source)


def page() -> str:
    """Return docs/verdicts.md."""
    parts = [_INTRODUCTION]
    for kind, rows in KINDS.items():
        parts.append(f"\n## {kind}\n\n| Text | Area | Stage | Reason | Source |\n|---|---|---|---|---|\n")
        parts.extend(
            f"| {normalised(row.text)} | {AREA[row.reason]} | {row.stage} | `{row.reason}` | {linked(row.source)} |\n"
            for row in rows
        )
    return "".join(parts)

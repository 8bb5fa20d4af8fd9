"""How many finished runs of a CronJob wait to be read while pie is away."""

from typing import Final

MOST_FINISHED_PODS: Final = 2_000
"""Of a namespace, while each target keeps `KEPT` runs. Beyond that each keeps the newest good and bad one."""
KEPT: Final = 10
KEPT_WITH_VOLUMES: Final = 2
"""Each finished pod of such a run keeps a volume of its own."""
FEW_KEPT: Final = 1
_ROOM: Final = 0.8
"""More runs are kept again only so far below the limit: nodes that come and go must not rewrite CronJobs."""


def keeps_few(targets: int, before: bool) -> bool:
    """Tell whether each of so many targets may keep only few runs; `before`: whether that is so now."""
    most = MOST_FINISHED_PODS * (_ROOM if before else 1.0)
    return targets * KEPT > most


def history_limit(*, few: bool, with_volumes: bool) -> int:
    """Return how many good runs of a target are kept, and how many bad ones."""
    if few:
        return FEW_KEPT
    return KEPT_WITH_VOLUMES if with_volumes else KEPT


def most_finished(targets: int) -> int:
    """Return how many finished pods of so many targets wait at most, where runs are all good or all bad."""
    return min(targets * KEPT, max(MOST_FINISHED_PODS, 2 * FEW_KEPT * targets))

"""How mounts of the other age are on a node where one is bad: it tells an engineer where to look.

If old mounts fail while new ones work, a client, a handle or a daemon died on the node. The other way round,
the driver or the back end refuses what is new.
"""

from collections.abc import Iterable

from pie.core.kinds import kind_of
from pie.core.model import Stage, Target, Verdict
from pie.core.target.state import BadStreak, TargetState


def mounts_of_the_other_age(target: Target, bad: BadStreak, beside: Iterable[TargetState]) -> str:
    """Say it in words; empty: nothing was found since the target is bad. `beside` are not suppressed."""
    if not target.node or bad.stage not in {Stage.IO, Stage.MOUNT}:
        return ""
    resident = kind_of(target).resident
    for state in beside:
        other = kind_of(state.target).resident
        if state.target.node != target.node or other is resident:
            continue
        if state.standing.verdict is Verdict.OK and state.standing.due > bad.first_bad:
            return "a volume that stays mounted there works" if other else "new mounts on this node work"
        if state.bad is not None:
            return "a volume that stays mounted fails, too" if other else "new mounts on this node fail, too"
    return ""

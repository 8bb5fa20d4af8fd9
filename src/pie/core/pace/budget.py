"""How often the targets of PieProbes are probed, so that no budget is passed.

A budget is the number of writes and Events in a second that everybody may cause for a PieProbe
(`spec.budget`), or for all (`--budget`), by the cost model. Over it, periods become whole multiples. Only
runs that pie starts itself can be thinned so; a CronJob has its own schedule.
"""

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pie.core.cost.lines import PIE_PER_SECOND, run_lines
from pie.core.cost.load import Demand
from pie.core.model import RunnerKind

MOST_EVERY: Final = 10_000
"""The longest effective period, in periods."""
_MARGIN: Final = 1.1
"""A pace that was slowed down gets faster when the budget has so much room: a node that comes and goes must
not change it each time."""
_WITH_EARLY_RUNS: Final = 4
"""A bad target has at most three early runs in a period, beside that of the schedule."""
_LEAST_PART: Final = 0.5
_ROUNDING: Final = 1e-9

Of = TypeVar("Of", bound=Hashable)
"""What names a PieProbe."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a PieProbe would cost at its own period, and its budget; None: no limit.

    `others` is what its other StorageClasses add.
    """

    demand: Demand
    budget: float | None = None
    others: tuple[Demand, ...] = ()


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the targets of a PieProbe are probed.

    `every`: the effective period is so many periods. `needs` is what the PieProbe would cause at its own
    period, writes and Events in a second, and `allowed` what the budgets leave it; None: no limit. `held`: it
    keeps to that. `early`: bad targets have early runs.
    """

    every: int = 1
    needs: float = 0.0
    allowed: float | None = None
    held: bool = True
    early: bool = True

    @property
    def over(self) -> bool:
        """Whether the PieProbe would pass a budget at its own period."""
        return self.allowed is not None and self.needs > self.allowed * (1 + _ROUNDING)

    @property
    def causes(self) -> float:
        """What it causes at this pace, writes and Events in a second."""
        return self.needs / self.every


def needs_of(demand: Demand) -> float:
    """Return what everybody writes for the runs of a PieProbe, writes and Events in a second."""
    return sum(
        count / demand.period_seconds * (line.writes + line.events)
        for kind, count in demand.targets().items()
        for line in run_lines(demand.runner, kind, attach=demand.attach)
    )


def paces(
    wanted: Mapping[Of, Wanted],
    budget: float | None = None,
    *,
    part: float = 1.0,
    before: Mapping[Of, int] | None = None,
) -> dict[Of, Pace]:
    """Return the pace of each PieProbe.

    `budget` is that of all together. `part`, in (0, 1], is how much of their pace the control plane can take.
    `before` is how many periods an effective period had so far.
    """
    known = before or {}
    needs = {name: sum(map(needs_of, (each.demand, *each.others))) for name, each in wanted.items()}
    allowed = {name: each.budget for name, each in wanted.items()}
    if budget is not None:
        shares = _shares(wanted, needs, max(budget - PIE_PER_SECOND, _ROUNDING))
        allowed |= {name: _smaller(allowed[name], share) for name, share in shares.items()}
    return {
        name: _pace(each.demand.runner, needs[name], allowed[name], part, known.get(name, 1))
        for name, each in wanted.items()
    }


def _shares(wanted: Mapping[Of, Wanted], needs: Mapping[Of, float], budget: float) -> dict[Of, float]:
    """Return what each PieProbe gets of the budget of all: the same part of what it needs itself.

    CronJobs cannot be thinned, so the others get what these leave, but at least half of their even part: if
    that is too much, the CronJobs pass the budget.
    """
    capped = {
        name: needs[name] if each.budget is None or _fixed(each) else min(needs[name], each.budget)
        for name, each in wanted.items()
    }
    total = sum(capped.values())
    if total <= budget:
        # What others do not use is for each of them.
        return {name: budget - total + found for name, found in capped.items()}
    even = budget / total
    fixed = sum(found for name, found in capped.items() if _fixed(wanted[name]))
    left = (budget - fixed) / (total - fixed) if total > fixed else 0.0
    held = left >= even * _LEAST_PART
    others = max(left, even * _LEAST_PART)
    for_cronjobs = 1.0 if held else even
    return {
        name: found * (for_cronjobs if _fixed(wanted[name]) else others) for name, found in capped.items()
    }


def _fixed(wanted: Wanted) -> bool:
    return wanted.demand.runner is RunnerKind.CRON_JOB


def _smaller(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)


def _pace(runner: RunnerKind, needs: float, allowed: float | None, part: float, before: int) -> Pace:
    fits = allowed is None or needs <= allowed * (1 + _ROUNDING)
    early = part >= 1 and (allowed is None or _WITH_EARLY_RUNS * needs <= allowed)
    if runner is RunnerKind.CRON_JOB:
        return Pace(1, needs, allowed, fits, early)
    longer = (1.0 if allowed is None or fits else needs / allowed) / part
    every = _whole(longer)
    if every < before <= _whole(longer * _MARGIN) and (not fits or part < 1):
        every = before
    held = allowed is None or needs / every <= allowed * (1 + 1e-6)
    return Pace(every, needs, allowed, held, early)


def _whole(longer: float) -> int:
    return min(MOST_EVERY, math.ceil(longer - 1e-6))


def total(found: Iterable[Pace]) -> float:
    """Return what PieProbes cause together, writes and Events in a second."""
    return sum(each.causes for each in found)

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
from pie.core.cost.load import Demand, Load
from pie.core.kinds.resident import START_SECONDS
from pie.core.model import RunnerKind

MOST_EVERY: Final = 10_000
"""The longest effective period, in periods."""
_MARGIN: Final = 1.1
"""A pace that was slowed down gets faster when the budget has so much room: a node that comes and goes must
not change it each time."""
_WITH_EARLY_RUNS: Final = 4
"""A bad target has at most three early runs in a period, beside that of the schedule."""
_LEAST_PART: Final = 0.5
_LEAST_FOR_STARTS: Final = 0.1
"""Resident pods are seldom started, so their starts may pass a budget by this part of it."""
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

    @property
    def demands(self) -> tuple[Demand, ...]:
        """What all of its StorageClasses would cost."""
        return (self.demand, *self.others)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the targets of a PieProbe are probed.

    `every`: the effective period is so many periods. `needs` is what the PieProbe would cause at its own
    period, writes and Events in a second, and `allowed` what the budgets leave it; None: no limit. `held`: it
    keeps to that. `early`: bad targets have early runs. `kept` is the part of `needs` that is not thinned.
    `starts_every`: resident pods that are missing are started within so many minutes.
    """

    every: int = 1
    needs: float = 0.0
    allowed: float | None = None
    held: bool = True
    early: bool = True
    kept: float = 0.0
    starts_every: int = 1

    @property
    def over(self) -> bool:
        """Whether the PieProbe would pass a budget at its own period."""
        return self.allowed is not None and self.needs > self.allowed * (1 + _ROUNDING)

    @property
    def causes(self) -> float:
        """What it causes at this pace, writes and Events in a second."""
        return self.kept + (self.needs - self.kept) / self.every


def needs_of(demand: Demand) -> float:
    """Return what everybody writes for the runs of a PieProbe, writes and Events in a second."""
    return sum(load.runs_per_second * _of_a_run(load, demand) for load in demand.loads())


def _kept_of(demand: Demand) -> float:
    """Return the part of it that is never thinned: that of canaries."""
    return sum(load.runs_per_second * _of_a_run(load, demand) for load in demand.loads() if not load.thinned)


def _starts_of(demand: Demand) -> float:
    """Return what everybody writes in a second while all resident pods start, within `START_SECONDS`."""
    return sum(
        load.targets / START_SECONDS * _of_a_run(load, demand) for load in demand.loads() if load.resident
    )


def _of_a_run(load: Load, demand: Demand) -> float:
    lines = run_lines(load.runner, load.kind, attach=demand.attach)
    return sum(line.writes + line.events for line in lines)


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
    needs = {name: sum(map(needs_of, each.demands)) for name, each in wanted.items()}
    allowed = {name: each.budget for name, each in wanted.items()}
    if budget is not None:
        shares = _shares(wanted, needs, max(budget - PIE_PER_SECOND, _ROUNDING))
        allowed |= {name: _smaller(allowed[name], share) for name, share in shares.items()}
    return {
        name: _pace(each, needs[name], allowed[name], part, known.get(name, 1))
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


def _pace(wanted: Wanted, needs: float, allowed: float | None, part: float, before: int) -> Pace:
    kept, starts = (sum(map(of, wanted.demands)) for of in (_kept_of, _starts_of))
    fits = allowed is None or needs <= allowed * (1 + _ROUNDING)
    early = part >= 1 and (allowed is None or _WITH_EARLY_RUNS * needs <= allowed)
    if _fixed(wanted):
        return Pace(1, needs, allowed, fits, early, kept, _starts_every(starts, allowed, needs, part))
    thinned = 1.0 if allowed is None or fits else (needs - kept) / max(allowed - kept, _ROUNDING)
    longer = max(1.0, thinned) / part
    every = _whole(longer)
    if every < before <= _whole(longer * _MARGIN) and (not fits or part < 1):
        every = before
    causes = kept + (needs - kept) / every
    held = allowed is None or causes <= allowed * (1 + 1e-6)
    return Pace(every, needs, allowed, held, early, kept, _starts_every(starts, allowed, causes, part))


def _starts_every(starts: float, allowed: float | None, causes: float, part: float) -> int:
    """Return within how many minutes resident pods start: as fast as what runs leave of the budget allows."""
    room = math.inf if allowed is None else max(allowed - causes, allowed * _LEAST_FOR_STARTS)
    return _whole(max(1.0, starts / max(room, _ROUNDING)) / part)


def _whole(longer: float) -> int:
    return min(MOST_EVERY, math.ceil(longer - 1e-6))


def total(found: Iterable[Pace]) -> float:
    """Return what PieProbes cause together, writes and Events in a second."""
    return sum(each.causes for each in found)

"""What PieProbes will cost a cluster, and the runner and period that the cluster can take."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pie.core.cost.ceilings import Ceiling, Cluster, ceilings
from pie.core.cost.load import MINUTE, Demand, rates
from pie.core.model import RunnerKind

PART: Final = 0.5
"""A recommendation uses at most this part of each ceiling: others use the cluster, too."""
LONGEST_QUEUE_SECONDS: Final = 5.0
"""Requests of others should wait at most so long: Kubernetes promises that a pod starts within this time."""
LONGEST_MINUTES: Final = 59
"""Of `spec.probePeriod`."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the cluster can take: `demands` are what was asked for with another runner and period.

    `budget` is the number of writes and Events in a second that they cause then, rounded up. Where no runner
    and no period help, `fewer` names the ceiling: probe fewer nodes.
    """

    demands: tuple[Demand, ...]
    budget: int
    fewer: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The cost of PieProbes: `ceilings` has the one that is used most first."""

    demands: tuple[Demand, ...]
    ceilings: tuple[Ceiling, ...]
    recommendation: Recommendation

    @property
    def passed(self) -> tuple[Ceiling, ...]:
        """The ceilings that are passed."""
        return tuple(each for each in self.ceilings if each.share > 1)

    @property
    def longest_queue(self) -> Ceiling:
        """Where requests of others wait longest when runs start together."""
        return max(self.ceilings, key=lambda each: each.queue_seconds)

    @property
    def as_recommended(self) -> bool:
        """Whether nothing has to change."""
        return self.recommendation.demands == self.demands


def plan(demands: Sequence[Demand], cluster: Cluster) -> Plan:
    """Return what PieProbes cost together, and what to do about it."""
    asked = tuple(demands)
    return Plan(asked, ceilings(asked, cluster), _recommend(asked, cluster))


def _recommend(asked: tuple[Demand, ...], cluster: Cluster) -> Recommendation:
    if _fits(asked, cluster):
        return Recommendation(asked, _budget(asked, cluster))
    with_pods = tuple(replace(demand, runner=RunnerKind.POD) for demand in asked)
    found = ceilings(with_pods, cluster)
    fewer = next((each.name for each in found if each.share > 1 and not each.by_period), "")
    slower = with_pods
    # Canaries and resident pods do not depend on the period, so a longer one may not be long enough at once.
    while not _too_long(slower) and (
        over := [each for each in ceilings(slower, cluster) if each.by_period and each.share > PART]
    ):
        slower = _slower(slower, over[0].share / PART)
    if _too_long(slower):
        fewer = found[0].name
    return Recommendation(slower, _budget(slower, cluster), fewer)


def _too_long(demands: tuple[Demand, ...]) -> bool:
    return any(demand.period_seconds > LONGEST_MINUTES * MINUTE for demand in demands)


def _slower(demands: tuple[Demand, ...], longer: float) -> tuple[Demand, ...]:
    return tuple(
        replace(demand, period_seconds=whole_minutes(demand.period_seconds * longer)) for demand in demands
    )


def _fits(demands: tuple[Demand, ...], cluster: Cluster) -> bool:
    return all(
        each.share <= (PART if each.by_period else 1) and each.queue_seconds <= LONGEST_QUEUE_SECONDS
        for each in ceilings(demands, cluster)
    )


def whole_minutes(seconds: float) -> float:
    """Return a period that `spec.probePeriod` can have, of at least so many seconds."""
    return MINUTE * math.ceil(round(seconds / MINUTE, 6))


def _budget(demands: tuple[Demand, ...], cluster: Cluster) -> int:
    return math.ceil(sum(rate.writes + rate.events for rate in rates(demands, unused=cluster.unused)))

"""The condition CostHigh: a PieProbe costs more than a part of the cluster can take."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from pie.core.conditions import Condition, status_condition
from pie.core.cost.ceilings import Cluster
from pie.core.cost.load import Demand
from pie.core.cost.plan import Plan, plan
from pie.core.cost.report import advice, number
from pie.core.reasons import ADVICE, MEANING, Reason

CONDITION: Final = "CostHigh"
_MOST_NAMED: Final = 3


def cost_high(demands: Sequence[Demand]) -> Condition:
    """Return the condition, for all that a PieProbe demands and the default ceilings of Kubernetes."""
    return dict(_of(tuple(demands)))


@lru_cache(maxsize=256)
def _of(demands: tuple[Demand, ...]) -> Condition:
    """Return the condition; the same few PieProbes are looked at again and again."""
    found = plan(demands, Cluster())
    if not found.passed:
        smallest = found.ceilings[0]
        message = f"no ceiling is passed; {smallest.name} is used most, {round(100 * smallest.share)} % of it"
        return status_condition(CONDITION, "False", Reason.OK, message)
    words = f"{_passed(found)}. {MEANING[Reason.COST_HIGH]} Recommended: {advice(found)}."
    return status_condition(CONDITION, "True", Reason.COST_HIGH, f"{words} {ADVICE[Reason.COST_HIGH]}")


def _passed(found: Plan) -> str:
    """Return which ceilings are passed, the smallest first."""
    named = [
        f"{each.name} needs {number(each.used)} of {number(each.limit)} {each.unit}"
        for each in found.passed[:_MOST_NAMED]
    ]
    more = len(found.passed) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more else "")

"""The condition OverBudget: a PieProbe needs more than its budgets allow."""

from typing import Final

from pie.core.conditions import Condition, explained, status_condition
from pie.core.cost.report import number
from pie.core.model import Probe, RunnerKind
from pie.core.pace.budget import Pace
from pie.core.reasons import Reason

OVER_BUDGET: Final = "OverBudget"
THROTTLED: Final = "Throttled"
SLOW: Final = frozenset({OVER_BUDGET, THROTTLED})
"""The conditions that say why the effective period is longer than the period."""


def over_budget(probe: Probe, pace: Pace) -> Condition:
    """Return the condition."""
    if not pace.over or pace.allowed is None:
        limit = "there is no budget" if pace.allowed is None else f"{number(pace.allowed)} are allowed"
        message = f"the runs cause {_per_second(pace.needs)}; {limit}"
        return status_condition(OVER_BUDGET, "False", Reason.OK, message)
    message = f"the runs would cause {_per_second(pace.needs)}; the budget allows {number(pace.allowed)}"
    if probe.runner is RunnerKind.CRON_JOB:
        return status_condition(
            OVER_BUDGET, "True", Reason.BUDGET_NOT_HELD, explained(message, Reason.BUDGET_NOT_HELD)
        )
    period, effective = probe.period_seconds, probe.period_seconds * pace.every
    slower = f"{message}; each target is probed every {effective} s instead of every {period} s"
    return status_condition(OVER_BUDGET, "True", Reason.RUNS_THINNED, explained(slower, Reason.RUNS_THINNED))


def _per_second(writes: float) -> str:
    return f"{number(writes)} writes and Events a second"

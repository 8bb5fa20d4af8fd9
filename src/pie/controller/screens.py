"""What shows to people and to Prometheus what became of targets."""

from dataclasses import dataclass

from pie.core.history import History
from pie.serve.series import RunSeries, TargetSeries
from pie.serve.untested import UntestedSeries


@dataclass(frozen=True, slots=True)
class Screens:
    """The series and the history, which the page and the command line show."""

    series: TargetSeries
    untested: UntestedSeries
    runs: RunSeries
    history: History

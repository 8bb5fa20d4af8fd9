"""Where results of targets are shown: to Prometheus, on the page and on the command line."""

from dataclasses import dataclass

from pie.core.history import History
from pie.serve.runseries import RunSeries
from pie.serve.series import TargetSeries
from pie.serve.untested import UntestedSeries


@dataclass(frozen=True, slots=True)
class Screens:
    """The series and the history, which the page and the command line show."""

    series: TargetSeries
    untested: UntestedSeries
    runs: RunSeries
    history: History

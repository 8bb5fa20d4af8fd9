"""What pie says of a PieProbe at one moment, in its status and on /metrics."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.faults.row import Given
from tests.harness import ON_TIME, PERFORMANCE, Samples

_SUPPRESSED_RUNS = "pie_suppressed_runs_total"
_SUPPRESSED = "pie_target_suppressed"
_INCONCLUSIVE_RUNS = "pie_inconclusive_runs_total"
_BAD = ("hung", "failed", "late", "inconclusive")


@dataclass(frozen=True)
class Said:
    """A reading. Counters are since the controller began; what is counted by node has "" for the class."""

    probe: str
    status: Mapping[str, Any]
    samples: Samples

    @property
    def incidents(self) -> list[dict[str, Any]]:
        """The incidents in the status, open ones first."""
        return list(self.status.get("incidents") or [])

    @property
    def ids(self) -> frozenset[str]:
        """What the incidents are told apart by."""
        return frozenset(each["id"] for each in self.incidents)

    def well(self, targets: int) -> bool:
        """Tell whether there are so many targets, all of them are well, and no incident is open."""
        counts = self.status.get("targets") or {}
        closed = all("closedAt" in each for each in self.incidents)
        return bool(closed and counts.get("ok") == counts.get("total") == targets)

    @cached_property
    def bad(self) -> Counter[str]:
        """The bad runs by node."""
        late = (
            self._count(metric, lambda labels: labels.get("node", ""), on_time="false")
            for metric in ON_TIME.values()
        )
        return sum(late, self.failed)

    @cached_property
    def failed(self) -> Counter[str]:
        """The runs with bad I/O by node."""
        return self._count(PERFORMANCE, lambda labels: labels["node"], succeed="false")

    @cached_property
    def good(self) -> Counter[str]:
        """The runs with good I/O by node."""
        return self._count(PERFORMANCE, lambda labels: labels["node"], succeed="true")

    @cached_property
    def suppressed_runs(self) -> Counter[str]:
        """The suppressed runs by reason."""
        return self._count(_SUPPRESSED_RUNS, lambda labels: labels["reason"])

    @cached_property
    def inconclusive_runs(self) -> Counter[str]:
        """The inconclusive runs by reason."""
        return self._count(_INCONCLUSIVE_RUNS, lambda labels: labels["reason"])

    def incident(self, known: Collection[str]) -> Given:
        """Return what the newest open incident says that is not among those known before."""
        new = [each for each in self.incidents if each["id"] not in known and "closedAt" not in each]
        if not new:
            return Given()
        counts = self.status.get("targets") or {}
        # A target that could not be tested for three periods is unknown.
        untested = "inconclusive" if counts.get("unknown") else "ok"
        return Given(
            verdict=next((each for each in _BAD if counts.get(each)), untested),
            stage=new[0]["stage"],
            reason=new[0]["reason"],
            scope=new[0]["scope"],
            nodes=tuple(new[0].get("nodes") or ()),
            area=new[0].get("area", ""),
            evidence=new[0].get("evidence", ""),
        )

    def suppression(self) -> Given:
        """Return what is suppressed now, and why."""
        now = [each.labels for each in self._of_probe(_SUPPRESSED)]
        if not now:
            return Given()
        # A node's own reason says more than that the class has no other node.
        reason = max(now, key=lambda labels: labels["node"])["reason"]
        nodes = tuple(sorted({each["node"] for each in now if each["node"]}))
        return Given(verdict="suppressed", reason=reason, nodes=nodes)

    def absence(self, nodes: Collection[str]) -> Given:
        """Return which of these nodes are no targets any more."""
        there = {each.labels["node"] for each in self._of_probe(ON_TIME["mount"])}
        gone = tuple(sorted(set(nodes) - there))
        return Given(verdict="gone", nodes=gone) if gone else Given()

    def nothing(self, before: "Said") -> Given:
        """Return that all is well, if no bad run was counted since."""
        return Given() if self.bad - before.bad else Given(verdict="ok")

    def _count(self, metric: str, by: Callable[[Mapping[str, str]], str], **labels: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for sample in self._of_probe(metric):
            if labels.items() <= sample.labels.items():
                found[by(sample.labels)] += int(sample.value)
        return found

    def _of_probe(self, metric: str) -> list[Any]:
        return [each for each in self.samples.all(metric) if each.labels["pie_probe_name"] == self.probe]


def words(incident: Mapping[str, Any]) -> str:
    """Return an incident of a status in short."""
    where = " ".join((incident["scope"], *(incident.get("nodes") or ())))
    return f"{incident['stage']} {incident['reason']} ({where}): {incident.get('evidence', '')[:100]}"

"""Answers made up: for clusters larger, and names worse, than any that a test could bring up."""

import time

from msgspec.structs import replace

from pie.core.apitypes import (
    Counts,
    FeatureView,
    Heatmap,
    HeatRow,
    IncidentView,
    Known,
    LatencyTrend,
    Overview,
    ProbeView,
    RunView,
    State,
    TargetDetail,
    TargetList,
    TargetView,
)
from pie.core.model import Kind, ProbeId, Stage, Verdict

PROBE = "synthetic"


class MadeUp:
    """A PieProbe with so many nodes in three zones; every hundredth fails.

    `text` is in all words, `before` at the beginning of the names of nodes.
    """

    def __init__(self, nodes: int, text: str = "", before: str = "node-") -> None:
        self.revision = 1
        self.state: State = "bad"
        self.before = before
        self.began = time.time() - 60
        self.text = text
        self.nodes = nodes
        self.panel_url: str | None = None

    def overview(self) -> Overview:
        """Answer with one open incident."""
        counts = Counts(total=self.nodes, ok=self.nodes - self.nodes // 100, failed=self.nodes // 100)
        features = (
            FeatureView("block", f"fast{self.text}", Known.YES, Known.YES, self.began, 3.2),
            FeatureView("clone", f"fast{self.text}", Known.YES, Known.NO, self.began - 86_400, 12.0),
            FeatureView("expand", f"slow{self.text}", Known.NO, Known.UNKNOWN),
        )
        words = (f"fast{self.text}", "bad", f"bad {self.text}")
        probe = ProbeView(PROBE, "pie", *words, 60, counts, (), features=features)
        incident = IncidentView(
            id="1",
            probe=PROBE,
            storage_class="fast",
            scope="node",
            where="on nodes",
            zone="",
            nodes=(self._name(0),),
            targets=self.nodes // 100,
            stage=Stage.IO,
            reason="IOError",
            words=f"StorageClass fast: I/O fails {self.text}.",
            meaning=f"meaning {self.text}",
            evidence=f"evidence {self.text}",
            next=f"next {self.text}",
            opened=self.began,
            closed=None,
            area="node",
        )
        return Overview(
            time.time(),
            "1",
            "pie",
            leading=True,
            state=self.state,
            summary="",
            probes=(probe,),
            incidents=(incident,),
            slowest=(),
            panel_url=self.panel_url,
        )

    def named(self, of: ProbeId) -> ProbeId:
        """Return it as it is."""
        return of

    def targets(self, of: ProbeId) -> TargetList | None:
        """Answer with nothing: the page does not ask."""
        return None if of.name else TargetList(time.time(), ())

    def target(self, of: ProbeId, kind: str, node: str, storage_class: str = "") -> TargetDetail | None:
        """Answer with a target whose one run failed."""
        view = TargetView(
            probe=of.name,
            kind=kind,
            storage_class=storage_class or "fast",
            node=node,
            zone=self.text,
            verdict=Verdict.FAILED,
            reason="IOError",
            message=f"message {self.text}",
            stage=Stage.IO,
            since=time.time() - 60,
            due=None,
            last_ok=None,
            io=None,
        )
        run = RunView(
            due=time.time(),
            cause="retry",
            verdict=Verdict.FAILED,
            reason="IOError",
            message=f"run {self.text}",
            stage=Stage.IO,
            node=node,
            ended=True,
            stages={Stage.MOUNT: 1.0},
            io=None,
            meaning=self.text,
            next=self.text,
        )
        return TargetDetail(time.time(), view, 30.0, (run, replace(run, due=run.due - 60)))

    def heatmap(self, of: ProbeId, columns: int) -> Heatmap | None:
        """Answer with a full strip for every node."""
        good, bad = "o" * columns, "o" * (columns - 3) + "lff"
        rows = tuple(
            HeatRow(
                Kind.MOUNT,
                self._name(number),
                f"zone-{number % 3}",
                Verdict.OK if number % 100 else Verdict.FAILED,
                good if number % 100 else bad,
            )
            for number in range(self.nodes)
        )
        return Heatmap(time.time(), of.name, time.time() - 60 * columns, 60, columns, rows)

    def latency(self, of: ProbeId, columns: int) -> LatencyTrend | None:
        """Answer with a flat line."""
        flat = (0.001,) * columns
        return LatencyTrend(
            time.time(), of.name, time.time() - 60 * columns, 60, columns, flat, flat, flat, flat
        )

    def _name(self, number: int) -> str:
        return f"{self.before}{number:05}{self.text}"

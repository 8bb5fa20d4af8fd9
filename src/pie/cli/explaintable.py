"""The runs of targets as a terminal shows them: a bar for each, a letter and a colour for each stage."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pie.cli.words import STAGE_COLOURS, WIDE_COLUMNS, colour, latency_text, seconds_text, whose_problem
from pie.core.apitypes import RunView, TargetDetail, TargetView
from pie.core.model import BAD, Stage, Verdict
from pie.core.text import few

_BAR_WIDTH = 40
_MOST_NAMED = 10
_WORTH_SAYING_SECONDS = 0.1
_LETTERS = {
    Stage.QUEUE: "q",
    Stage.SCHEDULE: "s",
    Stage.PROVISION: "p",
    Stage.ATTACH: "a",
    Stage.MOUNT: "m",
    Stage.START: "t",
    Stage.IO: "i",
    Stage.TEARDOWN: "d",
}


class Explanation(Struct, frozen=True):
    """Targets with their runs, as the controller reports them; `more` are those that are not shown."""

    now: float
    targets: tuple[TargetDetail, ...]
    more: tuple[str, ...] = ()


def table(explanation: Explanation) -> Group:
    """Return what a terminal shows of it."""
    parts: list[RenderableType] = []
    for detail in explanation.targets:
        parts += [*_target(detail, explanation.now), Text()]
    stages = {stage for each in explanation.targets for run in each.runs for stage in run.stages}
    if stages:
        parts.append(_legend(stages))
    if more := explanation.more:
        parts.append(Text(f"also bad: {few(more, _MOST_NAMED)}", "red"))
    return Group(*parts)


def _target(detail: TargetDetail, now: float) -> list[RenderableType]:
    target = detail.target
    where = f"on node {target.node}" if target.node else "on any node"
    since = f" since {_ago(target.since, now)}" if target.since is not None else ""
    title = f"{target.kind} of {target.storage_class} {where}: "
    verdict = f"{target.verdict}{since}"
    lines: list[RenderableType] = [
        Text.assemble((title, "bold"), (verdict, f"bold {colour(target.verdict)}"))
    ]
    if target.verdict is not Verdict.OK:
        stage = f" in {target.stage}" if target.stage is not None else ""
        lines.append(Text(f"  {target.reason}{stage}: {target.message}".rstrip(": ")))
        lines += [Text(f"  {whose}")] if (whose := whose_problem(target.area)) else []
        if (bad := next((run for run in detail.runs if run.reason == target.reason), None)) is not None:
            lines += [Text(f"  {bad.meaning}"), Text(f"  next: {bad.next}", "bold")]
    lines += [Text(f"  {line}", "dim") for line in _facts(detail, now)]
    lines.append(_Runs(target, detail.runs) if detail.runs else Text("  no run has ended yet", "dim"))
    return lines


def _facts(detail: TargetDetail, now: float) -> list[str]:
    target, limit = detail.target, detail.max_latency_seconds
    well = (
        f"last good run {_ago(target.last_ok, now)} ago" if target.last_ok is not None else "no good run yet"
    )
    slow = f"; slow above {latency_text(limit)}" if limit is not None else ""
    facts = [f"{well}; late after {detail.threshold_seconds:g} s{slow}"]
    if target.io is not None:
        sides = (("read", target.io.read), ("write", target.io.write))
        said = [
            f"{name} {latency_text(side.p50_seconds)} (p99 {latency_text(side.p99_seconds)})"
            for name, side in sides
            if side
        ]
        job = f"; {detail.options}" if detail.options else ""
        facts.append(f"last I/O: {', '.join(said)}{job}")
    return facts


class _Runs:
    """Runs, one row each; the details of a run are below it if there is no space beside it."""

    def __init__(self, target: TargetView, runs: tuple[RunView, ...]) -> None:
        longest = max((sum(run.stages.values()) for run in runs), default=0.0)
        self._rows: list[tuple[Text, Text, Text, Text]] = []
        told = target.message
        for run in runs:
            due = datetime.fromtimestamp(run.due).astimezone().strftime("%m-%d %H:%M:%S")
            cause = "" if run.cause == "schedule" else f" ({run.cause})"
            verdict = Text(str(run.verdict), colour(run.verdict))
            said = _said(run, known=run.message == told)
            told = run.message
            self._rows.append((Text(f"  {due}{cause}"), verdict, _bar(run, longest), said))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width >= WIDE_COLUMNS:
            yield self._table(self._rows)
            return
        for *row, said in self._rows:
            yield self._table([row])
            yield Padding(said, (0, 0, 0, 4))

    def _table(self, rows: Iterable[Iterable[RenderableType]]) -> Table:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for width in (max(map(len, column)) for column in list(zip(*self._rows, strict=True))[:2]):
            table.add_column(no_wrap=True, min_width=width)
        table.add_column(no_wrap=True, width=_BAR_WIDTH)
        for row in rows:
            table.add_row(*row)
        return table


def _bar(run: RunView, longest: float) -> Text:
    """Return the stages of a run to scale: letters in proportion to its time, at least one."""
    bar = Text()
    for stage, took in run.stages.items():
        letters = max(1, round(took / longest * (_BAR_WIDTH - len(Stage)))) if longest else 1
        bar.append(_LETTERS[stage] * letters, f"black on {STAGE_COLOURS[stage]}")
    if run.stage is not None and run.verdict in BAD:
        bar.append(f"✗ {run.stage}", "bold red")
    return bar


def _said(run: RunView, *, known: bool) -> Text:
    """Return the details of a run; `known`: its message is already printed above."""
    took = seconds_text(sum(run.stages.values())) if run.stages else ""
    long = {stage: seconds for stage, seconds in run.stages.items() if seconds >= _WORTH_SAYING_SECONDS}
    words = ", ".join(f"{stage} {seconds_text(seconds)}" for stage, seconds in long.items())
    timed = f"{took}: {words}" if words else took
    if run.verdict is Verdict.OK:
        return Text(timed, "dim")
    return Text(run.reason if known else f"{run.reason}: {run.message}").append(f"  {timed}", "dim")


def _legend(stages: set[Stage]) -> Text:
    legend = Text("stages: ", "dim")
    for stage in Stage:
        if stage in stages:
            legend.append(_LETTERS[stage], f"black on {STAGE_COLOURS[stage]}")
            legend.append(f" {stage}  ", "dim")
    return legend


def _ago(then: float, now: float) -> str:
    return seconds_text(max(0.0, now - then))

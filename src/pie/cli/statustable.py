"""The overview as a terminal shows it."""

from collections.abc import Iterator, Sequence

from msgspec import to_builtins
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pie.cli.words import colour, latency_text, many, seconds_text, whose_problem
from pie.core.apitypes import IncidentView, Overview, ProbeView
from pie.core.model import Verdict
from pie.core.pace.condition import SLOW
from pie.core.reasons import MEANING, Reason

_STATE_COLOURS = {"fine": "bold green", "warning": "bold yellow", "bad": "bold red", "unknown": "bold"}
_MOST_INCIDENTS = 10
_NARROWEST_STORAGE = 30
_MOST_SLOW = 5


def table(overview: Overview, options: str = "", note: str = "") -> Group:
    """Return what a terminal shows of an overview; `note` stands below it.

    `options` are those that commands need which are to be pasted.
    """
    parts: list[RenderableType] = [
        Text(f"{overview.state}: {overview.summary}", _STATE_COLOURS[overview.state])
    ]
    if overview.probes:
        parts += [Text(), _Probes(overview.probes)]
    if slower := [line for each in overview.probes if (line := _slowed(each))]:
        parts += [Text(), *slower]
    if not_offered := [line for each in overview.probes for line in _not_offered(each)]:
        parts += [Text(), *not_offered]
    open_now = [each for each in overview.incidents if each.closed is None]
    for incident in open_now[:_MOST_INCIDENTS]:
        parts += [Text(), *_incident(incident, overview.now, options)]
    if len(open_now) > _MOST_INCIDENTS:
        parts.append(Text(f"and {many(len(open_now) - _MOST_INCIDENTS, 'more incident')}", "red"))
    closed = [each for each in overview.incidents if each.closed is not None]
    if closed:
        ago = seconds_text(max(0.0, overview.now - (closed[0].closed or 0.0)))
        how = f" ({closed[0].ending})" if closed[0].ending else ""
        parts += [Text(), Text(f"closed {ago} ago{how}: {closed[0].words}{_others(len(closed) - 1)}", "dim")]
    if overview.slowest:
        parts += [Text(), _slowest(overview)]
    if note:
        parts += [Text(), Text(note, "yellow")]
    return Group(*parts)


class _Probes:
    """The PieProbes, one row each; their summaries are in lines below if the column is too narrow."""

    def __init__(self, probes: Sequence[ProbeView]) -> None:
        self._probes = probes

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        longest = max(len(each.summary) for each in self._probes)
        counts = self._table(said=False)
        room = options.max_width - Measurement.get(console, options, counts).maximum
        if room > min(longest, _NARROWEST_STORAGE):
            yield self._table(said=True)
            return
        yield counts
        yield Text()
        for each in self._probes:
            yield Text(f"{each.name}: ").append_text(_said(each))

    def _table(self, *, said: bool) -> Table:
        counts = [to_builtins(each.targets) for each in self._probes]
        verdicts = [verdict for verdict in Verdict if any(each[verdict] for each in counts)]
        rows = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
        rows.add_column("PIEPROBE", overflow="fold", no_wrap=said)
        rows.add_column("CLASS", overflow="fold", no_wrap=said)
        for title in ("TARGETS", *(verdict.upper() for verdict in verdicts)):
            rows.add_column(title, justify="right", no_wrap=True)
        if said:
            rows.add_column("STORAGE")
        for probe, count in zip(self._probes, counts, strict=True):
            numbers = [Text(str(count[each]), colour(each) if count[each] else "dim") for each in verdicts]
            cells: list[str | Text] = [probe.name, probe.storage_class, str(count["total"]), *numbers]
            rows.add_row(*cells, *([_said(probe)] if said else []))
        return rows


def _said(probe: ProbeView) -> Text:
    return Text(probe.summary, _STATE_COLOURS[probe.state].removeprefix("bold").strip())


def _slowed(probe: ProbeView) -> Text | None:
    """Say why runs start less often than the spec says; None: they do not."""
    effective, period = probe.effective_period_seconds, probe.period_seconds
    if effective is None or period is None or effective <= period:
        return None
    often = f"each target is probed every {seconds_text(effective)} instead of every {seconds_text(period)}"
    why = [each.reason for each in probe.conditions if each.type in SLOW and each.status == "True"]
    return Text(f"{probe.name}: {often}" + (f" ({', '.join(why)})" if why else ""), "yellow")


def _not_offered(probe: ProbeView) -> Iterator[Text]:
    """Say which canaries are paused, and in which words the class does not offer what they test."""
    for each in probe.conditions:
        if each.reason == Reason.NOT_OFFERED:
            said = each.message.partition(f". {MEANING[Reason.NOT_OFFERED]}")[0]
            yield Text(f"{probe.name}: {said} ({each.reason})", "dim")


def _incident(incident: IncidentView, now: float, options: str) -> list[Text]:
    since = seconds_text(max(0.0, now - incident.opened))
    # A provision target has no node, wherever its runs were.
    node = f" --node {incident.nodes[0]}" if incident.nodes and not incident.provision else ""
    words = incident.words.removesuffix(".")
    return [
        Text(f"incident since {since}: {words} ({incident.reason})", "bold red"),
        *([Text(f"  {whose}")] if (whose := whose_problem(incident.area)) else []),
        *([Text(f"  evidence: {incident.evidence}")] if incident.evidence else []),
        Text(f"  next: {incident.next}"),
        # For pasting: the terminal may wrap it, but a line end from pie would cut the command in two.
        Text(f"  more: pie explain {incident.probe}{node}{options}", "dim", no_wrap=True, overflow="ignore"),
    ]


def _others(count: int) -> str:
    return f" And {count} earlier." if count else ""


def _slowest(overview: Overview) -> Table:
    rows = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("SLOWEST NODES", "PIEPROBE", "READ P99", "WRITE P99"):
        rows.add_column(title, overflow="fold", justify="right" if title.endswith("P99") else "left")
    for each in overview.slowest[:_MOST_SLOW]:
        rows.add_row(
            each.node, each.probe, latency_text(each.read_p99_seconds), latency_text(each.write_p99_seconds)
        )
    return rows

"""A plan as a terminal shows it, readable at 80 columns."""

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pie.cli.words import many, seconds_text
from pie.core.cost.lines import Source
from pie.core.cost.load import MINUTE
from pie.core.cost.plan import LONGEST_QUEUE_SECONDS, PART
from pie.core.cost.report import CeilingView, CostReport, DemandView, number
from pie.core.kinds import KINDS

_SHOWN_SHARE = 0.01
_TWO_MINUTES = 120


def table(found: CostReport) -> Group:
    """Return what a terminal shows of a plan."""
    parts: list[RenderableType] = [_headline(found)]
    parts += [Text(f"  {_probe(each)}") for each in found.probes]
    parts += [Text(f"recommended: {_recommended(found)}", "bold"), Text(), _ceilings(found)]
    parts += _queue(found)
    parts += [Text(), _writers(found), Text(), _runs(found), Text(), _figures(found), Text()]
    parts += [Text(f"note: {each}", "yellow") for each in found.notes]
    parts.append(Text("~ calculated; the other figures were measured: docs/cost.md", "dim"))
    return Group(*parts)


def _headline(found: CostReport) -> Text:
    if found.passed:
        return Text(f"too much: {many(found.passed, 'ceiling')} of the cluster would be passed", "bold red")
    if found.recommendation.change:
        waits = _longest_queue(found).queue_seconds
        but = (
            f"requests of others would wait up to {seconds_text(waits)}"
            if waits > LONGEST_QUEUE_SECONDS
            else f"more than {PART:.0%} of one is used"
        )
        return Text(f"no ceiling is passed, but {but}", "bold yellow")
    return Text("the cluster can take this", "bold green")


def _probe(each: DemandView) -> str:
    there = (("provision", each.provision), ("mount", each.mount), ("resident", each.resident))
    kinds = [kind for kind, has in there if has]
    name = f"PieProbe {each.probe}: " if each.probe else ""
    attach = ", volumes are attached" if each.attach else ""
    canaries = f", canaries {', '.join(each.canaries)}" if each.canaries else ""
    return (
        f"{name}{each.nodes:,} nodes, every {_period(each.period_seconds)}, runner {each.runner},"
        f" {' and '.join(kinds) or 'no'} probes{canaries}{attach}"
    )


def _period(seconds: float) -> str:
    return seconds_text(seconds).removesuffix(" 0 s")


def _recommended(found: CostReport) -> str:
    return f"{found.recommendation.words}; then {found.recommendation.budget} writes and Events a second"


def _plain(*columns: tuple[str, bool]) -> Table:
    rows = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title, right in columns:
        rows.add_column(title, justify="right" if right else "left", no_wrap=right, overflow="fold")
    return rows


def _ceilings(found: CostReport) -> Table:
    rows = _plain(("CEILING", False), ("USED", True), ("LIMIT", True), ("SHARE", True), ("MET AT", True))
    shown = [each for each in found.ceilings if each.share >= _SHOWN_SHARE]
    for each in shown:
        per_second = "/s" if each.unit.endswith("/s") else ""
        style = "red" if each.share > 1 else "yellow" if each.share > PART else ""
        cells = (
            each.name.replace("kube-controller-manager ", ""),
            _marked(f"{number(each.used)}{per_second}", each.source),
            f"{number(each.limit)}{per_second}",
            f"{100 * each.share:,.0f} %",
            _met_at(each),
        )
        rows.add_row(*(Text(cell, style) for cell in cells))
    if others := len(found.ceilings) - len(shown):
        rows.add_row(Text(f"{others} more: less than 1 %", "dim"))
    return rows


def _met_at(each: CeilingView) -> str:
    """Return the period at which a ceiling is just met: `45 s`, `34 min`."""
    seconds = each.met_at_period_seconds
    if seconds is None:
        return "-"
    if seconds < _TWO_MINUTES:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / MINUTE)} min"


def _longest_queue(found: CostReport) -> CeilingView:
    return max(found.ceilings, key=lambda each: each.queue_seconds)


def _queue(found: CostReport) -> list[Text]:
    worst = _longest_queue(found)
    if worst.queue_seconds < 1:
        return []
    words = (
        f"All runs of a minute start in its first second: requests of others would wait up to"
        f" {seconds_text(worst.queue_seconds)} behind them ({worst.name})."
    )
    return [Text(), Text(words)]


def _writers(found: CostReport) -> Table:
    rows = _plain(("WHO WRITES", False), ("WRITES/S", True), ("EVENTS/S", True))
    for each in found.writers:
        if each.writes or each.events:
            name = f"{each.actor} {each.client}".strip()
            rows.add_row(name, _marked(number(each.writes), each.source), number(each.events))
    writes, events = (sum(getattr(each, what) for each in found.writers) for what in ("writes", "events"))
    rows.add_row(Text("together", "bold"), Text(number(writes), "bold"), Text(number(events), "bold"))
    return rows


def _runs(found: CostReport) -> Table:
    rows = _plain(("A RUN COSTS", False), ("WRITES", True), ("EVENTS", True))
    for runner, kind in dict.fromkeys((each.runner, each.kind) for each in found.lines):
        lines = [each for each in found.lines if (each.runner, each.kind) == (runner, kind)]
        calculated = any(each.source == Source.CALCULATED for each in lines)
        source = Source.CALCULATED if calculated else Source.MEASURED
        name = _of_kind(kind, runner) if runner else "all targets once, first binding"
        writes, events = sum(each.writes for each in lines), sum(each.events for each in lines)
        rows.add_row(name, _marked(number(writes), source), number(events))
    return rows


def _of_kind(kind: str, runner: str) -> str:
    """Return what is counted: the runner of optional kinds is always pie itself."""
    if not KINDS[kind].optional:
        return f"{kind}, runner {runner}"
    return f"{kind}, a start of the pod" if KINDS[kind].resident else f"canary {kind}"


def _figures(found: CostReport) -> Table:
    rows = _plain(("ALSO", False), ("", True), ("UNIT", False))
    for each in found.figures:
        rows.add_row(each.name, _marked(number(each.value), each.source), each.unit)
    return rows


def _marked(text: str, source: str) -> str:
    return f"~{text}" if source == Source.CALCULATED else text

"""A plan as data: what `pie plan` prints as a table, as JSON or as YAML."""

import math
from collections.abc import Sequence

from msgspec import Struct

from pie.core.cost.ceilings import Ceiling, Cluster
from pie.core.cost.figures import figures
from pie.core.cost.lines import run_lines
from pie.core.cost.load import MINUTE, Demand, rates, set_up
from pie.core.cost.plan import Plan, plan


class DemandView(Struct, frozen=True):
    """A PieProbe. `provision`, `mount`, `resident`: whether it has such probes; `canaries`: which it has.

    `attach`: whether its driver attaches.
    """

    probe: str
    nodes: int
    runner: str
    period_seconds: float
    provision: bool
    mount: bool
    attach: bool
    resident: bool = False
    canaries: tuple[str, ...] = ()


class CeilingView(Struct, frozen=True):
    """A ceiling. `share` is `used` in `limit`; above 1 it is passed.

    `met_at_period_seconds`: the period at which it is just met; null where no period helps, or where
    PieProbes of several periods share it. `queue_seconds`: how long requests of others wait when runs start
    together.
    """

    name: str
    used: float
    limit: float
    unit: str
    share: float
    met_at_period_seconds: float | None
    queue_seconds: float
    source: str


class WriterView(Struct, frozen=True):
    """What a client writes in a second. `requests` count for its rate limit."""

    actor: str
    client: str
    writes: float
    events: float
    requests: float
    source: str


class LineView(Struct, frozen=True):
    """What a client writes for a run of a kind of probe, or (kind `set-up`) for all targets, once.

    Of a resident probe: for a start of its pod.
    """

    runner: str
    kind: str
    actor: str
    client: str
    what: str
    writes: float
    events: float
    source: str


class FigureView(Struct, frozen=True):
    """A figure without a ceiling."""

    name: str
    value: float
    unit: str
    source: str


class RecommendationView(Struct, frozen=True):
    """What the cluster can take. `change`: something must change for it. `words` say it for people."""

    change: bool
    demands: tuple[DemandView, ...]
    budget: int
    words: str


class CostReport(Struct, frozen=True):
    """The cost of PieProbes. `passed` counts the ceilings that are passed; the most used one is the first."""

    probes: tuple[DemandView, ...]
    passed: int
    recommendation: RecommendationView
    ceilings: tuple[CeilingView, ...]
    writers: tuple[WriterView, ...]
    lines: tuple[LineView, ...]
    figures: tuple[FigureView, ...]
    notes: tuple[str, ...] = ()


def report(demands: Sequence[Demand], cluster: Cluster, notes: Sequence[str] = ()) -> CostReport:
    """Return what PieProbes cost a cluster."""
    found = plan(demands, cluster)
    periods = {demand.period_seconds for demand in demands}
    period = periods.pop() if len(periods) == 1 else None
    recommended = found.recommendation
    return CostReport(
        probes=tuple(map(_demand, found.demands)),
        passed=len(found.passed),
        recommendation=RecommendationView(
            not found.as_recommended,
            tuple(map(_demand, recommended.demands)),
            recommended.budget,
            advice(found),
        ),
        ceilings=tuple(_ceiling(each, period) for each in found.ceilings),
        writers=tuple(
            WriterView(each.actor, each.client, each.writes, each.events, each.requests, each.source)
            for each in rates(demands, unused=cluster.unused)
        ),
        lines=tuple(_lines(demands, cluster)),
        figures=tuple(
            FigureView(each.name, each.value, each.unit, each.source) for each in figures(demands, cluster)
        ),
        notes=tuple(notes),
    )


def _demand(demand: Demand) -> DemandView:
    return DemandView(
        demand.name,
        demand.nodes,
        demand.runner,
        demand.period_seconds,
        demand.provision,
        demand.mount,
        demand.attach,
        demand.resident,
        tuple(kind for kind, _ in demand.canaries),
    )


def _ceiling(ceiling: Ceiling, period: float | None) -> CeilingView:
    met_at = ceiling.period_seconds(period) if period is not None else None
    return CeilingView(
        ceiling.name,
        ceiling.used,
        ceiling.limit,
        ceiling.unit,
        ceiling.share,
        met_at,
        ceiling.queue_seconds,
        ceiling.source,
    )


def _lines(demands: Sequence[Demand], cluster: Cluster) -> list[LineView]:
    found = {
        LineView(
            load.runner, load.kind, line.actor, line.client, line.what, line.writes, line.events, line.source
        )
        for d in demands
        for load in d.loads()
        for line in run_lines(load.runner, load.kind, attach=d.attach, unused=cluster.unused)
    }
    once = [
        LineView(
            "", "set-up", line.actor, line.client, line.what, line.writes * n, line.events * n, line.source
        )
        for line, n in set_up(demands)
        if n
    ]
    return [*sorted(found, key=lambda each: (each.runner, each.kind, each.actor, each.client)), *once]


def advice(found: Plan) -> str:
    """Return what to do, in words."""
    recommended = found.recommendation
    if found.as_recommended:
        return "change nothing"
    if recommended.fewer:
        return (
            f"no period is long enough ({recommended.fewer}): probe fewer nodes, with a narrower"
            " spec.nodeSelector, and use runner Pod"
        )
    if len(recommended.demands) == 1:
        return f"use {_spec(recommended.demands[0])}"
    return "; ".join(f"for PieProbe {each.name}: {_spec(each)}" for each in recommended.demands)


def _spec(demand: Demand) -> str:
    return f"runner {demand.runner} and probePeriod {math.ceil(demand.period_seconds / MINUTE)}"


def number(value: float) -> str:
    """Return a number for people: three digits are enough."""
    if value >= 100:  # noqa: PLR2004  no decimals from here on
        return f"{value:,.0f}"
    return f"{value:.3g}"

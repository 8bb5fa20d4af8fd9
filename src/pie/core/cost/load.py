"""What PieProbes write in a second: the figures of a run, multiplied."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pie.core.cost.lines import PIE_PER_SECOND, Actor, Line, Source, run_lines, set_up_lines
from pie.core.iojob import IoJob
from pie.core.kinds import KINDS
from pie.core.model import Kind, Probe, RunnerKind
from pie.core.quantity import quantity

MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """The targets of one kind: so many, each with a run in each period. A resident probe has no runs."""

    kind: str
    targets: int
    period_seconds: float
    runner: RunnerKind

    @property
    def resident(self) -> bool:
        """Whether its pods stay."""
        return KINDS[self.kind].resident

    @property
    def thinned(self) -> bool:
        """Whether its runs start less often where a budget is passed."""
        return not KINDS[self.kind].optional

    @property
    def runs_per_second(self) -> float:
        """How many runs start in a second, on average."""
        return 0.0 if self.resident else self.targets / self.period_seconds

    @property
    def pods_per_second(self) -> float:
        """How many pods start in a second, on average."""
        return self.runs_per_second * len(KINDS[self.kind].steps)

    @property
    def runs_at_once(self) -> float:
        """How many runs start together: a CronJob starts in the first second of a minute."""
        return self.runs_per_second * MINUTE if self.runner is RunnerKind.CRON_JOB else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a PieProbe asks for: so many nodes, so often, by this runner.

    `attach`: the class's driver has `attachRequired`. `canaries` are the kinds of those that are on, each
    with its period in seconds.
    """

    nodes: int
    name: str = ""
    period_seconds: float = MINUTE
    runner: RunnerKind = RunnerKind.CRON_JOB
    mount: bool = True
    provision: bool = True
    resident: bool = False
    canaries: tuple[tuple[str, float], ...] = ()
    attach: bool = False
    volume_bytes: int = 100 * 2**20
    io: IoJob = field(default_factory=IoJob)

    def loads(self) -> Iterator[Load]:
        """Yield the targets of each kind that has any."""
        if not self.nodes:
            return
        if self.provision:
            yield Load(Kind.PROVISION, 1, self.period_seconds, self.runner)
        if self.mount:
            yield Load(Kind.MOUNT, self.nodes, self.period_seconds, self.runner)
        for row in KINDS.values():
            if row.resident and self.resident:
                yield Load(row.name, self.nodes, self.period_seconds, RunnerKind.POD)
        for kind, period_seconds in self.canaries:
            yield Load(kind, 1, period_seconds, RunnerKind.POD)

    def targets(self, runner: RunnerKind | None = None) -> int:
        """Return the number of targets, or of those that a runner starts."""
        return sum(each.targets for each in self.loads() if runner in {None, each.runner})

    @property
    def volumes_kept(self) -> int:
        """How many volumes there are always."""
        return sum(each.targets for each in self.loads() if KINDS[each.kind].pvc)

    @property
    def volumes_on_a_node(self) -> int:
        """How many volumes a node has at most."""
        return sum(len(KINDS[each.kind].steps) for each in self.loads())

    @property
    def runs_per_second(self) -> float:
        """How many runs start in a second, on average."""
        return sum(each.runs_per_second for each in self.loads())

    @property
    def pods_per_second(self) -> float:
        """How many pods start in a second, on average."""
        return sum(each.pods_per_second for each in self.loads())

    @property
    def runs_at_once(self) -> float:
        """How many runs start together; pie itself starts one after the other."""
        return max(min(1.0, self.runs_per_second), sum(each.runs_at_once for each in self.loads()))


def demand_of(probe: Probe, nodes: int, *, attach: bool, paused: Collection[str] = ()) -> Demand:
    """Return what a PieProbe asks of a cluster in which it matches so many nodes.

    `paused` are the kinds of probe that have no runs.
    """
    canaries = tuple(
        (row.name, float(row.spec(probe).period_seconds))
        for row in KINDS.values()
        if row.canary and row.enabled(probe) and row.name not in paused
    )
    return Demand(
        name=probe.name,
        nodes=0 if probe.paused else nodes,
        period_seconds=float(probe.period_seconds),
        runner=probe.runner,
        mount=probe.mount_enabled and Kind.MOUNT not in paused,
        provision=probe.provision_enabled and Kind.PROVISION not in paused,
        resident=any(
            row.resident and row.enabled(probe) and row.name not in paused for row in KINDS.values()
        ),
        canaries=canaries,
        attach=attach,
        volume_bytes=int(quantity(probe.pvc_capacity) or 0),
        io=probe.io,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What one client does in a second, and for the runs that start together.

    `requests` are all that count for the client's rate limit, Events included where the client sends them.
    """

    actor: Actor
    client: str
    writes: float
    events: float
    requests: float
    requests_at_once: float
    source: Source


_EVENTS_APART: Final = frozenset({Actor.SCHEDULER, Actor.KUBELET})
"""They send Events with another client, which has a rate limit of its own."""


def rates(demands: Sequence[Demand], *, unused: bool) -> tuple[Rate, ...]:
    """Return what each client does in a second; the one with most requests first."""
    found: defaultdict[tuple[Actor, str], list[tuple[Line, float, float]]] = defaultdict(list)
    for demand in demands:
        runs = demand.runs_per_second
        for load in demand.loads():
            if load.resident:
                continue
            each = load.runs_per_second
            at_once = load.runs_at_once or min(1.0, runs) * each / runs
            for line in run_lines(load.runner, load.kind, attach=demand.attach, unused=unused):
                found[line.actor, line.client].append((line, each, at_once))
    if found:
        renewal = Line(Actor.PIE, "", "renew the Lease", 1)
        found[Actor.PIE, ""].append((renewal, PIE_PER_SECOND, 0.0))
    made = (_rate(actor, client, lines) for (actor, client), lines in found.items())
    return tuple(sorted(made, key=lambda rate: -rate.requests))


def _rate(actor: Actor, client: str, lines: Iterable[tuple[Line, float, float]]) -> Rate:
    known = tuple(lines)
    return Rate(
        actor=actor,
        client=client,
        writes=sum(line.writes * each for line, each, _ in known),
        events=sum(line.events * each for line, each, _ in known),
        requests=sum(requests(line) * each for line, each, _ in known),
        requests_at_once=sum(requests(line) * at_once for line, _, at_once in known),
        source=worst(line.source for line, _, _ in known),
    )


def requests(line: Line) -> float:
    """Return how many requests of a line count for its client's rate limit."""
    return line.writes + line.other + (0.0 if line.actor in _EVENTS_APART else line.events)


def worst(sources: Iterable[Source]) -> Source:
    """Return the source of a sum: one calculated part makes it calculated."""
    return Source.CALCULATED if Source.CALCULATED in set(sources) else Source.MEASURED


def set_up(demands: Sequence[Demand]) -> Iterator[tuple[Line, int]]:
    """Yield what all targets cost once, each line with the number of targets."""
    for demand in demands:
        for load in demand.loads():
            for line in set_up_lines(load.runner, load.kind, attach=demand.attach):
                yield line, load.targets
            if load.resident:
                for line in run_lines(load.runner, load.kind, attach=demand.attach):
                    yield line, load.targets

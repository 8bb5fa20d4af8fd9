"""Stories in virtual time: what happens to the cluster and when, and what the controller makes of it."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from pie.core.batch.naming import cronjob_names
from pie.core.kinds import KINDS
from pie.core.model import Kind, RunnerKind, Target
from pie.core.target.facts import Calendar
from tests.accounting import Accounts
from tests.controller.simulation import Simulation
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, NAMESPACE, NODE, PROBE, PROVISION, T0, TARGET, World
from tests.examples import examples
from tests.harness import PERFORMANCE, Samples

SPEC = {**BASE_SPEC, "suppression": {"newNodeGrace": "0s", "rebootGrace": "30s"}}
OTHER = "n2"
TARGETS = {
    NODE: TARGET,
    OTHER: Target("p", Kind.MOUNT, "c", OTHER, NAMESPACE),
    "": PROVISION,
}
BEGIN_SECONDS, BUSY_SECONDS, QUIET_SECONDS = 70, 260, 240
# What became of a due time is known so long after it, at the latest.
DECIDED_SECONDS = 100
Action = Callable[[World], None]
Script = list[tuple[int, Action]]
Lag = Callable[[str, int], int]


def storage(state: str) -> Action:
    """Return the action that makes the storage so."""

    def change(world: World) -> None:
        world.storage = state

    change.__name__ = f"storage_{state}"
    return change


def spec_change(**fields: Any) -> Action:
    """Return the action that sets these fields of the PieProbe's spec."""

    def change(world: World) -> None:
        found = world.objects["pieprobes"]["p"]
        metadata = {**found["metadata"], "generation": found["metadata"]["generation"] + 1}
        world.put("pieprobes", {**found, "metadata": metadata, "spec": {**found["spec"], **fields}})

    return change


def cronjobs_stand_still(world: World) -> None:
    world.cronjobs_stand_still = True


def cronjobs_go_on(world: World) -> None:
    world.cronjobs_stand_still = False


MAINTENANCE = [World.cordon, World.uncordon, World.power_off, World.power_on, World.evict]
FAULTS = [
    *(storage(state) for state in ("does not mount", "hangs", "fails", "well")),
    cronjobs_stand_still,
    cronjobs_go_on,
]
WELL = [World.uncordon, World.power_on, storage("well"), cronjobs_go_on]


def scripts(actions: list[Action]) -> st.SearchStrategy[Script]:
    """Actions at any second of the busy time."""
    seconds = st.integers(BEGIN_SECONDS, BEGIN_SECONDS + BUSY_SECONDS)
    return st.lists(st.tuples(seconds, st.sampled_from(actions)), min_size=1, max_size=8)


GAPS = st.lists(
    st.tuples(
        st.sampled_from(["nodes", "pods", "jobs", "cronjobs"]),
        st.integers(0, BEGIN_SECONDS + BUSY_SECONDS),
        st.integers(1, 45),
    ),
    max_size=6,
)


def at_once(_kind: str, _second: int) -> int:
    return 0


def with_gaps(gaps: list[tuple[str, int, int]]) -> Lag:
    """Return the lag of watches that say nothing from a second on for so long, and then list anew."""
    of_kind: dict[str, list[tuple[int, int]]] = {}
    for kind, at, seconds in gaps:
        of_kind.setdefault(kind, []).append((at, seconds))

    def lag(kind: str, second: int) -> int:
        if kind not in of_kind:
            return 0
        return max((second - at for at, n in of_kind[kind] if at <= second < at + n), default=0)

    return lag


class Outcome:
    """What the controller made of a story."""

    def __init__(self, simulation: Simulation, lines: list[Any]) -> None:
        # A target that was inconclusive for three periods becomes unknown, and keeps its reason.
        self.told = {
            ("inconclusive" if each["verdict"] == "unknown" else each["verdict"], each["reason"])
            for each in lines
            if each["event"] == "verdict" and each["log_level"] == "warning"
        }
        incidents = simulation.world.objects["pieprobes"]["p"].get("status", {}).get("incidents") or []
        self.incidents = {(each["stage"], each["reason"]) for each in incidents}
        self.states = {target: (state.verdict, state.reason) for target, state in simulation.states().items()}
        self.accounts = Accounts(lines)
        self.end = simulation.now() - DECIDED_SECONDS
        self._metrics = simulation.metrics
        self.scrapes = simulation.scrapes
        runner, probe = simulation.controller.runner, simulation.controller.probes.spec(PROBE)
        paces = simulation.controller.paces
        self.calendars: dict[Target, tuple[float, Calendar]] = {}
        for target in TARGETS.values():
            schedule = runner.schedule(probe, target) if probe is not None else None
            if schedule is not None and probe is not None:
                kind = runner.in_force(probe, target)
                self.calendars[target] = (
                    schedule.since,
                    runner.calendar(probe, target, kind, paces.parts(probe)),
                )

    @cached_property
    def counted(self) -> Samples:
        """What the controller's metrics said."""
        return Samples(self._metrics())

    @property
    def io(self) -> dict[str, float]:
        """How many runs on the node succeeded, and how many did not."""
        return {
            yes: self.counted.value(PERFORMANCE, node=NODE, succeed=yes) or 0.0 for yes in ("true", "false")
        }

    @property
    def cut_short(self) -> float:
        """How many runs were on time and then interrupted."""
        return sum(
            each.value
            for name in ("pie_suppressed_runs_total", "pie_inconclusive_runs_total")
            for each in self.counted.all(name)
            if each.labels["probe"] == "performance"
        )

    def errors(self, until: float) -> list[str]:
        """Return in words which due times up to a moment were not counted exactly once."""
        assert self.calendars
        return [
            error
            for target, (since, calendar) in self.calendars.items()
            for error in self.accounts.errors_by(target, calendar, since, until)
        ]

    def in_series(self) -> dict[str, float]:
        """Return how many due times the series say were counted, by the kind of their target."""
        names = ("pie_suppressed_runs_total", "pie_inconclusive_runs_total")
        return {
            kind: sum(
                each.value
                for name in (f"pie_{kind}_probe_total", *names)
                for each in self.counted.all(name)
                if each.labels.get("probe", kind) == kind
            )
            for kind in KINDS
        }

    def in_log(self) -> dict[str, float]:
        """Return how many due times were counted, by the kind of their target."""
        counts = {
            kind: sum(
                self.accounts.as_what(target).total() for target in TARGETS.values() if target.kind == kind
            )
            for kind in KINDS
        }
        return {kind: float(count) for kind, count in counts.items()}

    def counted_as(self) -> set[str]:
        """Return what due times were counted as."""
        return {what for target in TARGETS.values() for what in self.accounts.as_what(target)}


def played(
    script: Script,
    lag: Lag = at_once,
    *,
    quiet: int = QUIET_SECONDS,
    spec: dict[str, Any] = SPEC,
    nodes: tuple[str, ...] = (),
    runner: str = RunnerKind.CRON_JOB,
    scraped: bool = False,
) -> Outcome:
    """Play a story to the controller's objects."""

    async def play() -> Outcome:
        simulation = Simulation(lag, scraped=scraped)
        simulation.world.begin({**spec, "runner": str(runner)}, *nodes)
        await simulation.run(BEGIN_SECONDS + BUSY_SECONDS + quiet, script)
        return Outcome(simulation, lines)

    with capture_logs() as lines:
        outcome = in_virtual_time(play())
    assert [line for line in lines if line["log_level"] not in {"debug", "info", "warning"}] == []
    return outcome


END = T0 + BEGIN_SECONDS + BUSY_SECONDS + QUIET_SECONDS - DECIDED_SECONDS
quick = settings(examples(0.25), phases=[Phase.explicit, Phase.generate])


def fails_on(state: str, *nodes: str) -> Action:
    """Return the action that makes the storage so on some nodes."""

    def change(world: World) -> None:
        world.storage, world.storage_fails_on = state, frozenset(nodes)

    return change


CLAIM_OF_A_RUN = f"{cronjob_names(PROVISION)[0]}-28333333-x7x7x-volume"


def volume_of_a_run(world: World) -> None:
    """Leave the volume of a run whose claim is gone."""
    world.make_volume(CLAIM_OF_A_RUN, "uid-of-the-claim")

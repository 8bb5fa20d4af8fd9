"""Whatever of a run's life was seen, its verdict is that of the whole.

Promised of two histories that end with the same last state of each object, in a clean cluster and in a dirty
one (pods that kubelets refuse or end, containers beside `probe`, node clocks minutes apart):

- Pods and claims: the same verdict, stage and reason, and what is counted. Only where a run that started
  late lost its time is told by the edges that were seen, so its stage and reason are one of the slow ones,
  and with them whose problem it is.
- Nodes: the same again, if the run lived to see the last change of its node, or there was only one. What
  bears a stamp (not Ready, taints) may be seen later than it happened; what bears none (a new bootID,
  deletion, the end of maintenance) counts from when it is seen, so none of these is lost here. That a node
  was not Ready is told by its return; any other mark that came and went unseen left no trace.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import msgspec
from hypothesis import event, given
from hypothesis import strategies as st

from pie.core.judge import Judgement, judge
from pie.core.maintenance.excuse import excuse, lived_until
from pie.core.maintenance.history import NodeHistory, observe
from pie.core.model import Kind, Stage, Target, Verdict
from pie.core.reasons import AREA, Area, Reason
from pie.core.result import Outcome
from pie.core.timeline import Run, Sightings, sight, timeline
from pie.core.wire import (
    Claim,
    Condition,
    ContainerState,
    ContainerStatus,
    Node,
    Pod,
    PodStatus,
    StateRunning,
    StateTerminated,
    Taint,
)
from tests.core.build import MOUNT, PROVISION, T0, at, claim, message, pod, probe, run
from tests.core.nodes import LONG_AGO, node
from tests.examples import examples

PROBE = probe()
LONG_AFTER_SECONDS = 1000.0
MOST_STEPS = 5
CLOCKS = st.sampled_from([0.0, 0.0, -600.0, 420.0])
"""How far the clock of a node is ahead."""


@dataclass(frozen=True)
class Life:
    """A run's pod and claim, change by change, and when each came (seconds after T0)."""

    target: Target
    pods: tuple[tuple[float, Pod], ...]
    claims: tuple[tuple[float, Claim], ...]
    over: bool

    @property
    def last(self) -> float:
        """When the last change came."""
        return max(when for when, _ in (*self.pods, *self.claims))


RUNS_ON = ContainerStatus("a", ContainerState(running=StateRunning(at(3))))
HAS_FAILED = ContainerStatus("z", ContainerState(terminated=StateTerminated(1, "Error", "", at(3))))
BESIDE = st.sampled_from([(), (), (RUNS_ON,), (HAS_FAILED,), (RUNS_ON, HAS_FAILED)])
"""The containers that a webhook added."""

ENDED = {
    "Evicted": "The node was low on resource: memory.",
    "OutOfcpu": "Pod was rejected: Node didn't have enough resource: cpu",
    "NodeAffinity": "Pod was rejected: Predicate NodeAffinity failed",
    "UnexpectedAdmissionError": "Pod was rejected: Allocate failed",
    "Preempting": "Preempted in order to admit critical pod",
}
DISRUPTED = Condition("DisruptionTarget", "True", "TerminationByKubelet")


def ended_by_kubelet(last: Pod, reason: str, *, bare: bool) -> Pod:
    """Return a pod that its kubelet ended; `bare`: four fields of its status are left."""
    status = msgspec.structs.replace(last.status, phase="Failed", reason=reason, message=ENDED[reason])
    if bare:
        status = PodStatus("Failed", reason, ENDED[reason], last.status.start_time)
    elif last.status.container("probe").running is not None:
        running = last.status.container("probe").running
        killed = StateTerminated(137, "OOMKilled", "", running.started_at if running else None)
        probe_status = ContainerStatus("probe", ContainerState(terminated=killed))
        others = (each for each in last.status.container_statuses if each.name != "probe")
        status = msgspec.structs.replace(
            status,
            conditions=(*status.conditions, DISRUPTED),
            container_statuses=(*others, probe_status),
        )
    return msgspec.structs.replace(last, status=status)


def stages(
    moments: list[float],
    outcome: Outcome | None,
    killed: bool,
    ahead: float,
    beside: tuple[ContainerStatus, ...],
) -> list[tuple[float, Pod]]:
    """Return a pod's states: created, bound, taken by the kubelet, ready, started, ended.

    The clock of its node is `ahead` seconds ahead.
    """
    names = ("scheduled", "acknowledged", "ready", "started", "ended")
    known: dict[str, float] = {}
    states = [(0.0, pod())]
    for name, moment in zip(names, moments, strict=False):
        known[name] = moment if name == "scheduled" else moment + ahead
        stamps = {key: value for key, value in known.items() if key != "ready"}
        ending = {}
        if name == "ended":
            bad = killed or outcome is not Outcome.OK
            ending = {"exit_code": int(bad), "message": "" if killed or outcome is None else message(outcome)}
        shown = pod(**stamps, **ending, beside=beside)  # type: ignore[arg-type]
        if "ready" in known and name != "ended":  # it turns False again when the pod ends
            ready = Condition("PodReadyToStartContainers", "True", last_transition_time=at(known["ready"]))
            status = msgspec.structs.replace(shown.status, conditions=(*shown.status.conditions, ready))
            shown = msgspec.structs.replace(shown, status=status)
        states.append((moment, shown))
    return states


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """Whole lives and lives that stop somewhere, well or not, each step quick or slow."""
    steps = draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, 29.0, 31.0, 70.0]), max_size=MOST_STEPS))
    moments = [sum(steps[: count + 1]) for count in range(len(steps))]
    outcome = draw(st.sampled_from([Outcome.OK, Outcome.IO_ERROR, Outcome.LOCKED, None]))
    pods = stages(moments, outcome, draw(st.booleans()), draw(CLOCKS), draw(BESIDE))
    kubelet = draw(st.sampled_from(["", "", *ENDED]))
    if kubelet and 0 < len(moments) < MOST_STEPS:
        pods.append((moments[-1], ended_by_kubelet(pods[-1][1], kubelet, bare=draw(st.booleans()))))
    target = draw(st.sampled_from([MOUNT, PROVISION]))
    claims = [(0.0, claim(bound=True))]
    if target.kind == Kind.PROVISION:
        asked, bound = draw(st.floats(0, 10)), draw(st.floats(10, 40))
        claims = [(0.0, claim(asked=False)), (asked, claim()), (bound, claim(bound=True))]
        claims = claims[: draw(st.integers(1, 3))]
    over = len(moments) == MOST_STEPS or pods[-1][1].status.phase == "Failed"
    return Life(target, tuple(pods), tuple(claims), over or draw(st.booleans()))


def its_run(life: Life, seen: Sightings) -> Run:
    """Return the run as its last state and what was seen of those before make it."""
    last, its_claim = life.pods[-1][1], life.claims[-1][1]
    return run(last, life.target, claim=its_claim, over=life.over, seen=seen)


def verdict(life: Life, seen: Sightings, as_of: float) -> Judgement:
    """Judge the run."""
    return judge(its_run(life, seen), PROBE, T0 + as_of)


def answer(judgement: Judgement) -> tuple[object, ...]:
    """Return what is counted and shown of a judgement."""
    return judgement.verdict, judgement.on_time, judgement.succeeded, judgement.ended


def cause(judgement: Judgement) -> tuple[Stage | None, Reason]:
    """Return what is told of a judgement."""
    return judgement.stage, judgement.reason


def by_reason(judgement: Judgement, reason: Reason) -> Judgement:
    """Return what is said of a run that started late, if that was for another reason."""
    late = AREA[reason] is not Area.NODE
    verdict, on_time = (Verdict.LATE, False) if late else (Verdict.INCONCLUSIVE, None)
    return replace(judgement, verdict=verdict, on_time=on_time)


STARTED_LATE = {
    (Stage.SCHEDULE, Reason.SCHEDULE_SLOW),
    (Stage.PROVISION, Reason.PROVISION_SLOW),
    (Stage.ATTACH, Reason.ATTACH_SLOW),
    (Stage.MOUNT, Reason.MOUNT_SLOW),
    (Stage.START, Reason.START_SLOW),
    (Stage.START, Reason.STARTED_LATE),
}
NOT_BOUND_IN_TIME = {(Stage.PROVISION, Reason.PROVISION_SLOW), (Stage.SCHEDULE, Reason.NOT_SCHEDULED)}
"""Of a pod that is bound to no node while its PVC has a volume: pie may not have seen when it got it."""


@given(lives(), st.data())
def test_any_events_lost_or_late_end_in_the_verdict_of_the_full_history(
    life: Life, data: st.DataObject
) -> None:
    whole, part = Sightings(), Sightings()
    changes = [(when, item, None) for when, item in life.pods]
    changes += [(when, None, item) for when, item in life.claims]  # type: ignore[misc]
    for when, a_pod, a_claim in sorted(changes, key=lambda each: each[0]):
        whole = sight(whole, a_pod, a_claim, T0 + when)
    # Pods and claims come by watches of their own, so in any order between them; each may lose some events.
    left = data.draw(st.permutations(changes))
    for when, a_pod, a_claim in left[: data.draw(st.integers(0, len(left)))]:
        part = sight(part, a_pod, a_claim, T0 + when + data.draw(st.floats(0, 60)))
    part = sight(part, life.pods[-1][1], life.claims[-1][1], T0 + life.last)
    as_of = life.last + data.draw(st.floats(0, LONG_AFTER_SECONDS))
    found, expected = verdict(life, part, as_of), verdict(life, whole, as_of)
    times, in_truth = (timeline(its_run(life, seen)) for seen in (part, whole))
    edges_lost = times.seconds != in_truth.seconds
    started_late = expected.verdict in {Verdict.LATE, Verdict.INCONCLUSIVE} and times.started is not None
    if started_late and edges_lost and cause(expected) in STARTED_LATE:
        assert cause(found) in STARTED_LATE
        assert answer(found) in {answer(expected), answer(by_reason(expected, found.reason))}
        event("started late, and edges were lost")
    elif edges_lost and cause(expected) in NOT_BOUND_IN_TIME:
        assert cause(found) in NOT_BOUND_IN_TIME
        assert answer(found) == answer(expected)
        event("not bound in time, and edges were lost")
    else:
        assert answer(found) == answer(expected)
        assert cause(found) == cause(expected)


@dataclass(frozen=True)
class NodeLife:
    """A node, state by state, and when each came; `stamped`: the last one says itself since when it is so."""

    states: tuple[tuple[float, Node | None], ...]
    stamped: bool

    @property
    def changes(self) -> int:
        """How often it changed since it was well."""
        return len(self.states) - 1

    @property
    def last(self) -> float:
        """When the last change came."""
        return self.states[-1][0]


def taint(key: str, when: float) -> tuple[Taint, ...]:
    return (Taint(key, "NoSchedule", time_added=at(when)),)


@st.composite
def node_lives(draw: st.DrawFn) -> NodeLife:
    """Nodes that go away and come back, with or without a reboot, and then into maintenance, or not."""
    moments = sorted(draw(st.lists(st.sampled_from(range(-10, 110, 5)), max_size=5, unique=True)))
    states: list[tuple[float, Node | None]] = [(LONG_AGO, node())]
    ready_since, boot, stamped = LONG_AGO, 1, True
    comings = moments[: len(moments) // 2 * 2]
    for gone, back in zip(comings[::2], comings[1::2], strict=True):
        states.append((gone, node(ready="Unknown", ready_since=gone, boot_id=f"boot-{boot}")))
        if draw(st.booleans()):
            boot += 1
        ready_since = back
        stamped = False
        states.append((back, node(ready_since=back, boot_id=f"boot-{boot}")))
    for when in moments[len(comings) :]:
        # In the grace after a boot, a mark counts from when it is seen.
        name, marked = f"boot-{boot}", taint("node.kubernetes.io/unschedulable", when)
        told = boot == 1
        last, stamped = draw(
            st.sampled_from(
                [
                    (node(ready="False", ready_since=when, boot_id=name), told),
                    (node(cordoned=True, taints=marked, ready_since=ready_since, boot_id=name), told),
                    (node(taints=taint("gpu", when), ready_since=ready_since, boot_id=name), told),
                    (node(boot_id=f"{name}-fast", ready_since=ready_since), False),
                    (None, False),
                ]
            )
        )
        states.append((when, last))
    return NodeLife(tuple(states), stamped)


def boot_id(seen: tuple[float, Node | None]) -> str:
    """Return the boot that a state is of."""
    return seen[1].status.node_info.boot_id if seen[1] is not None else ""


def away(seen: tuple[float, Node | None]) -> bool:
    """Tell whether a state is that of a node that is not Ready."""
    return seen[1] is not None and seen[1].status.conditions[0].status != "True"


def followed(states: tuple[tuple[float, Node | None], ...], until: float) -> NodeHistory:
    """Return the history of a node that was seen so, and is looked at again when a grace ends."""
    history: NodeHistory | None = None
    for (when, state), (following, _) in pairwise([*states, (until, None)]):
        history = observe(history, state, PROBE, T0 + when)
        while (
            (why := history.current) is not None and why.ends_at is not None and why.ends_at < T0 + following
        ):
            history = observe(history, state, PROBE, why.ends_at)
    assert history is not None
    return history


def excused(life: Life, history: NodeHistory, as_of: float) -> Judgement:
    """Judge a run with what its node went through."""
    found, now = its_run(life, Sightings()), T0 + as_of
    judgement = judge(found, PROBE, now)
    span = history.during(found.created_seconds, lived_until(found, judgement, now))
    return excuse(judgement, found, PROBE, span, now)


@examples(5)
@given(lives(), node_lives(), st.data())
def test_sightings_of_a_node_lost_or_late_end_in_the_verdict_of_its_full_history(
    life: Life, its_node: NodeLife, data: st.DataObject
) -> None:
    late = data.draw(st.sampled_from([0.0, 1.0, 30.0])) if its_node.stamped else 0.0
    after = data.draw(st.sampled_from([0.0, 5.0, 40.0, LONG_AFTER_SECONDS]))
    as_of = max(life.last, its_node.last + late) + after
    part = its_node.states[:1]
    for before, after_it in pairwise(its_node.states):
        ends = away(before) and part[-1] is before  # an absence that was seen to begin
        needed = ends or boot_id(before) != boot_id(after_it)
        if after_it is its_node.states[-1]:
            part = (*part, (after_it[0] + late, after_it[1]))
        elif needed or data.draw(st.booleans()):
            part = (*part, after_it)
    expected = excused(life, followed(its_node.states, as_of), as_of)
    found = excused(life, followed(part, as_of), as_of)
    its = its_run(life, Sightings())
    lived = lived_until(its, judge(its, PROBE, T0 + as_of), T0 + as_of) - T0
    if its_node.changes <= 1 or lived >= its_node.last:
        event(f"promised: {expected.verdict}")
        assert (answer(found), cause(found)) == (answer(expected), cause(expected))


@given(lives(), st.floats(0, LONG_AFTER_SECONDS), st.floats(0, LONG_AFTER_SECONDS))
def test_an_ended_run_has_one_verdict_and_time_does_not_change_it(
    life: Life, first: float, second: float
) -> None:
    once, again = (verdict(life, Sightings(), life.last + after) for after in (first, second))
    assert once.ended == life.over
    if once.ended:
        assert once.verdict in {Verdict.OK, Verdict.LATE, Verdict.FAILED, Verdict.INCONCLUSIVE}
        assert once == again

"""What the control plane does late, and that a fault of the storage alone is never in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pie.core.model import Kind, RunnerKind, Stage, Target, Verdict
from pie.core.pace.late import Late, late
from pie.core.pace.throttle import Throttle, throttle
from pie.core.reasons import AREA, Area, Reason
from pie.core.target.state import BadStreak, RunState, Standing, TargetState
from pie.core.timeline import Sightings
from pie.core.wire import Claim, ClaimSpec, ClaimStatus, Metadata, Pod, PodStatus
from tests.core.build import MOUNT, T0, probe
from tests.examples import examples

quick = examples(0.5)
NOW = T0 + 100
PENDING = Pod(metadata=Metadata(name="pod", uid="pod"), status=PodStatus(phase="Pending"))
OK = Standing(verdict=Verdict.OK)
STATE = TargetState(MOUNT, probe=probe(), standing=OK)


def run(
    *, created: float = 0.0, seen: Sightings | None = None, volume: str = "", bound: bool = False
) -> RunState:
    """Return a run of the schedule, due at T0, whose pod waits."""
    claim = Claim(
        metadata=Metadata(name="claim", uid="claim"),
        spec=ClaimSpec(volume_name=volume),
        status=ClaimStatus(phase="Bound" if bound else "Pending"),
    )
    return RunState("run", T0, T0 + created, "schedule", pod=PENDING, claim=claim, seen=seen or Sightings())


def of(found: RunState, state: TargetState = STATE) -> Late:
    return late([replace(state, runs={found.id: found})], NOW)


def streak(reason: Reason, stage: Stage = Stage.PROVISION) -> BadStreak:
    return BadStreak(stage, reason, "", "", T0, 1, T0, NOW)


def test_a_run_that_a_cronjob_started_late_with_nothing_in_its_way() -> None:
    assert of(run(created=11)).started
    assert not of(run(created=9)).started


@pytest.mark.parametrize(
    "state",
    [
        replace(STATE, standing=Standing(verdict=Verdict.HUNG)),
        replace(STATE, bad=streak(Reason.HUNG, Stage.IO)),
        replace(STATE, blind=streak(Reason.NODE_NOT_READY, Stage.MOUNT)),
        replace(STATE, resumed_at=T0 - 30),
        replace(STATE, probe=probe(runner=RunnerKind.POD)),
    ],
    ids=["hung", "bad", "blind", "just resumed", "started by pie"],
)
def test_a_run_that_waited_for_another_one_or_for_pie_is_not_the_control_planes(state: TargetState) -> None:
    assert not of(run(created=40), state).started


def test_a_run_beside_another_one_may_have_waited_for_it() -> None:
    two = {"a": run(created=40), "b": replace(run(created=0), id="b", due=T0 - 60)}
    assert not late([replace(STATE, runs=two)], NOW).started


def test_a_pod_or_pvc_that_kubernetes_did_not_create() -> None:
    missing = late([replace(STATE, bad=streak(Reason.CONTROL_PLANE_LATE, Stage.QUEUE))], NOW)
    assert missing.started


def test_runs_of_pieprobes_of_one_name_in_two_namespaces_are_two() -> None:
    state = replace(STATE, runs={"run": run(created=11)})
    elsewhere = replace(state, target=replace(MOUNT, namespace="other"))
    assert len(late([state, elsewhere], NOW).started) == 2


def test_a_pvc_that_has_its_volume_and_is_not_bound() -> None:
    assert of(run(volume="pvc-1")).bound
    assert not of(run(volume="pvc-1", bound=True)).bound
    assert not of(run(volume="")).bound, "its driver did not create it yet"
    assert not of(run(created=80, volume="pvc-1")).bound, "it is in time yet"


def test_a_volume_that_is_to_be_attached_and_has_no_volumeattachment() -> None:
    assert of(run(seen=Sightings(attaching=True, attachment_missing=True))).attached
    assert not of(run(seen=Sightings(attaching=True))).attached, "the driver does not attach it"
    failed = Sightings(attaching=True, attachment_missing=True, attach_error="refused")
    assert not of(run(seen=failed)).attached


@pytest.mark.parametrize(("first_bad", "counts"), [(T0, True), (T0 - 60, False)])
def test_an_attachment_that_is_late_after_a_bad_run_may_be_the_storages(
    first_bad: float, counts: bool
) -> None:
    found = run(seen=Sightings(attaching=True, attachment_missing=True))
    bad = BadStreak(Stage.MOUNT, Reason.MOUNT_SLOW, "", "", first_bad, 1, T0, NOW)
    assert bool(of(found, replace(STATE, bad=bad)).attached) is counts
    assert bool(of(found, replace(STATE, blind=bad)).attached) is counts


STORAGE = [reason for reason in Reason if AREA.get(reason) is Area.STORAGE]
storage_streaks = st.none() | st.builds(
    streak, st.sampled_from(STORAGE), st.sampled_from([Stage.PROVISION, Stage.ATTACH, Stage.MOUNT, Stage.IO])
)
"""How targets are whose storage fails: no volume, none attached, or what was said about it."""
runs_without_volume = st.builds(
    run,
    created=st.floats(0, 9),
    seen=st.builds(
        Sightings, attaching=st.booleans(), attached=st.booleans(), attach_error=st.text("a", max_size=1)
    ),
    volume=st.just(""),
)
states = st.builds(
    lambda i, bad, found, verdict: TargetState(
        Target("p", Kind.MOUNT, f"class-{i % 3}", f"n{i}"),
        probe=probe(),
        bad=bad,
        standing=Standing(verdict=verdict),
        runs={found.id: found} if found is not None else {},
    ),
    st.integers(0, 500),
    storage_streaks,
    st.none() | runs_without_volume,
    st.sampled_from([Verdict.OK, Verdict.LATE, Verdict.FAILED, Verdict.HUNG]),
)


@quick
@given(st.lists(st.lists(states, max_size=30), max_size=20))
def test_a_fault_of_the_storage_alone_is_never_throttled(looks: list[list[TargetState]]) -> None:
    found, before, now = Throttle(), Late(), NOW
    for each in looks:
        now += 5
        seen = late(each, now)
        found = throttle(found, seen.since(before, calls=len(each)), now, 60)
        before = seen
        assert not found.on


def test_what_stays_late_is_counted_once() -> None:
    seen = of(run(created=11))
    assert seen.since(Late()).started_late == 1
    assert seen.since(seen, calls=3).started_late == 0

"""What a run says, at every moment of its life."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pie.core.judge import DEADLINE_SLACK_SECONDS, judge, missed
from pie.core.model import Verdict
from pie.core.naming import ANNOTATION_SELECTED_NODE
from pie.core.reasons import ADVICE, AREA, MEANING, WITHOUT_AREA, Area, Reason
from pie.core.result import Outcome
from pie.core.wire import (
    Claim,
    ClaimStatus,
    ContainerState,
    ContainerStatus,
    Metadata,
    Pod,
    StateTerminated,
)
from tests.core.build import MOUNT, PROVISION, T0, message, pod, probe, run

HUNG_AFTER = 60 + DEADLINE_SLACK_SECONDS


def test_every_reason_has_a_meaning_and_advice() -> None:
    assert set(MEANING) == set(Reason)
    assert set(ADVICE) == set(Reason)


def test_every_reason_has_an_area_unless_nothing_is_wrong() -> None:
    assert set(AREA) == set(Reason) - WITHOUT_AREA


@pytest.mark.parametrize(
    ("reason", "area"),
    [
        (Reason.START_SLOW, Area.NODE),
        (Reason.STARTED_LATE, Area.STORAGE),
        (Reason.KILLED, Area.STORAGE),
        (Reason.PERMISSION_DENIED, Area.STORAGE),
        (Reason.VOLUME_LIMIT, Area.STORAGE),
        (Reason.CLAIM_REFUSED, Area.PIE),
        (Reason.NOT_SCHEDULED, Area.CONTROL_PLANE),
    ],
)
def test_the_area_says_whose_problem_a_reason_is(reason: Reason, area: Area) -> None:
    assert AREA[reason] is area


def test_a_run_that_has_not_started_is_pending_until_its_threshold() -> None:
    judgement = judge(run(pod(scheduled=1)), probe(), T0 + 29)
    assert (judgement.verdict, judgement.on_time, judgement.check_at) == (Verdict.PENDING, None, T0 + 30)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (None, Reason.CONTROL_PLANE_LATE),
        (pod(), Reason.NOT_SCHEDULED),
        (pod(scheduled=1, acknowledged=1), Reason.MOUNT_SLOW),
    ],
)
def test_a_run_that_has_not_started_by_its_threshold_is_late_and_says_where_it_stands(
    seen: object, reason: Reason
) -> None:
    judgement = judge(run(seen), probe(), T0 + 30)  # type: ignore[arg-type]
    assert (judgement.verdict, judgement.reason, judgement.on_time) == (Verdict.LATE, reason, False)
    assert judgement.succeeded is None
    assert not judgement.ended


def test_a_run_that_its_kubelet_has_not_accepted_by_its_threshold_could_not_test_the_storage() -> None:
    judgement = judge(run(pod(scheduled=1)), probe(), T0 + 30)
    assert (judgement.verdict, judgement.reason) == (Verdict.INCONCLUSIVE, Reason.NOT_STARTED)
    assert (judgement.on_time, judgement.succeeded, judgement.ended) == (None, None, False)


def test_a_started_mount_run_is_on_time_at_once_and_its_io_undecided() -> None:
    judgement = judge(run(pod(scheduled=1, acknowledged=1, started=3)), probe(), T0 + 4)
    assert (judgement.verdict, judgement.on_time, judgement.succeeded) == (Verdict.PENDING, True, None)
    assert judgement.check_at == T0 + 1 + HUNG_AFTER


def test_a_started_provision_run_is_undecided_until_its_volume_was_used() -> None:
    started = pod(scheduled=1, acknowledged=1, started=3)
    assert judge(run(started, PROVISION), probe(), T0 + 4).on_time is None
    ended = pod(scheduled=1, acknowledged=1, started=3, ended=4, message=message())
    assert judge(run(ended, PROVISION), probe(), T0 + 5).on_time is True


def test_lateness_is_a_sum_of_differences_by_one_writer_each() -> None:
    # The kubelet's clock is an hour ahead; its own difference is 2 s.
    skewed = pod(scheduled=5, acknowledged=3605, started=3607)
    assert judge(run(skewed), probe(), T0 + 8).on_time is True
    slow_mount = pod(scheduled=5, acknowledged=3605, started=3631)
    judgement = judge(run(slow_mount), probe(), T0 + 32)
    assert (judgement.verdict, judgement.reason, judgement.on_time) == (
        Verdict.LATE,
        Reason.STARTED_LATE,
        False,
    )


@pytest.mark.parametrize(("seconds", "on_time"), [(29, True), (30, False), (31, False)])
def test_a_container_that_takes_exactly_the_threshold_is_late_as_in_go_pie(
    seconds: int, on_time: bool
) -> None:
    # Stamps have whole seconds, so a start at exactly the threshold is not rare.
    running = pod(scheduled=4, acknowledged=4, started=seconds)
    ended = pod(scheduled=4, acknowledged=4, started=seconds, ended=seconds + 2, message=message())
    for seen in (running, ended):
        assert judge(run(seen), probe(), T0 + seconds + 3).on_time is on_time
    verdict = judge(run(ended), probe(), T0 + seconds + 3).verdict
    assert verdict is (Verdict.OK if on_time else Verdict.LATE)


def test_a_good_result_is_ok() -> None:
    ended = pod(scheduled=1, acknowledged=1, started=3, ended=5, message=message())
    judgement = judge(run(ended), probe(), T0 + 6)
    assert (judgement.verdict, judgement.on_time, judgement.succeeded, judgement.ended) == (
        Verdict.OK,
        True,
        True,
        True,
    )


def test_a_good_result_of_a_late_start_is_late_and_succeeded() -> None:
    ended = pod(scheduled=1, acknowledged=1, started=40, ended=45, message=message())
    judgement = judge(run(ended), probe(), T0 + 46)
    assert (judgement.verdict, judgement.on_time, judgement.succeeded) == (Verdict.LATE, False, True)


@pytest.mark.parametrize(
    "outcome",
    [each for each in Outcome if each is not Outcome.OK and AREA[Reason(each)] is Area.STORAGE],
    ids=lambda each: each.value,
)
def test_a_bad_outcome_fails_the_run_with_the_same_reason(outcome: Outcome) -> None:
    ended = pod(scheduled=1, acknowledged=1, started=3, ended=5, exit_code=1, message=message(outcome))
    judgement = judge(run(ended), probe(), T0 + 6)
    assert (judgement.verdict, judgement.reason.value) == (Verdict.FAILED, outcome.value)
    assert (judgement.on_time, judgement.succeeded, judgement.message) == (True, False, "evidence")
    assert judge(run(ended, PROVISION), probe(), T0 + 6).on_time is False


@pytest.mark.parametrize(
    "outcome",
    [each for each in Outcome if each is not Outcome.OK and AREA[Reason(each)] is Area.PIE],
    ids=lambda each: each.value,
)
def test_a_run_that_the_probe_itself_ended_did_not_test_the_storage(outcome: Outcome) -> None:
    ended = pod(scheduled=1, acknowledged=1, started=3, ended=5, exit_code=1, message=message(outcome))
    for target, on_time in ((MOUNT, True), (PROVISION, None)):
        judgement = judge(run(ended, target), probe(), T0 + 6)
        assert (judgement.verdict, judgement.reason.value) == (Verdict.INCONCLUSIVE, outcome.value)
        assert (judgement.on_time, judgement.succeeded) == (on_time, None)


def test_a_run_that_stood_back_says_nothing_about_storage() -> None:
    ended = pod(scheduled=1, acknowledged=1, started=3, ended=5, exit_code=1, message=message(Outcome.LOCKED))
    judgement = judge(run(ended), probe(), T0 + 6)
    assert (judgement.verdict, judgement.succeeded) == (Verdict.INCONCLUSIVE, None)


@pytest.mark.parametrize("text", ["", "{}", "oops", '{"version":99,"probe":"mount","outcome":"ok"}'])
def test_an_end_without_a_readable_result_is_inconclusive(text: str) -> None:
    ended = pod(scheduled=1, acknowledged=1, started=3, ended=5, exit_code=137, message=text)
    judgement = judge(run(ended), probe(), T0 + 6)
    assert (judgement.verdict, judgement.reason, judgement.succeeded) == (
        Verdict.INCONCLUSIVE,
        Reason.NO_RESULT,
        None,
    )


def test_a_pod_ended_at_its_deadline_was_killed() -> None:
    ended = pod(scheduled=1, acknowledged=1, started=3, ended=62, exit_code=143, reason="DeadlineExceeded")
    judgement = judge(run(ended), probe(), T0 + 63)
    assert (judgement.verdict, judgement.reason, judgement.succeeded) == (
        Verdict.FAILED,
        Reason.KILLED,
        False,
    )


def test_a_started_run_without_result_is_hung_after_its_deadline_and_on_time_stays() -> None:
    stuck = run(pod(scheduled=1, acknowledged=1, started=3))
    assert judge(stuck, probe(), T0 + HUNG_AFTER).verdict is Verdict.PENDING
    judgement = judge(stuck, probe(), T0 + 1 + HUNG_AFTER)
    assert (judgement.verdict, judgement.on_time, judgement.succeeded) == (Verdict.HUNG, True, False)
    assert not judgement.ended
    assert not judgement.replace


def test_a_hung_pod_being_deleted_is_still_hung() -> None:
    stuck = run(pod(scheduled=1, acknowledged=1, started=3, deleted=70))
    assert judge(stuck, probe(), T0 + 80).verdict is Verdict.HUNG


def test_a_pod_that_somebody_deleted_says_nothing_about_storage() -> None:
    before_start = run(pod(scheduled=1), over=True)
    assert judge(before_start, probe(), T0 + 5).verdict is Verdict.INCONCLUSIVE
    in_mid_run = run(pod(scheduled=1, acknowledged=1, started=3), over=True)
    assert (judge(in_mid_run, probe(), T0 + 5).verdict, judge(in_mid_run, probe(), T0 + 5).succeeded) == (
        Verdict.INCONCLUSIVE,
        None,
    )


@pytest.mark.parametrize(
    ("seen", "ended", "verdict"),
    [
        (pod(), 29, Verdict.INCONCLUSIVE),
        (pod(), 34, Verdict.LATE),
        (pod(scheduled=1, acknowledged=1), 34, Verdict.LATE),
        (None, 34, Verdict.INCONCLUSIVE),  # it may have started
        (None, 64, Verdict.INCONCLUSIVE),  # nobody knows why it had not
    ],
)
def test_a_pod_that_is_deleted_when_it_is_late_was_late(
    seen: Pod | None, ended: float, verdict: Verdict
) -> None:
    judgement = judge(run(seen, over=True, over_at=T0 + ended), probe(), T0 + 100)
    assert (judgement.verdict, judgement.ended) == (verdict, True)
    assert judgement.on_time is (None if verdict is Verdict.INCONCLUSIVE else False)


LOST = ContainerState(
    terminated=StateTerminated(
        137, "ContainerStatusUnknown", "The container could not be located", None, None
    )
)


@pytest.mark.parametrize(
    ("deleted_at", "said", "expected"),
    [
        (5, (), (Verdict.INCONCLUSIVE, Reason.POD_DELETED)),
        # Deleted when it was late, as pie itself does: why it had not started is what counts.
        (31, (), (Verdict.LATE, Reason.MOUNT_SLOW)),
        (
            31,
            (("FailedMount", "MountVolume.SetUp failed for volume: no"),),
            (Verdict.LATE, Reason.MOUNT_FAILED),
        ),
        (31, (("Failed", "Failed to pull image x: no"),), (Verdict.INCONCLUSIVE, Reason.IMAGE_PULL)),
    ],
)
@pytest.mark.parametrize("over", [False, True])
def test_a_pod_that_is_deleted_before_its_container_starts(
    deleted_at: float, said: tuple[tuple[str, str], ...], expected: tuple[Verdict, Reason], over: bool
) -> None:
    # The kubelet reports each container as lost that it never started; the grace period is over 5 s later.
    seen = pod(scheduled=1, acknowledged=1, deleted=deleted_at + 5)
    seen = replace(seen, metadata=replace(seen.metadata, deletion_grace_period_seconds=5))
    if over:
        statuses = (ContainerStatus("probe", LOST),)
        seen = replace(seen, status=replace(seen.status, phase="Failed", container_statuses=statuses))
    judgement = judge(run(seen, MOUNT, *said), probe(), T0 + 40)
    assert (judgement.verdict, judgement.reason) == expected


def test_a_pod_refused_by_its_node_never_started() -> None:
    judgement = judge(run(pod(scheduled=1, phase="Failed", reason="OutOfpods")), probe(), T0 + 2)
    assert (judgement.verdict, judgement.on_time, judgement.ended) == (Verdict.INCONCLUSIVE, None, True)
    assert judgement.message == "OutOfpods"


def test_a_late_run_past_its_deadline_is_replaced() -> None:
    waiting = run(pod(scheduled=1))
    assert not judge(waiting, probe(), T0 + 60).replace
    assert judge(waiting, probe(), T0 + HUNG_AFTER).replace


def test_a_late_provision_run_is_left_alone_while_a_volume_is_being_made() -> None:
    claim = Claim(
        metadata=Metadata(annotations={ANNOTATION_SELECTED_NODE: "n1"}), status=ClaimStatus(phase="Pending")
    )
    assert not judge(run(pod(), PROVISION, claim=claim), probe(), T0 + 600).replace
    bound = Claim(metadata=claim.metadata, status=ClaimStatus(phase="Bound"))
    assert judge(run(pod(), PROVISION, claim=bound), probe(), T0 + 600).replace


lives = st.builds(
    pod,
    scheduled=st.none() | st.floats(0, 100),
    acknowledged=st.none() | st.floats(0, 100),
    started=st.none() | st.floats(0, 100),
    ended=st.none() | st.floats(100, 200),
    exit_code=st.integers(0, 1),
    message=st.sampled_from(["", "junk", message(), message(Outcome.IO_ERROR)]),
    deleted=st.none() | st.floats(0, 200),
)


@given(st.none() | lives, st.sampled_from([MOUNT, PROVISION]), st.booleans(), st.floats(0, 1e6))
def test_every_life_has_a_verdict_and_an_unended_one_a_next_look_or_a_word(
    seen: object, target: object, finished: bool, age: float
) -> None:
    judgement = judge(run(seen, target, over=finished), probe(), T0 + age)  # type: ignore[arg-type]
    if not judgement.ended:
        assert judgement.check_at is not None or judgement.needs_cause
        assert judgement.check_at is None or judgement.check_at > T0 + age
    else:
        assert judgement.verdict is not Verdict.PENDING


@given(lives, st.floats(0, 500), st.floats(0, 500))
def test_what_is_held_against_storage_by_the_clock_is_never_taken_back_while_nothing_happens(
    seen: object, first: float, second: float
) -> None:
    early, late = sorted((first, second))
    before = judge(run(seen), probe(), T0 + early)  # type: ignore[arg-type]
    after = judge(run(seen), probe(), T0 + late)  # type: ignore[arg-type]
    assert before.on_time is None or before.on_time == after.on_time
    assert before.succeeded is None or before.succeeded == after.succeeded


TERMINATING = pod(scheduled=1, deleted=5)
STARTED = pod(scheduled=1, acknowledged=1, started=3)
GOOD = pod(scheduled=1, acknowledged=1, started=3, ended=5, message=message())
BAD = pod(scheduled=1, acknowledged=1, started=3, ended=5, exit_code=1, message=message(Outcome.IO_ERROR))
CUT_SHORT = pod(
    scheduled=1, acknowledged=1, started=3, ended=5, exit_code=1, deleted=5, message=message(Outcome.KILLED)
)


@pytest.mark.parametrize(
    ("seen", "known_until", "expected"),
    [
        # The last that was seen is a result.
        (GOOD, 6, (Verdict.OK, Reason.OK, True, True)),
        (BAD, 6, (Verdict.FAILED, Reason.IO_ERROR, True, False)),
        # A run that had started, and had no result, or one because its pod was deleted along.
        (STARTED, 6, (Verdict.INCONCLUSIVE, Reason.JOB_DELETED, True, None)),
        (CUT_SHORT, 6, (Verdict.INCONCLUSIVE, Reason.JOB_DELETED, True, None)),
        (STARTED, 1 + HUNG_AFTER, (Verdict.HUNG, Reason.HUNG, True, False)),
        # A run that had not: late only if it was seen without a start at its threshold.
        (None, 0, (Verdict.INCONCLUSIVE, Reason.JOB_DELETED, None, None)),
        (None, 31, (Verdict.LATE, Reason.CONTROL_PLANE_LATE, False, None)),
        (pod(scheduled=1), 29, (Verdict.INCONCLUSIVE, Reason.JOB_DELETED, None, None)),
        (pod(scheduled=1), 30, (Verdict.INCONCLUSIVE, Reason.NOT_STARTED, None, None)),
        (pod(scheduled=1, acknowledged=1), 30, (Verdict.LATE, Reason.MOUNT_SLOW, False, None)),
    ],
)
def test_a_run_whose_job_was_deleted_is_judged_from_the_last_that_was_seen(
    seen: Pod | None, known_until: float, expected: tuple[object, ...]
) -> None:
    # When exactly it was deleted nobody knows: it was seen to be gone much later.
    gone = run(seen, over=True, deleted_at=T0 + 200, pod_known_until=T0 + known_until)
    found = judge(gone, probe(), T0 + 200)
    assert (found.verdict, found.reason, found.on_time, found.succeeded) == expected
    assert found.ended


def test_a_pod_that_outlives_its_deleted_job_is_followed_but_not_late_for_that() -> None:
    waits = run(TERMINATING, deleted_at=T0 + 5)
    assert judge(waits, probe(), T0 + 29).verdict is Verdict.PENDING
    assert judge(waits, probe(), T0 + 30).reason is Reason.JOB_DELETED
    was_late = run(pod(scheduled=1, acknowledged=1), deleted_at=T0 + 31)
    assert judge(was_late, probe(), T0 + 32).verdict is Verdict.LATE
    hangs = run(STARTED, deleted_at=T0 + 5)
    assert judge(hangs, probe(), T0 + 1 + HUNG_AFTER).verdict is Verdict.HUNG


@pytest.mark.parametrize(
    ("last_started", "verdict", "reason"),
    [
        (0.0, Verdict.LATE, Reason.CONTROL_PLANE_LATE),
        (T0 - 60, Verdict.LATE, Reason.CONTROL_PLANE_LATE),
        (T0, Verdict.INCONCLUSIVE, Reason.JOB_DELETED),
        (T0 + 60, Verdict.INCONCLUSIVE, Reason.JOB_DELETED),
    ],
)
def test_a_due_time_without_a_run_is_late_unless_its_cronjob_says_that_it_created_a_job(
    last_started: float, verdict: Verdict, reason: Reason
) -> None:
    judgement = missed(T0, last_started=last_started)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)

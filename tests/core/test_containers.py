"""Webhooks add containers to probe pods: only the one named `probe` says what became of a run."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.batch.disposal import Disposal, to_delete
from pie.core.batch.wire import CronJob, CronJobStatus, Job, JobStatus
from pie.core.judge import Judgement, judge
from pie.core.model import Stage, Target, Verdict
from pie.core.reasons import Reason
from pie.core.result import Outcome
from pie.core.timeline import Sightings, pod_over, timeline
from pie.core.wire import (
    Condition,
    ContainerState,
    ContainerStatus,
    Metadata,
    ObjectReference,
    OwnerReference,
    Pod,
    StateRunning,
    StateTerminated,
    StateWaiting,
)
from tests.core.build import MOUNT, PROVISION, T0, at, message, pod, probe, run

READY = Sightings(ready=T0 + 2)
TAKEN = {"scheduled": 1, "acknowledged": 1}


def runs_on(name: str, since: float = 2) -> ContainerStatus:
    return ContainerStatus(name, ContainerState(running=StateRunning(at(since))))


def ended(name: str, code: int = 0, reason: str = "", text: str = "") -> ContainerStatus:
    reason = reason or ("Error" if code else "Completed")
    return ContainerStatus(name, ContainerState(terminated=StateTerminated(code, reason, text, at(2), at(4))))


def waits(name: str, reason: str, text: str = "") -> ContainerStatus:
    return ContainerStatus(name, ContainerState(waiting=StateWaiting(reason, text)))


BESIDE = {
    "runs on, sorted first": runs_on("istio-proxy"),
    "runs on, sorted last": runs_on("vault-agent"),
    "ended well": ended("a"),
    "failed": ended("linkerd-proxy", 137, "OOMKilled"),
    "failed with a text of its own": ended("z", 1, text=message(Outcome.DATA_CORRUPTED)),
    "cannot be pulled": waits("istio-proxy", "ImagePullBackOff", "Back-off"),
    "is not begun": waits("z", "ContainerCreating"),
}

ENDS: dict[str, tuple[Pod, Verdict, Reason]] = {
    "good": (pod(**TAKEN, started=3, ended=5, message=message()), Verdict.OK, Reason.OK),
    "corrupted": (
        pod(**TAKEN, started=3, ended=5, exit_code=1, message=message(Outcome.DATA_CORRUPTED)),
        Verdict.FAILED,
        Reason.DATA_CORRUPTED,
    ),
    "locked out": (
        pod(**TAKEN, started=3, ended=5, exit_code=1, message=message(Outcome.LOCKED)),
        Verdict.INCONCLUSIVE,
        Reason.LOCKED,
    ),
    "without a result": (
        pod(**TAKEN, started=3, ended=5, exit_code=137),
        Verdict.INCONCLUSIVE,
        Reason.NO_RESULT,
    ),
    "late": (pod(**TAKEN, started=40, ended=45, message=message()), Verdict.INCONCLUSIVE, Reason.START_SLOW),
    "never started": (
        pod(**TAKEN, ended=5, exit_code=128, message="exec: pie: not found"),
        Verdict.INCONCLUSIVE,
        Reason.CONTAINER_START_FAILED,
    ),
}


def with_others(one: Pod, statuses: tuple[ContainerStatus, ...], **status: Any) -> Pod:
    """Return a pod with these container statuses, in this order."""
    changed = msgspec.structs.replace(one.status, container_statuses=statuses, **status)
    return msgspec.structs.replace(one, status=changed)


def judged(one: Pod, target: Target, now: float, **changes: Any) -> Judgement:
    return judge(run(one, target, seen=READY, **changes), probe(), T0 + now)


@pytest.mark.parametrize(("alone", "verdict", "reason"), ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("other", BESIDE.values(), ids=BESIDE.keys())
def test_a_run_is_over_and_judged_as_soon_as_its_probe_has_ended(
    other: ContainerStatus, alone: Pod, verdict: Verdict, reason: Reason
) -> None:
    shown = with_others(alone, (other, *alone.status.container_statuses), phase="Running")
    assert pod_over(shown)
    judgement = judged(shown, MOUNT, 46)
    assert (judgement.verdict, judgement.reason, judgement.ended) == (verdict, reason, True)
    assert judgement.check_at is None


@given(
    alone=st.sampled_from([each for each, _, _ in ENDS.values()]),
    others=st.lists(st.sampled_from(list(BESIDE.values())), unique_by=lambda each: each.name, max_size=4),
    order=st.randoms(use_true_random=False),
    target=st.sampled_from([MOUNT, PROVISION]),
    phase=st.sampled_from(["Running", "Succeeded", "Failed"]),
    reason=st.sampled_from(["", "DeadlineExceeded"]),
    over=st.booleans(),
)
def test_neither_other_containers_nor_their_order_nor_what_ends_them_changes_a_verdict(
    *,
    alone: Pod,
    others: list[ContainerStatus],
    order: Any,
    target: Target,
    phase: str,
    reason: str,
    over: bool,
) -> None:
    """The lingering pod is ended later: by its deadline, by pie itself, by whomever."""
    statuses = [*alone.status.container_statuses, *others]
    order.shuffle(statuses)
    shown = with_others(alone, tuple(statuses), phase=phase, reason=reason)
    expected = judged(alone, target, 46)
    found = judged(shown, target, 3600, over=over, over_at=T0 + 3600)
    assert (found.verdict, found.reason, found.on_time, found.succeeded, found.ended) == (
        expected.verdict,
        expected.reason,
        expected.on_time,
        expected.succeeded,
        True,
    )
    assert timeline(run(shown, target)).seconds == timeline(run(alone, target)).seconds


def test_a_run_that_hangs_hangs_whatever_ended_beside_it() -> None:
    hanging = pod(**TAKEN, started=3, beside=(ended("istio-proxy", 1, text=message()), runs_on("z")))
    assert not pod_over(hanging)
    assert judged(hanging, MOUNT, 30).on_time is True
    assert judged(hanging, MOUNT, 70).verdict is Verdict.HUNG


def test_a_run_whose_probe_has_not_started_is_not_on_time_whatever_runs_beside_it() -> None:
    waiting = pod(**TAKEN, waiting=StateWaiting("ImagePullBackOff"), beside=(runs_on("istio-proxy"),))
    judgement = judged(waiting, MOUNT, 31)
    assert (judgement.verdict, judgement.reason, judgement.on_time) == (
        Verdict.INCONCLUSIVE,
        Reason.IMAGE_PULL,
        None,
    )


KEPT: dict[str, tuple[Pod, str]] = {
    "an init container blocks": (
        pod(**TAKEN, waiting=StateWaiting("PodInitializing"), init=(runs_on("istio-init"),)),
        "init container istio-init is running",
    ),
    "the second of three init containers blocks": (
        pod(
            **TAKEN,
            waiting=StateWaiting("PodInitializing"),
            init=(ended("a"), runs_on("b"), waits("c", "PodInitializing")),
        ),
        "init container b is running",
    ),
    "a native sidecar crashes": (
        pod(
            **TAKEN,
            waiting=StateWaiting("PodInitializing"),
            init=(waits("istio-proxy", "CrashLoopBackOff", "back-off 10s"), waits("z", "PodInitializing")),
        ),
        "init container istio-proxy waits: CrashLoopBackOff back-off 10s",
    ),
    "the image of an init container": (
        pod(
            **TAKEN,
            waiting=StateWaiting("PodInitializing"),
            init=(waits("istio-init", "ErrImagePull", "no such host"),),
        ),
        "init container istio-init waits: ErrImagePull no such host",
    ),
    "an init container failed": (
        pod(**TAKEN, phase="Failed", waiting=StateWaiting("PodInitializing"), init=(ended("istio-init", 1),)),
        "init container istio-init ended with exit code 1: Error",
    ),
    "the image of a container that starts first": (
        pod(
            **TAKEN,
            waiting=StateWaiting("ContainerCreating"),
            beside=(waits("istio-proxy", "ImagePullBackOff", "Back-off"), runs_on("a")),
        ),
        "container istio-proxy waits: ImagePullBackOff Back-off",
    ),
    "a hook of a container that starts first": (
        pod(**TAKEN, waiting=StateWaiting("ContainerCreating"), beside=(runs_on("istio-proxy"),)),
        "container istio-proxy is running",
    ),
}


@pytest.mark.parametrize(("seen", "words"), KEPT.values(), ids=KEPT.keys())
@pytest.mark.parametrize("ready", [Sightings(), READY], ids=["edge not seen", "edge seen"])
def test_what_another_container_keeps_from_starting_is_named_and_not_the_storages(
    seen: Pod, words: str, ready: Sightings
) -> None:
    warned = ("FailedMount", 'MountVolume.SetUp failed for volume "pv" : rpc error: code = Unavailable')
    judgement = judge(run(seen, MOUNT, warned, seen=ready), probe(), T0 + 31)
    assert (judgement.verdict, judgement.stage, judgement.reason) == (
        Verdict.INCONCLUSIVE,
        Stage.START,
        Reason.START_SLOW,
    )
    assert words in judgement.message


def test_containers_that_the_kubelet_has_not_come_to_say_nothing_about_the_volume() -> None:
    seen = pod(
        **TAKEN,
        waiting=StateWaiting("PodInitializing"),
        beside=(waits("z", "PodInitializing"), ended("lost", 137, "ContainerStatusUnknown")),
        init=(waits("istio-init", "PodInitializing"),),
    )
    assert judge(run(seen, MOUNT), probe(), T0 + 31).reason is Reason.MOUNT_SLOW


def test_a_container_that_ended_long_before_the_pods_deadline_was_not_killed_by_it() -> None:
    lingered = pod(
        **TAKEN,
        started=3,
        ended=5,
        exit_code=137,
        phase="Failed",
        reason="DeadlineExceeded",
        beside=(ended("a"),),
    )
    assert judged(lingered, MOUNT, 70).reason is Reason.NO_RESULT
    stopped = pod(**TAKEN, started=3, ended=61, exit_code=143, reason="DeadlineExceeded")
    assert judged(stopped, MOUNT, 70).reason is Reason.KILLED


def test_a_late_start_names_the_init_container_that_took_the_time() -> None:
    slow = ContainerStatus(
        "istio-init", ContainerState(terminated=StateTerminated(0, "Completed", "", at(2), at(38)))
    )
    late = pod(**TAKEN, started=40, ended=45, message=message(), init=(ended("a"), slow))
    judgement = judged(late, MOUNT, 46)
    assert (judgement.verdict, judgement.reason) == (Verdict.INCONCLUSIVE, Reason.START_SLOW)
    assert judgement.message.endswith("init container istio-init took 36 s")


OWNER = OwnerReference(kind="CronJob", name="c", uid="cronjob-uid", controller=True)


def job(*, scheduled: bool = True, over: str = "", going: bool = False) -> Job:
    conditions = (Condition(over, "True", last_transition_time=at(6)),) if over else ()
    owners = (OWNER,) if scheduled else ()
    metadata = Metadata(
        name="j", uid="job-uid", owner_references=owners, deletion_timestamp=at(7) if going else None
    )
    return Job(metadata=metadata, status=JobStatus(conditions))


def cronjob(*active: str) -> CronJob:
    listed = tuple(ObjectReference(name="j", uid=uid) for uid in active)
    return CronJob(metadata=Metadata(name="c", uid="cronjob-uid"), status=CronJobStatus(listed))


GOOD = {**TAKEN, "started": 3, "ended": 5, "message": message()}
LINGERS = pod(**GOOD, beside=(runs_on("istio-proxy"),))
LISTS = cronjob("job-uid")

DELETED: dict[str, tuple[Job, Pod | None, CronJob | None, Disposal]] = {
    "a container runs on": (job(), LINGERS, LISTS, Disposal.POD),
    "a container never starts": (
        job(),
        pod(**GOOD, phase="Running", beside=(waits("z", "ErrImagePull"),)),
        LISTS,
        Disposal.POD,
    ),
    "the pod is deleted already": (
        job(),
        pod(**GOOD, deleted=6, beside=(runs_on("z"),)),
        LISTS,
        Disposal.NOTHING,
    ),
    "a native sidecar runs on, which its kubelet ends": (
        job(),
        pod(**GOOD, phase="Running", init=(runs_on("istio-proxy"),)),
        LISTS,
        Disposal.NOTHING,
    ),
    "the pod is over, and its Job not yet": (job(), pod(**GOOD), LISTS, Disposal.NOTHING),
    "the probe is at work": (job(), pod(**TAKEN, started=3, beside=(runs_on("z"),)), LISTS, Disposal.NOTHING),
    "the pod is not seen yet": (job(), None, LISTS, Disposal.NOTHING),
    "the Job is over and listed": (job(over="Failed"), None, LISTS, Disposal.NOTHING),
    "the Job is over": (job(over="Complete"), pod(**GOOD), cronjob("another"), Disposal.JOB),
    "the CronJob is gone": (job(over="Failed"), None, None, Disposal.JOB),
    "the Job is deleted already": (job(over="Failed", going=True), None, cronjob(), Disposal.NOTHING),
    "a one-off run": (job(scheduled=False), LINGERS, None, Disposal.JOB),
}


@pytest.mark.parametrize(("its", "seen", "by", "what"), DELETED.values(), ids=DELETED.keys())
def test_of_a_counted_run_is_deleted_what_keeps_the_next_from_starting(
    its: Job, seen: Pod | None, by: CronJob | None, what: Disposal
) -> None:
    assert to_delete(its, seen, by) is what


@pytest.mark.parametrize("end", ["good", "corrupted", "late"])
def test_the_deletion_of_its_pod_changes_nothing_about_a_run(end: str) -> None:
    alone, verdict, reason = ENDS[end]
    shown = with_others(alone, (runs_on("a"), *alone.status.container_statuses), phase="Running")
    going = msgspec.structs.replace(
        shown, metadata=msgspec.structs.replace(shown.metadata, deletion_timestamp=at(50))
    )
    for changes in ({}, {"over": True, "over_at": T0 + 51}):
        judgement = judged(going, MOUNT, 60, **changes)
        assert (judgement.verdict, judgement.reason) == (verdict, reason)

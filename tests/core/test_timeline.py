"""How long each stage took, and that what was not seen is unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.decode import decode
from pie.core.judge import judge
from pie.core.model import Kind, Stage, Verdict
from pie.core.naming import ANNOTATION_SELECTED_NODE
from pie.core.result import Outcome, Result, encode
from pie.core.timeline import Run, Sightings, pod_startup_seconds, sight, timeline
from pie.core.wire import Claim, Condition, Metadata, Pod, StateWaiting, parse_seconds
from tests.core.build import MOUNT, PROVISION, T0, at, claim, pod, probe, run

DONE = encode(
    Result(probe="mount", outcome=Outcome.OK, elapsed_seconds={"fio": 1.25, "records": 0.25})
).decode()


def test_every_stage_of_a_mount_run_has_its_time() -> None:
    ended = pod(scheduled=2, acknowledged=102, started=107, ended=109, message=DONE)
    seen = Run(MOUNT, T0 - 1, T0, ended, seen=Sightings(ready=T0 + 105))
    assert timeline(seen).seconds == {
        Stage.QUEUE: 1.0,
        Stage.SCHEDULE: 2.0,
        Stage.MOUNT: 3.0,
        Stage.START: 2.0,
        Stage.IO: 1.5,
    }


def test_the_provisioners_time_is_not_the_schedulers() -> None:
    bound = pod(scheduled=10, acknowledged=10, started=12)
    seen = run(bound, PROVISION, claim=claim(bound=True), seen=Sightings(waiting=T0 + 501, bound=T0 + 508))
    seconds = timeline(seen).seconds
    assert (seconds[Stage.PROVISION], seconds[Stage.SCHEDULE]) == (7.0, 3.0)


def test_an_edge_that_was_not_seen_is_unknown_and_so_is_what_contains_it() -> None:
    bound = pod(scheduled=10, acknowledged=10, started=12)
    seconds = timeline(run(bound, PROVISION, claim=claim(bound=True), seen=Sightings())).seconds
    assert not {Stage.PROVISION, Stage.SCHEDULE, Stage.MOUNT, Stage.ATTACH, Stage.IO} & seconds.keys()
    attaching = run(bound, seen=Sightings(ready=T0 + 11, attaching=True))
    assert not {Stage.MOUNT, Stage.ATTACH} & timeline(attaching).seconds.keys()


def test_the_attachments_time_is_not_the_mounts() -> None:
    started = pod(scheduled=1, acknowledged=1, started=12)
    seen = run(started, seen=Sightings(ready=T0 + 11, attaching=True, attached=True, attach_seconds=6.0))
    seconds = timeline(seen).seconds
    assert (seconds[Stage.ATTACH], seconds[Stage.MOUNT]) == (6.0, 4.0)


def with_ready(status: str, when: float) -> Pod:
    found = pod(scheduled=1, acknowledged=1)
    condition = Condition("PodReadyToStartContainers", status, last_transition_time=at(when))
    return Pod(
        metadata=found.metadata,
        spec=found.spec,
        status=type(found.status)(conditions=(*found.status.conditions, condition)),
    )


def test_the_readiness_of_a_pod_is_kept_when_its_end_takes_it_back() -> None:
    seen = sight(Sightings(), with_ready("False", 1), None, T0)
    assert seen.ready is None
    seen = sight(seen, with_ready("True", 3), None, T0 + 4)
    seen = sight(seen, with_ready("False", 9), None, T0 + 10)
    assert seen.ready == T0 + 3


def test_a_claim_that_was_bound_when_first_seen_was_provisioned_we_do_not_know_when() -> None:
    assert sight(Sightings(), None, claim(bound=True), T0) == Sightings(node="n1")
    waiting = sight(Sightings(), None, claim(), T0)
    again = sight(waiting, None, claim(), T0 + 5)
    assert sight(again, None, claim(bound=True), T0 + 7) == Sightings(waiting=T0, bound=T0 + 7, node="n1")


lives = st.lists(st.tuples(st.sampled_from(["pod", "claim"]), st.integers(0, 3)), max_size=12)
pods = [pod(), with_ready("True", 2), pod(scheduled=1, acknowledged=1, started=3)]
ENDED = pod(scheduled=1, acknowledged=1, started=40, ended=42, message=DONE)


@given(lives, st.sampled_from([MOUNT, PROVISION]))
def test_whatever_watch_events_came_in_whatever_order_the_verdict_is_that_of_the_full_history(
    history: list[tuple[str, int]], target: object
) -> None:
    seen = Sightings()
    for offset, (kind, version) in enumerate(history):
        shown_pod: Pod | None = pods[version % len(pods)] if kind == "pod" else None
        shown_claim: Claim | None = claim(bound=version > 1) if kind == "claim" else None
        seen = sight(seen, shown_pod, shown_claim, T0 + offset)
    full = run(ENDED, target, claim=claim(bound=True), seen=Sightings(ready=T0 + 2))  # type: ignore[arg-type]
    lossy = run(ENDED, target, claim=claim(bound=True), seen=seen)  # type: ignore[arg-type]
    expected, given_ = judge(full, probe(), T0 + 50), judge(lossy, probe(), T0 + 50)
    assert (given_.succeeded, given_.ended) == (expected.succeeded, expected.ended)
    # Whose problem a late start is, the edges tell: without them it is held against the storage.
    assert expected.verdict is Verdict.INCONCLUSIVE
    assert given_.verdict in {Verdict.LATE, Verdict.INCONCLUSIVE}
    assert given_.on_time is (False if given_.verdict is Verdict.LATE else None)
    assert all(seconds >= 0 for seconds in timeline(lossy).seconds.values())
    assert (expected.succeeded is True) == (full.target.kind == Kind.MOUNT)


def test_a_node_that_the_scheduler_takes_back_is_still_the_one_of_the_run() -> None:
    chosen = Claim(metadata=Metadata(annotations={ANNOTATION_SELECTED_NODE: "n7"}))
    seen = sight(sight(Sightings(), None, chosen, T0), None, Claim(metadata=Metadata()), T0 + 1)
    assert run(pod(), PROVISION, claim=Claim(metadata=Metadata()), seen=seen).node == "n7"


def test_the_first_report_of_a_running_container_is_the_end_of_its_start() -> None:
    bound = {"scheduled": 1, "acknowledged": 1}
    seen = sight(Sightings(), pod(**bound, waiting=StateWaiting("ContainerCreating"), reported=2), None, T0)
    assert seen.running_reported is None
    seen = sight(seen, pod(**bound, started=5, reported=6), None, T0)
    seen = sight(seen, pod(**bound, started=5, reported=7), None, T0)
    seen = sight(seen, pod(**bound, started=5, ended=8, reported=9), None, T0)
    assert seen.running_reported == T0 + 6


@pytest.mark.parametrize(
    ("reported", "present", "seconds"),
    [(T0 + 6, True, 6.0), (T0, True, 0.0), (T0 - 1, True, 0.0), (T0 + 6, False, None), (None, True, None)],
)
def test_a_start_is_timed_if_no_image_was_pulled_and_both_times_are_known(
    reported: float | None, present: bool, seconds: float | None
) -> None:
    started = pod(scheduled=1, acknowledged=1, started=5)
    seen = Sightings(running_reported=reported, image_present=present)
    assert pod_startup_seconds(run(started, seen=seen)) == seconds
    assert pod_startup_seconds(run(None, seen=seen)) is None


def test_a_container_that_was_never_seen_running_is_not_timed() -> None:
    ended = pod(scheduled=1, acknowledged=1, started=5, ended=6, reported=7)
    assert sight(Sightings(), ended, None, T0).running_reported is None


def entry(manager: str, second: int, *parts: str) -> str:
    """Return an entry of managedFields as the API server writes it."""
    owned = ",".join(f'"f:{part}":{{}}' for part in parts)
    return (
        f'{{"manager":"{manager}","operation":"Update","apiVersion":"v1","subresource":"status",'
        f'"time":"2026-01-01T00:00:0{second}Z","fieldsType":"FieldsV1","fieldsV1":{{"f:status":{{{owned}}}}}}}'
    )


@pytest.mark.parametrize(
    ("entries", "second"),
    [
        ((entry("kubelet", 3, "conditions", "containerStatuses"),), 3),
        # k3s runs scheduler and kubelet under one name; others write conditions only.
        ((entry("k3s", 3, "containerStatuses"), entry("kube-controller-manager", 5, "conditions")), 3),
        ((entry("kubelet", 3, "containerStatuses"), entry("another", 4, "containerStatuses")), 4),
        ((entry("kubelet", 3, "conditions"),), None),
        (('{"manager":"x","time":null,"fieldsV1":null}',), None),
        (('{"time":null,"fieldsV1":{"f:status":{"f:containerStatuses":{}}}}',), None),
        ((), None),
    ],
)
def test_the_report_on_the_containers_is_found_whoever_wrote_it(
    entries: tuple[str, ...], second: int | None
) -> None:
    text = f'{{"metadata":{{"name":"p","managedFields":[{",".join(entries)}]}}}}'
    reported = decode(text, Pod).metadata.containers_reported_seconds
    assert reported == (None if second is None else parse_seconds(f"2026-01-01T00:00:0{second}Z"))
    assert decode('{"metadata":{"managedFields":null}}', Pod).metadata.containers_reported_seconds is None

"""The canary `expand`: which size pie asks for, and what a run is called whose volume does not grow."""

from dataclasses import replace
from typing import Any

import pytest

from pie.core.expansion import asked_for, expanded, larger
from pie.core.judge import judge
from pie.core.kinds import kind_of, spec_for
from pie.core.manifests import pod_spec
from pie.core.model import Canary, Image, Stage, Target, Verdict
from pie.core.naming import ANNOTATION_EXPANDED
from pie.core.reasons import Reason
from pie.core.result import Outcome
from pie.core.timeline import Sightings, WarningEvent, sight
from pie.core.wire import Claim, ClaimStatus, Condition, Metadata, Pod, StorageClass, StorageSize
from tests.core.build import NAMESPACE, T0, message, pod, probe, run

EXPAND = Target("p", "expand", "c", namespace=NAMESPACE)
REFUSED = 'resize volume "pv" by resizer "d" failed: rpc error: code = Internal desc = the pool is offline'
FAILED = (WarningEvent("VolumeResizeFailed", REFUSED, T0 + 20),)
RUNNING = pod(scheduled=1, acknowledged=1, started=3)


def claim(size: str = "100Mi", asked: str = "200Mi", state: str = "", *conditions: Condition) -> Claim:
    return Claim(
        metadata=Metadata(name="pvc", annotations={ANNOTATION_EXPANDED: asked} if asked else {}),
        status=ClaimStatus(
            phase="Bound",
            capacity=StorageSize(storage=size),
            allocated_resource_statuses=StorageSize(storage=state),
            conditions=conditions,
        ),
    )


def ended(outcome: Outcome) -> Pod:
    return pod(scheduled=1, acknowledged=1, started=3, ended=250, message=message(outcome), exit_code=1)


def judged(at: float, seen_pod: Pod = RUNNING, **fields: Any) -> Any:
    wanted = spec_for(probe(canaries={"expand": Canary(3600)}), EXPAND)
    return judge(replace(run(seen_pod), target=EXPAND, **fields), wanted, T0 + at)


@pytest.mark.parametrize(
    ("size", "more", "found"),
    [
        ("100Mi", "100Mi", str(200 << 20)),
        ("1Gi", "100Mi", str((1024 + 100) << 20)),  # a driver with units of 1 GiB
        ("1.5Gi", "1", str((1536 << 20) + 1)),
        ("100Mi", "0.5", str((100 << 20) + 1)),
        ("100Mi", "0", None),
        ("", "100Mi", None),
        ("much", "100Mi", None),
        ("100Mi", "more", None),
    ],
)
def test_pie_asks_for_as_much_more_as_a_new_volume_has(size: str, more: str, found: str | None) -> None:
    assert larger(claim(size, ""), more) == found
    pending = ClaimStatus(phase="Pending", capacity=StorageSize(storage=size))
    assert larger(Claim(metadata=Metadata(name="pvc"), status=pending), more) is None


@pytest.mark.parametrize(
    ("size", "asked", "found"),
    [
        ("100Mi", "200Mi", False),
        ("200Mi", "209715200", True),
        ("1Gi", "200Mi", True),
        ("1Gi", "", False),
        ("", "200Mi", False),
    ],
)
def test_a_volume_is_expanded_when_its_pvc_says_the_size_that_pie_asked_for(
    size: str, asked: str, found: bool
) -> None:
    assert expanded(claim(size, asked)) is found
    assert asked_for(claim(size, asked)) == asked
    seen = sight(Sightings(), None, claim(size, asked), T0)
    assert seen.expanded == (T0 if found else None)
    assert sight(seen, None, claim(size, asked), T0 + 9).expanded == seen.expanded


@pytest.mark.parametrize(
    ("wanted", "deadline", "patience"),
    [({}, 300, 240), ({"deadline_seconds": 30.0}, 300, 240), ({"deadline_seconds": 600.0}, 600, 480)],
)
def test_a_run_has_five_minutes_at_least(wanted: dict[str, Any], deadline: float, patience: int) -> None:
    seen = spec_for(probe(canaries={"expand": Canary(3600)}, **wanted), EXPAND)
    spec = pod_spec(seen, EXPAND, claim="", image=Image("i"))
    assert spec["activeDeadlineSeconds"] == deadline
    (container,) = spec["containers"]
    assert container["command"][:3] == ["pie", "probe", "expand"]
    assert container["command"][-2:] == ["--patience", str(patience)]
    assert "volumeMounts" in container


@pytest.mark.parametrize(
    ("allows", "lacks"), [(True, ""), (False, "does not have allowVolumeExpansion: true")]
)
def test_a_class_says_itself_whether_it_allows_expansion(allows: bool, lacks: str) -> None:
    storage_class = StorageClass(metadata=Metadata(name="c"), allow_volume_expansion=allows)
    assert kind_of(EXPAND).lacks(storage_class).endswith(lacks)
    assert kind_of(Target("p", "block", "c")).lacks(storage_class) == ""


def seen(at: float) -> Sightings:
    return Sightings(expanded=T0 + at)


@pytest.mark.parametrize(
    ("at", "fields", "verdict", "reason", "words"),
    [
        (30, {"claim": claim()}, Verdict.PENDING, Reason.PENDING, ""),
        (30, {"claim": claim(), "warnings": FAILED}, Verdict.PENDING, Reason.PENDING, ""),  # it tries again
        (44, {"claim": claim("200Mi"), "seen": seen(30)}, Verdict.PENDING, Reason.PENDING, ""),
        (45, {"claim": claim("200Mi"), "seen": seen(30)}, Verdict.FAILED, Reason.NOT_EXPANDED, "says 200Mi"),
        (30, {"claim": claim(state="ControllerResizeInfeasible")}, Verdict.PENDING, Reason.PENDING, ""),
        (
            30,
            {"claim": claim(state="ControllerResizeInfeasible"), "warnings": FAILED},
            Verdict.FAILED,
            Reason.EXPAND_FAILED,
            "the pool is offline",
        ),
        (
            30,
            {
                "claim": claim(
                    "100Mi",
                    "200Mi",
                    "NodeResizeInfeasible",
                    Condition(type="NodeResizeError", message="resize2fs failed"),
                )
            },
            Verdict.FAILED,
            Reason.EXPAND_FAILED,
            "resize2fs failed",
        ),
        (
            30,
            {
                "claim": claim(),
                "warnings": (WarningEvent("VolumeResizeFailed", "code = Unimplemented desc = x", T0 + 20),),
            },
            Verdict.INCONCLUSIVE,
            Reason.NOT_OFFERED,
            "Unimplemented",
        ),
        (30, {"claim": claim(asked=""), "lacks": "no"}, Verdict.INCONCLUSIVE, Reason.NOT_OFFERED, "no"),
        (30, {"claim": claim(), "refused": "quota"}, Verdict.INCONCLUSIVE, Reason.CLAIM_REFUSED, "quota"),
    ],
)
def test_a_run_ends_as_soon_as_it_is_known_that_its_volume_will_not_grow(
    at: float, fields: dict[str, Any], verdict: Verdict, reason: Reason, words: str
) -> None:
    judgement = judged(at, **fields)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)
    assert words in judgement.message
    pending = verdict is Verdict.PENDING
    assert (judgement.replace, judgement.ended) == (False, not pending)
    assert judgement.stage is (None if pending else Stage.IO)


def test_a_run_is_looked_at_again_when_its_filesystem_must_have_grown() -> None:
    assert judged(30, claim=claim("200Mi"), seen=seen(25)).check_at == T0 + 40
    assert judged(30, claim=claim()).check_at > T0 + 250


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"claim": claim()}, Reason.NOT_EXPANDED, "evidence; its PVC still says 100Mi, and no resizer"),
        (
            {"claim": claim("100Mi", "200Mi", "NodeResizePending")},
            Reason.NOT_EXPANDED,
            "its PVC still says 100Mi, NodeResizePending",
        ),
        ({"claim": claim(asked="")}, Reason.NOT_EXPANDED, "pie did not change its PVC"),
        ({"claim": claim(), "warnings": FAILED}, Reason.EXPAND_FAILED, "the pool is offline"),
        ({}, Reason.NOT_EXPANDED, "its PVC is not known"),
    ],
)
def test_a_probe_that_waited_in_vain_says_so_and_the_pvc_says_why(
    fields: dict[str, Any], reason: Reason, words: str
) -> None:
    judgement = judged(260, ended(Outcome.NOT_EXPANDED), **fields)
    assert (judgement.verdict, judgement.reason, judgement.ended) == (Verdict.FAILED, reason, True)
    assert words in judgement.message
    assert judgement.on_time is False


@pytest.mark.parametrize(
    ("outcome", "verdict", "reason"),
    [
        (Outcome.OK, Verdict.OK, Reason.OK),
        (Outcome.DATA_CORRUPTED, Verdict.FAILED, Reason.DATA_CORRUPTED),
        (Outcome.IO_ERROR, Verdict.FAILED, Reason.IO_ERROR),
    ],
)
def test_what_the_probe_found_counts_whatever_the_pvc_says(
    outcome: Outcome, verdict: Verdict, reason: Reason
) -> None:
    for found in (claim(), claim("200Mi")):
        judgement = judged(260, ended(outcome), claim=found, seen=seen(30), warnings=FAILED)
        assert (judgement.verdict, judgement.reason) == (verdict, reason)


@pytest.mark.parametrize(("deleted", "reason"), [(40, Reason.POD_DELETED), (45, Reason.NOT_EXPANDED)])
def test_a_pod_that_is_deleted_before_that_is_known_says_nothing_about_the_storage(
    deleted: float, reason: Reason
) -> None:
    gone = pod(
        scheduled=1, acknowledged=1, started=3, ended=56, message=message(Outcome.KILLED), deleted=deleted
    )
    judgement = judged(60, gone, claim=claim("200Mi"), seen=seen(30), over=True)
    assert (judgement.reason, judgement.ended) == (reason, True)

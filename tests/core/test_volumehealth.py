"""What the driver says of a volume is evidence, and where it contradicts the probe, the words say so."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.decode import decode
from pie.core.judge import judge
from pie.core.model import Verdict
from pie.core.result import Outcome
from pie.core.text import EVIDENCE_CHARACTERS
from pie.core.timeline import Run, WarningEvent
from pie.core.volumehealth import backend_of, with_health
from pie.core.wire import Claim, CSINode, Pod
from tests.core.build import T0, message, pod, probe, run

GONE = {"status": "Inaccessible", "reason": "DeviceGone", "message": "no path to the disk is left"}
WORDS = "Inaccessible (DeviceGone): no path to the disk is left"
ABNORMAL = "VolumeConditionAbnormal"


def ended(outcome: Outcome, *, health: list[dict[str, Any]] | None = None) -> Pod:
    """Return the pod of a run that ended so, as its kubelet describes its volumes."""
    code = 0 if outcome is Outcome.OK else 1
    shown = pod(scheduled=1, acknowledged=1, started=2, ended=5, message=message(outcome), exit_code=code)
    raw = msgspec.to_builtins(shown)
    return decode(msgspec.json.encode({**raw, "status": {**raw["status"], "volumeHealth": health}}), Pod)


def claim(health: dict[str, Any] | None = None) -> Claim:
    body = {
        "metadata": {"name": "c"},
        "spec": {"volumeName": "pv-1"},
        "status": {"phase": "Bound", "healthStatus": health},
    }
    return decode(msgspec.json.encode(body), Claim)


def warned(shown: Run, warning: WarningEvent) -> Run:
    return replace(shown, warnings=(warning,))


def served(outcome: Outcome) -> list[Run]:
    """Return a run that ended so, as each place shows that its volume is inaccessible."""
    of_pod = [{"name": "other"}, {"name": "volume", "healthConditions": [GONE]}]
    return [
        run(ended(outcome, health=of_pod)),
        run(ended(outcome), claim=claim({"healthConditions": [GONE], "lastTransitionTime": None})),
        run(ended(outcome), backend=WORDS),
        warned(run(ended(outcome)), WarningEvent(ABNORMAL, WORDS, T0 - 60)),
        warned(run(ended(outcome), claim=claim()), WarningEvent(ABNORMAL, f"Volume volume: {WORDS}", T0 + 3)),
        warned(run(ended(outcome), claim=claim()), WarningEvent(ABNORMAL, f"Volume pv-1: {WORDS}", T0 + 3)),
    ]


@pytest.mark.parametrize("which", range(6))
def test_it_is_evidence_of_a_bad_run_wherever_it_is_served(which: int) -> None:
    judged = judge(served(Outcome.IO_ERROR)[which], probe(), T0 + 60)
    assert judged.verdict is Verdict.FAILED
    assert judged.message.startswith("evidence; the driver says: ")
    assert judged.message.endswith(WORDS)


@pytest.mark.parametrize("which", range(6))
def test_a_good_run_stays_good_and_says_that_the_driver_contradicts_it(which: int) -> None:
    judged = judge(served(Outcome.OK)[which], probe(), T0 + 60)
    assert (judged.verdict, judged.succeeded) == (Verdict.OK, True)
    assert judged.message.startswith("the I/O of the probe worked, but the driver says: ")
    assert judged.message.endswith(WORDS)


@pytest.mark.parametrize(
    "shown",
    [
        run(ended(Outcome.IO_ERROR, health=[{"name": "volume", "healthConditions": []}])),
        run(ended(Outcome.IO_ERROR), claim=claim({"healthConditions": []})),
    ],
)
def test_a_driver_that_calls_a_volume_healthy_that_fails_is_contradicted(shown: Run) -> None:
    assert (
        judge(shown, probe(), T0 + 60).message == "evidence, but the driver says that the volume is healthy"
    )


@pytest.mark.parametrize(
    "shown",
    [
        run(ended(Outcome.IO_ERROR)),
        run(ended(Outcome.IO_ERROR, health=[{"name": "other", "healthConditions": [GONE]}])),
        warned(run(ended(Outcome.IO_ERROR)), WarningEvent(ABNORMAL, "it was so long ago", T0 - 600)),
        warned(run(ended(Outcome.IO_ERROR)), WarningEvent(ABNORMAL, "Volume other: of no interest", T0 + 3)),
    ],
)
def test_what_is_about_another_volume_or_time_is_no_evidence(shown: Run) -> None:
    assert judge(shown, probe(), T0 + 60).message == "evidence"


def test_a_good_run_without_words_of_its_own_has_those_of_the_contradiction() -> None:
    words = with_health("", run(ended(Outcome.OK), backend=WORDS), good=True, io=False)
    assert words == f"the I/O of the probe worked, but the driver says: {WORDS}"


@given(st.text(max_size=3000), st.text(max_size=3000), st.booleans(), st.booleans())
def test_the_evidence_is_bounded_whatever_both_say(said: str, driver: str, good: bool, io: bool) -> None:
    shown = run(ended(Outcome.OK), backend=driver.strip())
    found = with_health(said[:EVIDENCE_CHARACTERS], shown, good=good, io=io)
    assert len(found) <= EVIDENCE_CHARACTERS


def test_the_storage_of_a_driver_is_that_of_its_csinode() -> None:
    unreachable = {"status": "StorageUnreachable", "reason": "NoRoute", "message": "10.0.0.9 does not answer"}
    body = {
        "metadata": {"name": "n1"},
        "status": {
            "storageHealth": [
                {"name": "d.example", "healthConditions": [unreachable]},
                {"name": "well.example", "healthConditions": None},
            ]
        },
    }
    found = decode(msgspec.json.encode(body), CSINode)
    assert backend_of(found, "d.example") == "StorageUnreachable (NoRoute): 10.0.0.9 does not answer"
    assert backend_of(found, "well.example") == backend_of(found, "x") == backend_of(None, "d.example") == ""

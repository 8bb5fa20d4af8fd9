"""What the kubelet says about a resident pod, and the verdict that follows."""

from dataclasses import replace
from typing import Any

import pytest

from pie.core.decode import convert
from pie.core.model import Verdict
from pie.core.reasons import INCONCLUSIVE, Reason
from pie.core.resident.codes import Code
from pie.core.resident.hearing import Heard, hear
from pie.core.resident.judge import REASONS, SAYS_NOTHING_SECONDS, judge_resident
from pie.core.timeline import WarningEvent
from pie.core.wire import Pod

NOW = 1_700_000_000.0
FAILED = "Readiness probe failed: HTTP probe failed with statuscode: "
REFUSED = (
    'Readiness probe failed: Get "http://10.0.0.1:8111/ready": dial tcp 10.0.0.1:8111: connection refused'
)


def pod(
    ready: bool | None, *, uid: str = "u", started: str = "2023-11-14T00:00:00Z", name: str = "probe"
) -> Pod:
    """Return a resident pod; None: its container does not run."""
    state: dict[str, Any] = {"running": {"startedAt": started}} if ready is not None else {"waiting": {}}
    statuses = [
        {"name": "a-sidecar", "ready": True, "state": {"running": {"startedAt": started}}},
        {"name": name, "ready": bool(ready), "state": state},
    ]
    return convert(
        {"metadata": {"uid": uid}, "status": {"phase": "Running", "containerStatuses": statuses}}, Pod
    )


def unhealthy(message: str, ago: float = 0.0, reason: str = "Unhealthy") -> WarningEvent:
    return WarningEvent(reason, message, NOW - ago)


WELL = hear(None, pod(ready=True), (), NOW - 100)
assert WELL is not None


@pytest.mark.parametrize(
    ("warnings", "code"),
    [
        ([], None),
        ([unhealthy(f"{FAILED}503")], Code.STALLED),
        ([unhealthy(f"{FAILED}500")], Code.IO_ERROR),
        ([unhealthy(f"{FAILED}503", 3.0), unhealthy(f"{FAILED}507", 1.0)], Code.READ_ONLY),
        ([unhealthy(f"{FAILED}503", 300.0)], None),
        ([unhealthy(f"{FAILED}418")], None),
        ([unhealthy(f"{FAILED}5030")], None),
        ([unhealthy("Liveness probe failed: HTTP probe failed with statuscode: 503")], None),
        ([unhealthy(f"{FAILED}503", reason="FailedMount")], None),
        ([unhealthy(REFUSED)], None),
    ],
    ids=[
        "no Event",
        "its Event",
        "another code",
        "the newest Event",
        "an Event of long ago",
        "a code that pie does not know",
        "a longer number",
        "another probe of the pod",
        "another reason",
        "no answer",
    ],
)
def test_the_code_is_that_of_the_newest_event_about_the_flip(
    warnings: list[WarningEvent], code: Code | None
) -> None:
    heard = hear(WELL, pod(ready=False), warnings, NOW)
    assert heard is not None
    assert (heard.ready, heard.since, heard.code) == (False, NOW, code)


def test_a_code_stays_while_the_container_is_not_ready_and_its_events_are_gone() -> None:
    heard = hear(WELL, pod(ready=False), [unhealthy(f"{FAILED}500")], NOW)
    later = hear(heard, pod(ready=False), [], NOW + 3000)
    assert later == heard
    assert hear(later, pod(ready=True), [], NOW + 3001) == replace(
        WELL, since=NOW + 3001, events_from=NOW + 3001 - 10
    )


def test_a_new_container_or_a_new_pod_begins_anew() -> None:
    heard = hear(WELL, pod(ready=False), [unhealthy(f"{FAILED}500")], NOW)
    again = hear(heard, pod(ready=False, started="2023-11-15T00:00:00Z"), [], NOW + 60)
    other = hear(heard, pod(ready=False, uid="v"), [], NOW + 60)
    assert again is not None
    assert (again.since, again.code) == (NOW + 60, None)
    assert other is not None
    assert (other.since, other.code) == (NOW + 60, None)
    assert hear(heard, pod(ready=None), [], NOW + 60) is None


def test_a_controller_that_begins_takes_any_event_about_the_pod() -> None:
    heard = hear(None, pod(ready=False), [unhealthy(f"{FAILED}410", 3000.0)], NOW)
    assert heard is not None
    assert heard.code is Code.STALE


def test_containers_that_a_webhook_added_say_nothing() -> None:
    assert hear(None, pod(ready=True, name="other"), [], NOW) is None


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.WELL])
def test_each_code_has_its_verdict(code: Code) -> None:
    judgement = judge_resident(Heard("u", 0.0, ready=False, since=NOW, events_from=0.0, code=code), NOW, 10.0)
    reason = REASONS[code]
    assert judgement.reason is reason
    if reason in INCONCLUSIVE:
        assert judgement.verdict is Verdict.INCONCLUSIVE
    else:
        assert judgement.verdict is (Verdict.HUNG if code is Code.STALLED else Verdict.FAILED)
    assert str(int(code)) in judgement.message


def test_no_answer_is_no_fault_of_the_storage() -> None:
    heard = hear(WELL, pod(ready=False), [unhealthy(REFUSED)], NOW)
    soon, late = (judge_resident(heard, NOW + after, 10.0) for after in (29.0, SAYS_NOTHING_SECONDS))
    assert (soon.verdict, soon.check_at) == (Verdict.PENDING, NOW + SAYS_NOTHING_SECONDS)
    assert (late.verdict, late.reason) == (Verdict.INCONCLUSIVE, Reason.NO_ANSWER)
    assert "connection refused" in late.message


def test_a_container_that_does_not_run_says_nothing_and_a_ready_one_is_well() -> None:
    assert judge_resident(None, NOW, 10.0).verdict is Verdict.PENDING
    assert judge_resident(WELL, NOW, 10.0).verdict is Verdict.OK

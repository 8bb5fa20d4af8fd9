"""Counting writes from an audit log, without the server that writes it."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bench.pod_starts import Starts, by_audit
from testbed.audit import Audit, Write

START = datetime(2030, 1, 1, tzinfo=UTC)


def line(**changes: Any) -> str:
    """Return a line as the API server writes it, of a pod created by pie."""
    event = {
        "kind": "Event",
        "level": "Metadata",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/ns/pods",
        "verb": "create",
        "user": {"username": "system:serviceaccount:pie:pie", "groups": ["a"]},
        "userAgent": "pie/1.0.0 (linux)",
        "objectRef": {"resource": "pods", "namespace": "ns", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestReceivedTimestamp": START.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        **changes,
    }
    return json.dumps(event) + "\n"


def log(tmp_path: Path, *lines: str) -> Audit:
    path = tmp_path / "audit.log"
    path.write_text("".join(lines))
    return Audit(path)


def test_reads_refusals_reviews_and_unfinished_answers_are_no_writes(tmp_path: Path) -> None:
    review = {"resource": "tokenreviews", "apiGroup": "authentication.k8s.io"}
    audit = log(
        tmp_path,
        line(),
        line(verb="watch"),
        line(verb="list"),
        line(responseStatus={"code": 409}),
        line(objectRef=review),
        line(stage="ResponseStarted"),
        line(objectRef={"resource": "pods", "subresource": "status", "namespace": "ns"}, verb="patch"),
    )
    assert audit.count_writes() == {
        Write("pie", "create", "pods"): 1,
        Write("pie", "patch", "pods/status"): 1,
    }


def test_writes_are_counted_in_one_namespace_only_when_asked(tmp_path: Path) -> None:
    audit = log(tmp_path, line(), line(objectRef={"resource": "nodes"}), line(objectRef={}))
    assert audit.count_writes(namespace="ns").total() == 1
    assert audit.count_writes().total() == 3


def test_a_line_that_is_just_being_written_is_left_for_later(tmp_path: Path) -> None:
    assert log(tmp_path, line(), line()[:40]).count_writes().total() == 1


@given(seconds=st.lists(st.integers(0, 100)), since=st.integers(0, 100), length=st.integers(0, 100))
def test_each_write_falls_into_exactly_one_of_adjoining_intervals(
    tmp_path_factory: Any, seconds: list[int], since: int, length: int
) -> None:
    moments = [START + timedelta(seconds=each) for each in seconds]
    audit = log(
        tmp_path_factory.mktemp("audit"),
        *(line(requestReceivedTimestamp=each.strftime("%Y-%m-%dT%H:%M:%S.%fZ")) for each in moments),
    )
    first, last = START + timedelta(seconds=since), START + timedelta(seconds=since + length)
    parts = [audit.count_writes(None, first), audit.count_writes(first, last), audit.count_writes(last, None)]
    assert sum(parts, Counter()) == audit.count_writes()
    assert parts[1].total() == sum(first <= moment < last for moment in moments)


def report(second: float, state: str, name: str = "p", **changes: Any) -> str:
    """Return a line of a kubelet's report on a pod, so long after the start."""
    received = (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    status = {"containerStatuses": [{"name": "other"}, {"name": "probe", "state": {state: {"x": "y"}}}]}
    about = {"resource": "pods", "subresource": "status", "namespace": "ns", "name": name}
    sent = {"metadata": {"uid": "u"}, "status": status}
    fields = {"objectRef": about, "requestObject": sent, "requestReceivedTimestamp": received, **changes}
    return line(**{"verb": "patch", "responseStatus": {"code": 200}, **fields})


def test_a_pod_has_started_at_the_first_report_of_its_running_container(tmp_path: Path) -> None:
    created = {"resource": "pods", "namespace": "ns", "name": "p"}
    audit = log(
        tmp_path,
        line(objectRef=created),
        report(1, "waiting"),
        report(2, "running", responseStatus={"code": 409}),
        report(2.5, "running"),
        report(4, "running"),
        report(5, "terminated"),
        report(9, "running", name="of a CronJob: it was created without a name"),
        report(9, "running", objectRef={**created, "subresource": "status", "namespace": "another"}),
    )
    assert by_audit(audit, "ns", START) == Starts(1, 2.5)
    assert by_audit(audit, "empty", START) == Starts(0, 0)

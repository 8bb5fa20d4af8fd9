"""Whatever hostile text comes in, what pie says of it is plain and bounded, and keeps the end."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from pie.core.apitypes import IncidentView, Overview, ProbeView, TargetView
from pie.core.decode import Unreadable, convert, decode
from pie.core.incidents.stored import from_status
from pie.core.judge import judge
from pie.core.leaks import words
from pie.core.maintenance.now import NodeNow, suppression
from pie.core.parse import SpecError, parse_probe
from pie.core.prometheus import PrometheusError, matrix, vector
from pie.core.stored_overview import stored_overview
from pie.core.timeline import Run
from pie.core.volumeobjects import PersistentVolume, VolumeAttachment
from pie.core.wire import Event, Node, PieProbe, Pod
from pie.kube.errors import KubeError, api_error
from tests.core.build import MOUNT, T0, probe
from tests.core.shapes import example
from tests.hostile import HOSTILE, assert_fit

READY = {"type": "Ready", "status": "True"}
NOT_READY = {"type": "Ready", "status": "False"}
NOT_SCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
CREATED, STARTED, ENDED = (f"2023-11-14T22:14:0{second}Z" for second in (0, 2, 4))
INCIDENT = {"id": "i", "scope": "node", "stage": "mount", "reason": "MountFailed", "openedAt": CREATED}


def read(sent: dict[str, Any], kind: type[Any]) -> Any:
    return decode(json.dumps({"metadata": {"name": "x"}, **sent}).encode(), kind)


def node(spec: dict[str, Any], *conditions: dict[str, Any]) -> str:
    found = suppression(
        NodeNow(read({"spec": spec, "status": {"conditions": conditions}}, Node), T0), probe()
    )
    assert found is not None
    return found.message


def run(status: dict[str, Any]) -> str:
    pod = read({"metadata": {"name": "x", "creationTimestamp": CREATED}, "status": status}, Pod)
    return judge(Run(MOUNT, T0, created_seconds=T0, pod=pod), probe(), as_of=T0 + 300).message


def container(state: dict[str, Any]) -> dict[str, Any]:
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": CREATED}
    return {"conditions": [scheduled], "containerStatuses": [{"name": "probe", "state": state}]}


def result(outcome: str) -> dict[str, Any]:
    said = {"version": 1, "probe": "mount", "outcome": outcome, "message": f"{HOSTILE[:1000]} END"}
    return ended(message=json.dumps(said))


def ended(**said: str) -> dict[str, Any]:
    terminated = {"exitCode": 1, "startedAt": STARTED, "finishedAt": ENDED, **said}
    return {"phase": "Failed", **container({"terminated": terminated})}


def refused(sent: Callable[[], Any]) -> str:
    with pytest.raises((Unreadable, SpecError, PrometheusError)) as caught:
        sent()
    return str(caught.value)


def of_a_spec(spec: dict[str, Any]) -> str:
    return refused(lambda: parse_probe(read({"spec": spec}, PieProbe)))


def of_the_api(code: int, body: str) -> str:
    return str(api_error("get pods", code, body.encode()))


SAID: dict[str, Callable[[], str]] = {
    "node is not ready": lambda: node({}, NOT_READY | {"reason": "r", "message": HOSTILE}),
    "node's reason": lambda: node({}, NOT_READY | {"reason": HOSTILE}),
    "node's status of a condition": lambda: node({}, {"type": "Ready", "status": HOSTILE}),
    "value of a taint": lambda: node(
        {"taints": [{"key": "k", "value": HOSTILE, "effect": "NoExecute"}]}, READY
    ),
    "key of a taint": lambda: node({"taints": [{"key": HOSTILE, "effect": "NoSchedule"}]}, READY),
    "pod is not scheduled": lambda: run({"conditions": [NOT_SCHEDULED | {"message": HOSTILE}]}),
    "image": lambda: run(container({"waiting": {"reason": "ErrImagePull", "message": HOSTILE}})),
    "result Locked": lambda: run(result("Locked")),
    "result IOError": lambda: run(result("IOError")),
    "end of a container": lambda: run(ended(reason=HOSTILE)),
    "Event": lambda: read({"message": HOSTILE}, Event).message,
    "volume": lambda: words("c", read({"status": {"phase": "Failed", "message": HOSTILE}}, PersistentVolume)),
    "attachment": lambda: read({"status": {"attachError": {"message": HOSTILE}}}, VolumeAttachment).error,
    "API error": lambda: of_the_api(403, json.dumps({"message": HOSTILE, "reason": "Forbidden"})),
    "API error that is no JSON": lambda: of_the_api(502, HOSTILE),
    "any error on the way": lambda: str(KubeError(HOSTILE)),
    "JSON that does not fit": lambda: refused(lambda: convert({"id": 3, HOSTILE: HOSTILE}, IncidentView)),
    "spec": lambda: of_a_spec({"monitoringStorageClass": HOSTILE}),
    "names in a spec": lambda: of_a_spec({"resources": {"limits": {HOSTILE: "?"}}}),
    "Prometheus": lambda: refused(lambda: vector(json.dumps({"status": "x", "error": HOSTILE}).encode())),
}
AT_ENTRY = {"Event", "attachment", "Prometheus"}
"""What is cut further by who uses it."""
ERRORS = {"API error", "API error that is no JSON", "any error on the way"}
OTHER_END = {"spec", "names in a spec", "JSON that does not fit", "value of a taint", "key of a taint"}
"""Where pie's own words come after it."""


@pytest.mark.parametrize("place", SAID)
def test_what_pie_says_of_hostile_text_is_plain_bounded_and_keeps_its_end(place: str) -> None:
    said = SAID[place]()
    assert said
    assert_fit(said, 4096 if place in AT_ENTRY else 512 if place in ERRORS else 256)
    if place not in OTHER_END:
        assert "END" in said[-40:]


def test_a_status_that_somebody_wrote_is_shown_plain() -> None:
    status = {
        "summary": HOSTILE,
        "conditions": [READY | {"reason": HOSTILE, "message": HOSTILE}],
        "incidents": [INCIDENT | {"evidence": HOSTILE, "zone": HOSTILE, "nodes": [HOSTILE]}],
    }
    stored = read({"spec": {"monitoringStorageClass": HOSTILE}, "status": status}, PieProbe)
    assert len(from_status(stored.status)) == 1
    assert_fit(msgspec.to_builtins(stored_overview([stored], "pie", 0.0)), 3 * 4096 + 1024)


def test_labels_of_prometheus_are_plain() -> None:
    labels = {"storage_class": HOSTILE, "node": "n\n"}
    for read_as, key, value in ((vector, "value", [1, "2"]), (matrix, "values", [[1, "2"]])):
        answer = {"resultType": read_as.__name__, "result": [{"metric": labels, key: value}]}
        (found,) = read_as(json.dumps({"status": "success", "data": answer}).encode())
        assert_fit(found.labels, 4096)
        assert found.labels["node"] == "n"


@pytest.mark.parametrize("kind", [Overview, ProbeView, IncidentView, TargetView])
def test_what_a_controller_answers_is_shown_plain(kind: type[Any]) -> None:
    sent = json.dumps(example(inspect.type_info(kind))).replace('"text"', json.dumps(HOSTILE)).encode()
    assert_fit(msgspec.to_builtins(decode(sent, kind)), 4096)

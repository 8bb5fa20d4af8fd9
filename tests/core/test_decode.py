"""What others wrote is read as Go reads it: null is the same as nothing."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

import pie.core
from pie.core.apitypes import Counts, Failure
from pie.core.decode import Unreadable, convert, decode, without_nulls
from pie.core.incidents.stored import from_status
from pie.core.parse import SpecError, parse_probe
from pie.core.prometheus import vector
from pie.core.stored_overview import last_change, stored_overview
from pie.core.wire import CSINode, Node, Object, PieProbe, Pod
from pie.kube.errors import Status
from pie.kube.kubeconfig import Cluster, Exec, NamedContext, NamedUser
from pie.kube.lease import Lease
from pie.kube.watchstream import Bookmark, Marked
from tests.core.shapes import as_go_reads_it, example, places, with_nulls


def kinds() -> Iterator[type[Any]]:
    """Yield every kind of object that pie reads from an API server, and others that require nothing."""
    for module in pkgutil.walk_packages(pie.core.__path__, "pie.core."):
        for found in vars(importlib.import_module(module.name)).values():
            if isinstance(found, type) and issubclass(found, Object) and hasattr(found, "metadata"):
                yield found
    yield from (Lease, Status, Marked, Counts, Cluster, Exec, NamedContext, NamedUser)


KINDS = sorted(set(kinds()), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(chosen=st.data())
def test_null_at_any_places_is_read_as_go_reads_it(kind: type[Any], chosen: st.DataObject) -> None:
    shape = inspect.type_info(kind)
    whole = example(shape)
    all_places = {path: at for path, at, required in places(shape) if not required}
    at = chosen.draw(st.sets(st.sampled_from(sorted(all_places, key=str))))
    fields = {path for path in all_places if path[-1] not in {0, "k1"}}
    found = decode(msgspec.json.encode(with_nulls(whole, at)), kind)
    assert found == msgspec.convert(as_go_reads_it(whole, all_places, at, fields), kind)
    assert convert(with_nulls(whole, at), kind) == found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_nothing_but_the_metadata_of_an_object_is_required(kind: type[Any]) -> None:
    assert {path for path, _, required in places(inspect.type_info(kind)) if required} <= {("metadata",)}


def test_a_node_without_drivers_is_read() -> None:
    sent = b'{"metadata": {"name": "n1", "creationTimestamp": null}, "spec": {"drivers": null}}'
    assert decode(sent, CSINode).spec.drivers == ()


def test_an_item_that_is_null_keeps_its_place_as_in_go() -> None:
    node = decode(b'{"metadata": {"name": "n1", "labels": {"zone": null}}, "spec": {"taints": [null]}}', Node)
    assert node.metadata.labels == {"zone": ""}
    assert [(taint.key, taint.effect) for taint in node.spec.taints] == [("", "")]


@pytest.mark.parametrize(
    ("sent", "kind", "why"),
    [
        (b'{"metadata": null}', Pod, "Object missing required field `metadata`"),
        (b'{"error": null}', Failure, "Object missing required field `error`"),
        (b'{"metadata": {"name": 3}}', Pod, "Expected `str`, got `int` - at `$.metadata.name`"),
        (b'{"metadata": {}, "spec": {"nodeName": ["x"]}}', Pod, "Expected `str`, got `array`"),
        (b"null", Pod, "Expected `object`, got `null`"),
        (b"<html>", Pod, "JSON is malformed"),
        (b'{"metadata": {}, "status": null, "x": NaN}', Pod, "Expected `object`, got `null` - at `$.status`"),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", Pod, "recursion"),
    ],
)
def test_what_does_not_fit_says_why_in_one_line(sent: bytes, kind: type[Any], why: str) -> None:
    with pytest.raises(Unreadable, match=r"\A[^\n]{1,256}\Z") as raised:
        decode(sent, kind)
    assert why in str(raised.value)


@pytest.mark.parametrize("odd", [b"\xff", b"\\ud800"])
def test_what_is_no_unicode_is_replaced_as_go_does(odd: bytes) -> None:
    sent = b'{"metadata": {"name": "n1", "labels": {"zone": "' + odd + b'"}}}'
    assert decode(sent, Node).metadata.labels == {"zone": "\ufffd"}


def test_a_bookmark_may_have_nulls() -> None:
    sent = b'{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7", "annotations": null}}}'
    assert decode(sent, Bookmark).object.metadata.resource_version == "7"


SPEC: dict[str, Any] = {
    "monitoringStorageClass": "sc",
    "nodeSelector": {
        "nodeSelectorTerms": [
            {
                "matchExpressions": [{"key": "k", "operator": "Exists", "values": []}],
                "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}],
            }
        ]
    },
    "probePeriod": 1,
    "probeThreshold": "1m",
    "deadline": "1m",
    "runner": "CronJob",
    "pvcCapacity": "100Mi",
    "disableProvisionProbe": False,
    "disableMountProbes": False,
    "provisionOnRetain": False,
    "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
    "tolerations": [{"key": "k", "operator": "Exists", "value": "", "effect": ""}],
    "priorityClassName": "p",
    "suppression": {
        "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}],
        "labels": [{"key": "k", "value": "v"}],
        "conditions": [{"type": "t", "status": "True"}],
        "wellKnownMarks": True,
        "rebootGrace": "1m",
        "maxDuration": "1h",
    },
}


def below(found: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield every place in free JSON."""
    pairs = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for step, value in pairs:
        yield (*at, step)
        yield from below(value, (*at, step))


@given(at=st.sets(st.sampled_from(sorted(below(SPEC), key=str))))
def test_a_pieprobe_with_nulls_is_used_or_refused_in_words(at: set[tuple[str | int, ...]]) -> None:
    spec = with_nulls(SPEC, at)
    probe = decode(msgspec.json.encode({"metadata": {"name": "p"}, "spec": spec}), PieProbe)
    assert probe == PieProbe(metadata=probe.metadata, spec=without_nulls(spec))
    assert probe.storage_class in {"sc", ""}
    try:
        parsed = parse_probe(probe)
    except SpecError as error:
        required = ("monitoringStorageClass", "nodeSelector", "tolerations[", "suppression.")
        assert error.path.removeprefix("spec.").startswith(required)
    else:
        assert "None" not in repr(parsed.pvc_capacity)


STATUS: dict[str, Any] = {
    "targets": {"total": 1, "ok": 1},
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "r",
            "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
    "incidents": [
        {
            "id": "i1",
            "scope": "node",
            "stage": "mount",
            "reason": "MountFailed",
            "openedAt": "2026-01-01T00:00:00Z",
            "nodes": ["n1"],
            "closedAt": None,
        }
    ],
    "summary": "fine",
    "lastProvisionTime": "2026-01-01T00:00:00Z",
}


@given(at=st.sets(st.sampled_from(sorted(below(STATUS), key=str))))
def test_a_status_with_nulls_is_shown(at: set[tuple[str | int, ...]]) -> None:
    status = with_nulls(STATUS, at)
    stored = {"metadata": {"name": "p"}, "spec": SPEC | {"probePeriod": None}, "status": status}
    probe = decode(msgspec.json.encode(stored), PieProbe)
    overview = stored_overview([probe], "pie", 0.0)
    assert overview.probes[0].targets.total in {0, 1}
    assert last_change([probe]) is not None or at
    required = {("incidents", 0, name) for name in ("id", "scope", "stage", "reason", "openedAt")}
    lost = at & (required | {("incidents",), ("incidents", 0)})
    assert len(from_status(probe.status)) == (0 if lost else 1)


def test_an_answer_of_prometheus_may_have_nulls() -> None:
    sent = b"""{"status": "success", "error": null, "warnings": null, "data": {"resultType": "vector",
        "result": [null, {"metric": null, "value": [1, "2"]}, {"metric": {"a": null}, "value": null}]}}"""
    assert [(sample.labels, sample.value) for sample in vector(sent)] == [({}, 2.0)]
    assert vector(b'{"status": "success", "data": {"resultType": "vector", "result": null}}') == []

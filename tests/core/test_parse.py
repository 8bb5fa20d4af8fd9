"""A PieProbe's spec: defaults, and errors that name the field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.model import Probe
from pie.core.parse import SpecError, duration_seconds, parse_probe
from pie.core.wire import Metadata, PieProbe

SELECTOR = {
    "nodeSelectorTerms": [
        {
            "matchExpressions": [
                {"key": "node-role.kubernetes.io/role", "operator": "In", "values": ["compute"]}
            ]
        }
    ]
}
SMALLEST = {"monitoringStorageClass": "topolvm-provisioner", "nodeSelector": SELECTOR}


def parsed(**spec: Any) -> Probe:
    return parse_probe(PieProbe(metadata=Metadata(name="p", namespace="pie", uid="u"), spec=SMALLEST | spec))


def test_the_smallest_spec_of_go_pie_has_its_defaults() -> None:
    probe = parsed()
    assert (probe.storage_class, probe.period_seconds, probe.threshold_seconds) == (
        "topolvm-provisioner",
        60,
        60,
    )
    assert (probe.deadline_seconds, probe.pvc_capacity) == (60, "100Mi")
    assert probe.provision_enabled
    assert probe.mount_enabled


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"probePeriod": 0}, "spec.probePeriod"),
        ({"probePeriod": 60}, "spec.probePeriod"),
        ({"probePeriod": "1"}, "spec.probePeriod"),
        ({"probePeriod": True}, "spec.probePeriod"),
        ({"probeThreshold": "2m"}, "spec.probeThreshold"),
        ({"probeThreshold": "soon"}, "spec.probeThreshold"),
        ({"probeThreshold": "0s"}, "spec.probeThreshold"),
        ({"probeThreshold": "-5s"}, "spec.probeThreshold"),
        ({"deadline": "x"}, "spec.deadline"),
        ({"deadline": "59s"}, "spec.deadline"),
        ({"runner": "Job"}, "spec.runner"),
        ({"probePeriodSeconds": 90}, "spec.probePeriodSeconds"),
        ({"runner": "Pod", "probePeriodSeconds": 29}, "spec.probePeriodSeconds"),
        ({"runner": "Pod", "probePeriodSeconds": 3601}, "spec.probePeriodSeconds"),
        ({"runner": "Pod", "probePeriodSeconds": 90, "probePeriod": 2}, "spec.probePeriodSeconds"),
        ({"runner": "Pod", "probePeriodSeconds": 30}, "spec.probeThreshold"),
        ({"runner": "Pod", "probePeriodSeconds": 90, "deadline": "x"}, "spec.deadline"),
        ({"pvcCapacity": "lots"}, "spec.pvcCapacity"),
        ({"budget": "20"}, "spec.budget"),
        ({"budget": True}, "spec.budget"),
        ({"budget": 0}, "spec.budget"),
        ({"budget": -1.5}, "spec.budget"),
        ({"budget": 10**400}, "spec.budget"),
        ({"io": []}, "spec.io"),
        ({"io": {"blockSize": "3k"}}, "spec.io.blockSize"),
        ({"io": {"size": "50M --exec_prerun=id"}}, "spec.io.size"),
        ({"io": {"runtime": "1m"}}, "spec.io.runtime"),
        ({"io": {"runtime": 1}}, "spec.io.runtime"),
        ({"io": {"runtime": "20s"}, "probeThreshold": "20s", "deadline": "20s"}, "spec.io.runtime"),
        ({"io": {"readWrite": "trim"}}, "spec.io.readWrite"),
        ({"io": {"direct": "no"}}, "spec.io.direct"),
        ({"io": {"fsync": 3}}, "spec.io.fsync"),
        ({"io": {"ioDepth": True}}, "spec.io.ioDepth"),
        ({"io": {"rateIops": 1.5}}, "spec.io.rateIops"),
        ({"io": {"maxLatency": "fast"}}, "spec.io.maxLatency"),
        ({"io": {"maxLatency": "0s"}}, "spec.io.maxLatency"),
        ({"integrity": {"enabled": "no"}}, "spec.integrity.enabled"),
        ({"resources": {"limits": ["cpu"]}}, "spec.resources.limits"),
        ({"resources": {"limits": {"memory": "lots"}}}, "spec.resources.limits.memory"),
        ({"resources": {"limits": {"memory": True}}}, "spec.resources.limits.memory"),
        ({"resources": {"requests": {"cpu": -1}}}, "spec.resources.requests.cpu"),
        ({"resources": {"requests": {"cpu": "1m"}, "limits": {"cpu": 0}}}, "spec.resources.requests.cpu"),
        (
            {"resources": {"requests": {"a.example/b": 2}, "limits": {"a.example/b": "1"}}},
            "spec.resources.requests.a.example/b",
        ),
        ({"monitoringStorageClass": ""}, "spec.monitoringStorageClass"),
        ({"nodeSelector": {}}, "spec.nodeSelector.nodeSelectorTerms"),
        ({"nodeSelector": {"nodeSelectorTerms": []}}, "spec.nodeSelector.nodeSelectorTerms"),
        ({"nodeSelector": {"nodeSelectorTerms": ["x"]}}, "spec.nodeSelector.nodeSelectorTerms[0]"),
    ],
)
def test_a_bad_field_is_named(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(SpecError) as caught:
        parsed(**spec)
    assert caught.value.path == path


@pytest.mark.parametrize(("said", "budget"), [(None, None), (20, 20.0), (0.5, 0.5)])
def test_a_budget_is_any_number_of_writes_a_second(said: float | None, budget: float | None) -> None:
    assert parsed(budget=said).budget == budget
    assert parsed().budget is None


def test_resources_that_a_pod_can_have_are_taken_as_they_are() -> None:
    resources = {"requests": {"cpu": "1000m", "memory": "1Mi"}, "limits": {"cpu": 1, "a.example/b": 2}}
    assert parsed(resources=resources).resources == resources
    assert parsed(resources={"limits": None}).resources == {}


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({"key": "", "operator": "In", "values": ["a"]}, "key"),
        ({"key": "a", "operator": "Like", "values": ["a"]}, "operator"),
        ({"key": "a", "operator": "In", "values": []}, "values"),
        ({"key": "a", "operator": "Exists", "values": ["a"]}, "values"),
        ({"key": "a", "operator": "Gt", "values": ["a"]}, "values"),
        ({"key": "a", "operator": "Gt", "values": ["1", "2"]}, "values"),
        ({"key": "a", "operator": "In", "values": [1]}, "values"),
    ],
)
def test_a_bad_rule_is_named_by_its_place(rule: dict[str, Any], path: str) -> None:
    with pytest.raises(SpecError) as caught:
        parsed(nodeSelector={"nodeSelectorTerms": [{"matchExpressions": [rule]}]})
    assert caught.value.path == f"spec.nodeSelector.nodeSelectorTerms[0].matchExpressions[0].{path}"


def test_fields_are_selected_by_name_only() -> None:
    rule = {"key": "spec.unschedulable", "operator": "In", "values": ["true"]}
    with pytest.raises(SpecError, match=r"metadata\.name"):
        parsed(nodeSelector={"nodeSelectorTerms": [{"matchFields": [rule]}]})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1m", 60), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), (".5s", 0.5), ("1us", 1e-6), ("2µs", 2e-6)],
)
def test_go_durations_are_read(text: str, seconds: float) -> None:
    assert duration_seconds(text, "x") == pytest.approx(seconds)


@given(st.text())
def test_any_text_is_a_duration_or_a_clear_error(text: str) -> None:
    try:
        assert duration_seconds(text, "spec.probeThreshold") > 0
    except SpecError as error:
        assert error.path == "spec.probeThreshold"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
fields = st.sampled_from(
    [
        "probePeriod",
        "probePeriodSeconds",
        "probeThreshold",
        "nodeSelector",
        "resources",
        "tolerations",
        "runner",
        "pvcCapacity",
        "deadline",
        "suppression",
    ]
)


@given(st.dictionaries(fields, json_values))
def test_any_json_in_a_spec_is_read_or_refused_by_name(spec: dict[str, Any]) -> None:
    try:
        parsed(**spec)
    except SpecError as error:
        assert error.path.startswith("spec.")


def test_suppression_has_its_defaults_and_a_grace_may_be_none() -> None:
    rules = parsed().suppression
    assert (rules.marks, rules.well_known) == ((), True)
    assert (rules.reboot_grace_seconds, rules.new_node_grace_seconds) == (300, 300)
    assert rules.max_duration_seconds == 86_400
    rules = parsed(suppression={"rebootGrace": "0s", "newNodeGrace": "90s", "maxDuration": "2h"}).suppression
    assert (rules.reboot_grace_seconds, rules.new_node_grace_seconds) == (0, 90)
    assert rules.max_duration_seconds == 7200


def test_marks_are_read_in_order() -> None:
    marks = parsed(
        suppression={
            "taints": [{"key": "t", "value": "v", "effect": "NoExecute"}, {"key": "u"}],
            "labels": [{"key": "l"}],
            "annotations": [{"key": "a", "value": "v"}],
            "conditions": [{"type": "C", "status": "False"}],
        }
    ).suppression.marks
    assert [str(mark) for mark in marks] == [
        "taint t=v:NoExecute",
        "taint u",
        "label l",
        "annotation a=v",
        "condition C=False",
    ]


@pytest.mark.parametrize(
    ("suppression", "path"),
    [
        ({"taints": {}}, "taints"),
        ({"taints": ["x"]}, "taints[0]"),
        ({"taints": [{}]}, "taints[0].key"),
        ({"taints": [{"key": "a", "effect": "PreferNoSchedule"}]}, "taints[0].effect"),
        ({"labels": [{"key": 1}]}, "labels[0].key"),
        ({"conditions": [{"type": "A"}, {"status": "True"}]}, "conditions[1].type"),
        ({"rebootGrace": "soon"}, "rebootGrace"),
        ({"maxDuration": "0s"}, "maxDuration"),
        ({"wellKnownMarks": "yes"}, "wellKnownMarks"),
    ],
)
def test_a_bad_mark_is_named_by_its_place(suppression: dict[str, Any], path: str) -> None:
    with pytest.raises(SpecError) as caught:
        parsed(suppression=suppression)
    assert caught.value.path == f"spec.suppression.{path}"

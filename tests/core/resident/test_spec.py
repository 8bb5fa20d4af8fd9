"""`spec.residentProbe` and `spec.residentThreshold`, and the target that follows from them."""

from typing import Any

import pytest

from pie.core.kinds import kind_of, spec_for, targets_of
from pie.core.model import Kind, RunnerKind
from pie.core.parse import SpecError, parse_probe
from pie.core.wire import Metadata, PieProbe
from tests.core.build import probe

TERM = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
SPEC: dict[str, Any] = {"monitoringStorageClass": "c", "nodeSelector": {"nodeSelectorTerms": [TERM]}}


def parsed(**spec: Any) -> tuple[bool, float]:
    found = parse_probe(PieProbe(metadata=Metadata(name="p"), spec={**SPEC, **spec}))
    return found.resident, found.resident_threshold_seconds


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, (False, 10.0)),
        ({"residentProbe": False}, (False, 10.0)),
        ({"residentProbe": True}, (True, 10.0)),
        ({"residentProbe": True, "residentThreshold": "2s"}, (True, 2.0)),
        ({"residentThreshold": "5m"}, (False, 300.0)),
    ],
)
def test_it_is_off_by_default_and_a_stall_is_an_operation_of_ten_seconds(
    spec: dict[str, Any], wanted: tuple[bool, float]
) -> None:
    assert parsed(**spec) == wanted


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"residentProbe": "yes"}, "spec.residentProbe"),
        ({"residentThreshold": "1.9s"}, "spec.residentThreshold"),
        ({"residentThreshold": "301s"}, "spec.residentThreshold"),
        ({"residentThreshold": "10"}, "spec.residentThreshold"),
        ({"residentThreshold": 10}, "spec.residentThreshold"),
    ],
)
def test_a_spec_that_cannot_be_used_names_the_field(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(SpecError) as error:
        parsed(**spec)
    assert error.value.path == path


def test_each_node_has_one_target_more_whose_pod_pie_starts_itself() -> None:
    wanted = probe(resident=True)
    kinds = [each.kind for each in targets_of(wanted, "n1")]
    assert kinds == [Kind.MOUNT, "resident"]
    assert [each.kind for each in targets_of(probe(), "n1")] == [Kind.MOUNT]
    target = wanted.target("resident", "n1")
    assert spec_for(wanted, target).runner is RunnerKind.POD
    assert kind_of(target).options(probe(resident_threshold_seconds=2.5)) == ["--threshold", "2.5"]

"""Tolerations that admission adds to pods."""

from typing import Any

import msgspec
import pytest

from pie.core.decode import decode
from pie.core.maintenance.admitted import admitted
from pie.core.wire import Pod
from tests.core.build import probe

BY_KUBERNETES = [
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"},
]
START_UP = [
    {"key": "ebs.csi.aws.com/agent-not-ready", "operator": "Exists"},
    {"key": "d.example/x", "operator": "Exists"},
]
GPU = {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}
ALL = {"operator": "Exists"}


def read(*tolerations: dict[str, Any]) -> Pod:
    item = {"metadata": {"name": "x"}, "spec": {"tolerations": list(tolerations)}}
    return decode(msgspec.json.encode(item), Pod)


@pytest.mark.parametrize(
    ("has", "asked", "added"),
    [
        ([], (), ()),
        ([*BY_KUBERNETES, *START_UP], (), ()),
        ([GPU, *BY_KUBERNETES], (), (GPU,)),
        ([GPU, *BY_KUBERNETES], (GPU,), ()),
        ([ALL, GPU, GPU], (GPU,), (ALL,)),
        ([ALL], ({"operator": "Exists", "tolerationSeconds": 5},), ()),
        ([GPU], ({"key": 5},), (GPU,)),
    ],
)
def test_what_pie_did_not_ask_for(has: Any, asked: Any, added: Any) -> None:
    pod = read(*has)
    assert admitted(pod.spec.tolerations, probe(tolerations=asked), "d.example") == added


def test_they_are_not_without_limit_and_pods_share_them() -> None:
    many = [{**GPU, "value": str(i)} for i in range(100)]
    assert len(admitted(read(*many).spec.tolerations, probe(), "")) < 50
    assert read(GPU).spec.tolerations is read(GPU).spec.tolerations

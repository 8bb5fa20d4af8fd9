"""Which nodes can run probes, and what is said of those that cannot."""

from typing import Any

import pytest

from pie.core import selector
from pie.core.manifests import pod_spec
from pie.core.model import Image, Kind
from pie.core.parse import node_selector
from pie.core.suitable import unsuitable, without_probes
from pie.core.wire import (
    Metadata,
    Node,
    NodeInfo,
    NodeStatus,
    StorageClass,
    Taint,
    TopologyExpression,
    TopologyTerm,
)
from tests.core.build import probe
from tests.core.nodes import node

ZONE = "topology.kubernetes.io/zone"
FARGATE = "eks.amazonaws.com/compute-type"


def said_by_kubelet(**info: str) -> Node:
    """Return a node without labels, whose kubelet says what it runs on."""
    return Node(metadata=Metadata(name="n1"), status=NodeStatus(node_info=NodeInfo(**info)))


def only_in(*zones: str, key: str = ZONE) -> StorageClass:
    """Return a class that has volumes in some zones only, each a term of its own."""
    terms = tuple(
        TopologyTerm(match_label_expressions=(TopologyExpression(key=key, values=(zone,)),)) for zone in zones
    )
    return StorageClass(metadata=Metadata(name="c"), allowed_topologies=terms)


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        (node(labels={"kubernetes.io/os": "windows"}), "Windows"),
        (said_by_kubelet(operating_system="windows"), "Windows"),
        (node(labels={FARGATE: "fargate"}), "virtual"),
        (node(taints=(Taint(FARGATE, "NoSchedule", "fargate"),)), "virtual"),
        (node(taints=(Taint("virtual-kubelet.io/provider", "NoSchedule", "azure"),)), "virtual"),
        (node(labels={"type": "virtual-kubelet"}), "virtual"),
        (node(labels={"kubernetes.io/arch": "s390x"}), "s390x"),
        (said_by_kubelet(architecture="ppc64le"), "ppc64le"),
        (node(labels={ZONE: "c"}), "allowedTopologies"),
    ],
)
def test_nodes_that_cannot_run_probes(seen: Node, word: str) -> None:
    assert word in unsuitable(seen, probe(), only_in("a", "b"))


@pytest.mark.parametrize(
    "seen",
    [
        node(),
        node(labels={"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64", ZONE: "b"}),
        said_by_kubelet(operating_system="linux", architecture="amd64"),
        said_by_kubelet(operating_system="x", architecture="x"),
        node(labels={FARGATE: "ec2", "type": "storage"}),
        node(taints=(Taint(FARGATE, "NoSchedule", "ec2"),)),
    ],
)
def test_nodes_that_can(seen: Node) -> None:
    assert unsuitable(seen, probe(), only_in("a", "b")) == ""
    assert unsuitable(seen, probe(), None) == ""


def test_the_image_may_have_other_architectures() -> None:
    power = node(labels={"kubernetes.io/arch": "ppc64le"})
    assert unsuitable(power, probe(architectures=("amd64", "ppc64le")), None) == ""
    arm = node(labels={"kubernetes.io/arch": "arm64"})
    assert "arm64" in unsuitable(arm, probe(architectures=("amd64",)), None)


@pytest.mark.parametrize(
    ("labels", "left_out"),
    [
        ({"failure-domain.beta.kubernetes.io/zone": "c"}, False),
        ({ZONE: "a"}, False),
        ({ZONE: "c"}, True),
        ({}, False),
    ],
)
def test_topologies_by_their_old_name(labels: dict[str, str], left_out: bool) -> None:
    old = only_in("a", key="failure-domain.beta.kubernetes.io/zone")
    assert bool(unsuitable(node(labels=labels), probe(), old)) is left_out


@pytest.mark.parametrize("terms", [1, 3])
def test_a_term_allows_a_node_that_matches_all_of_it(terms: int) -> None:
    both = tuple(TopologyExpression(key=key, values=("a",)) for key in (ZONE, "rack"))
    term = TopologyTerm(match_label_expressions=both)
    found = StorageClass(metadata=Metadata(name="c"), allowed_topologies=(term,) * terms)
    assert unsuitable(node(labels={ZONE: "a", "rack": "b"}), probe(), found)
    assert not unsuitable(node(labels={ZONE: "a", "rack": "a"}), probe(), found)


def test_provision_pods_stay_away_from_nodes_that_cannot_run_them() -> None:
    spec = probe(node_selector_json={"nodeSelectorTerms": [{"matchExpressions": [_exists("a")]}, {}]})
    pod = pod_spec(spec, spec.target(Kind.PROVISION), claim="", image=Image("i"))
    required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    terms = node_selector(required, "x")

    def may_run(**labels: str) -> bool:
        named = {key.replace("_", "/"): value for key, value in labels.items()}
        return selector.matches(terms, "n1", {"a": "", **named})

    assert may_run()
    assert may_run(**{"kubernetes.io_os": "linux", "kubernetes.io_arch": "arm64"})
    assert not may_run(**{"kubernetes.io_os": "windows"})
    assert not may_run(**{"kubernetes.io_arch": "s390x"})
    assert not may_run(**{"eks.amazonaws.com_compute-type": "fargate"})
    assert not may_run(type="virtual-kubelet")
    assert not selector.matches(terms, "n1", {})


def _exists(key: str) -> dict[str, Any]:
    return {"key": key, "operator": "Exists"}


def test_the_condition_names_nodes_and_causes_but_not_all_of_them() -> None:
    few = without_probes({"win-1": "Windows", "far-1": "virtual node", "win-2": "Windows"}, 7)
    assert few["status"] == "True"
    assert few["reason"] == "NodeUnsuitable"
    assert (
        "3 of 10 matching nodes have no probes: 2 (Windows): win-1, win-2; 1 (virtual node): far-1"
        in (few["message"])
    )
    many = without_probes({f"n{i}": f"cause {i % 50}" for i in range(1000)}, 0)
    assert len(many["message"]) < 1000
    assert without_probes({}, 3)["status"] == "False"

"""What a one-shot check checks, makes and concludes."""

from typing import Any

import pytest
from msgspec.structs import replace

from pie.core import meshes
from pie.core.kinds import KINDS
from pie.core.model import Image, Kind, Probe, Target, Verdict
from pie.core.oneshot import (
    DRIVER_NOT_REGISTERED,
    LABEL_CHECK,
    Checked,
    Left,
    Maker,
    Order,
    choose,
    passed,
    probe_of,
)
from pie.core.reasons import Reason
from pie.core.wire import Node, Taint
from tests.core.build import T0
from tests.core.nodes import node

ORDER = Order("ceph", "pie", timeout_seconds=30.5)
MAKER = Maker("pie-check-a1", "pie", Image("image", ("secret",)), "lease-uid")


def probe(*nodes: str) -> Probe:
    return probe_of(ORDER, "pie-check-a1", nodes)


def checked(verdict: Verdict) -> Checked:
    return Checked(Kind.MOUNT, "n1", verdict, Reason.OK)


ENDS = (
    ("verdicts", "left", "good"),
    [
        ([Verdict.OK], (), True),
        ([Verdict.OK, Verdict.SUPPRESSED], (), True),
        ([Verdict.OK, Verdict.LATE], (), False),
        ([Verdict.OK, Verdict.HUNG], (), False),
        ([Verdict.OK], (Left("Pod", "p", ""),), False),
        ([Verdict.SUPPRESSED], (), False),
        ([], (), False),
    ],
)


@pytest.mark.parametrize(*ENDS)
def test_a_feature_that_the_class_does_not_offer_is_not_bad_and_proves_nothing(
    verdicts: list[Verdict], left: tuple[Left, ...], good: bool
) -> None:
    not_offered = Checked("block", "n1", Verdict.INCONCLUSIVE, Reason.NOT_OFFERED)
    assert passed([not_offered, *map(checked, verdicts)], left) is good


@pytest.mark.parametrize(*ENDS)
def test_a_check_passes_when_something_was_well_and_nothing_bad(
    verdicts: list[Verdict], left: tuple[Left, ...], good: bool
) -> None:
    assert passed([checked(verdict) for verdict in verdicts], left) is good


def named(name: str, node: Node) -> Node:
    return replace(node, metadata=replace(node.metadata, name=name))


def test_nodes_in_maintenance_and_without_the_driver_are_skipped_and_new_ones_are_not() -> None:
    nodes = [named("b", node(created=-1)), named("a", node(cordoned=True)), named("c", node())]
    chosen, skipped = choose(nodes, probe(), T0, driver="d", with_driver=frozenset({"b"}))
    assert [each.metadata.name for each in chosen] == ["b"]
    assert [(each.node, each.reason) for each in skipped] == [
        ("a", Reason.NODE_CORDONED),
        ("c", DRIVER_NOT_REGISTERED),
    ]
    everywhere, _ = choose(nodes, probe(), T0, driver="d")
    assert [each.metadata.name for each in everywhere] == ["b", "c"]


def test_nodes_that_cannot_run_a_probe_are_skipped_and_a_start_up_taint_skips_none() -> None:
    tainted = node(taints=(Taint("d/agent-not-ready", "NoSchedule"),))
    windows = node(labels={"kubernetes.io/os": "windows"})
    power = node(labels={"kubernetes.io/arch": "ppc64le"})
    nodes = [named("a", tainted), named("b", windows), named("c", power)]
    chosen, skipped = choose(nodes, probe_of(ORDER, "x", ()), T0, driver="d")
    assert [each.metadata.name for each in chosen] == ["a", "c"], "what the image is built for is not known"
    assert [(each.node, each.reason) for each in skipped] == [("b", Reason.NODE_UNSUITABLE)]


@pytest.mark.parametrize("kind", [name for name, row in KINDS.items() if not row.resident])
def test_everything_made_has_the_label_belongs_to_the_lease_and_is_no_pieprobes(kind: str) -> None:
    target = Target("pie-check-a1", kind, "ceph", "n1")
    pod = MAKER.pod(probe("n1"), target, "pod", "claim")
    assert pod["spec"]["imagePullSecrets"] == [{"name": "secret"}]
    objects: list[dict[str, Any]] = [pod, MAKER.claim(probe(), target, "claim")]
    for made in objects:
        assert made["metadata"]["labels"][LABEL_CHECK] == "pie-check-a1"
        assert "pie-probe" not in made["metadata"]["labels"]
        assert [owner["uid"] for owner in made["metadata"]["ownerReferences"]] == ["lease-uid"]
    assert pod["spec"]["activeDeadlineSeconds"] == 31
    (volume,) = pod["spec"]["volumes"]
    assert pod["metadata"]["annotations"]["linkerd.io/inject"] == "disabled"
    if kind == Kind.PROVISION:
        marks = volume["ephemeral"]["volumeClaimTemplate"]["metadata"]["labels"]
        assert {**marks, **meshes.LABELS} == pod["metadata"]["labels"]


def test_a_provision_run_may_go_to_any_of_the_nodes_but_names_no_more_than_a_hundred() -> None:
    target = Target("pie-check-a1", Kind.PROVISION, "ceph")
    spec = MAKER.pod(probe(*(f"n{i}" for i in range(5000))), target, "pod", "")["spec"]
    affinity = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert len(affinity["nodeSelectorTerms"]) == 100
    assert affinity["nodeSelectorTerms"][0]["matchFields"][0]["values"] == ["n0"]

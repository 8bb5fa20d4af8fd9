"""What suppresses runs on a node, and what does not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.driver import STARTUP_TAINTS
from pie.core.maintenance.marks import OPENSHIFT_CONFIGS, WELL_KNOWN
from pie.core.maintenance.now import NodeNow, Suppression, suppression
from pie.core.model import HARD_EFFECTS, Mark, MarkKind, SuppressionRules
from pie.core.reasons import Reason
from pie.core.tolerations import tolerated
from pie.core.wire import Condition, Node, Taint
from tests.core.build import T0, at, probe
from tests.core.nodes import node

RULES = SuppressionRules(
    marks=(
        Mark(MarkKind.TAINT, "own", "yes", "NoSchedule"),
        Mark(MarkKind.LABEL, "repair"),
        Mark(MarkKind.ANNOTATION, "state", "draining"),
        Mark(MarkKind.CONDITION, "FirmwareUpdate"),
        Mark(MarkKind.CONDITION, "Healthy", "False"),
    )
)
TOLERATES_ALL = ({"operator": "Exists"},)


DRIVER = "ebs.csi.aws.com"


def found(seen: Node, *, now: float = 0.0, rebooted: float = 0.0, proven: float = 0.0, **spec: Any) -> Any:
    """Return what suppresses runs on a node, seen so many seconds after T0."""
    facts = NodeNow(seen, T0 + now, rebooted and T0 + rebooted, proven and T0 + proven, DRIVER)
    return suppression(facts, probe(**({"suppression": RULES} | spec)))


def test_a_ready_node_without_marks_is_not_suppressed() -> None:
    assert found(node()) is None


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (node(deleted=-5), Reason.NODE_DELETED),
        (node(cordoned=True), Reason.NODE_CORDONED),
        (node(ready="False"), Reason.NODE_NOT_READY),
        (node(ready="Unknown"), Reason.NODE_NOT_READY),
        (node(ready=None), Reason.NODE_NOT_READY),
        (node(taints=(Taint("gpu", "NoSchedule"),)), Reason.NODE_TAINTED),
        (node(taints=(Taint("gpu", "NoExecute"),)), Reason.NODE_TAINTED),
        (node(taints=(Taint("node.kubernetes.io/not-ready", "NoExecute"),)), Reason.NODE_TAINTED),
        (node(taints=(Taint("node.cilium.io/agent-not-ready", "NoExecute"),)), Reason.NODE_MARKED),
        (node(taints=(Taint("cke.cybozu.com/state", "NoSchedule", "unhealthy"),)), Reason.NODE_MARKED),
        (node(annotations={"weave.works/kured-reboot-in-progress": "then"}), Reason.NODE_MARKED),
        (node(labels={"cloud.google.com/active-node-maintenance": "ONGOING"}), Reason.NODE_MARKED),
        (node(taints=(Taint("own", "NoSchedule", "yes"),)), Reason.NODE_MARKED),
        (node(labels={"repair": "disk"}), Reason.NODE_MARKED),
        (node(annotations={"state": "draining"}), Reason.NODE_MARKED),
        (node(conditions=(Condition("FirmwareUpdate", "True"),)), Reason.NODE_MARKED),
        (node(conditions=(Condition("Healthy", "False"),)), Reason.NODE_MARKED),
        (node(created=-10), Reason.NODE_NEW),
    ],
)
def test_each_mark_suppresses_with_its_reason(seen: Node, reason: Reason) -> None:
    assert found(seen).reason is reason


@pytest.mark.parametrize(
    "seen",
    [
        node(taints=(Taint("gpu", "PreferNoSchedule"),)),
        node(taints=(Taint("DeletionCandidateOfClusterAutoscaler", "PreferNoSchedule", "1"),)),
        node(taints=(Taint("ToBeDeletedByClusterAutoscaler", "PreferNoSchedule", "1"),)),
        node(labels={"cloud.google.com/active-node-maintenance": "DONE"}),
        node(annotations={"weave.works/kured-most-recent-reboot-needed": "then"}),
        node(annotations={"state": "idle"}),
        node(conditions=(Condition("FirmwareUpdate", "False"),)),
        node(conditions=(Condition("FirmwareUpdate", "Unknown"),)),
        node(conditions=(Condition("Healthy", "True"), Condition("MemoryPressure", "True"))),
    ],
)
def test_what_keeps_no_pod_away_and_is_no_mark_does_not_suppress(seen: Node) -> None:
    assert found(seen) is None


def test_a_mark_counts_where_its_taint_is_tolerated_and_any_other_taint_does_not() -> None:
    marked = node(taints=(Taint("ToBeDeletedByClusterAutoscaler", "NoSchedule", "1700000000"),))
    assert found(marked, tolerations=TOLERATES_ALL).reason is Reason.NODE_MARKED
    assert found(node(taints=(Taint("gpu", "NoExecute"),)), tolerations=TOLERATES_ALL) is None


@pytest.mark.parametrize(
    "pressure", ["disk-pressure", "memory-pressure", "pid-pressure", "network-unavailable"]
)
def test_a_node_without_disk_memory_or_network_is_suppressed_also_where_pods_tolerate_it(
    pressure: str,
) -> None:
    seen = node(taints=(Taint(f"node.kubernetes.io/{pressure}", "NoSchedule"),))
    assert found(seen, tolerations=TOLERATES_ALL).reason is Reason.NODE_MARKED


@pytest.mark.parametrize(
    "seen",
    [
        node(taints=(Taint("medik8s.io/remediation", "NoExecute", "self-node-remediation"),)),
        node(taints=(Taint("medik8s.io/drain", "NoSchedule"),)),
        node(annotations={"machineconfiguration.openshift.io/state": "Working"}),
        node(annotations={"machineconfiguration.openshift.io/state": "Rebooting"}),
        node(annotations=dict(zip(OPENSHIFT_CONFIGS, ("rendered-1", "rendered-2"), strict=True))),
        *(
            node(conditions=(Condition(f"{event}Scheduled", "True"),))
            for event in ("Freeze", "Preempt", "Reboot", "Redeploy", "Terminate")
        ),
    ],
)
def test_remediation_reconfiguration_and_events_of_the_host_are_maintenance(seen: Node) -> None:
    assert found(seen).reason is Reason.NODE_MARKED
    assert found(seen, suppression=SuppressionRules(well_known=False), tolerations=TOLERATES_ALL) is None


@pytest.mark.parametrize(
    "seen",
    [
        node(annotations={"machineconfiguration.openshift.io/state": "Done"}),
        node(annotations=dict.fromkeys(OPENSHIFT_CONFIGS, "rendered-1")),
        node(annotations={OPENSHIFT_CONFIGS[0]: "rendered-1"}),
        node(conditions=(Condition("PreemptScheduled", "False"),)),
    ],
)
def test_a_node_that_has_its_configuration_and_no_event_is_not_suppressed(seen: Node) -> None:
    assert found(seen) is None


@pytest.mark.parametrize("key", [*STARTUP_TAINTS, f"{DRIVER}/something-else"])
@pytest.mark.parametrize("effect", sorted(HARD_EFFECTS))
def test_the_start_up_taint_of_a_storage_driver_is_no_maintenance(key: str, effect: str) -> None:
    assert found(node(taints=(Taint(key, effect),))) is None
    assert found(node(taints=(Taint(key, effect),), cordoned=True)).reason is Reason.NODE_CORDONED
    assert found(node(taints=(Taint(key, effect), Taint("gpu", effect)))).reason is Reason.NODE_TAINTED
    named = SuppressionRules(marks=(Mark(MarkKind.TAINT, key),))
    assert found(node(taints=(Taint(key, effect),)), suppression=named).reason is Reason.NODE_MARKED


@pytest.mark.parametrize("key", ["node.cilium.io/agent-not-ready", "x.csi.example/agent-not-ready", DRIVER])
def test_the_taint_of_something_else_is(key: str) -> None:
    assert found(node(taints=(Taint(key, "NoExecute"),))) is not None


def test_well_known_marks_can_be_switched_off_and_the_specs_own_stay() -> None:
    quiet = SuppressionRules(marks=RULES.marks, well_known=False)
    kured = node(annotations={"weave.works/kured-reboot-in-progress": "then"})
    assert found(kured, suppression=quiet) is None
    assert found(node(labels={"repair": ""}), suppression=quiet).reason is Reason.NODE_MARKED


def test_the_message_names_the_mark_and_the_time_is_when_it_was_set() -> None:
    taint = Taint("cke.cybozu.com/state", "NoExecute", "retiring", time_added=at(-60))
    marked = found(node(taints=(taint,)))
    assert "cke.cybozu.com/state=retiring:NoExecute" in marked.message
    assert marked.since == T0 - 60
    cordon = Taint("node.kubernetes.io/unschedulable", "NoSchedule", time_added=at(-30))
    assert found(node(cordoned=True, taints=(cordon,))).since == T0 - 30
    assert "words" in found(node(ready="False", ready_since=-20)).message
    assert found(node(ready="False", ready_since=-20)).since == T0 - 20


def test_a_grace_ends_by_time_or_by_a_good_run_and_blocks_nothing() -> None:
    assert found(node(), now=299, rebooted=1) == Suppression(
        Reason.NODE_REBOOTED,
        "the node has booted; bad runs are suppressed for 300 s, or until the first good run",
        T0 + 1,
        blocks=False,
        ends_at=T0 + 301,
    )
    assert found(node(), now=301, rebooted=1) is None
    assert found(node(), now=50, rebooted=1, proven=40) is None
    assert found(node(created=-10), now=50, proven=40) is None
    assert found(node(created=-10), suppression=SuppressionRules(new_node_grace_seconds=0)) is None
    assert found(node(), now=2, rebooted=1, suppression=SuppressionRules(reboot_grace_seconds=0)) is None


KEYS, VALUES, EFFECTS = (
    ["", "a", "b"],
    ["", "x", "y"],
    ["", "NoSchedule", "PreferNoSchedule", "NoExecute"],
)
taints = st.builds(Taint, st.sampled_from(KEYS[1:]), st.sampled_from(EFFECTS[1:]), st.sampled_from(VALUES))
tolerations = st.fixed_dictionaries(
    {},
    optional={
        "key": st.sampled_from(KEYS),
        "operator": st.sampled_from(["", "Equal", "Exists", "Gt"]),
        "value": st.sampled_from(VALUES),
        "effect": st.sampled_from(EFFECTS),
        "tolerationSeconds": st.just(300),
    },
)


@pytest.mark.parametrize(
    ("toleration", "wanted"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "a", "operator": "Exists"}, True),
        ({"key": "b", "operator": "Exists"}, False),
        ({"key": "a", "value": "x"}, True),
        ({"key": "a", "operator": "Equal", "value": "x", "effect": "NoSchedule"}, True),
        ({"key": "a", "operator": "Equal", "value": "x", "effect": "NoExecute"}, False),
        ({"key": "a"}, False),
        ({"key": "a", "value": "y"}, False),
        ({"key": "a", "operator": "Gt", "value": "x"}, False),
        ({"key": "a", "operator": "Exists", "tolerationSeconds": 1}, True),
        ({}, False),
    ],
)
def test_tolerations_match_as_in_kubernetes(toleration: dict[str, Any], wanted: bool) -> None:
    assert tolerated(Taint("a", "NoSchedule", "x"), (toleration,)) is wanted


@given(taints, st.lists(tolerations, max_size=3))
def test_more_tolerations_tolerate_no_less(taint: Taint, some: list[dict[str, Any]]) -> None:
    assert tolerated(taint, tuple(some)) <= tolerated(taint, (*some, {"operator": "Exists"}))
    assert not tolerated(taint, ())


@given(
    st.lists(taints, max_size=3),
    st.lists(tolerations, max_size=2),
    st.sampled_from(["True", "False", "Unknown", None]),
    st.booleans(),
    st.dictionaries(st.sampled_from(["repair", "other"]), st.just("v")),
)
def test_a_node_is_suppressed_exactly_when_it_is_not_ready_or_carries_something(
    some_taints: list[Taint], some: list[dict[str, Any]], ready: str | None, cordoned: bool, labels: Any
) -> None:
    seen = node(ready=ready, cordoned=cordoned, taints=tuple(some_taints), labels=labels)
    intolerable = any(t.effect in HARD_EFFECTS and not tolerated(t, tuple(some)) for t in some_taints)
    wanted = ready != "True" or cordoned or intolerable or "repair" in labels
    assert (found(seen, tolerations=tuple(some)) is not None) is wanted


def test_every_well_known_mark_is_documented(pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs/suppression.md").read_text()
    assert [mark for mark in WELL_KNOWN if f"`{mark.key}`" not in page] == []

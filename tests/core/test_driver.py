"""When a driver was not ready on a node, by its taints and CSINodes."""

from typing import Any

import pytest

from pie.core.driver import STARTUP_TAINTS, DriverFact, Fault, tainted_by, unregistered
from pie.core.kinds import KINDS
from pie.core.maintenance.history import NodeHistory, observe
from pie.core.manifests import pod_spec
from pie.core.model import Image, Mark, MarkKind, SuppressionRules
from pie.core.wire import Node, Taint
from tests.core.build import T0, probe
from tests.core.nodes import node

DRIVER = "d.example"
OWN = Taint(f"{DRIVER}/not-ready", "NoSchedule")
LISTED, UNLISTED, UNKNOWN = (DriverFact(DRIVER, listed) for listed in (True, False, None))


def seen(*moments: tuple[float, Node, DriverFact], **spec: Any) -> NodeHistory:
    """Return the history of a node that was seen so, each time so many seconds after T0."""
    history = None
    for offset, found, fact in moments:
        history = observe(history, found, probe(**spec), T0 + offset, driver=fact)
    assert history is not None
    return history


def fault(history: NodeHistory, since: float, until: float) -> Fault | None:
    """Return what explains a bad run between two moments after T0."""
    span = history.driver.during(T0 + since, T0 + until)
    return span.fault if span is not None else None


TAINTED = node(taints=(OWN,))


@pytest.mark.parametrize(
    ("moments", "wanted"),
    [
        (((0, node(), LISTED),), None),
        (((0, node(), UNKNOWN),), None),
        (((0, node(), UNLISTED),), Fault.NEVER),
        (((0, node(), LISTED), (10, node(), UNLISTED)), Fault.GONE),
        (((0, node(), LISTED), (10, node(), UNLISTED), (20, node(), LISTED)), Fault.GONE),
        (((0, TAINTED, UNLISTED),), Fault.TAINTED),
        (((0, TAINTED, LISTED),), Fault.TAINTED),
        (((0, TAINTED, LISTED), (10, node(), LISTED)), Fault.TAINTED),
        (((0, TAINTED, UNLISTED), (10, node(), UNLISTED)), Fault.TAINTED),
        (((0, node(taints=(Taint("other.example/not-ready", "NoSchedule"),)), LISTED),), None),
        (((0, node(taints=(Taint(OWN.key, "PreferNoSchedule"),)), LISTED),), None),
        (((0, node(taints=(Taint(STARTUP_TAINTS[0], "NoSchedule"),)), LISTED),), None),
    ],
)
def test_what_a_run_of_the_time_met(moments: Any, wanted: Fault | None) -> None:
    assert fault(seen(*moments), 0, 30) is wanted


def test_a_run_before_or_after_the_fault_did_not_meet_it() -> None:
    history = seen((0, node(), LISTED), (10, node(), UNLISTED), (20, node(), LISTED))
    assert [fault(history, *life) for life in ((0, 5), (0, 10), (19, 30), (21, 30))] == [
        None,
        Fault.GONE,
        Fault.GONE,
        None,
    ]


def test_a_taint_is_a_fault_after_the_grace_of_a_new_node() -> None:
    new = node(created=0, taints=(OWN,))
    history = seen((0, new, UNLISTED))
    assert fault(history, 0, 299) is None
    assert fault(history, 0, 301) is Fault.TAINTED
    assert history.driver.throughout(T0 + 200, T0 + 299) is None
    assert history.driver.throughout(T0 + 200, T0 + 301) is not None


def test_a_node_that_has_just_booted_has_its_grace_too() -> None:
    again = node(boot_id="boot-2", taints=(OWN,))
    history = seen((0, TAINTED, LISTED), (10, again, LISTED))
    assert history.driver.throughout(T0, T0 + 300) is None
    assert history.driver.throughout(T0, T0 + 311) is not None


def test_another_driver_has_a_history_of_its_own_and_none_is_forgotten_without_a_class() -> None:
    gone = ((0, node(), LISTED), (10, node(), DriverFact()), (20, node(), UNLISTED))
    assert fault(seen(*gone), 0, 30) is Fault.GONE
    other = DriverFact("other.example", listed=False)
    assert fault(seen((0, node(), LISTED), (10, node(), other)), 0, 30) is Fault.NEVER


@pytest.mark.parametrize(
    ("taint", "spec", "keeps_off"),
    [
        (OWN, {}, True),
        (Taint(STARTUP_TAINTS[0], "NoExecute"), {}, True),
        (OWN, {"tolerations": ({"operator": "Exists"},)}, False),
        (Taint("gpu", "NoSchedule"), {}, False),
        (Taint(OWN.key, "PreferNoSchedule"), {}, False),
    ],
)
def test_start_up_taints_keep_provision_pods_off(taint: Taint, spec: Any, keeps_off: bool) -> None:
    assert seen((0, node(taints=(taint,)), LISTED), **spec).driver.keeps_off is keeps_off


def test_a_taint_that_was_removed_in_the_middle_of_a_run_was_not_there_throughout() -> None:
    history = seen((0, TAINTED, LISTED), (10, node(), LISTED))
    assert history.driver.throughout(T0, T0 + 10) is not None
    assert history.driver.throughout(T0, T0 + 11) is None


@pytest.mark.parametrize(
    ("key", "spec", "wanted"),
    [
        (OWN.key, {}, Fault.TAINTED),
        (OWN.key, {"tolerations": ({"operator": "Exists"},)}, Fault.TAINTED),
        (OWN.key, {"tolerations": ({"key": OWN.key, "operator": "Exists"},)}, None),
        (OWN.key, {"suppression": SuppressionRules((Mark(MarkKind.TAINT, OWN.key),))}, None),
    ],
)
def test_who_names_the_key_of_a_taint_expects_it(key: str, spec: Any, wanted: Fault | None) -> None:
    assert fault(seen((0, node(taints=(Taint(key, "NoSchedule"),)), LISTED), **spec), 0, 1) is wanted


def test_who_tolerates_a_known_start_up_taint_does_not_expect_it_to_stay() -> None:
    taint = Taint("ebs.csi.aws.com/agent-not-ready", "NoExecute")
    spec: Any = {"tolerations": ({"key": taint.key, "operator": "Exists"},)}
    history = seen((0, node(taints=(taint,)), DriverFact("ebs.csi.aws.com", listed=True)), **spec)
    assert fault(history, 0, 1) is Fault.TAINTED


def test_start_up_taints_that_are_not_known_are_remembered_and_not_without_limit() -> None:
    history = seen((0, TAINTED, LISTED), (10, node(), LISTED))
    assert history.driver.keys == (OWN.key,)
    many = tuple((i, node(taints=(Taint(f"{DRIVER}/{i}", "NoSchedule"),)), LISTED) for i in range(100))
    assert len(seen(*many).driver.keys) < 10
    assert len(seen(*many).driver.spans) < 20


@pytest.mark.parametrize("kind", list(KINDS))
def test_mount_pods_tolerate_start_up_taints_and_provision_pods_do_not(kind: str) -> None:
    spec = probe(tolerations=({"key": "gpu", "operator": "Exists"},))
    node_name = "n1" if KINDS[kind].per_node else ""
    pod = pod_spec(spec, spec.target(kind, node_name), claim="v", image=Image("i"))
    keys = [each["key"] for each in pod["tolerations"]]
    assert keys == ["gpu", *(STARTUP_TAINTS if KINDS[kind].per_node else ())]


KUBELET = (
    'MountVolume.MountDevice failed for volume "pvc-1" : kubernetes.io/csi: attacher.MountDevice failed to'
    " create newCsiDriverClient: driver name d.example not found in the list of registered CSI drivers"
)
SCHEDULER = (
    "0/3 nodes are available: 1 node(s) CSI driver is not installed on the node, 2 node(s) didn't match Pod's"
    " node affinity/selector."
)
ATTACHER = 'AttachVolume.Attach failed for volume "pvc-1" : CSINode n1 does not contain driver d.example'
PROVISIONER = "error generating accessibility requirements: no topology key found on CSINode n1"
CRASHED = "rpc error: code = Unavailable desc = connection error: dial unix csi.sock: connection refused"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        *((words, True) for words in (KUBELET, SCHEDULER, ATTACHER, PROVISIONER)),
        *((words, False) for words in (CRASHED, "driver refused the volume", "")),
    ],
)
def test_what_the_parts_of_kubernetes_say_of_a_driver_that_is_not_registered(
    words: str, wanted: bool
) -> None:
    assert unregistered(words) is wanted


TWO_TAINTS = (
    "0/2 nodes are available: 1 node(s) had taint {gpu: }, that the pod didn't tolerate, 1 node(s) had"
)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("0/1 nodes are available: 1 node(s) had untolerated taint {d.example/not-ready: }.", OWN.key),
        ("0/1 nodes are available: 1 node(s) had untolerated taint(s) {d.example/not-ready: x}.", OWN.key),
        (f"{TWO_TAINTS} taint {{d.example/not-ready: true}}, that the pod didn't tolerate.", OWN.key),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {other.example/not-ready: }.", ""),
        ("0/1 nodes are available: 1 Insufficient cpu.", ""),
    ],
)
def test_the_taint_that_kept_a_pod_away_by_the_schedulers_words(words: str, wanted: str) -> None:
    assert tainted_by(words, DRIVER) == wanted

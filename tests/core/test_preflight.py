"""What is paused, why, and that it heals."""

import pytest

from pie.core.model import Kind
from pie.core.preflight import preflight, topology_segments
from pie.core.reasons import Reason
from pie.core.wire import Metadata, StorageClass
from tests.core.build import probe

LOCAL = frozenset({("n1",), ("n2",)})


def storage_class(policy: str = "Delete", binding: str = "WaitForFirstConsumer") -> StorageClass:
    return StorageClass(metadata=Metadata(name="c"), reclaim_policy=policy, volume_binding_mode=binding)


def test_a_good_class_lets_both_kinds_run() -> None:
    assert preflight(probe(), storage_class(), 2, LOCAL) == {}


def test_a_missing_class_stops_nothing_that_runs_and_starts_nothing_new() -> None:
    paused = preflight(probe(), None, 2, frozenset())
    assert {pause.reason for pause in paused.values()} == {Reason.STORAGE_CLASS_NOT_FOUND}
    assert all(pause.keep for pause in paused.values())


def test_retain_rests_the_provision_probe_unless_opted_in() -> None:
    paused = preflight(probe(), storage_class("Retain"), 2, frozenset())
    assert {kind: pause.reason for kind, pause in paused.items()} == {
        Kind.PROVISION: Reason.RECLAIM_POLICY_RETAIN
    }
    assert preflight(probe(provision_on_retain=True), storage_class("Retain"), 2, frozenset()) == {}


@pytest.mark.parametrize(
    ("segments", "is_paused"), [(LOCAL, True), (frozenset({("a",)}), False), (frozenset(), False)]
)
def test_immediate_binding_rests_the_mount_probes_where_volumes_are_not_everywhere(
    segments: frozenset[tuple[str, ...]], is_paused: bool
) -> None:
    paused = preflight(probe(), storage_class(binding="Immediate"), 2, segments)
    assert (Kind.MOUNT in paused) is is_paused


def test_no_node_no_probe() -> None:
    paused = preflight(probe(), storage_class(), 0, frozenset())
    assert {pause.reason for pause in paused.values()} == {Reason.NO_MATCHING_NODE}


def test_a_switched_off_kind_says_so_before_all_else() -> None:
    paused = preflight(probe(mount_enabled=False), None, 0, frozenset())
    assert paused[Kind.MOUNT].reason is Reason.DISABLED


def test_segments_are_what_the_drivers_keys_tell_apart() -> None:
    labels = [{"zone": "a", "host": "1"}, {"zone": "a", "host": "2"}]
    assert len(topology_segments(["zone"], labels)) == 1
    assert len(topology_segments(["zone", "host"], labels)) == 2
    assert topology_segments([], labels) == frozenset()

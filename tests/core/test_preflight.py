"""What rests, why, and that it heals."""

import pytest

from pie.core.model import Kind
from pie.core.objects import Metadata, StorageClass
from pie.core.preflight import preflight, topology_segments
from pie.core.reasons import Reason
from tests.core.build import probe

LOCAL = frozenset({("n1",), ("n2",)})


def storage_class(policy: str = "Delete", binding: str = "WaitForFirstConsumer") -> StorageClass:
    return StorageClass(metadata=Metadata(name="c"), reclaim_policy=policy, volume_binding_mode=binding)


def test_a_good_class_lets_both_kinds_run() -> None:
    assert preflight(probe(), storage_class(), 2, LOCAL) == {}


def test_a_missing_class_stops_nothing_that_runs_and_starts_nothing_new() -> None:
    resting = preflight(probe(), None, 2, frozenset())
    assert {rest.reason for rest in resting.values()} == {Reason.STORAGE_CLASS_NOT_FOUND}
    assert all(rest.keep for rest in resting.values())


def test_retain_rests_the_provision_probe_unless_opted_in() -> None:
    resting = preflight(probe(), storage_class("Retain"), 2, frozenset())
    assert {kind: rest.reason for kind, rest in resting.items()} == {
        Kind.PROVISION: Reason.RECLAIM_POLICY_RETAIN
    }
    assert preflight(probe(provision_on_retain=True), storage_class("Retain"), 2, frozenset()) == {}


@pytest.mark.parametrize(
    ("segments", "rests"), [(LOCAL, True), (frozenset({("a",)}), False), (frozenset(), False)]
)
def test_immediate_binding_rests_the_mount_probes_where_volumes_are_not_everywhere(
    segments: frozenset[tuple[str, ...]], rests: bool
) -> None:
    resting = preflight(probe(), storage_class(binding="Immediate"), 2, segments)
    assert (Kind.MOUNT in resting) is rests


def test_no_node_no_probe() -> None:
    resting = preflight(probe(), storage_class(), 0, frozenset())
    assert {rest.reason for rest in resting.values()} == {Reason.NO_MATCHING_NODE}


def test_a_switched_off_kind_says_so_before_all_else() -> None:
    resting = preflight(probe(mount_enabled=False), None, 0, frozenset())
    assert resting[Kind.MOUNT].reason is Reason.DISABLED


def test_segments_are_what_the_drivers_keys_tell_apart() -> None:
    labels = [{"zone": "a", "host": "1"}, {"zone": "a", "host": "2"}]
    assert len(topology_segments(["zone"], labels)) == 1
    assert len(topology_segments(["zone", "host"], labels)) == 2
    assert topology_segments([], labels) == frozenset()

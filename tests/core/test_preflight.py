"""What is paused, why, and that it heals."""

import pytest

from pie.core.iojob import IoJob
from pie.core.model import Kind
from pie.core.preflight import WITH_FS_TYPE, class_warning, preflight, topology_segments, warnings
from pie.core.reasons import ADVICE, Reason
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


def named(provisioner: str, **parameters: str) -> StorageClass:
    return StorageClass(metadata=Metadata(name="c"), provisioner=provisioner, parameters=parameters)


def test_a_class_without_a_provisioner_rests_the_provision_probe_unless_opted_in() -> None:
    static = named("kubernetes.io/no-provisioner")
    paused = preflight(probe(), static, 2, frozenset())
    assert {kind: pause.reason for kind, pause in paused.items()} == {Kind.PROVISION: Reason.NO_PROVISIONER}
    assert preflight(probe(provision_on_retain=True), static, 2, frozenset()) == {}


@pytest.mark.parametrize("key", ["csi.storage.k8s.io/fstype", "fsType", "fstype", "FSType"])
@pytest.mark.parametrize(
    ("filesystem", "capacity", "least"),
    [
        ("xfs", "100Mi", "300Mi"),
        ("XFS", "299Mi", "300Mi"),
        ("xfs", "300Mi", None),
        ("xfs", "1Gi", None),
        ("btrfs", "100Mi", "109Mi"),
        ("btrfs", "110Mi", None),
        ("ext4", "51Mi", None),
        ("", "51Mi", None),
    ],
)
def test_a_capacity_below_the_smallest_filesystem_is_warned_of(
    key: str, filesystem: str, capacity: str, least: str | None
) -> None:
    found = warnings(probe(pvc_capacity=capacity), named("d.example", **{key: filesystem}))
    assert [each.reason for each in found] == ([Reason.CAPACITY_TOO_SMALL] if least else [])
    for each in found:
        assert f"{capacity}, but StorageClass c has filesystems of type {filesystem}" in each.message
        assert f"need {least}:" in each.message


@pytest.mark.parametrize(
    ("capacity", "size", "mounts", "is_warned_of"),
    [
        ("100Mi", "50M", True, False),
        ("100Mi", "100M", True, True),
        ("101Mi", "100M", True, False),
        ("50Mi", "50M", True, True),
        ("50Mi", "50M", False, False),
        ("1Gi", "1G", True, True),
        ("1G", "1G", True, True),
        ("2Gi", "1G", True, False),
    ],
)
def test_a_volume_without_room_for_the_file_of_mount_runs_is_warned_of(
    capacity: str, size: str, mounts: bool, is_warned_of: bool
) -> None:
    asked = probe(pvc_capacity=capacity, io=IoJob(size=size), mount_enabled=mounts)
    found = warnings(asked, named("d.example"))
    assert [each.reason for each in found] == ([Reason.CAPACITY_TOO_SMALL] if is_warned_of else [])
    assert all(f"a file of {size} (spec.io.size)" in each.message for each in found)


@pytest.mark.parametrize(
    ("policy", "parameters", "is_warned_of"),
    [
        (WITH_FS_TYPE, {}, True),
        (WITH_FS_TYPE, {"csi.storage.k8s.io/fstype": "ext4"}, False),
        (WITH_FS_TYPE, {"csi.storage.k8s.io/fstype": ""}, True),
        ("File", {}, False),
        ("None", {}, False),
        ("", {}, False),
    ],
)
def test_a_class_without_fstype_is_warned_of_where_the_driver_then_ignores_fsgroup(
    policy: str, parameters: dict[str, str], is_warned_of: bool
) -> None:
    found = warnings(probe(), named("kubernetes.io/aws-ebs", **parameters), policy)
    assert [each.reason for each in found] == ([Reason.FS_GROUP_IGNORED] if is_warned_of else [])
    assert all("ebs.csi.aws.com" in each.message for each in found)


def test_warnings_are_a_condition_that_says_what_to_do() -> None:
    assert class_warning(())["status"] == "False"
    told = class_warning(warnings(probe(pvc_capacity="100Mi"), named("d.example", fsType="xfs")))
    assert (told["type"], told["status"], told["reason"]) == ("ClassWarning", "True", "CapacityTooSmall")
    assert told["message"].endswith(ADVICE[Reason.CAPACITY_TOO_SMALL])
    assert warnings(probe(), None) == ()


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


@pytest.mark.parametrize(
    ("period_seconds", "attaches", "paused"),
    [(30, True, True), (59, True, True), (60, True, False), (30, False, False)],
)
def test_a_period_that_is_too_short_to_attach_is_refused(
    period_seconds: int,
    attaches: bool,
    paused: bool,
) -> None:
    found = preflight(
        probe(period_seconds=period_seconds), storage_class(), 2, frozenset(), attaches=attaches
    )
    assert {each.reason for each in found.values()} == ({Reason.PERIOD_TOO_SHORT} if paused else set())

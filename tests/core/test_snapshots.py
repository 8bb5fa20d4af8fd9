"""Which class snapshots are taken with, and what a VolumeSnapshot says of itself."""

import pytest

from pie.core.decode import decode
from pie.core.snapshots import DEFAULT_CLASS, as_it_is, suitable_class
from pie.core.wire import Metadata, VolumeSnapshot, VolumeSnapshotClass

DRIVER = "csi.example.com"


def of(
    name: str, driver: str = DRIVER, *, default: bool = False, policy: str = "Delete"
) -> VolumeSnapshotClass:
    marks = {DEFAULT_CLASS: "true"} if default else {}
    return VolumeSnapshotClass(
        metadata=Metadata(name=name, annotations=marks), driver=driver, deletion_policy=policy
    )


@pytest.mark.parametrize(
    ("classes", "name", "found"),
    [
        ([of("a")], "", "a"),
        ([of("a"), of("b", default=True)], "", "b"),
        ([of("a"), of("b", "other", default=True)], "", "a"),
        ([of("a"), of("b")], "b", "b"),
        ([of("a", default=True), of("b")], "b", "b"),
    ],
)
def test_the_class_is_the_named_one_or_that_of_the_driver(
    classes: list[VolumeSnapshotClass], name: str, found: str
) -> None:
    assert suitable_class(classes, DRIVER, name) == (found, "")


@pytest.mark.parametrize(
    ("classes", "name", "words"),
    [
        ([], "", f"there is no VolumeSnapshotClass of the driver {DRIVER}"),
        ([of("a", "other")], "", f"there is no VolumeSnapshotClass of the driver {DRIVER}"),
        ([of("a")], "b", "there is no VolumeSnapshotClass b"),
        ([of("b"), of("a")], "", "several VolumeSnapshotClasses (a, b): set snapshotClass"),
        ([of("a", default=True), of("b", default=True)], "", "several VolumeSnapshotClasses (a, b)"),
        ([of("a", "other")], "a", f"is of driver other, not of {DRIVER}"),
        ([of("a", policy="Retain")], "", "deletionPolicy Retain: each run would leave a snapshot behind"),
        ([of("a"), of("b", policy="Retain")], "b", "deletionPolicy Retain"),
    ],
)
def test_without_a_class_that_deletes_its_snapshots_there_is_none(
    classes: list[VolumeSnapshotClass], name: str, words: str
) -> None:
    found, why = suitable_class(classes, DRIVER, name)
    assert found == ""
    assert words in why


@pytest.mark.parametrize(
    ("status", "ready", "why", "offered"),
    [
        ("{}", False, "", True),
        ("null", False, "", True),
        ('{"readyToUse": true}', True, "", True),
        ('{"readyToUse": false, "error": null}', False, "", True),
        (
            '{"error": {"message": "rpc error: code = Internal desc = off\\nline"}}',
            False,
            "rpc error: code = Internal desc = off line",
            True,
        ),
        (
            '{"error": {"message": "rpc error: code = Unimplemented desc = x"}}',
            False,
            "rpc error: code = Unimplemented desc = x",
            False,
        ),
    ],
)
def test_a_snapshot_is_ready_or_has_an_error_or_waits(
    status: str, ready: bool, why: str, offered: bool
) -> None:
    snapshot = decode(f'{{"metadata": {{"name": "s"}}, "status": {status}}}', VolumeSnapshot)
    found = as_it_is(snapshot, 5.0)
    assert (found.looked_at, found.ready, found.why, found.offered) == (5.0, ready, why, offered)

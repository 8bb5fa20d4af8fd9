"""The parts of the CSI driver that need neither root nor Go."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.csi.armed import (
    Armed,
    BackingFault,
    Fault,
    MountFault,
    MountsNothing,
    PoolFull,
    RpcFault,
    matches,
)
from testbed.csi.backing import corrupted
from testbed.csi.filesystems import Mount, parse_mountinfo
from testbed.csi.pool import MIB, SMALLEST_BYTES, Filesystem, Pool, PoolFullError, capacity_for
from testbed.csi.stubs import without_gogoproto
from testbed.faults import FAULTS, ArmedFault, Options

MOUNTINFO = (
    "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    "94 22 7:0 / /tmp/with\\040blank\\134 rw,relatime shared:1 master:2 - xfs /dev/loop0 ro,attr2\n"
)
PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def test_mountinfo_is_read_with_and_without_optional_fields() -> None:
    assert parse_mountinfo(MOUNTINFO) == [
        Mount("254:0", Path("/"), readonly=False),
        Mount("7:0", Path("/tmp/with blank\\"), readonly=True),
    ]


@given(PATHS)
def test_any_mount_point_comes_back_from_mountinfo(name: str) -> None:
    escaped = "".join(f"\\{ord(each):03o}" if each in " \t\n\\" else each for each in f"/{name}")
    (mount,) = parse_mountinfo(f"94 22 7:0 / {escaped} rw - ext4 /dev/loop0 rw\n")
    assert mount.target == Path(f"/{name}")


@pytest.mark.parametrize(
    ("pattern", "claim", "hit"),
    [
        ("*", "ns/claim", True),
        ("*", "/", True),
        ("pie-pvc-*", "pie/pie-pvc-1", True),
        ("pie-pvc-*", "pie/other", False),
        ("pie/*", "pie/other", True),
        ("pie/*", "app/other", False),
    ],
)
def test_claims_match_by_name_or_by_namespace_and_name(pattern: str, claim: str, hit: bool) -> None:
    assert matches(pattern, claim) == hit


@given(st.integers(0, 1 << 50), st.sampled_from(sorted(SMALLEST_BYTES)))
def test_a_capacity_is_what_was_required_or_a_little_more(required_bytes: int, kind: Filesystem) -> None:
    capacity_bytes = capacity_for(required_bytes, kind)
    assert capacity_bytes % MIB == 0
    assert capacity_bytes >= max(required_bytes, SMALLEST_BYTES[kind])
    if required_bytes >= SMALLEST_BYTES[kind]:
        assert capacity_bytes - required_bytes < MIB


def test_a_pool_is_the_same_for_whoever_opens_it_next(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool", 100 * MIB)
    pool.prepare()
    volume = pool.create(name="one", capacity_bytes=60 * MIB, filesystem="ext4", claim="ns/one")
    again = Pool(tmp_path / "pool", 100 * MIB)
    assert again.volumes() == [volume]
    assert again.find_by_name("one") == again.find(volume.id) == volume
    assert again.available_bytes() == 40 * MIB
    with pytest.raises(PoolFullError, match=f"{40 * MIB} of {100 * MIB} free"):
        again.create(name="two", capacity_bytes=41 * MIB, filesystem="ext4", claim="ns/two")
    pool.beside(volume.id, "original").touch()
    again.delete(volume.id)
    assert list(pool.directory.glob("vol-*")) == []


@given(st.text())
def test_any_text_may_be_asked_for_as_a_volume(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    pool = Pool(tmp_path_factory.getbasetemp(), 0)
    assert pool.find(text) is None
    assert pool.find(f"vol-{text}"[:200].replace("\0", "")) is None


@pytest.mark.parametrize(
    "fault",
    [
        MountFault(kind="hang", claims="a*", when="publish", after_seconds=1.5),
        BackingFault(kind="swapped", source="/a"),
        RpcFault(rpc="CreateVolume", delay_seconds=3, code="INTERNAL"),
        PoolFull(),
        MountsNothing(claims="ns/b"),
    ],
)
def test_armed_faults_outlive_the_driver_until_they_are_disarmed(tmp_path: Path, fault: Fault) -> None:
    Armed(tmp_path / "armed.json").arm("name", fault)
    again = Armed(tmp_path / "armed.json")
    assert again.items() == {"name": fault}
    assert again.disarm("name") == fault
    assert Armed(tmp_path / "armed.json").items() == {}


@given(st.binary(min_size=512, max_size=512))
def test_corruption_changes_every_sector_and_is_its_own_inverse(sector: bytes) -> None:
    assert corrupted(sector) != sector
    assert corrupted(corrupted(sector)) == sector


def test_gogoproto_lines_and_options_are_left_out() -> None:
    proto = (
        'import "gogoproto/gogo.proto";\n'
        "option (gogoproto.goproto_stringer_all) = false;\n"
        "message A {\n"
        '  string b = 1 [(gogoproto.customname) = "B"];\n'
        "}\n"
    )
    assert without_gogoproto(proto) == "message A {\n  string b = 1;\n}\n"


def test_every_fault_has_one_line_of_meaning_and_keeps_to_the_claims_it_is_given() -> None:
    for name, fault in FAULTS.items():
        assert "\n" not in fault.meaning, name
        if isinstance(fault, ArmedFault):
            made = fault.make(Options(claims="ns/one"))
            assert isinstance(made, PoolFull) or made.claims == "ns/one", name

"""What counts as a volume: judged from mountinfo lines as kubelet and container runtimes make them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.probe.volume import why_no_volume

POD = "/var/lib/kubelet/pods/8d2e0a4c-7f3b-4a57-9a5e-0f6b2f9f8f11"
ROOT = "1065 931 0:117 / / ro,relatime - overlay overlay ro,lowerdir=/x"
HOSTS = f"1080 1065 8:1 {POD}/etc-hosts /etc/hosts rw,relatime - ext4 /dev/sda1 rw"


def mount(root: str, point: str = "/pie", source: str = "8:1 ext4 /dev/sda1") -> str:
    device, filesystem, name = source.split()
    return f"1090 1065 {device} {root} {point} rw,relatime - {filesystem} {name} rw"


@pytest.mark.parametrize(
    "line",
    [
        mount("/", source="253:7 xfs /dev/mapper/myvg1-volume"),
        mount("/", source="0:120 nfs4 10.0.0.9:/export"),
        mount("/volumes/csi/csi-vol-1", source="0:121 ceph 10.0.0.9:6789:/volumes"),
        mount("/csi-data-dir/8d2e0a4c"),  # a driver that gives out directories of the node's disk
        mount("/opt/local-path-provisioner/pvc-1_default_x"),
        mount("/subvolume", source="0:50 btrfs /dev/sdb"),
    ],
)
def test_a_mounted_volume_is_one(line: str) -> None:
    assert why_no_volume(f"{ROOT}\n{HOSTS}\n{line}\n", Path("/pie")) is None


@pytest.mark.parametrize(
    "root",
    [
        f"{POD}/volumes/kubernetes.io~csi/pvc-5a0e/mount",
        "/pods/8d2e0a4c/volumes/kubernetes.io~csi/pvc-5a0e/mount",  # kubelet's directory on a disk of its own
        "/var/lib/kubelet/plugins/kubernetes.io/csi/topolvm.io/5f1c0e/globalmount",
        "/var/lib/kubelet/plugins/kubernetes.io/csi/pv/pvc-5a0e/globalmount",
    ],
)
def test_kubelets_own_directory_is_a_driver_that_mounted_nothing(root: str) -> None:
    why = why_no_volume(f"{ROOT}\n{HOSTS}\n{mount(root)}\n", Path("/pie"))
    assert why == f"/pie is the node's own directory {root}: the CSI driver mounted nothing there"


def test_a_path_that_is_no_mount_is_no_volume() -> None:
    assert why_no_volume(f"{ROOT}\n{HOSTS}\n{mount('/', '/pie2')}\n", Path("/pie"))


def test_the_mount_on_top_counts() -> None:
    empty = mount(f"{POD}/volumes/kubernetes.io~csi/pvc-5a0e/mount")
    assert why_no_volume(f"{empty}\n{mount('/')}", Path("/pie")) is None
    assert why_no_volume(f"{mount('/')}\n{empty}", Path("/pie"))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n/"), min_size=1))
def test_any_file_name_is_found_in_mountinfo(name: str) -> None:
    if name in (".", ".."):
        return
    escaped = "".join(f"\\{ord(char):03o}" if char in " \t\n\\" else char for char in name)
    assert why_no_volume(mount("/", f"/{escaped}"), Path("/") / name) is None

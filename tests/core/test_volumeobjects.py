"""What a VolumeAttachment says of a volume that a run waits for."""

from typing import Any

import msgspec
import pytest

from pie.core.decode import decode
from pie.core.intree import DRIVERS
from pie.core.volumeobjects import CSISource, PersistentVolume, VolumeAttachment, attachment_name

CREATED, WRITTEN = "2026-01-01T00:00:00Z", "2026-01-01T00:00:07Z"


def attachment(*, leaving: bool = False, **status: object) -> VolumeAttachment:
    metadata = {
        "creationTimestamp": CREATED,
        "managedFields": [{"subresource": "status", "time": WRITTEN}],
        **({"deletionTimestamp": WRITTEN} if leaving else {}),
    }
    return msgspec.convert({"metadata": metadata, "status": status}, VolumeAttachment)


def test_it_took_from_its_creation_to_its_last_status() -> None:
    assert attachment(attached=True).attach_seconds == 7.0
    assert attachment(attached=False).attach_seconds is None


def test_while_it_is_attached_the_attachers_error_counts() -> None:
    refused = attachment(attached=False, attachError={"message": "no"}, detachError={"message": "old"})
    assert (refused.leaving, refused.error) == (False, "no")
    assert attachment(attached=True).error == ""


def test_one_that_is_being_detached_is_waited_for_and_its_detachment_may_fail() -> None:
    left = attachment(leaving=True, attached=True, detachError={"message": "busy"})
    assert (left.leaving, left.error) == (True, "busy")
    assert attachment(leaving=True, attached=True, attachError={"message": "old"}).error == ""


def test_its_name_is_that_of_kubernetes() -> None:
    name = attachment_name(CSISource("driver", "handle"), "node")
    assert name.startswith("csi-")
    assert len(name) == len("csi-") + 64


def volume(spec: dict[str, Any], labels: dict[str, str], annotations: dict[str, str]) -> PersistentVolume:
    metadata = {"name": "pv", "labels": labels, "annotations": annotations}
    return decode(msgspec.json.encode({"metadata": metadata, "spec": spec}), PersistentVolume)


ZONE = "topology.kubernetes.io/zone"
AZURE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d"


@pytest.mark.parametrize(
    ("spec", "labels", "driver", "handle"),
    [
        (
            {"awsElasticBlockStore": {"volumeID": "aws://eu-1a/vol-0f", "fsType": "ext4"}},
            {},
            "ebs.csi.aws.com",
            "vol-0f",
        ),
        ({"awsElasticBlockStore": {"volumeID": "aws:///vol-0f"}}, {}, "ebs.csi.aws.com", "vol-0f"),
        ({"awsElasticBlockStore": {"volumeID": "vol-0f"}}, {}, "ebs.csi.aws.com", "vol-0f"),
        (
            {"gcePersistentDisk": {"pdName": "d"}},
            {ZONE: "europe-west1-b"},
            "pd.csi.storage.gke.io",
            "projects/UNSPECIFIED/zones/europe-west1-b/disks/d",
        ),
        (
            {"gcePersistentDisk": {"pdName": "d"}},
            {"failure-domain.beta.kubernetes.io/zone": "europe-west1-b__europe-west1-c"},
            "pd.csi.storage.gke.io",
            "projects/UNSPECIFIED/regions/europe-west1/disks/d",
        ),
        (
            {"gcePersistentDisk": {"pdName": "d"}},
            {},
            "pd.csi.storage.gke.io",
            "projects/UNSPECIFIED/zones/UNSPECIFIED/disks/d",
        ),
        ({"azureDisk": {"diskName": "d", "diskURI": AZURE}}, {}, "disk.csi.azure.com", AZURE),
        ({"cinder": {"volumeID": "c0ffee"}}, {}, "cinder.csi.openstack.org", "c0ffee"),
        (
            {"vsphereVolume": {"volumePath": "[ds] kubevols/d.vmdk"}},
            {},
            "csi.vsphere.vmware.com",
            "[ds] kubevols/d.vmdk",
        ),
        ({"portworxVolume": {"volumeID": "7"}}, {}, "pxd.portworx.com", "7"),
        ({"csi": {"driver": "d.example", "volumeHandle": "h"}}, {}, "d.example", "h"),
    ],
)
def test_a_volume_with_an_in_tree_name_is_its_csi_drivers(
    spec: dict[str, Any], labels: dict[str, str], driver: str, handle: str
) -> None:
    assert volume(spec, labels, {}).source == CSISource(driver, handle)
    if "csi" not in spec:
        migrated = {"pv.kubernetes.io/migrated-to": "other.example"}
        assert volume(spec, labels, migrated).source == CSISource("other.example", handle)
        assert driver in DRIVERS.values()


@pytest.mark.parametrize("source", ["nfs", "hostPath", "local", "azureFile"])
def test_a_volume_that_nobody_attaches_has_no_such_source(source: str) -> None:
    assert volume({source: {"path": "/x"}}, {}, {}).source is None

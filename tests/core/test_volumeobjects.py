"""What a VolumeAttachment says of a volume that a run waits for."""

import msgspec

from pie.core.volumeobjects import CSISource, VolumeAttachment, attachment_name

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

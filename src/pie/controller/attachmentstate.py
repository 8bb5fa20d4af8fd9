"""Reads the VolumeAttachment of a run's volume, if its driver has any."""

from dataclasses import dataclass, replace
from typing import Final

from pie.core.timeline import Run, Sightings
from pie.core.volumeobjects import CSIDriver, PersistentVolume, VolumeAttachment, attachment_name
from pie.kube.client import Client
from pie.kube.resources import CSI_DRIVERS, PVS, VOLUME_ATTACHMENTS
from pie.kube.sharedlist import SharedList

_LOOK_AGAIN_SECONDS: Final = 600.0
"""A driver's CSIDriver can be deleted and created again with another attachRequired."""


@dataclass(frozen=True, slots=True)
class AttachmentState:
    """What an attachment says; `missing`: it does not exist yet."""

    attached: bool = False
    seconds: float | None = None
    error: str = ""
    missing: bool = False

    def added_to(self, sightings: Sightings) -> Sightings:
        """Return the sightings of a run with this."""
        return replace(
            sightings,
            attaching=True,
            attached=self.attached,
            attach_seconds=self.seconds,
            attach_error=self.error,
            attachment_missing=self.missing,
        )


@dataclass(frozen=True, slots=True)
class _Driver:
    """Whether a driver attaches volumes, and when this was read."""

    attaches: bool
    asked_at: float


class AttachmentReader:
    """Reads attachments: a few by name, many in one list. It remembers for a while which drivers attach."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._volumes = SharedList(client, PVS, None, decode=PersistentVolume)
        self._attachments = SharedList(client, VOLUME_ATTACHMENTS, None, decode=VolumeAttachment)
        self._drivers: dict[str, _Driver] = {}

    def may_attach(self, driver: str) -> bool:
        """Tell whether a driver may attach volumes; an unknown one may."""
        known = self._fresh(driver)
        return known is None or known.attaches

    def attaches(self, driver: str) -> bool:
        """Tell whether a driver is known to attach volumes."""
        known = self._drivers.get(driver)
        return known is not None and known.attaches

    async def look(self, run: Run, driver: str, since: float | None = None) -> AttachmentState | None:
        """Return what the attachment of a run's volume said at `since` (now) or later; None: it has none."""
        since = self._client.now() if since is None else since
        if run.pod is None or run.claim is None or not await self._attaches(driver):
            return None
        volume = await self._volumes.one(run.claim.spec.volume_name, since)
        if volume is None:
            return None
        if (source := volume.source) is None:
            if driver not in self._drivers:
                self._note(driver, attaches=False)  # It has no CSIDriver because it is no CSI driver.
            return None
        name = attachment_name(source, run.pod.spec.node_name)
        attachment = await self._attachments.one(name, since)
        if attachment is None or (attachment.leaving and run.pod.status.phase == "Pending"):
            # It is the attachment of the run before.
            return AttachmentState(
                error=attachment.error if attachment is not None else "", missing=attachment is None
            )
        return AttachmentState(attachment.status.attached, attachment.attach_seconds, attachment.error)

    async def _attaches(self, driver: str) -> bool:
        if (known := self._fresh(driver)) is not None:
            return known.attaches
        if (old := self._drivers.get(driver)) is not None:
            self._note(driver, attaches=old.attaches)  # It counts for others until this read is done.
        found = await self._client.get_or_none(CSI_DRIVERS, driver, decode=CSIDriver)
        if found is None:
            # Then Kubernetes attaches. It may be missing only for a moment, for example in an upgrade.
            # https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/volume/csi/csi_plugin.go (skipAttach)
            self._drivers.pop(driver, None)
            return True
        self._note(driver, attaches=found.spec.attach_required)
        return found.spec.attach_required

    def _fresh(self, driver: str) -> _Driver | None:
        known = self._drivers.get(driver)
        return known if known and self._client.now() < known.asked_at + _LOOK_AGAIN_SECONDS else None

    def _note(self, driver: str, *, attaches: bool) -> None:
        self._drivers[driver] = _Driver(attaches, self._client.now())

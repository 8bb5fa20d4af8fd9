"""What the attachment of a run's volume says: only some drivers attach, and it has no label of pie's."""

from dataclasses import dataclass, replace

from pie.core.attachment import CSIDriver, CSISource, PersistentVolume, VolumeAttachment, attachment_name
from pie.core.objects import Claim
from pie.core.timeline import Run, Sightings
from pie.kube.client import Client
from pie.kube.resources import CSI_DRIVERS, PVS, VOLUME_ATTACHMENTS


@dataclass(frozen=True, slots=True)
class Seen:
    """What an attachment says; nothing of it is there yet where all is at its default."""

    attached: bool = False
    seconds: float | None = None
    error: str = ""

    def added_to(self, sightings: Sightings) -> Sightings:
        """Return the sightings of a run with this."""
        return replace(
            sightings,
            attaching=True,
            attached=self.attached,
            attach_seconds=self.seconds,
            attach_error=self.error,
        )


class Attachments:
    """Asks the API server, by name; remembers which drivers attach."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._attaches: dict[str, bool] = {}

    def possible(self, run: Run, driver: str) -> bool:
        """Tell whether a run can have one: it has a node, a volume, and a driver that may attach."""
        if run.pod is None or not run.pod.spec.node_name or run.claim is None:
            return False
        return bool(run.claim.spec.volume_name) and self._attaches.get(driver, True)

    async def look(self, run: Run, driver: str) -> Seen | None:
        """Return what the attachment of a run's volume says now; None where there can be none."""
        if run.pod is None or run.claim is None:
            return None
        if driver not in self._attaches:
            found = await self._client.get_or_none(CSI_DRIVERS, driver, decode=CSIDriver)
            self._attaches[driver] = found is not None and found.spec.attach_required
        if not self._attaches[driver] or (source := await self._source(run.claim)) is None:
            return None
        name = attachment_name(source, run.pod.spec.node_name)
        attachment = await self._client.get_or_none(VOLUME_ATTACHMENTS, name, decode=VolumeAttachment)
        if attachment is None or (attachment.leaving and run.pod.status.phase == "Pending"):
            return Seen(error=attachment.error if attachment is not None else "")  # of the run before
        return Seen(attachment.status.attached, attachment.attach_seconds, attachment.error)

    async def _source(self, claim: Claim) -> CSISource | None:
        volume = await self._client.get_or_none(PVS, claim.spec.volume_name, decode=PersistentVolume)
        return volume.spec.csi if volume is not None else None

"""CSI's Controller service: it creates, deletes and (in the attachable variant) attaches volumes."""

from dataclasses import dataclass
from typing import Any

import grpc
import msgspec

from testbed.csi import filesystems
from testbed.csi.armed import Armed, CloneFault, ExpandsNothing, PoolFull
from testbed.csi.backing import BackingFiles
from testbed.csi.calls import CLAIM_NAME, CLAIM_NAMESPACE, CallError, claim
from testbed.csi.capabilities import INVALID, refusal, require, require_capability, wanted_filesystem
from testbed.csi.locks import VolumeLocks
from testbed.csi.pool import SMALLEST_BYTES, Pool, PoolFullError, Volume, capacity_for, make_empty
from testbed.csi.stubs import Stubs

PV_NAME = "csi.storage.k8s.io/pv/name"
KNOWN_PARAMETERS = {CLAIM_NAME, CLAIM_NAMESPACE, PV_NAME}
Code = grpc.StatusCode


@dataclass(frozen=True, slots=True)
class Controller:
    """The methods of csi.v1.Controller. `segments`: the topology of all volumes here; empty: anywhere."""

    stubs: Stubs
    pool: Pool
    armed: Armed
    locks: VolumeLocks
    backing: BackingFiles
    segments: dict[str, str]
    attach: bool

    async def ControllerGetCapabilities(self, _request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Return what this controller can do."""
        csi = self.stubs.csi
        rpc = csi.ControllerServiceCapability.RPC
        types = [
            rpc.CREATE_DELETE_VOLUME,
            rpc.LIST_VOLUMES,
            rpc.GET_CAPACITY,
            rpc.EXPAND_VOLUME,
            rpc.CLONE_VOLUME,
        ]
        if self.attach:
            types.append(rpc.PUBLISH_UNPUBLISH_VOLUME)
        capabilities = [csi.ControllerServiceCapability(rpc=rpc(type=kind)) for kind in types]
        return csi.ControllerGetCapabilitiesResponse(capabilities=capabilities)

    async def CreateVolume(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Create a sparse backing file, or copy that of the volume to clone.

        A filesystem is created when the volume is first staged without one.
        """
        require(name=request.name, volume_capabilities=request.volume_capabilities)
        self._refuse_what_is_not_served(request)
        async with self.locks[request.name]:
            volume = self._existing(request) or await self._create(request)
        return self.stubs.csi.CreateVolumeResponse(volume=self._volume(volume))

    async def DeleteVolume(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Remove the volume's files."""
        require(volume_id=request.volume_id)
        volume = self.pool.find(request.volume_id)
        if volume:
            async with self.locks[volume.id]:
                if filesystems.loop_device(self.pool.backing_file(volume.id)):  # perhaps on another node
                    raise CallError(Code.FAILED_PRECONDITION, f"volume {volume.id} is still mounted")
                if volume.attached_to:
                    raise CallError(
                        Code.FAILED_PRECONDITION,
                        f"volume {volume.id} is attached to node {volume.attached_to}",
                    )
                self.pool.delete(volume.id)
        return self.stubs.csi.DeleteVolumeResponse()

    async def ControllerPublishVolume(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Attach a volume to one node, as network storage does."""
        require(volume_id=request.volume_id, node_id=request.node_id)
        if why := refusal(self.stubs, [require_capability(request)]):
            raise CallError(INVALID, why)
        volume = self._find(request.volume_id)
        if not self.pool.has_node(request.node_id):
            raise CallError(Code.NOT_FOUND, f"there is no node {request.node_id}")
        if volume.attached_to not in ("", request.node_id):
            raise CallError(
                Code.FAILED_PRECONDITION,
                f"volume {volume.id} is attached to node {volume.attached_to} already",
            )
        if volume.attached_to and volume.attached_readonly != request.readonly:
            raise CallError(
                Code.ALREADY_EXISTS,
                f"volume {volume.id} is attached, with readonly={volume.attached_readonly}",
            )
        self.pool.write(
            msgspec.structs.replace(volume, attached_to=request.node_id, attached_readonly=request.readonly)
        )
        return self.stubs.csi.ControllerPublishVolumeResponse()

    async def ControllerUnpublishVolume(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Detach a volume, unless it is gone or not attached to this node."""
        require(volume_id=request.volume_id)
        volume = self.pool.find(request.volume_id)
        if volume and request.node_id in ("", volume.attached_to):
            self.pool.write(msgspec.structs.replace(volume, attached_to="", attached_readonly=False))
        return self.stubs.csi.ControllerUnpublishVolumeResponse()

    async def ValidateVolumeCapabilities(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Tell whether an existing volume can be used in this way."""
        require(volume_id=request.volume_id, volume_capabilities=request.volume_capabilities)
        self._find(request.volume_id)
        answer = self.stubs.csi.ValidateVolumeCapabilitiesResponse
        if why := refusal(self.stubs, request.volume_capabilities):
            return answer(message=why)
        confirmed = answer.Confirmed(
            volume_context=request.volume_context,
            volume_capabilities=request.volume_capabilities,
            parameters=request.parameters,
        )
        return answer(confirmed=confirmed)

    async def ControllerExpandVolume(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Make a volume larger; its filesystem grows on the node."""
        require(volume_id=request.volume_id, capacity_range=request.HasField("capacity_range"))
        volume = self._find(request.volume_id)
        wanted = request.capacity_range
        capacity_bytes = capacity_for(wanted.required_bytes or volume.capacity_bytes, volume.filesystem)
        if 0 < wanted.limit_bytes < capacity_bytes:
            raise CallError(
                Code.OUT_OF_RANGE, f"{capacity_bytes} bytes are more than the limit of {wanted.limit_bytes}"
            )
        answer = self.stubs.csi.ControllerExpandVolumeResponse
        if next(self.armed.concerning(ExpandsNothing, volume.claim), None):
            return answer(capacity_bytes=capacity_bytes, node_expansion_required=False)
        if capacity_bytes > volume.capacity_bytes:
            self._expand(volume, capacity_bytes)
        return answer(capacity_bytes=max(capacity_bytes, volume.capacity_bytes), node_expansion_required=True)

    async def ListVolumes(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """List all volumes, a page at a time; the token of a page is the place of its first volume."""
        volumes = self.pool.volumes()
        token = request.starting_token or "0"
        if not token.isdecimal() or int(token) > len(volumes):
            raise CallError(Code.ABORTED, f"starting_token {token!r} is not one that was given out")
        start = int(token)
        end = start + request.max_entries if request.max_entries else len(volumes)
        answer = self.stubs.csi.ListVolumesResponse
        entries = [answer.Entry(volume=self._volume(volume)) for volume in volumes[start:end]]
        return answer(entries=entries, next_token=str(end) if end < len(volumes) else "")

    async def GetCapacity(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Return the free space for volumes of this kind in this place."""
        here = all(
            self.segments.get(key) == value for key, value in request.accessible_topology.segments.items()
        )
        full = next(self.armed.concerning(PoolFull, "/"), None)
        served = not refusal(self.stubs, request.volume_capabilities)
        available_bytes = self.pool.available_bytes() if here and served and not full else 0
        least = SMALLEST_BYTES[wanted_filesystem(request.volume_capabilities)] if served else 0
        return self.stubs.csi.GetCapacityResponse(
            available_capacity=available_bytes,
            maximum_volume_size={"value": available_bytes},
            minimum_volume_size={"value": least},
        )

    def _refuse_what_is_not_served(self, request: Any) -> None:
        if why := refusal(self.stubs, request.volume_capabilities):
            raise CallError(INVALID, why)
        if unknown := sorted(set(request.parameters) - KNOWN_PARAMETERS):
            raise CallError(INVALID, f"unknown parameters in the StorageClass: {', '.join(unknown)}")
        if request.volume_content_source.HasField("snapshot"):
            raise CallError(INVALID, "snapshots are not supported as the source of a volume")
        asked = (*request.accessibility_requirements.requisite, *request.accessibility_requirements.preferred)
        if (
            self.segments
            and asked
            and not any(dict(topology.segments) == self.segments for topology in asked)
        ):
            raise CallError(
                Code.RESOURCE_EXHAUSTED, f"volumes of this pool are reachable from {self.segments} only"
            )

    def _existing(self, request: Any) -> Volume | None:
        """Return the volume that an earlier call of the same name created; refuse a different one."""
        volume = self.pool.find_by_name(request.name)
        if volume is None:
            return None
        wanted = request.capacity_range
        too_large = 0 < wanted.limit_bytes < volume.capacity_bytes
        other_filesystem = volume.filesystem != wanted_filesystem(request.volume_capabilities)
        if volume.capacity_bytes < wanted.required_bytes or too_large or other_filesystem:
            raise CallError(
                Code.ALREADY_EXISTS,
                f"volume {request.name} exists: {volume.filesystem}, {volume.capacity_bytes} bytes",
            )
        return volume

    async def _create(self, request: Any) -> Volume:
        kind = wanted_filesystem(request.volume_capabilities)
        limit_bytes = request.capacity_range.limit_bytes
        capacity_bytes = capacity_for(request.capacity_range.required_bytes, kind)
        if 0 < limit_bytes < capacity_bytes:
            raise CallError(
                Code.OUT_OF_RANGE,
                f"a volume of {kind} has at least {capacity_bytes} bytes, the limit is {limit_bytes}",
            )
        owner = claim(request.parameters)
        if next(self.armed.concerning(PoolFull, owner), None):
            raise CallError(
                Code.RESOURCE_EXHAUSTED, f"the pool has 0 of {self.pool.capacity_bytes} bytes free"
            )
        source = self._source(request, capacity_bytes)
        try:
            volume = self.pool.plan(
                name=request.name,
                capacity_bytes=capacity_bytes,
                filesystem=kind,
                claim=owner,
                source=source.id if source else "",
            )
        except PoolFullError as error:
            raise CallError(Code.RESOURCE_EXHAUSTED, str(error)) from error
        image = self.pool.backing_file(volume.id)
        if source and not next(self.armed.concerning(CloneFault, owner), None):
            async with self.locks[source.id]:
                await self.backing.copy(source, image)
        else:
            make_empty(image, capacity_bytes)
        self.pool.write(volume)
        return volume

    def _source(self, request: Any, capacity_bytes: int) -> Volume | None:
        """Return the volume to clone; None: the new one is to be empty."""
        if not request.volume_content_source.HasField("volume"):
            return None
        faults = [fault.kind for _, fault in self.armed.concerning(CloneFault, claim(request.parameters))]
        if "refused" in faults:
            raise CallError(Code.UNIMPLEMENTED, "volumes are not cloned")
        source = self._find(request.volume_content_source.volume.volume_id)
        if source.filesystem != wanted_filesystem(request.volume_capabilities):
            raise CallError(INVALID, f"a clone of {source.id} has {source.filesystem}, as its source")
        if source.capacity_bytes != capacity_bytes:
            raise CallError(
                Code.OUT_OF_RANGE, f"a clone of {source.id} has {source.capacity_bytes} bytes, as its source"
            )
        return source

    def _expand(self, volume: Volume, capacity_bytes: int) -> None:
        try:
            self.pool.expand(volume, capacity_bytes)
        except PoolFullError as error:
            raise CallError(Code.RESOURCE_EXHAUSTED, str(error)) from error

    def _find(self, volume_id: str) -> Volume:
        if volume := self.pool.find(volume_id):
            return volume
        raise CallError(Code.NOT_FOUND, f"there is no volume {volume_id}")

    def _volume(self, volume: Volume) -> Any:
        topology = [{"segments": self.segments}] if self.segments else []
        source = {"volume": {"volume_id": volume.source}} if volume.source else None
        return self.stubs.csi.Volume(
            volume_id=volume.id,
            capacity_bytes=volume.capacity_bytes,
            accessible_topology=topology,
            content_source=source,
        )

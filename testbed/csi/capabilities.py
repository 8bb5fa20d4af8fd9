"""The kinds of volumes that the driver serves: mounted or raw, on one node at a time."""

from collections.abc import Iterable
from typing import Any

import grpc

from testbed.csi.calls import CallError
from testbed.csi.pool import RAW, Filesystem, filesystem
from testbed.csi.stubs import Stubs

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def require(**fields: Any) -> None:
    """Refuse a request without a required field."""
    for name, value in fields.items():
        if not value:
            raise CallError(INVALID, f"{name} is missing")


def require_capability(request: Any) -> Any:
    """Return the request's volume capability; refuse a request without one."""
    if not request.HasField("volume_capability"):
        raise CallError(INVALID, "volume_capability is missing")
    return request.volume_capability


def refusal(stubs: Stubs, capabilities: Iterable[Any]) -> str:
    """Return why a volume with these capabilities cannot be served; empty: it can."""
    modes = stubs.csi.VolumeCapability.AccessMode
    for capability in capabilities:
        if capability.access_mode.mode not in (modes.SINGLE_NODE_WRITER, modes.SINGLE_NODE_READER_ONLY):
            mode = modes.Mode.Name(capability.access_mode.mode)
            return f"access mode {mode} is not served: a volume is on one node"
        if capability.HasField("block"):
            continue
        try:
            filesystem(capability.mount.fs_type)
        except ValueError as error:
            return str(error)
    return ""


def wanted_filesystem(capabilities: Iterable[Any]) -> Filesystem:
    """Return the filesystem in these capabilities, which `refusal` accepted."""
    first = next(iter(capabilities), None)
    if first is None:
        return filesystem("")
    return RAW if first.HasField("block") else filesystem(first.mount.fs_type)

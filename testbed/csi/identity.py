"""CSI's Identity service, and the Registration service for the kubelet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from testbed.csi.stubs import Stubs

VERSION = "0.1.0"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Identity:
    """The methods of csi.v1.Identity."""

    stubs: Stubs
    driver: str
    attach: bool
    controller: bool

    async def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Return the driver's name."""
        return self.stubs.csi.GetPluginInfoResponse(name=self.driver, vendor_version=VERSION)

    async def GetPluginCapabilities(self, _request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Return whether there is a controller, whether volumes are node-local, and that they can grow."""
        csi = self.stubs.csi
        service = csi.PluginCapability.Service
        types = [service.CONTROLLER_SERVICE] if self.controller else []
        if not self.attach:
            types.append(service.VOLUME_ACCESSIBILITY_CONSTRAINTS)
        capabilities = [csi.PluginCapability(service=service(type=kind)) for kind in types]
        expansion = csi.PluginCapability.VolumeExpansion
        grows = csi.PluginCapability(volume_expansion=expansion(type=expansion.ONLINE))
        capabilities.append(grows)
        return csi.GetPluginCapabilitiesResponse(capabilities=capabilities)

    async def Probe(self, _request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Return that the driver is ready."""
        return self.stubs.csi.ProbeResponse(ready={"value": True})


@dataclass(frozen=True, slots=True)
class Registration:
    """The methods of pluginregistration.Registration, by which the kubelet gets to know the driver.

    `endpoint` is where the driver listens, `socket` where these methods are served.
    """

    stubs: Stubs
    driver: str
    endpoint: Path
    socket: Path

    async def GetInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802  kubelet's name
        """Return where the driver listens."""
        return self.stubs.registration.PluginInfo(
            type="CSIPlugin", name=self.driver, endpoint=str(self.endpoint), supported_versions=["1.0.0"]
        )

    async def NotifyRegistrationStatus(self, request: Any, _context: Any) -> Any:  # noqa: N802  kubelet's name
        """Log the result, and register the driver again if it was refused.

        A kubelet that has just started may not know its own node yet. It tries again only with a new socket.
        So node-driver-registrar ends and is restarted; a new name of the socket has the same effect.
        """
        log.info("registration", registered=request.plugin_registered, error=request.error)
        if not request.plugin_registered:
            hidden = self.socket.with_name(f".{self.socket.name}")  # kubelet ignores such names
            self.socket.rename(hidden).rename(self.socket)
        return self.stubs.registration.RegistrationStatusResponse()

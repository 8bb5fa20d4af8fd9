"""Compares the CRD in the cluster with that of this version of pie: at the start, and while it is older."""

from collections.abc import Hashable
from typing import Any, Final

import msgspec
import structlog

from pie.controller.caches import Caches
from pie.controller.queue import WorkQueue
from pie.core.crd import lacking, words
from pie.kube.client import Client
from pie.kube.errors import KubeError
from pie.kube.resources import CRDS, PIE_PROBES
from pie.packaged import pieprobe_crd

_log = structlog.get_logger()

_LOOK_AGAIN_SECONDS: Final = 600.0
_NAME: Final = f"{PIE_PROBES.plural}.{PIE_PROBES.group}"


class _Schema(msgspec.Struct, frozen=True, rename={"schema": "openAPIV3Schema"}):
    schema: dict[str, Any] = {}


class _Version(msgspec.Struct, frozen=True):
    name: str = ""
    schema: _Schema = _Schema()


class _Spec(msgspec.Struct, frozen=True):
    versions: tuple[_Version, ...] = ()


class _Definition(msgspec.Struct, frozen=True):
    spec: _Spec = _Spec()


class ServedSchema:
    """What the CRD in the cluster lacks of the fields that pie uses; nothing while pie may not read it."""

    def __init__(
        self, client: Client, caches: Caches, queue: WorkQueue, *, every_seconds: float = _LOOK_AGAIN_SECONDS
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._every_seconds = every_seconds
        self.missing: tuple[str, ...] = ()
        queue.handle("schema", self._look)

    def start(self) -> None:
        """Begin to lead: read the CRD, and again while it lacks something."""
        self._queue.add("schema", _NAME)

    async def _look(self, _thing: Hashable) -> None:
        try:
            found = await self._client.get(CRDS, _NAME, decode=_Definition)
        except KubeError as error:
            _log.debug("the CRD is not known", error=str(error))
            return
        served = (each.schema.schema for each in found.spec.versions if each.name == PIE_PROBES.version)
        ours = pieprobe_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        missing = lacking(ours, next(served, {}))
        if missing != self.missing:
            if missing:
                _log.warning("the CRD is older than pie", message=words(missing))
            else:
                _log.info("the CRD has all fields that pie uses now")
            self.missing = missing
            for each in list(self._caches.probes.store.values()):
                self._queue.add("probe", each.id)
        if missing:
            self._queue.add("schema", _NAME, after_seconds=self._every_seconds)

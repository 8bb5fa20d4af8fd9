"""Carries out what is planned for a target, and remembers why it cannot have its objects.

A target without PVC or CronJob has no runs, which could report it.
"""

from typing import Final

import structlog

from pie.controller.queue import WorkQueue
from pie.core.batch.wire import CronJob
from pie.core.manifests import Manifest
from pie.core.model import Target
from pie.core.plan import (
    Action,
    AdoptClaim,
    AdoptCronJob,
    ApplyCronJob,
    CreateClaim,
    CreateCronJob,
    DeleteClaim,
    DeleteCronJob,
    ReportNameTaken,
)
from pie.core.reasons import Reason
from pie.core.wire import Claim, Metadata
from pie.kube.client import Client
from pie.kube.errors import (
    ApiError,
    Conflict,
    NotFound,
    ServerTimeout,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
)
from pie.kube.resources import CRONJOBS, PVCS, Resource
from pie.kube.watchstream import Marked

_log = structlog.get_logger()

_NO_REFUSAL: Final = (Conflict, TooManyRequests, ServiceUnavailable, ServerTimeout, Unauthorized)
"""Answers that say nothing about the object. That of a webhook that cannot be reached does, a plain 500."""

_LOOK_AGAIN_SECONDS: Final = 60.0
"""While another object has a name: it may be one that is not watched."""


class Actions:
    """Writes the objects of targets.

    `generations` are those of CronJobs, by uid, as pie wrote or first found them.
    """

    def __init__(self, client: Client, namespace: str, queue: WorkQueue) -> None:
        self._client = client
        self._namespace = namespace
        self._queue = queue
        self._refused: dict[Target, tuple[Reason, str]] = {}
        self.generations: dict[str, int] = {}

    async def carry_out(self, target: Target, actions: tuple[Action, ...]) -> None:
        """Do what is planned for a target, up to the first error, which is raised."""
        taken: tuple[Reason, str] | None = None
        for action in actions:
            if isinstance(action, ReportNameTaken):
                taken = Reason.NAME_TAKEN, action.message
                self._queue.add("target", target, after_seconds=_LOOK_AGAIN_SECONDS)
                continue
            try:
                await self._act(target, action)
            except ApiError as error:
                if (reason := _refusal(action, error)) is not None:
                    self._note(target, (reason, str(error)))
                raise
        self._note(target, taken)

    def _note(self, target: Target, refusal: tuple[Reason, str] | None) -> None:
        if refusal == self._refused.get(target):
            return
        self._refused.pop(target, None)
        if refusal is not None:
            self._refused[target] = refusal
        self._queue.add("status", target.probe)

    def refused(self, probe: str) -> tuple[Reason, str] | None:
        """Return why targets of a PieProbe lack their objects: the API server's words, or who has a name."""
        refused = {target: why for target, why in self._refused.items() if target.probe == probe}
        if not refused:
            return None
        first = min(refused, key=str)
        reason, words = refused[first]
        others = f" ({len(refused) - 1} more targets lack an object too)" if len(refused) > 1 else ""
        return reason, f"{first} is not probed: {words}{others}"

    async def _act(self, target: Target, action: Action) -> None:
        log = _log.bind(target=str(target))
        match action:
            case CreateClaim(manifest):
                log.info("creating PVC", name=manifest["metadata"]["name"])
                await self._client.create(PVCS, manifest, self._namespace, decode=Claim)
            case AdoptClaim(metadata, manifest):
                log.info("adopting PVC without owner", name=metadata.name)
                await self._adopt(PVCS, metadata, manifest)
            case DeleteClaim(metadata):
                log.info("deleting PVC", name=metadata.name)
                await self._delete(PVCS, metadata)
            case CreateCronJob(manifest):
                log.info("creating CronJob", name=manifest["metadata"]["name"])
                await self._apply(manifest, force=False)
            case AdoptCronJob(metadata, manifest):
                log.info("adopting CronJob without owner", name=metadata.name)
                await self._adopt(CRONJOBS, metadata, manifest)
            case ApplyCronJob(manifest):
                log.info("applying CronJob", name=manifest["metadata"]["name"])
                await self._apply(manifest, force=True)
            case DeleteCronJob(metadata):
                log.info("deleting CronJob", name=metadata.name)
                await self._delete(CRONJOBS, metadata)

    async def _apply(self, manifest: Manifest, *, force: bool) -> None:
        name = manifest["metadata"]["name"]
        applied = await self._client.apply(
            CRONJOBS, name, manifest, self._namespace, decode=CronJob, force=force
        )
        self.generations[applied.metadata.uid] = applied.metadata.generation

    async def _adopt(self, resource: Resource, found: Metadata, manifest: Manifest) -> None:
        """Set the owner of the very object that was looked at, if nobody changed it since."""
        owned = {
            "uid": found.uid,
            "resourceVersion": found.resource_version,
            "ownerReferences": manifest["metadata"]["ownerReferences"],
        }
        await self._client.merge_patch(
            resource, found.name, {"metadata": owned}, found.namespace, decode=Marked
        )

    async def _delete(self, resource: Resource, metadata: Metadata) -> None:
        try:
            await self._client.delete(
                resource,
                metadata.name,
                metadata.namespace,
                uid=metadata.uid,
                resource_version=metadata.resource_version,
            )
        except NotFound:
            _log.debug("gone already", name=metadata.name)


def _refusal(action: Action, error: ApiError) -> Reason | None:
    """Return what kind of object the API server refuses to let pie make; None where it does not."""
    if isinstance(error, _NO_REFUSAL):
        return None
    match action:
        case CreateClaim():
            return Reason.CLAIM_REFUSED
        case CreateCronJob() | ApplyCronJob():
            return Reason.POD_REFUSED
        case _:
            return None

"""Carries out what is planned for a target, and remembers what the API server refuses to let pie make.

A target whose claim or CronJob is refused has no runs, which could say so.
"""

from typing import Final

import structlog

from pie.controller.queue import WorkQueue
from pie.core.batch.wire import CronJob
from pie.core.model import Target
from pie.core.plan import Action, ApplyCronJob, CreateClaim, DeleteClaim, DeleteCronJob
from pie.core.reasons import Reason
from pie.core.wire import Claim, Metadata
from pie.kube.client import Client
from pie.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    NotFound,
    ServerTimeout,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
)
from pie.kube.resources import CRONJOBS, PVCS, Resource

_log = structlog.get_logger()

_NO_REFUSAL: Final = (Conflict, TooManyRequests, ServiceUnavailable, ServerTimeout, Unauthorized)
"""Answers that say nothing about the object. That of a webhook that cannot be reached does, a plain 500."""


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
        for action in actions:
            try:
                await self._act(target, action)
            except ApiError as error:
                if (reason := _refusal(action, error)) is not None:
                    self._note(target, (reason, str(error)))
                raise
        self._note(target, None)

    def _note(self, target: Target, refusal: tuple[Reason, str] | None) -> None:
        if refusal == self._refused.get(target):
            return
        self._refused.pop(target, None)
        if refusal is not None:
            self._refused[target] = refusal
        self._queue.add("status", target.probe)

    def refused(self, probe: str) -> tuple[Reason, str] | None:
        """Return why targets of a PieProbe lack their objects, in the API server's words."""
        refused = {target: why for target, why in self._refused.items() if target.probe == probe}
        if not refused:
            return None
        first = min(refused, key=str)
        reason, words = refused[first]
        others = f" ({len(refused) - 1} more targets are refused an object too)" if len(refused) > 1 else ""
        return reason, f"{first} is not probed: {words}{others}"

    async def _act(self, target: Target, action: Action) -> None:
        log = _log.bind(target=str(target))
        match action:
            case CreateClaim(manifest):
                log.info("creating claim", name=manifest["metadata"]["name"])
                try:
                    await self._client.create(PVCS, manifest, self._namespace, decode=Claim)
                except AlreadyExists:
                    log.debug("claim exists already; the cache was behind")
            case ApplyCronJob(manifest):
                name = manifest["metadata"]["name"]
                log.info("applying CronJob", name=name)
                applied = await self._client.apply(CRONJOBS, name, manifest, self._namespace, decode=CronJob)
                self.generations[applied.metadata.uid] = applied.metadata.generation
            case DeleteCronJob(metadata):
                log.info("deleting CronJob", name=metadata.name)
                await self._delete(CRONJOBS, metadata)
            case DeleteClaim(metadata):
                log.info("deleting claim", name=metadata.name)
                await self._delete(PVCS, metadata)

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
        case ApplyCronJob():
            return Reason.POD_REFUSED
        case _:
            return None

"""Performs a check: surveys, works through the targets a few at a time, cleans up, and reports."""

import asyncio
import getpass
import os
import secrets
import socket
from typing import Any, Final, Protocol

from pie.controller.oneshot.cleanup import Cleanup
from pie.controller.oneshot.follow import Follower
from pie.controller.oneshot.survey import CannotCheck, Survey, survey
from pie.controller.oneshot.work import Worker
from pie.core.kinds import KINDS, spec_for
from pie.core.model import NOT_GOOD, Image, Probe, Stage, Target
from pie.core.oneshot import Checked, CheckReport, Maker, Order, lease, passed, probe_of
from pie.kube.client import Client
from pie.kube.errors import KubeError
from pie.kube.lease import Lease
from pie.kube.resources import LEASES

CLEAN_UP_SECONDS: Final = 60.0
"""A kubelet repeats a refused unmount more and more rarely: after 40 s, half a minute later."""
INTERRUPTED: Final = "interrupted"
_SYNC_SECONDS: Final = 30.0


class Progress(Protocol):
    """Shows the progress of a check."""

    def begins(self, check: str, found: Survey, targets: int) -> None:
        """Note that a check of so many targets begins."""

    def stage(self, target: Target, stage: Stage) -> None:
        """Store the stage of a target."""

    def again(self, target: Target, result: Checked) -> None:
        """Note the result of a target that is now checked again on another node."""

    def ended(self, target: Target, result: Checked) -> None:
        """Store the result of a target."""

    def cleaning(self) -> None:
        """Note that the clean-up begins."""


class Interrupted(Exception):  # noqa: N818  an order, not an error
    """The check was ended before it created anything."""


async def perform(client: Client, order: Order, progress: Progress, stop: asyncio.Event) -> CheckReport:
    """Perform a check. `stop` ends it early; if it is set again, it ends the clean-up.

    The report says what ended a check early: `INTERRUPTED` or an error. Before anything was created, this
    raises CannotCheck, Interrupted, or the KubeError of a request.
    """
    surveying = asyncio.create_task(survey(client, order))
    await _either(surveying, stop)
    if not surveying.done():
        await _end(surveying)
        raise Interrupted
    return await _Check(client, order, surveying.result(), progress).perform(stop)


class _Check:
    """One check of what the survey found."""

    def __init__(self, client: Client, order: Order, found: Survey, progress: Progress) -> None:
        self._client = client
        self._order = order
        self._found = found
        self._progress = progress
        self._name = f"pie-check-{secrets.token_hex(3)}"
        self._results: list[Checked] = []
        self._notes: list[str] = []
        self._cleanup = Cleanup(
            client,
            order.namespace,
            self._name,
            retained=found.storage_class.reclaim_policy == "Retain",
        )
        self._follower = Follower(
            client,
            order.namespace,
            self._name,
            storage_class=found.storage_class,
            nodes=found.seen,
        )

    async def perform(self, stop: asyncio.Event) -> CheckReport:
        """Check the targets, and clean up in every case."""
        started, began = self._client.now(), self._client.clock.monotonic()
        targets = self._targets()
        self._progress.begins(self._name, self._found, len(targets))
        error = await self._work_and_clean_up(targets, stop) if targets else ""
        return CheckReport(
            check=self._name,
            storage_class=self._order.storage_class,
            provisioner=self._found.storage_class.provisioner,
            namespace=self._order.namespace,
            image=self._found.image,
            started=started,
            seconds=round(self._client.clock.monotonic() - began, 3),
            ok=not error and passed(self._results, self._cleanup.left),
            error=error,
            targets=tuple(sorted(self._results, key=lambda each: (list(KINDS).index(each.kind), each.node))),
            skipped=self._found.skipped,
            left=tuple(self._cleanup.left),
            kept=tuple(sorted(self._cleanup.kept)),
            notes=(*self._found.notes, *self._notes, *self._cleanup.notes),
        )

    def _targets(self) -> list[Target]:
        """Return the targets; provision first, because it shows most, and soonest."""
        nodes = self._found.nodes
        anywhere = nodes if self._order.each_node else ("",) if nodes else ()
        return [
            Target(self._name, row.name, self._order.storage_class, node, self._order.namespace)
            for row in KINDS.values()
            if row.name in self._found.kinds
            for node in (nodes if row.per_node else anywhere)
        ]

    async def _work_and_clean_up(self, targets: list[Target], stop: asyncio.Event) -> str:
        """Return what ended the work early; empty: nothing did."""
        namespace = self._order.namespace
        manifest = lease(self._name, namespace, f"{user()}@{socket.gethostname()}")
        owner = await self._client.create(LEASES, manifest, namespace, decode=Lease)
        self._cleanup.lease_uid = owner.metadata.uid
        image = Image(self._found.image, self._order.image_pull_secrets)
        maker = Maker(self._name, namespace, image, owner.metadata.uid)
        watching = asyncio.create_task(self._follower.run())
        working = asyncio.create_task(self._work(maker, targets))
        await _either(working, stop, watching)
        interrupted = not working.done() and not watching.done()
        await _end(working)
        self._progress.cleaning()
        stop.clear()
        cleaning = asyncio.create_task(self._cleanup.everything(CLEAN_UP_SECONDS))
        await _either(cleaning, stop)
        await _end(cleaning)
        await _end(watching)
        if cleaning.cancelled():
            self._cleanup.given_up("the clean-up was interrupted")
        for task in (cleaning, watching, working):
            if not task.cancelled() and (error := task.exception()) is not None:
                if not isinstance(error, (KubeError, CannotCheck)):
                    raise error
                return str(error)
        return INTERRUPTED if interrupted else ""

    async def _work(self, maker: Maker, targets: list[Target]) -> None:
        """Check all targets, so many at once."""
        await self._synced()
        worker = Worker(
            self._client,
            maker,
            self._follower,
            self._cleanup,
            keep_on_failure=self._order.keep_on_failure,
            on_stage=self._progress.stage,
        )
        probe = probe_of(self._order, self._name, self._found.nodes)
        queue = iter(enumerate(targets, 1))

        async def work(probe: Probe) -> None:
            for number, target in queue:
                result = await worker.check(target, spec_for(probe, target), number)
                if others := self._elsewhere(target, result):
                    self._progress.again(target, result)
                    self._notes.append(tried_elsewhere(result))
                    elsewhere = probe_of(self._order, self._name, others)
                    result = await worker.check(target, spec_for(elsewhere, target), len(targets) + 1)
                self._results.append(result)
                self._progress.ended(target, result)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._order.parallel, len(targets))):
                    group.create_task(work(probe))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    def _elsewhere(self, target: Target, result: Checked) -> list[str]:
        """Return the other nodes on which a bad provision run is tried again; empty: it is not."""
        if target.node or result.verdict not in NOT_GOOD or not result.node:
            return []
        return [node for node in self._found.nodes if node != result.node]

    async def _synced(self) -> None:
        watches = (self._follower.pods, self._follower.claims)
        try:
            async with asyncio.timeout(_SYNC_SECONDS):
                for each in watches:
                    await each.synced.wait()
        except TimeoutError:
            why = "; ".join(each.last_error for each in watches if not each.synced.is_set())
            raise CannotCheck(f"cannot watch pods and PVCs: {why}") from None


def user() -> str:
    """Return the name of the user; in many containers it has none: then its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the latter since Python 3.13
        return str(os.getuid())


def tried_elsewhere(first: Checked) -> str:
    """Return the note about a bad run that was tried again on another node."""
    where = f" in {first.stage}" if first.stage is not None else ""
    return (
        f"the first provision run, on node {first.node}, was {first.verdict}{where}: {first.reason}:"
        f" {first.message}; it was tried once more, on another node"
    )


async def _either(task: "asyncio.Task[Any]", stop: asyncio.Event, *others: "asyncio.Task[Any]") -> None:
    """Return when a task is done, or `stop` is set."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([task, stopped, *others], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()


async def _end(task: "asyncio.Task[Any]") -> None:
    """End a task if it is not done."""
    task.cancel()
    await asyncio.wait([task])

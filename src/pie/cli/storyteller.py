"""Plays a story on the demo's cluster: injects and clears faults, and waits for pie's reports."""

import asyncio
import time

import aiohttp
from rich.markup import escape

from pie.cli.narrator import QPS, Counted, Narrator, counted
from pie.cli.stories import Said, Step, Story
from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.faults import FaultError
from pie.embedded.kinds import PIE_PROBES, Json, find
from pie.embedded.store import Change

# Faults begin this long before the next runs are due, when nothing else runs.
_BEFORE_DUE_SECONDS = 0.5
_PATIENCE_SECONDS = 90.0
_PATIENCE_MINUTES = 5.0
_LOOK_EVERY_SECONDS = 0.2


class Storyteller:
    """Plays a story on a cluster, and follows the PieProbe with this namespace and name."""

    def __init__(
        self, narrator: Narrator, cluster: EmbeddedCluster, probe: tuple[str, str], minute_seconds: float
    ) -> None:
        self._narrator = narrator
        self._cluster = cluster
        self._probe = probe
        self._minute_seconds = minute_seconds
        self._over = False
        self._opened: dict[str, str] = {}
        """The reasons with which incidents opened, by ID; later they have the reason of the last bad run."""
        cluster.store.listen(self._note)

    async def play(self, story: Story) -> bool:
        """Play a story; return whether pie reported everything it must, in time, and nothing else."""
        self._narrator.say(f"[bold]{story.name}[/]: {story.meaning}", stamp=False)
        told = True
        for step in story.steps:
            told = await self._take(step) and told
        self._over = True
        counts = await self._counted()
        self._narrator.say(str(counts))
        wrong = self._false_alarms(story)
        if story.none_bad and (counts.late or counts.bad):
            late = "1 late run" if counts.late == 1 else f"{counts.late} late runs"
            wrong.append(f"{late} and {counts.bad} with bad I/O")
        for each in wrong:
            self._narrator.say(f"[bold red]pie reported something wrong: {each}[/]")
        return told and not wrong

    async def _take(self, step: Step) -> bool:
        """Do one step; return whether pie reported in time what it must."""
        if step.inject:
            left = self._minute_seconds - time.time() % self._minute_seconds
            await asyncio.sleep(max(0.0, left - _BEFORE_DUE_SECONDS))
        self._narrator.say(f"[bold cyan]{step.words}[/]")
        try:
            await self._break_and_mend(step)
        except FaultError as error:
            self._narrator.say(f"[bold red]{escape(str(error))}[/]")
            return False
        await asyncio.sleep(step.minutes * self._minute_seconds)
        patience_seconds = _PATIENCE_SECONDS + _PATIENCE_MINUTES * self._minute_seconds
        give_up_at = time.monotonic() + patience_seconds
        while not await self._done(step):
            if time.monotonic() > give_up_at:
                said = sorted(f"{reason} at {stage}" for stage, reason in step.until or ())
                missing = (
                    ", ".join([*said, *(["fewer writes"] if step.slowed else [])]) or "all targets healthy"
                )
                self._narrator.say(
                    f"[bold red]pie did not report within {patience_seconds:.0f} s: {missing}[/]"
                )
                return False
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        return True

    async def _break_and_mend(self, step: Step) -> None:
        faults = self._cluster.faults
        for act, names in ((faults.inject, step.inject), (faults.clear, step.clear)):
            for fault in names:
                name, _, where = fault.partition(" ")
                for node in sorted(self._cluster.machines)[1:] if where == "others" else [where]:
                    await act(name, node)

    async def _done(self, step: Step) -> bool:
        """Tell whether pie reports and does what a step waits for."""
        if step.until is not None and not self._says(step.until):
            return False
        counts = await self._counted() if step.slowed else None
        if counts is not None and counts.write_rate < QPS:
            self._narrator.say(f"pie {counts.pace}")
        return counts is None or counts.write_rate < QPS

    def _says(self, until: Said) -> bool:
        """Tell whether exactly these incidents are open; if none, whether every target is healthy."""
        status = self._status()
        now_open = {
            (each["stage"], each["reason"]) for each in status.get("incidents", []) if "closedAt" not in each
        }
        targets = status.get("targets", {})
        well = targets.get("total", 0) > 0 and targets.get("ok") == targets["total"]
        return now_open == until and (bool(until) or well)

    def _false_alarms(self, story: Story) -> list[str]:
        """Return the incidents that opened but do not belong to a story."""
        expected = {reason for step in story.steps for _, reason in step.until or ()} | story.allowed
        return [f"{reason}, an incident" for reason in self._opened.values() if reason not in expected]

    def _note(self, change: Change) -> None:
        if change.kind is PIE_PROBES and not self._over:
            for each in find(change.object, "status.incidents") or []:
                self._opened.setdefault(each["id"], each["reason"])

    def _status(self) -> Json:
        probe = self._cluster.registry.find(PIE_PROBES, *self._probe)
        return (probe or {}).get("status") or {}

    async def _counted(self) -> Counted:
        """Return the counts of all runs so far from pie's own metrics."""
        url = f"http://127.0.0.1:{self._narrator.port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return counted(await answer.text())

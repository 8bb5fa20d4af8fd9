"""A PieProbe that suffers one fault after the other, and what pie says of each."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from testbed.cluster import Cluster
from tests.alerts import Scraper
from tests.faults.application import Application
from tests.faults.row import (
    DEADLINE_SECONDS,
    PERIOD_SECONDS,
    REBOOT_GRACE_SECONDS,
    THRESHOLD_SECONDS,
    Given,
    Lane,
    Moment,
    Row,
)
from tests.faults.said import Said, words
from tests.harness import PERFORMANCE, until
from tests.real.conftest import Probed

SPEC = {
    "probePeriod": PERIOD_SECONDS // 60,
    "probeThreshold": f"{THRESHOLD_SECONDS}s",
    "deadline": f"{DEADLINE_SECONDS}s",
    # The nodes of a test are always new, and a fault on them counts.
    "suppression": {"newNodeGrace": "0s", "rebootGrace": f"{REBOOT_GRACE_SECONDS}s"},
}
_WELL_SECONDS = 420.0
_TOLD_SECONDS = 340.0
_EVERY_SECONDS = 1.0
_APART_SECONDS = 12.0
"""So far from a due time, no run is about to start or to be created, however busy the machine is."""


class Suffering:
    """One lane at work. It is the `Place` of its breaks."""

    def __init__(self, probed: Probed, lane: Lane, scraper: Scraper, note: Callable[[str], None]) -> None:
        self._probed = probed
        self._lane = lane
        self._scraper = scraper
        self._note = note
        self._known: frozenset[str] = frozenset()

    @property
    def cluster(self) -> Cluster:
        """The cluster."""
        return self._probed.cluster

    @property
    def probe(self) -> str:
        """The PieProbe's name."""
        return self._lane.name

    @property
    def claims(self) -> str:
        """A pattern for the claims of its volumes, those of a class and of its nodes."""
        return f"{self._probed.namespace}/*-{self.probe}-*"

    @property
    def pods(self) -> str:
        """Its Jobs and pods, by namespace and label."""
        return f"{self._probed.namespace}/pie-probe={self.probe}"

    def path(self, plural: str, name: str = "") -> str:
        """Return the path of objects in its namespace."""
        return self._probed.path(plural, name)

    async def next_good_run(self) -> None:
        """Return when another run of each mount target has gone well."""
        for node in self._lane.nodes:
            await self._probed.more(
                PERFORMANCE, 3 * PERIOD_SECONDS, pie_probe_name=self.probe, node=node, succeed="true"
            )

    async def start(self) -> None:
        """Apply the PieProbe, and return when all of its targets are well."""
        lane = self._lane
        await self._probed.probe(
            lane.name,
            list(lane.nodes),
            lane.storage_class,
            **SPEC,
            **({"resources": {"requests": {"cpu": lane.cpu}}} if lane.cpu else {}),
            disableMountProbes=not lane.mounts,
            disableProvisionProbe=not lane.provision,
            **({"residentProbe": True} if lane.resident else {}),
        )
        await self._until_well()

    async def stop(self) -> None:
        """Delete the PieProbe."""
        await self.cluster.api.delete(self.path("pieprobes", self.probe))

    async def suffer(self, row: Row) -> Given:
        """Break what the row breaks, wait for the verdict, mend it, wait for recovery."""
        since = time.monotonic()
        await self._until_well()
        if row.good_runs:
            await self._until_known(row.good_runs)
        application = None
        if row.application_on:
            application = Application(self._probed.cluster, self._probed.namespace, row.application_on)
            await application.start()
        await self._until_moment(row)
        self._note(f"{self.probe}: {row.title} ({row.moment})")
        before, began = await self._said(), 0.0
        problems = [f"before it began: {words(each)}" for each in self._new(before)]
        told, breaks = Given(), time.monotonic()
        try:
            for each in row.breaks:
                began = time.monotonic()  # of the last one: what comes before it prepares it
                await each.begin(self)
            told = await self._told(row, before, began)
            await self._scraper.scrape()  # What the status says now, the alert sees while the fault lasts.
            await self._hold(row, before)
            if application is not None and not await application.writes():
                problems.append(f"the application on {row.application_on} no longer writes to its volume")
        finally:
            mended = time.monotonic()
            for each in reversed(row.breaks):
                await each.end(self)
        try:
            await self._until_well()
            told = replace(told, clear_seconds=time.monotonic() - mended)
        except AssertionError:
            problems.append("not well again")
        if application is not None:
            await application.stop()
        after = await self._said()
        problems += _wrong(row, before, after, told)
        self._known = after.ids
        fault = (breaks, mended) if row.expected.alert == "once" else None
        alert = await self._scraper.wrong("alert", since, fault, pie_probe_name=self.probe)
        expected = "" if alert else row.expected.alert
        return replace(told, alert=expected, problems=(*problems, *alert))

    async def _said(self) -> Said:
        found = await self.cluster.api.get(self.path("pieprobes", self.probe))
        return Said(self.probe, found.get("status") or {}, await self._probed.pie.samples())

    def _new(self, said: Said) -> list[dict[str, object]]:
        return [each for each in said.incidents if each["id"] not in self._known]

    async def _until_well(self) -> None:
        targets = len(self._lane.nodes) * (self._lane.mounts + self._lane.resident) + self._lane.provision

        async def well() -> bool:
            return (await self._said()).well(targets)

        await until(well, f"{self.probe} is well", _WELL_SECONDS, _EVERY_SECONDS)

    async def _until_known(self, good_runs: int) -> None:
        """Wait until each mount target has had so many good runs."""

        async def known() -> bool:
            had = (await self._said()).good
            return all(had[node] >= good_runs for node in self._lane.nodes)

        limit = (good_runs + 3) * PERIOD_SECONDS
        await until(known, f"{good_runs} good runs of {self.probe}", limit, _EVERY_SECONDS)

    async def _until_moment(self, row: Row) -> None:
        """Wait for the middle of a run, or for a moment between runs."""

        async def moment() -> bool:
            quiet, of_period = row.moment is Moment.QUIET, time.time() % PERIOD_SECONDS
            if quiet and not _APART_SECONDS <= of_period <= PERIOD_SECONDS - _APART_SECONDS:
                return False
            runs = f"pie-probe={self.probe},pie.topolvm.io/kind!=resident"
            pods = await self.cluster.api.items(self.path("pods"), selector=runs)
            if quiet:
                return all(pod["status"]["phase"] in {"Succeeded", "Failed"} for pod in pods)
            on_node = (pod for pod in pods if pod["spec"].get("nodeName") == row.running_on)
            return any(pod["status"]["phase"] == "Running" for pod in on_node)

        await until(moment, f"{row.title}: {row.moment}", 3 * PERIOD_SECONDS, 0.1)

    async def _told(self, row: Row, before: Said, began: float) -> Given:
        """Return what pie says of the fault as soon as it is right, or in the end."""
        looks: dict[str, Callable[[Said], Given]] = {
            "suppressed": lambda said: said.suppression(),
            "gone": lambda said: said.absence(self._lane.nodes),
            "ok": lambda said: said.nothing(before),
        }
        seen: float | None = None
        given = Given()
        while (now := time.monotonic()) < began + _TOLD_SECONDS:
            said = await self._said()
            if seen is None and said.bad - before.bad:
                seen = now - began
            given = said.incident(before.ids) if row.expected.incident else looks[row.expected.verdict](said)
            if row.expected.matches(given):
                return given.at(seen, now - began)
            await asyncio.sleep(_EVERY_SECONDS)
        return given.at(seen, None)

    async def _hold(self, row: Row, before: Said) -> None:
        """Let it last: until runs that the row waits for are counted, or as long as it says."""
        if row.counts_suppressed:

            async def counted() -> bool:
                return bool((await self._said()).suppressed_runs - before.suppressed_runs)

            try:
                await until(counted, "a suppressed run", 3 * PERIOD_SECONDS, _EVERY_SECONDS)
            except AssertionError as error:
                self._note(f"{row.title}: {error}")  # the row is found wrong for it, see _wrong
        for _ in range(row.counts_good):
            await self.next_good_run()
        if row.hold_seconds:
            await asyncio.sleep(row.hold_seconds)


def _wrong(row: Row, before: Said, after: Said, told: Given) -> list[str]:
    """Return what pie said that it should not have said, or not so late."""
    wrong = []
    new = [each for each in after.incidents if each["id"] not in before.ids]
    if len(new) != row.expected.incident:
        wrong.append(f"{len(new)} incidents, not {row.expected.incident:d}: {'; '.join(map(words, new))}")
    bad = after.bad - before.bad
    if held := sorted(node or "the class" for node in bad if not row.expected.may_hold_against(node)):
        wrong.append(f"runs held against what is well: {', '.join(held)}")
    again = sorted(node for node, count in (after.failed - before.failed).items() if count > 1)
    if row.expected.verdict == "hung" and again:
        wrong.append(f"the hang counted more than once for {', '.join(again)}")
    if row.counts_suppressed and not after.suppressed_runs - before.suppressed_runs:
        wrong.append("no suppressed run was counted")
    if row.expected.inconclusive and not (after.inconclusive_runs - before.inconclusive_runs)[told.reason]:
        wrong.append("no inconclusive run was counted")
    limit, seen = row.expected.seen_within_seconds, told.seen_seconds
    if limit is not None and (seen is None or seen > limit):
        wrong.append(f"first bad run counted after {seen or 0:.0f} s, not within {limit:.0f} s")
    return wrong

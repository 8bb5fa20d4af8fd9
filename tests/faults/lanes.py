"""A PieProbe that suffers one fault after the other, and what it says of each."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from testbed.cluster import Cluster
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
from tests.harness import ON_TIME, PERFORMANCE, Samples, until
from tests.real.conftest import Probed

SUPPRESSED_RUNS = "pie_suppressed_runs_total"
SUPPRESSED = "pie_target_suppressed"
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


@dataclass(slots=True)
class _Before:
    """How things stood when the fault began."""

    at: float
    incidents: set[str]
    bad: Counter[str]
    failed: Counter[str]
    suppressed: Counter[str]


class Suffering:
    """One lane at work. It is the `Place` of its breaks."""

    def __init__(self, probed: Probed, lane: Lane, note: Callable[[str], None]) -> None:
        self._probed = probed
        self._lane = lane
        self._note = note

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

    def path(self, plural: str, name: str = "") -> str:
        """Return the path of objects in its namespace."""
        return self._probed.path(plural, name)

    async def start(self) -> None:
        """Apply the PieProbe, and return when all of its targets are well."""
        lane = self._lane
        await self._probed.probe(
            lane.name,
            list(lane.nodes),
            lane.storage_class,
            **SPEC,
            disableMountProbes=not lane.mounts,
            disableProvisionProbe=not lane.provision,
        )
        await self._until_well()

    async def stop(self) -> None:
        """Delete the PieProbe."""
        await self.cluster.api.delete(self.path("pieprobes", self.probe))

    async def suffer(self, row: Row) -> Given:
        """Break what the row breaks, wait for the verdict, mend it, wait for recovery."""
        await self._until_well()
        application = None
        if row.application_on:
            application = Application(self._probed.cluster, self._probed.namespace, row.application_on)
            await application.start()
        await self._until_moment(row)
        before = await self._before()
        self._note(f"{row.title} begins")
        problems: list[str] = []
        told = Given()
        try:
            for each in row.breaks:
                await each.begin(self)
            told = await self._told(row, before)
            await self._hold(row, before)
            if application is not None and not await application.writes():
                problems.append(f"the application on {row.application_on} no longer writes to its volume")
        finally:
            began_mending = time.monotonic()
            for each in reversed(row.breaks):
                await each.end(self)
        cleared = await self._recovered()
        if cleared is None:
            problems.append("not well again")
        if application is not None:
            await application.stop()
        problems += await self._others(row, before, told)
        clear_seconds = None if cleared is None else cleared - began_mending
        return replace(told, clear_seconds=clear_seconds, problems=tuple(problems))

    async def next_good_run(self) -> None:
        """Return when another run of each mount target has gone well."""
        for node in self._lane.nodes:
            await self._probed.more(
                PERFORMANCE, 3 * PERIOD_SECONDS, pie_probe_name=self.probe, node=node, succeed="true"
            )

    # How it stands.

    async def _status(self) -> dict[str, Any]:
        found = await self.cluster.api.get(self.path("pieprobes", self.probe))
        return dict(found.get("status") or {})

    async def _well(self) -> bool:
        status = await self._status()
        targets = status.get("targets") or {}
        open_now = [each for each in status.get("incidents") or [] if "closedAt" not in each]
        expected = len(self._lane.nodes) * self._lane.mounts + self._lane.provision
        return bool(targets.get("ok") == targets.get("total") == expected and not open_now)

    async def _until_well(self) -> None:
        await until(self._well, f"{self.probe} is well", _WELL_SECONDS, _EVERY_SECONDS)

    async def _recovered(self) -> float | None:
        """Return when all was well again; None: it did not become so."""
        try:
            await self._until_well()
        except AssertionError:
            return None
        return time.monotonic()

    async def _until_moment(self, row: Row) -> None:
        """Wait for the middle of a run, or for a moment between runs."""
        wanted = {Moment.QUIET: self._idle, Moment.MID_RUN: lambda: self._running(row)}[row.moment]
        await until(wanted, f"{row.title}: {row.moment}", 3 * PERIOD_SECONDS, 0.1)

    async def _idle(self) -> bool:
        pods = await self.cluster.api.items(self.path("pods"), selector=f"pie-probe={self.probe}")
        return all(pod["status"]["phase"] in {"Succeeded", "Failed"} for pod in pods)

    async def _running(self, row: Row) -> bool:
        pods = await self.cluster.api.items(self.path("pods"), selector=f"pie-probe={self.probe}")
        return any(
            pod["status"]["phase"] == "Running" and pod["spec"].get("nodeName") == row.running_on
            for pod in pods
        )

    async def _samples(self) -> Samples:
        return await self._probed.pie.samples()

    def _bad(self, samples: Samples) -> Counter[str]:
        """Count the bad runs of each target, by its node; the class is ""."""
        late = (
            self._count(samples, metric, lambda labels: labels.get("node", ""), on_time="false")
            for metric in ON_TIME.values()
        )
        return sum(late, self._failed(samples))

    def _failed(self, samples: Samples) -> Counter[str]:
        """Count the runs of each node whose I/O was bad."""
        return self._count(samples, PERFORMANCE, lambda labels: labels["node"], succeed="false")

    def _suppressed_runs(self, samples: Samples) -> Counter[str]:
        """Count the suppressed runs by reason."""
        return self._count(samples, SUPPRESSED_RUNS, lambda labels: labels["reason"])

    def _count(
        self, samples: Samples, metric: str, by: Callable[[Mapping[str, str]], str], **labels: str
    ) -> Counter[str]:
        """Add up the PieProbe's samples of a metric that have some labels."""
        wanted = {"pie_probe_name": self.probe, **labels}.items()
        found: Counter[str] = Counter()
        for sample in samples.all(metric):
            if wanted <= sample.labels.items():
                found[by(sample.labels)] += int(sample.value)
        return found

    async def _before(self) -> _Before:
        samples, status = await self._samples(), await self._status()
        return _Before(
            time.monotonic(),
            {each["id"] for each in status.get("incidents") or []},
            self._bad(samples),
            self._failed(samples),
            self._suppressed_runs(samples),
        )

    # What pie says.

    async def _told(self, row: Row, before: _Before) -> Given:
        """Return what pie says of the fault as soon as it is right, or in the end."""
        silent = {"suppressed": self._suppression, "gone": self._absence, "ok": self._nothing}
        look = self._incident if row.expected.incident else silent[row.expected.verdict]
        seen: float | None = None
        given = Given()
        while (now := time.monotonic()) < before.at + _TOLD_SECONDS:
            samples = await self._samples()
            if seen is None and self._bad(samples) - before.bad:
                seen = now - before.at
            given = await look(samples, before)
            if row.expected.matches(given):
                return given.at(seen, now - before.at)
            await asyncio.sleep(_EVERY_SECONDS)
        return given.at(seen, None)

    async def _incident(self, _samples: Samples, before: _Before) -> Given:
        status = await self._status()
        listed = status.get("incidents") or []
        new = [each for each in listed if each["id"] not in before.incidents and "closedAt" not in each]
        if not new:
            return Given()
        targets = status.get("targets") or {}
        verdict = next((each for each in ("hung", "failed", "late") if targets.get(each)), "ok")
        first = new[0]
        return Given(
            verdict=verdict,
            stage=first["stage"],
            reason=first["reason"],
            scope=first["scope"],
            nodes=tuple(first.get("nodes") or ()),
            evidence=first.get("evidence", ""),
        )

    async def _suppression(self, samples: Samples, _before: _Before) -> Given:
        now = [each.labels for each in samples.all(SUPPRESSED) if each.labels["pie_probe_name"] == self.probe]
        if not now:
            return Given()
        nodes = tuple(sorted({each["node"] for each in now if each["node"]}))
        # A node's own reason says more than that the class has no other node.
        reason = max(now, key=lambda labels: labels["node"])["reason"]
        return Given(verdict="suppressed", reason=reason, nodes=nodes)

    async def _absence(self, samples: Samples, _before: _Before) -> Given:
        there = {
            each.labels["node"]
            for each in samples.all(ON_TIME["mount"])
            if each.labels["pie_probe_name"] == self.probe
        }
        gone = tuple(sorted(set(self._lane.nodes) - there))
        return Given(verdict="gone", nodes=gone) if gone else Given()

    async def _nothing(self, samples: Samples, before: _Before) -> Given:
        return Given() if self._bad(samples) - before.bad else Given(verdict="ok")

    async def _hold(self, row: Row, before: _Before) -> None:
        """Let it last: for suppressed runs until one is counted, for others as long as the row says."""
        if row.counts_suppressed:

            async def counted() -> bool:
                return bool(self._suppressed_runs(await self._samples()) - before.suppressed)

            try:
                await until(counted, "a suppressed run", 3 * PERIOD_SECONDS, _EVERY_SECONDS)
            except AssertionError:
                self._note(f"{row.title}: no suppressed run was counted")
        if row.hold_seconds:
            await asyncio.sleep(row.hold_seconds)

    async def _others(self, row: Row, before: _Before, told: Given) -> list[str]:
        """Return what pie said that it should not have said."""
        status, samples = await self._status(), await self._samples()
        new = [each for each in status.get("incidents") or [] if each["id"] not in before.incidents]
        expected = 1 if row.expected.incident else 0
        wrong = []
        if len(new) != expected:
            wrong.append(f"{len(new)} incidents, not {expected}: {'; '.join(map(_words, new))}")
        bad = self._bad(samples) - before.bad
        held = {node: count for node, count in bad.items() if not row.expected.may_hold_against(node)}
        if held:
            named = ", ".join(f"{node or 'the class'} {count}" for node, count in sorted(held.items()))
            wrong.append(f"runs held against what is well: {named}")
        hung = [node for node, count in (self._failed(samples) - before.failed).items() if count != 1]
        if row.expected.verdict == "hung" and hung:
            wrong.append(f"the hang counted more than once for {', '.join(hung)}")
        if row.counts_suppressed and not self._suppressed_runs(samples) - before.suppressed:
            wrong.append("no suppressed run was counted")
        limit, seen = row.expected.seen_within_seconds, told.seen_seconds
        if limit is not None and (seen is None or seen > limit):
            wrong.append(f"first bad run counted after {seen or 0:.0f} s, not within {limit:.0f} s")
        return wrong


def _words(incident: Mapping[str, Any]) -> str:
    """Return an incident of a status in short."""
    nodes = ",".join(incident.get("nodes") or ())
    where = f"{incident['scope']} {nodes}".rstrip()
    return f"{incident['stage']} {incident['reason']} ({where}): {incident.get('evidence', '')[:100]}"

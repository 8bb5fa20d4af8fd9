"""What is known of one target from outside, gathered for each step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pie.core.maintenance.excuse import everywhere
from pie.core.maintenance.heartbeat import Heartbeat
from pie.core.maintenance.history import NodeHistory, Span
from pie.core.maintenance.now import Suppression
from pie.core.model import Probe, RunnerKind, Target
from pie.core.preflight import Pause
from pie.core.run import RunFact
from pie.core.snapshots import SnapshotAnswer
from pie.core.timeline import Sightings, WarningEvent
from pie.core.wire import Claim, Pod


class Calendar(Protocol):
    """The due times of a target."""

    def next_due(self, after: float) -> float:
        """Return the first due time later than `after`, epoch seconds."""

    def dues_between(self, after: float, until: float, *, limit: int) -> list[float]:
        """Return the due times in (after, until], oldest first; of more than `limit`, the newest."""


@dataclass(frozen=True, slots=True)
class Switched:
    """The due times of a target whose runner was switched: of one calendar up to `at`, then of another."""

    before: Calendar
    at: float
    after: Calendar

    def next_due(self, after: float) -> float:
        """Return the first due time later than `after`, epoch seconds."""
        due = self.before.next_due(after)
        return due if due <= self.at else self.after.next_due(max(after, self.at))

    def dues_between(self, after: float, until: float, *, limit: int) -> list[float]:
        """Return the due times in (after, until], oldest first; of more than `limit`, the newest."""
        old = self.before.dues_between(after, min(until, self.at), limit=limit)
        new = self.after.dues_between(max(after, self.at), until, limit=limit)
        return [*old, *new][-limit:]


@dataclass(frozen=True, slots=True)
class ScheduleFact:
    """The object that starts a target's runs.

    It exists `since` then (epoch seconds). `last_started` is the newest due time that it says it started a
    run for. `paused`: it starts none now (`paused_since`: since then, if pie starts the runs itself). `busy`:
    it says itself that a run of it goes on. A schedule that is resumed, or whose last run ends late, starts
    the run that it missed. `by_pie`: pie starts the runs itself, and `busy` is whether the target has a pod
    that keeps it from having another.
    """

    since: float
    last_started: float = 0.0
    paused: bool = False
    paused_since: float | None = None
    busy: bool = False
    by_pie: bool = False
    warnings: tuple[WarningEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class NodesFact:
    """The nodes that a target's runs use, as the PieProbe sees them.

    `suppression` is why the target's runs are suppressed now, `suppressed_since` since when without a break,
    `judged_since` when a suppression ended last. `histories` are those of the target's node; of a provision
    target, of all nodes that match or matched. `usable` are the nodes on which provision pods can run.
    `as_of`: the watch of nodes is complete up to then. `driver` is the name of the StorageClass's driver.
    """

    suppression: Suppression | None = None
    suppressed_since: float | None = None
    judged_since: float = 0.0
    histories: Mapping[str, NodeHistory] = field(default_factory=dict)
    matching: frozenset[str] = frozenset()
    usable: frozenset[str] = frozenset()
    as_of: float = 0.0
    driver: str = ""

    def span(self, target: Target, since: float, until: float, node: str = "") -> Span | None:
        """Return the maintenance that explains what a run did in [since, until].

        `node` is where a provision run was bound.
        """
        history = self.histories.get(target.node or node)
        if history is not None and (span := history.during(since, until)) is not None:
            return span
        if target.node:
            return None
        return everywhere([self.histories.get(each) for each in sorted(self.matching)], since, until)


@dataclass(frozen=True, slots=True)
class PodAnswer:
    """The pod of a run at `as_of` or later; None: there was none, or (not `certain`) it is not known."""

    as_of: float
    pod: Pod | None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class AttachmentAnswer:
    """What the VolumeAttachment of a run says; None: there is nothing to attach."""

    asked_at: float
    seen: Sightings | None


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """The Lease of a run's node, and when it was read; None: there is no Lease."""

    looked_at: float
    beat: Heartbeat | None


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers of the API server, by the id of the run.

    `nodes` is up to when the run's node is certainly as the watch shows it. `refusals` are why the API server
    refused to change the PVC of a run. `snapshots` are how the snapshots of their volumes are.
    """

    pods: Mapping[str, PodAnswer] = field(default_factory=dict)
    attachments: Mapping[str, AttachmentAnswer] = field(default_factory=dict)
    leases: Mapping[str, LeaseAnswer] = field(default_factory=dict)
    nodes: Mapping[str, float] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)
    snapshots: Mapping[str, SnapshotAnswer] = field(default_factory=dict)

    def joined(self, new: "Answers") -> "Answers":
        """Return these answers and new ones; a new answer replaces the old one to the same question."""
        return Answers(
            {**self.pods, **new.pods},
            {**self.attachments, **new.attachments},
            {**self.leases, **new.leases},
            {**self.nodes, **new.nodes},
            {**self.refusals, **new.refusals},
            {**self.snapshots, **new.snapshots},
        )


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """A target now.

    `known`: its PieProbe was read, or is known to be gone. "Not read yet" is never an absence.
    `probe` is the PieProbe's spec if the target is one of its; None: the target ended (`node_gone`: its node
    was deleted; `keep_claim`: its PVC stays). `paused_by` is why pie itself starts no runs. `runner` is the
    kind of runner in force, `calendar` has its due times, and `other_calendar` those of the other kind.
    `every`: the effective period is so many periods, since `paced_since` (0.0: from the beginning); `early`:
    bad targets have early runs.
    `spread`, in [0, 1), differs between targets, so that many targets do not act at the same time.
    Due times up to `led_since` are not those of this controller; `unled_since` is until when another one is
    known to have led, and `taking_over`: this one has just begun. Runs are known up to `runs_as_of`, pods up
    to `pods_as_of`. `objects` identify the target's own objects as they are now: they change whenever
    somebody changed them. `lacks` is what the class lacks for this kind of probe; empty: nothing, or its runs
    find that out.
    """

    known: bool = False
    probe: Probe | None = None
    paused_by: Pause | None = None
    node_gone: bool = False
    keep_claim: bool = False
    untouchable: bool = False
    led_since: float = 0.0
    unled_since: float | None = None
    taking_over: bool = False
    runner: RunnerKind = RunnerKind.CRON_JOB
    calendar: Calendar | None = None
    other_calendar: Calendar | None = None
    every: int = 1
    paced_since: float = 0.0
    early: bool = True
    spread: float = 0.0
    schedule: ScheduleFact | None = None
    runs: tuple[RunFact, ...] = ()
    runs_as_of: float = 0.0
    pods_as_of: float = 0.0
    claim: Claim | None = None
    objects: tuple[object, ...] = ()
    nodes: NodesFact = field(default_factory=NodesFact)
    may_attach: bool = False
    io_bad_before: bool = False
    lacks: str = ""
    answers: Answers = field(default_factory=Answers)

    @property
    def stopped(self) -> bool:
        """Whether no run starts and none is due: the user paused the PieProbe, or its class is gone."""
        return self.paused_by is not None and self.paused_by.stops

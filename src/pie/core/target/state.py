"""What pie remembers of one target: frozen, and replaced as a whole by each step."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from msgspec import Struct

from pie.core.apitypes import RunCause
from pie.core.history import PastRun
from pie.core.integrity import VolumeMemory
from pie.core.judge import Judgement
from pie.core.latency import LatencyHistory
from pie.core.maintenance.heartbeat import Heartbeat, Pulse
from pie.core.model import NOT_GOOD, Probe, RunnerKind, Stage, Target, Verdict
from pie.core.reasons import CERTAIN, Reason, WithReason
from pie.core.resident.hearing import Heard
from pie.core.result import IoStats
from pie.core.target.effects import StartRun
from pie.core.target.ledger import Ledger
from pie.core.timeline import Sightings, WarningEvent
from pie.core.wire import Claim, Pod


class Life(StrEnum):
    """Where a target is in its life."""

    UNREAD = "unread"
    """Its PieProbe was not read yet: nothing is decided."""
    LIVE = "live"
    ENDED = "ended"
    """Its runs do not count any more; its objects are deleted."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A bad run that does not count yet, because its node may have died a moment ago.

    `said` are the answers in doubt (on time, succeeded). It is doubted from `since` until `until` at least,
    epoch seconds. `before` is the first of the reads of its node's Lease that all showed the same renewal,
    `pulse` is what they show, and `looked_at` is when the last one was. `believed`: it is not doubted any
    more, or not before `again_at`. `silence_noted_at` is when pie noted last that the kubelet is silent.
    """

    said: tuple[bool | None, bool | None]
    since: float
    until: float
    looked_at: float = 0.0
    before: Heartbeat | None = None
    pulse: Pulse | None = None
    believed: bool = False
    again_at: float = math.inf
    silence_noted_at: float = 0.0


class RunState(Struct, frozen=True):
    """What is remembered of one run, or of one step of it.

    `pod` stays as it was last seen when it is deleted (`pod_gone`, seen at `pod_gone_at`); until
    `pod_known_until` it was so.
    `deleted_at`: when somebody was seen to have deleted the run's own objects. `recorded`: all of the run is
    counted, and its objects are not needed any more. `discard_ordered`: what of it was
    ordered to be deleted last. `shown`: what the history says of it.
    """

    id: str
    due: float
    created: float
    cause: RunCause
    follows: str = ""
    pod: Pod | None = None
    pod_gone: bool = False
    pod_gone_at: float = 0.0
    pod_known_until: float = 0.0
    deleted_at: float | None = None
    claim: Claim | None = None
    over_at: float | None = None
    seen: Sightings = Sightings()
    warnings: tuple[WarningEvent, ...] = ()
    backend: str = ""
    on_time_counted: bool = False
    succeeded_counted: bool = False
    recorded: bool = False
    ending: bool = False
    discard_ordered: str = ""
    doubt: Doubt | None = None
    events_asked: bool = False
    attachment_asked_at: float = 0.0
    attachment_known: bool = False
    shown: PastRun | None = None
    step: int = 0

    @property
    def of_schedule(self) -> bool:
        """Whether the run has a due time; a follow-up run has that of the run it follows."""
        return self.cause != "retry"

    def is_of(self, other: "RunState") -> bool:
        """Tell whether both are steps of one run."""
        return (self.cause, self.due) == (other.cause, other.due)

    @property
    def waits_for_pod(self) -> bool:
        """Whether it has no pod, and no end that explains this."""
        return self.pod is None and self.over_at is None and self.deleted_at is None


@dataclass(frozen=True, slots=True)
class Standing:
    """The last verdict on a target.

    `due` is the due time of the run that gave it; `since` the due time from which on the verdict is this one;
    `noted_at` when it was given last; `last_ok` when a run was last good. All epoch seconds, 0.0: never.
    `io` is what the last run measured that measured anything.
    """

    verdict: Verdict = Verdict.PENDING
    reason: Reason = Reason.PENDING
    message: str = ""
    due: float = 0.0
    last_ok: float = 0.0
    stage: Stage | None = None
    since: float = 0.0
    noted_at: float = 0.0
    io: IoStats | None = None

    def after(self, maintenance: float) -> "Standing":
        """Return the verdict after a maintenance that ended then: none, if it was not good before.

        The fault may be over, which only the next run can tell. What a run read stands until another run
        reads something else; so does what the class does not offer.
        """
        if (
            self.verdict not in NOT_GOOD | {Verdict.UNKNOWN}
            or self.noted_at >= maintenance
            or self.reason in CERTAIN
            or self.reason is Reason.NOT_OFFERED
        ):
            return self
        return Standing(due=self.due, last_ok=self.last_ok, io=self.io)


@dataclass(frozen=True, slots=True)
class BadStreak(WithReason):
    """Consecutive bad (or inconclusive) runs: stage, reason and evidence of the newest one, and their number.

    `first_bad` and `last_due` are due times, epoch seconds. `bad_runs` counts due times that a stuck run
    blocked, too.
    """

    stage: Stage
    reason: Reason
    evidence: str
    node: str
    first_bad: float
    bad_runs: int
    last_due: float
    noted_at: float

    def after(self, before: "BadStreak | None") -> "BadStreak":
        """Return the streak that this one, of one run, goes on with."""
        if before is None:
            return self
        more = self.bad_runs if self.last_due > before.last_due else 0
        return replace(self, first_bad=before.first_bad, bad_runs=before.bad_runs + more)


@dataclass(frozen=True, slots=True)
class Paused:
    """A time for which a target is paused, epoch seconds; no due time is in it."""

    since: float
    until: float = math.inf

    def has(self, due: float) -> bool:
        """Tell whether a due time is in it."""
        return self.since < due <= self.until

    @property
    def over(self) -> bool:
        """Whether it is known when it ends."""
        return self.until < math.inf


@dataclass(frozen=True, slots=True)
class NextDue:
    """The next due time that is not settled, and when there must be a run for it.

    `blocked`: an earlier run was still under way. `started_at`: when the schedule was first seen to say that
    it started a run for it, which nobody saw so far.
    """

    due: float
    late_at: float
    blocked: bool = False
    started_at: float = 0.0


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A follow-up run that was asked for: after which run, what that one said, for which due time, when."""

    follows: str
    node: str
    said: Judgement
    due: float
    at: float


@dataclass(frozen=True, slots=True)
class Volume:
    """What is known of a mount target's volume; another PVC of the same name is another volume.

    `locked`: it has file locks, as far as is known. On one without, pie alone keeps runs apart.
    """

    claim_uid: str
    memory: VolumeMemory = field(default_factory=VolumeMemory)
    latency: LatencyHistory | None = None
    locked: bool = True


@dataclass(frozen=True, slots=True)
class Kept:
    """What was last ordered for a target's objects, by which spec, and which objects there were then."""

    live: bool
    create: bool
    keep_claim: bool
    paused: bool
    spec: Probe | None
    objects: tuple[object, ...]


class TargetState(Struct, frozen=True):
    """All that is remembered of one target.

    `bad` are its bad runs since the last good one, `blind` its inconclusive runs since the last one that
    tested the storage. `heard` is the due time of the newest run that did; None: none did since pie began, or
    since its last maintenance. `followed` are the runs that have a follow-up run, `failed_elsewhere_at` is
    when the last follow-up run was bad. `early_wait_seconds` is how long pie waited before the last early
    run, and `early_at` when the next one starts. `lost` are the newest due times whose runs somebody deleted
    before pie read them. `gap_open`: due times from before this controller led are still to be counted.
    `runner` is the kind of runner in force, since `switched_at` (0.0: from the beginning). `paced_since` is
    when the effective period changed last. `starting` and `due_run` are runs that are to be started: between
    due times or as a follow-up run, and of the schedule. `kept` is what was last ordered for the
    target's objects.
    `paused` is when the user paused the PieProbe last, `not_offered` when the class last did not offer what a
    canary tests. `resident` is what was heard of a resident pod; `replaced_at` is when pie replaced one that
    was bad last.
    """

    target: Target
    life: Life = Life.UNREAD
    probe: Probe | None = None
    runs: Mapping[str, RunState] = {}
    ledger: Ledger = Ledger()
    next_due: NextDue | None = None
    standing: Standing = Standing()
    bad: BadStreak | None = None
    blind: BadStreak | None = None
    heard: float | None = None
    volume: Volume | None = None
    remembered: Mapping[str, str] = {}
    follow_up: FollowUp | None = None
    followed: frozenset[str] = frozenset()
    failed_elsewhere_at: float = 0.0
    early_wait_seconds: float = 0.0
    early_at: float | None = None
    starting: StartRun | None = None
    due_run: StartRun | None = None
    gap_open: bool = False
    runner: RunnerKind | None = None
    switched_at: float = 0.0
    paced_since: float = 0.0
    resume_at: float | None = None
    resumed_at: float = 0.0
    judged_since: float = 0.0
    live_since: float = 0.0
    paused: Paused | None = None
    not_offered: Paused | None = None
    lost: tuple[float, ...] = ()
    resident: Heard | None = None
    replaced_at: float = 0.0
    kept: Kept | None = None

    @property
    def live(self) -> bool:
        """Whether runs of the target count."""
        return self.life is Life.LIVE

    def paused_at(self, due: float) -> bool:
        """Tell whether a due time has no run because the target was paused, by the user or as not offered."""
        return any(each is not None and each.has(due) for each in (self.paused, self.not_offered))

    @property
    def unlocked(self) -> bool:
        """Whether its volume is known to have no file locks."""
        return self.volume is not None and not self.volume.locked

    def step(self, run: RunState, number: int) -> RunState | None:
        """Return another step of the run that this one is a step of."""
        return next((each for each in self.runs.values() if each.step == number and each.is_of(run)), None)

    def unread(self) -> list[RunState]:
        """Return the runs that are not recorded yet, oldest first."""
        return sorted(
            (run for run in self.runs.values() if not run.recorded), key=lambda run: (run.due, run.created)
        )

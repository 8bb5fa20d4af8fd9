"""What to do for a target: data, which one `match` in `pie.controller.perform` carries out.

Counts and series are updated at once and cannot fail. An effect that needs the API server is an order: the
shell repeats it until it is done, and the next step sees the result in the facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pie.core.apitypes import RunCause
from pie.core.history import PastRun
from pie.core.judge import Judgement
from pie.core.maintenance.now import Suppression
from pie.core.model import FIRST, AtStep, Stage, Verdict
from pie.core.reasons import Reason
from pie.core.result import IoStats


@dataclass(frozen=True, slots=True)
class Follow:
    """Show the target's series from now on, and remember its runs by this period."""

    period_seconds: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove all that is shown of a target that ended."""


@dataclass(frozen=True, slots=True)
class CountOnTime:
    """Count a due time as on time or not."""

    due: float
    on_time: bool


@dataclass(frozen=True, slots=True)
class CountSucceeded:
    """Count whether a mount run's I/O and data were right."""

    due: float
    succeeded: bool


@dataclass(frozen=True, slots=True)
class CountSuppressed:
    """Count a due time as suppressed by maintenance."""

    due: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class CountInconclusive:
    """Count a due time at which the storage could not be tested; `io_only`: it was on time before that."""

    due: float
    reason: Reason
    io_only: bool = False


@dataclass(frozen=True, slots=True)
class CountCutShort:
    """Count a mount run that was on time, and that maintenance ended before its I/O was done."""

    due: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class CountLost:
    """Count a run whose objects were deleted before pie read its result."""

    due: float


@dataclass(frozen=True, slots=True)
class SetVerdict:
    """Show the target's verdict: when it was last good, and since when a run hangs (None: none does)."""

    verdict: Verdict
    reason: Reason
    message: str
    last_ok: float
    hung_since: float | None
    changed: bool


@dataclass(frozen=True, slots=True)
class ReportChange:
    """Look at the PieProbe's incidents: something about this target changed."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Note the verdict of a due time in the history."""

    due: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Record:
    """Note a run in the history; it replaces what was known of it before."""

    run: PastRun


@dataclass(frozen=True, slots=True)
class Observe:
    """Add the durations of the stages of an ended run, of its I/O, and of the start of its pod."""

    due: float
    seconds: Mapping[Stage, float]
    io: IoStats | None
    startup_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class StartRun:
    """Start a run, until `until` (epoch seconds). The order stands while each step repeats it.

    One of the schedule is ordered only where pie starts these itself. A follow-up run is of a due time, on
    any node but `without`, after the run `follows`. A retry is an early run between two due times, `due` is
    the time at which it was ordered. `step` is which step of the run it is.
    """

    why: RunCause
    due: float
    until: float
    without: str = ""
    follows: str = ""
    step: AtStep = FIRST


@dataclass(frozen=True, slots=True)
class ExpandVolume:
    """Have the PVC (of this uid) of a run ask for a larger size. The order stands until the PVC does."""

    run: str
    claim_uid: str
    size: str


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Have a snapshot taken of the volume of a run, if there is none, and read how it is.

    `snapshot_class` is the name of its class; empty: the one of the driver.
    """

    run: str
    snapshot_class: str


@dataclass(frozen=True, slots=True)
class EndRun:
    """Delete the pod of a run, which ends it."""

    run: str


@dataclass(frozen=True, slots=True)
class DiscardRun:
    """Delete the objects of a run that is counted."""

    run: str


@dataclass(frozen=True, slots=True)
class KeepObjects:
    """Keep the target's objects as they should be.

    `live`: it has them; else they are deleted, but with `keep_claim` its PVC is kept. `create` False: nothing
    is created that is not there yet. `paused_since`: no run is started, since then (epoch seconds);
    `suppressed` False: only because the user wants that.
    """

    live: bool
    create: bool = True
    keep_claim: bool = False
    paused_since: float | None = None
    suppressed: bool = True


@dataclass(frozen=True, slots=True)
class Remember:
    """Write annotations on the target's PVC (of this uid), so that the next controller can read them.

    None removes one.
    """

    claim_uid: str
    annotations: Mapping[str, str | None] = field(default_factory=dict)


class Question(StrEnum):
    """A question to the API server about a run."""

    POD = "pod"
    EVENTS = "events"
    ATTACHMENT = "attachment"
    LEASE = "lease"
    NODE = "node"
    """Whether the watch of nodes shows the run's node as it is."""
    NODES = "nodes"
    """Have the watch of nodes confirm that it is complete."""
    RUNS = "runs"
    """Have the watches of the runner confirm that they are complete."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the API server; the answer comes as a fact. `run` is empty where it is about the target.

    The answer must show the state at `since` or later, epoch seconds.
    """

    what: Question
    run: str = ""
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class ProveNode:
    """A good run on a node, created then, ends the node's grace."""

    node: str
    began: float


@dataclass(frozen=True, slots=True)
class NoteSilence:
    """Note that the kubelet of a node was silent at `until`: this suppresses runs there; `why` says it."""

    node: str
    why: Suppression
    until: float


@dataclass(frozen=True, slots=True)
class ReportNode:
    """Emit an Event: a new volume could not be used on a node, while it could on another."""

    node: str
    said: Judgement


Effect = (
    Follow
    | Forget
    | CountOnTime
    | CountSucceeded
    | CountSuppressed
    | CountInconclusive
    | CountCutShort
    | CountLost
    | SetVerdict
    | ReportChange
    | Mark
    | Record
    | Observe
    | StartRun
    | ExpandVolume
    | TakeSnapshot
    | EndRun
    | DiscardRun
    | KeepObjects
    | Remember
    | Ask
    | ProveNode
    | NoteSilence
    | ReportNode
)

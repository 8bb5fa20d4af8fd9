"""How runs come to be. A runner starts runs on targets, and knows which objects stand for them.

Everything else of pie sees runs (`pie.core.run`) and schedules, never the objects of a runner.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from pie.controller.queue import WorkQueue
from pie.core.model import Probe, ProbeId, RunnerKind, Target
from pie.core.pace.parts import ALWAYS, PacePart
from pie.core.plan import Action, Plan
from pie.core.run import RunFact
from pie.core.target.effects import KeepObjects, StartRun
from pie.core.target.facts import Calendar, ScheduleFact
from pie.core.wire import OwnerReference, Pod


class Runner(Protocol):
    """What the rest of the controller asks of a runner."""

    def start(self, queue: WorkQueue) -> None:
        """Begin to lead: from now on put targets whose objects change on the queue."""

    def expect(self, of: ProbeId, probe: Probe | None, targets: int) -> None:
        """Note how many targets a PieProbe has; it is None when there is none any more."""

    def targets(self) -> set[Target]:
        """Return the targets that have objects or runs of this runner."""

    def in_force(self, probe: Probe, target: Target) -> RunnerKind:
        """Return which kind of runner starts the runs of a target now."""

    def calendar(
        self, probe: Probe, target: Target, kind: RunnerKind, paces: Sequence[PacePart] = ALWAYS
    ) -> Calendar:
        """Return the due times of a target with a kind of runner, which can be slowed down if it is pie."""

    def schedule(self, probe: Probe, target: Target) -> ScheduleFact | None:
        """Return what starts a target's runs; None: nothing does."""

    def schedule_uids(self, target: Target) -> tuple[str, ...]:
        """Return the uids of the objects that Warning Events about a missing run are about."""

    def runs(self, probe: Probe | None, target: Target) -> tuple[RunFact, ...]:
        """Return a target's runs, those of other PieProbes (by uid) of its name left out.

        Without a PieProbe: those that pie itself started.
        """

    def target_of_pod(self, pod: Pod) -> Target | None:
        """Return the target of a run's pod; None where it is of no run."""

    def target_of_event(self, kind: str, uid: str) -> Target | None:
        """Return the target that an Event about one of the runner's objects is about."""

    def objects(self, probe: Probe, target: Target) -> tuple[object, ...]:
        """Return what identifies a target's objects as they are now."""

    def paused_since(self, target: Target) -> float | None:
        """Return since when a target is paused, as its objects say, epoch seconds; None: it is not."""

    def as_of(self, probe: Probe, target: Target) -> float:
        """Return up to when a target's runs are known, epoch seconds."""

    def confirm(self) -> None:
        """Have the watches confirm soon that they are complete."""

    async def plan(
        self, probe: Probe | None, target: Target, wanted: KeepObjects, owner: OwnerReference, claim: str
    ) -> Plan:
        """Return what to do with a target's objects; `claim` is the name of its PVC.

        `probe` is the spec of a live target, `owner` the PieProbe as the owner of its objects.
        """

    async def carry_out(self, target: Target, actions: Iterable[Action]) -> None:
        """Create, change or delete a target's objects."""

    async def run(self, probe: Probe, target: Target, order: StartRun, claim: str) -> bool:
        """Start a run; False: not yet, since another run of the target is in its place."""

    async def discard(self, run: str) -> None:
        """Delete the objects of a run that is counted."""

"""What the control plane did late for the runs of targets: only what says nothing about the storage.

A volume that its driver creates, attaches or mounts late is not in here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pie.core.model import RunnerKind, Verdict
from pie.core.pace.throttle import Observed
from pie.core.reasons import Reason
from pie.core.target.state import RunState, TargetState

STARTED_LATE_SECONDS: Final = 10.0
"""The CronJob controller looks at its CronJobs in time, unless it waits for its client."""
_RESUMED_SECONDS: Final = 120.0
"""A CronJob that was resumed starts the run that it missed."""


@dataclass(frozen=True, slots=True)
class Late:
    """What is late now, each by a name that stays the same."""

    started: frozenset[str] = frozenset()
    bound: frozenset[str] = frozenset()
    attached: frozenset[str] = frozenset()

    def since(self, before: "Late", *, calls: int = 0, refused: int = 0, slow: int = 0) -> Observed:
        """Return what is late and was not so before, and how requests went since then."""
        return Observed(
            calls,
            refused,
            slow,
            len(self.started - before.started),
            len(self.bound - before.bound),
            len(self.attached - before.attached),
        )


def late(states: Iterable[TargetState], now: float) -> Late:
    """Return what the control plane did late for these targets."""
    started: set[str] = set()
    bound: set[str] = set()
    attached: set[str] = set()
    for state in states:
        for streak in (state.bad, state.blind):
            if streak is not None and streak.reason is Reason.CONTROL_PLANE_LATE:
                started.add(f"{state.target.full_name}/{streak.last_due:.0f}")
        for run in state.runs.values():
            if _started_late(state, run):
                started.add(f"{state.target.full_name}/{run.due:.0f}")
            if _waits_too_long(state, run, now):
                bound.update(_bound_late(run))
                attached.update(_attached_late(state, run))
    return Late(frozenset(started), frozenset(bound), frozenset(attached))


def _started_late(state: TargetState, run: RunState) -> bool:
    """Tell whether a CronJob started a run late, with nothing in its way: the run before was good."""
    probe, scheduled = state.probe, run.cause == "schedule" and run.created - run.due > STARTED_LATE_SECONDS
    if not scheduled or probe is None or probe.runner is not RunnerKind.CRON_JOB:
        return False
    free = len(state.runs) == 1 and state.standing.verdict is Verdict.OK
    resumed = max(state.resumed_at, state.judged_since, state.switched_at)
    return free and state.bad is None and state.blind is None and resumed + _RESUMED_SECONDS < run.due


def _waits_too_long(state: TargetState, run: RunState, now: float) -> bool:
    if state.probe is None or run.pod is None or run.pod_gone or run.recorded:
        return False
    return run.pod.status.phase == "Pending" and now - run.created >= state.probe.threshold_seconds


def _bound_late(run: RunState) -> Iterator[str]:
    """Yield the PVC of a run that waits although the driver created its volume."""
    claim = run.claim
    if claim is not None and claim.spec.volume_name and claim.status.phase == "Pending":
        yield claim.metadata.uid


def _attached_late(state: TargetState, run: RunState) -> Iterator[str]:
    """Yield a run that waits because Kubernetes did not ask the driver to attach its volume.

    After a bad run that may be the storage's: the attach/detach controller waits longer after each failure.
    """
    if any(each is not None and each.first_bad < run.due for each in (state.bad, state.blind)):
        return
    seen = run.seen
    if seen.attaching and seen.attachment_missing and not seen.attached and not seen.attach_error:
        yield run.id

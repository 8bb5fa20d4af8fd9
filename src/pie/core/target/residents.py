"""The target of a resident probe: its pod goes on, so there are no due times and nothing is counted.

There is one pod. It is started at a due time, like a run, if there is none; so many pods start one after the
other. What is heard of it is the verdict.
"""

from typing import Final

from pie.core.judge import Judgement
from pie.core.model import Verdict
from pie.core.naming import ANNOTATION_MOUNTED_ANEW
from pie.core.reasons import Reason
from pie.core.resident.hearing import hear
from pie.core.resident.judge import judge_resident
from pie.core.target.counting import note
from pie.core.target.effects import Ask, Mark, Question, Remember, ReportChange
from pie.core.target.state import RunState
from pie.core.target.turn import Turn
from pie.core.target.unknown import kubelet_is_silent
from pie.core.wire import Pod, parse_seconds, rfc3339

_BAD_AT_ONCE: Final = 2
"""It counts like two bad runs: the probe itself waited for a threshold, and the kubelet heard it."""

_ASK_EVENTS_SECONDS: Final = 5.0
"""The Event comes so soon after the status, if it does: else it is read, for example after a restart."""

REPLACED_AFTER_SECONDS: Final = 600.0
"""Only a new pod mounts the volume again. It comes once: when the pod was bad for so long."""

_A_NEW_MOUNT_MAY_HELP: Final = frozenset(
    {Reason.STALE_MOUNT, Reason.IO_ERROR, Reason.READ_ONLY, Reason.VOLUME_MISSING}
)
"""Not where records are wrong: they would be so on the next mount, too."""

UPDATED_WITHIN_PERIODS: Final = 30
"""Pods of an earlier image are replaced within so many minutes, not all at the same time."""

_IN_TURN_SECONDS: Final = 5.0
_SILENT_SECONDS: Final = 90.0
"""A watch that was silent for longer shows nothing that is still so."""


def follow_resident(turn: Turn) -> None:
    """Judge the pod, and have one that cannot go on deleted."""
    for run in turn.state.unread():
        pod = run.pod
        if pod is None or run.pod_gone or _has_to_go(turn, pod):
            # What is deleted has no say: the next pod decides.
            turn.change_run(run.id, recorded=True)
        else:
            _judge(turn, run, pod)
    if turn.facts.nodes.suppression is not None:
        turn.emit(Mark(turn.now, Verdict.SUPPRESSED))
    if not turn.state.unread():
        turn.change(resident=None)
    if turn.state.heard is None and turn.state.resident is None:
        # Where no container runs, nothing is known to be bad: incidents on the node need not wait for it.
        turn.change(heard=turn.now)
        turn.emit(ReportChange())


def _judge(turn: Turn, run: RunState, pod: Pod) -> None:
    heard = hear(turn.state.resident, pod, run.warnings, turn.now)
    turn.change(resident=heard)
    judgement = judge_resident(heard, turn.now, turn.probe.resident_threshold_seconds)
    turn.wake(judgement.check_at)
    if heard is None or judgement.verdict is Verdict.PENDING:
        if heard is not None and not run.events_asked:
            asks_at = heard.since + _ASK_EVENTS_SECONDS
            turn.wake(asks_at)
            if turn.now >= asks_at:
                turn.change_run(run.id, events_asked=True)
                turn.emit(Ask(Question.EVENTS, run.id))
        return
    well = judgement.verdict is Verdict.OK
    if well and not _speaks(turn):
        return
    if turn.facts.nodes.suppression is None:
        # A look each minute: what is shown of a minute is the worst of it.
        turn.emit(Mark(turn.now, judgement.verdict))
    if not well:
        note(turn, judgement, max(heard.since, turn.state.standing.due), turn.target.node, runs=_BAD_AT_ONCE)
        turn.emit(ReportChange())  # What mount runs found since then is said with it.
        _replace(turn, run, judgement)
    elif turn.facts.nodes.suppression is None:
        turn.change_run(run.id, events_asked=False)
        note(turn, judgement, turn.now, turn.target.node)
        _note_mounted_anew(turn, None)
        _update(turn, run)


def _speaks(turn: Turn) -> bool:
    """Tell whether the kubelet speaks: a silent one leaves a container ready that it no longer asks."""
    return not kubelet_is_silent(turn) and turn.now < turn.facts.pods_as_of + _SILENT_SECONDS


def _update(turn: Turn, run: RunState) -> None:
    """Delete a good pod of an earlier image or spec, in its turn. A bad pod stays: it is the evidence."""
    outdated = any(fact.outdated for fact in turn.facts.runs if fact.id == run.id)
    due = turn.calendar.dues_between(turn.now - _IN_TURN_SECONDS, turn.now, limit=1)
    if not outdated or not due:
        return
    number = int(due[0] // turn.effective_seconds)
    if number % UPDATED_WITHIN_PERIODS == int(turn.facts.spread * UPDATED_WITHIN_PERIODS):
        turn.change_run(run.id, recorded=True)


def _replace(turn: Turn, run: RunState, judgement: Judgement) -> None:
    """Delete a pod whose mount is dead, once; not one that hangs, which could not end.

    The PVC says it first, so that the next leader does not delete the new pod as well.
    """
    bad, replaced_at = turn.state.bad, _mounted_anew_at(turn)
    if bad is None or judgement.verdict is not Verdict.FAILED:
        return
    if judgement.reason not in _A_NEW_MOUNT_MAY_HELP or turn.facts.nodes.suppression is not None:
        return
    if replaced_at is not None:
        turn.change(replaced_at=replaced_at)
        if run.created < replaced_at:
            turn.change_run(run.id, recorded=True)
        return
    replace_at = bad.first_bad + REPLACED_AFTER_SECONDS
    turn.wake(replace_at)
    if turn.now >= replace_at:
        _note_mounted_anew(turn, rfc3339(replace_at))


def _mounted_anew_at(turn: Turn) -> float | None:
    """Return when the pod was replaced because its mount was dead; None: it was not, or I/O worked since."""
    marks = turn.facts.claim.metadata.annotations if turn.facts.claim is not None else {}
    return parse_seconds(marks.get(ANNOTATION_MOUNTED_ANEW, ""))


def _note_mounted_anew(turn: Turn, says: str | None) -> None:
    """Have the PVC say when the pod is replaced; None: I/O is well, so a pod may be replaced again."""
    claim = turn.facts.claim
    if claim is not None and claim.metadata.annotations.get(ANNOTATION_MOUNTED_ANEW) != says:
        turn.emit(Remember(claim.metadata.uid, {ANNOTATION_MOUNTED_ANEW: says}))


def _has_to_go(turn: Turn, pod: Pod) -> bool:
    """Tell whether a pod is deleted: it ended, it must not be there, or its volume is being deleted."""
    claim = turn.facts.claim
    ended = pod.status.phase in {"Succeeded", "Failed"}
    return ended or turn.facts.stopped or (claim is not None and claim.metadata.being_deleted)

"""Compares what a run found on its volume, and how long its I/O took, with what is known of the target."""

import math
from dataclasses import replace
from typing import Final

from pie.core.integrity import judge_records, of_another, recall
from pie.core.judge import Judgement, with_records
from pie.core.kinds import kind_of
from pie.core.latency import above_limit, judge_latency, recall_latency, typical_seconds
from pie.core.model import Stage, Verdict
from pie.core.naming import ANNOTATION_OPTIONS, CONTAINER
from pie.core.reasons import CERTAIN, Reason
from pie.core.result import IoStats
from pie.core.target.effects import Remember
from pie.core.target.state import Volume
from pie.core.target.turn import Case, Turn
from pie.core.text import evidence
from pie.core.wire import Claim, ContainerState, Pod, epoch_seconds

_MOST_OPTIONS: Final = 256


def weigh_records(turn: Turn) -> None:
    """Make the verdict worse if the data is wrong or the I/O is slow; remember what is new."""
    if not kind_of(turn.target).pvc:
        return
    for case in turn.open_cases():
        _note_locks(turn, case)
        judged = _believed(case.judgement) if _met_another(turn, case) else _with_integrity(turn, case)
        case.judgement = _with_latency(turn, case, judged)
    _remember(turn)


def _note_locks(turn: Turn, case: Case) -> None:
    """Note whether the volume has file locks, if the run tried to lock."""
    result, claim = case.judgement.result, _claim_of(turn, case)
    if result is not None and claim is not None and (result.ok or result.records is not None):
        turn.change(volume=replace(_volume(turn, claim), locked=result.locked))


def _met_another(turn: Turn, case: Case) -> bool:
    """Tell whether another run was at work on a volume without file locks at the same time."""
    mine, result = _at_work(case.run.pod), case.judgement.result
    if mine is None or result is None or result.locked:
        return False
    others = (
        _at_work(run.pod, run.pod_known_until if run.pod_gone else math.inf)
        for run in turn.state.runs.values()
        if run.id != case.id
    )
    return any(other is not None and other[0] <= mine[1] and mine[0] <= other[1] for other in others)


def _at_work(pod: Pod | None, known_until: float = math.inf) -> tuple[float, float] | None:
    """Return from when until when the probe in a pod was at work, as far as that is known."""
    state = pod.status.container(CONTAINER) if pod is not None else ContainerState()
    if state.terminated is not None:
        ended_at = epoch_seconds(state.terminated.finished_at)
        return epoch_seconds(state.terminated.started_at), ended_at or known_until
    return (epoch_seconds(state.running.started_at), known_until) if state.running is not None else None


def _believed(judgement: Judgement) -> Judgement:
    """Return the judgement of a run that met another one on its volume: it proves nothing about the data."""
    if judgement.reason not in CERTAIN:
        return judgement
    message = f"another run was at work on the volume, which has no file locks: {judgement.message}"
    return replace(
        judgement,
        verdict=Verdict.INCONCLUSIVE,
        reason=Reason.LOCKED,
        message=evidence(message),
        succeeded=None,
    )


def _with_integrity(turn: Turn, case: Case) -> Judgement:
    """Judge the records, where the probe itself found nothing wrong."""
    judgement = case.judgement
    result, claim = judgement.result, _claim_of(turn, case)
    if result is None or result.records is None or claim is None:
        return judgement
    volume = _volume(turn, claim)
    known = recall(
        claim.metadata.annotations,
        volume.memory,
        claim.metadata.uid,
        bad_before=turn.facts.io_bad_before,
    )
    reason, message, memory = judge_records(known, result.records, case.run.due_seconds)
    turn.change(volume=replace(volume, memory=memory))
    return with_records(judgement, reason, message)


def _with_latency(turn: Turn, case: Case, judgement: Judgement) -> Judgement:
    """Call a good run late if its I/O was slow; what it counts as stays."""
    io = judgement.result.io if judgement.result is not None else None
    if judgement.verdict is not Verdict.OK or io is None:
        return judgement
    most = turn.probe.max_latency_seconds
    message = _compared(turn, case, io)
    if most is not None:
        message = above_limit(io, most) or message
    if not message:
        return judgement
    return replace(judgement, verdict=Verdict.LATE, reason=Reason.IO_SLOW, stage=Stage.IO, message=message)


def _compared(turn: Turn, case: Case, io: IoStats) -> str:
    """Say how slow the I/O of a run was in comparison with earlier ones; empty: not slow, or not known."""
    claim, seconds = _claim_of(turn, case), typical_seconds(io)
    if claim is None or seconds is None:
        return ""
    volume = _volume(turn, claim)
    marks = claim.metadata.annotations
    own_marks = {} if of_another(marks, claim.metadata.uid) else marks
    options = _options_of(case)
    history = volume.latency
    if history is None or history.options != options:
        history = recall_latency(own_marks, slow=turn.facts.io_bad_before, options=options)
    message, latency = judge_latency(history, seconds)
    turn.change(volume=replace(volume, latency=latency))
    return message


def _options_of(case: Case) -> str:
    """Return the options of a run's command, as its pod says."""
    marks = case.run.pod.metadata.annotations if case.run.pod is not None else {}
    return marks.get(ANNOTATION_OPTIONS, "")[:_MOST_OPTIONS]


def _claim_of(turn: Turn, case: Case) -> Claim | None:
    """Return the PVC that a run used; None: it does not exist any more, only a newer one."""
    claim, pod = turn.facts.claim, case.run.pod
    if claim is None or pod is None or claim.metadata.created_seconds > pod.metadata.created_seconds:
        return None
    return claim


def _volume(turn: Turn, claim: Claim) -> Volume:
    known = turn.state.volume
    return (
        known if known is not None and known.claim_uid == claim.metadata.uid else Volume(claim.metadata.uid)
    )


def _remember(turn: Turn) -> None:
    """Order the annotations of the PVC about the volume, unless they are up to date."""
    claim, known = turn.facts.claim, turn.state.volume
    if claim is None or known is None or known.claim_uid != claim.metadata.uid:
        return
    present = claim.metadata.annotations
    wanted = known.memory.annotations(claim.metadata.uid)
    if known.latency is not None:
        wanted |= known.latency.annotations(present)
    missing = {key: value for key, value in wanted.items() if present.get(key) != value}
    if missing and missing != turn.state.remembered:
        turn.emit(Remember(claim.metadata.uid, missing))
    turn.change(remembered=missing)

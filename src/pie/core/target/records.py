"""What a run found on its volume, and how long its I/O took, weighed against what is known of the target."""

from dataclasses import replace

from pie.core.integrity import judge_records, of_another, recall
from pie.core.judge import Judgement
from pie.core.kinds import kind_of
from pie.core.latency import judge_latency, recall_latency, typical_seconds
from pie.core.model import Stage, Verdict
from pie.core.reasons import Reason
from pie.core.target.effects import Remember
from pie.core.target.state import Volume
from pie.core.target.turn import Case, Turn
from pie.core.wire import Claim


def weigh_records(turn: Turn) -> None:
    """Make verdicts worse where the data or the latency is not as it should be; remember what is new."""
    if not kind_of(turn.target).pvc:
        return
    for case in turn.open_cases():
        _note_locks(turn, case)
        case.judgement = _with_latency(turn, case, _with_integrity(turn, case, case.judgement))
    _remember(turn)


def _note_locks(turn: Turn, case: Case) -> None:
    """Note whether the volume has file locks, if the run came far enough to ask for one."""
    result, claim = case.judgement.result, _claim_of(turn, case)
    if result is not None and claim is not None and (result.ok or result.records is not None):
        turn.change(volume=replace(_volume(turn, claim), locked=result.locked))


def _with_integrity(turn: Turn, case: Case, judgement: Judgement) -> Judgement:
    """Judge the records, where the probe itself found nothing wrong."""
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
    if reason is None or not result.ok:
        return judgement
    return replace(
        judgement,
        verdict=Verdict.FAILED,
        reason=reason,
        message=message,
        stage=Stage.IO,
        succeeded=False,
    )


def _with_latency(turn: Turn, case: Case, judgement: Judgement) -> Judgement:
    """Call a good run late if its I/O was slow for its target; what it counts as stays."""
    claim = _claim_of(turn, case)
    if judgement.verdict is not Verdict.OK or judgement.result is None or claim is None:
        return judgement
    io = judgement.result.io
    seconds = typical_seconds(io) if io is not None else None
    if seconds is None:
        return judgement
    volume = _volume(turn, claim)
    marks = claim.metadata.annotations
    told = {} if of_another(marks, claim.metadata.uid) else marks
    history = volume.latency or recall_latency(told, slow=turn.facts.io_bad_before)
    message, latency = judge_latency(history, seconds)
    turn.change(volume=replace(volume, latency=latency))
    if not message:
        return judgement
    return replace(judgement, verdict=Verdict.LATE, reason=Reason.IO_SLOW, stage=Stage.IO, message=message)


def _claim_of(turn: Turn, case: Case) -> Claim | None:
    """Return the PVC that a run used; None: it is gone, and a new one has nothing to do with the run."""
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
    """Order that the PVC's annotations say what is known of the volume, unless they do."""
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

"""If a node has just died, a bad run on it is not a fault of the storage. But the node does not show it yet.

So a bad run is doubted for a moment, until the watch of nodes has caught up with the watch of pods. If a
kubelet did not renew its Lease in time, pie waits until the Lease expires. If the kubelet comes back before,
it gets some time to report its new boot. When the Lease has expired, the node is silent, and this excuses the
run.
"""

from dataclasses import replace
from typing import Final

from pie.core.maintenance.excuse import SLACK_SECONDS, excusable
from pie.core.maintenance.heartbeat import pulse, silence
from pie.core.reasons import Reason
from pie.core.target.effects import Ask, NoteSilence, Question
from pie.core.target.facts import LeaseAnswer
from pie.core.target.state import Doubt
from pie.core.target.turn import SOON_SECONDS, Case, Turn

_CATCH_UP_SECONDS: Final = SLACK_SECONDS + 1.0
"""The watch of nodes may be so far behind that of pods; and what explains a run may come so soon after it."""

_REBOOT_SECONDS: Final = 10.0
"""A kubelet that starts after a reboot reports its lost containers and its new boot in either order."""

_LIKE_A_REBOOT: Final = frozenset({Reason.NO_RESULT, Reason.KILLED})
_ASK_AGAIN_SECONDS: Final = 3.0


def hold_doubts(turn: Turn) -> None:
    """Conclude nothing from a bad run until it is known that its node lives.

    A run that no maintenance can explain is not doubted.
    """
    for case in turn.open_cases():
        if not excusable(case.judgement):
            if turn.state.runs[case.id].doubt is not None:
                turn.change_run(case.id, doubt=None)  # If it is bad again, its node may have died since.
            continue
        doubt = _doubt(turn, case)
        if not doubt.believed and (until := _doubted_until(turn, case, doubt)) is not None:
            turn.hold(case, until)
        elif not doubt.believed:
            turn.change_run(case.id, doubt=replace(doubt, believed=True))


def _doubt(turn: Turn, case: Case) -> Doubt:
    """Return the doubt about a run: a new one where it says something new, and what its node's Lease says."""
    known, now = turn.state.runs[case.id].doubt, turn.now
    said = (case.judgement.on_time, case.judgement.succeeded)
    if known is None or known.said != said or now >= known.again_at:
        until = now + (_REBOOT_SECONDS if case.judgement.reason in _LIKE_A_REBOOT else _CATCH_UP_SECONDS)
        if known is None or known.believed or now >= known.again_at:
            known = Doubt(said, now, until, looked_at=known.looked_at if known is not None else 0.0)
        else:
            known = replace(known, said=said, since=now, until=max(until, known.until))
    answer = turn.facts.answers.leases.get(case.id)
    # A look from before this doubt does not say how the node is now.
    if answer is not None and answer.looked_at > known.looked_at and answer.looked_at >= known.since:
        known = _after_look(turn, case, known, answer)
    turn.change_run(case.id, doubt=known)
    return known


def _after_look(turn: Turn, case: Case, doubt: Doubt, answer: LeaseAnswer) -> Doubt:
    """Return the doubt after a look at the Lease of the run's node, and note what follows from it."""
    beat, earlier, before = answer.beat, doubt.pulse, doubt.before
    found = pulse(beat, before)
    if before is None or beat is None or before.renewal != beat.renewal:
        before = beat
    doubt = replace(doubt, looked_at=answer.looked_at, pulse=found, before=before)
    if found.silent and beat is not None and found.quiet_since is not None:
        turn.emit(NoteSilence(case.run.node, silence(beat, found.quiet_since), turn.now))
        turn.wake(turn.now + SOON_SECONDS)  # The node's history excuses the run from the next turn on.
        # If that does not explain the run, nothing will. A run that goes on is doubted again.
        return replace(doubt, again_at=turn.now + _ASK_AGAIN_SECONDS, silence_noted_at=turn.now)
    if earlier is not None and earlier.quiet_since is not None and found.quiet_since is None:
        # It is back, and has the time to report its boot; then another look shows if it stayed.
        once_more = replace(found, look_again_seconds=_REBOOT_SECONDS)
        return replace(doubt, pulse=once_more, until=max(doubt.until, turn.now + _REBOOT_SECONDS))
    return doubt


def _doubted_until(turn: Turn, case: Case, doubt: Doubt) -> float | None:
    """Return when to look again; None: what is known of the node is all there is."""
    now, node = turn.now, case.run.node
    if node and doubt.pulse is None:
        turn.emit(Ask(Question.LEASE, case.id, doubt.looked_at))
        return max(doubt.until, now + _ASK_AGAIN_SECONDS)
    if node and doubt.pulse is not None and doubt.pulse.silent:
        # In this turn the silence was noted; in the next one it has excused the run, or nothing does.
        return now + SOON_SECONDS if doubt.silence_noted_at >= now else None
    if node and doubt.pulse is not None and (wait_seconds := doubt.pulse.look_again_seconds) is not None:
        look_at = doubt.looked_at + wait_seconds
        if now >= look_at:
            turn.emit(Ask(Question.LEASE, case.id, doubt.looked_at))
        return max(look_at, now + _ASK_AGAIN_SECONDS) if now >= look_at else look_at
    if now < doubt.until:
        return doubt.until
    needed = doubt.until if node else doubt.since
    if max(turn.facts.nodes.as_of, turn.facts.answers.nodes.get(case.id, 0.0)) < needed:
        turn.emit(Ask(Question.NODE, case.id) if node else Ask(Question.NODES))
        return now + _ASK_AGAIN_SECONDS
    return None

"""The verdict on a volume that stays mounted, by what the kubelet says about the pod that uses it."""

from collections.abc import Mapping
from typing import Final

from pie.core.judge import Judgement, by_area
from pie.core.model import Stage, Verdict
from pie.core.reasons import Reason
from pie.core.resident.codes import Code
from pie.core.resident.hearing import Heard

SAYS_NOTHING_SECONDS: Final = 30.0
"""A container that has given no answer for a shorter time says nothing: it starts, or the kubelet does."""

REASONS: Final[Mapping[Code, Reason]] = {
    Code.WELL: Reason.OK,
    Code.PERMISSION_DENIED: Reason.PERMISSION_DENIED,
    Code.VOLUME_MISSING: Reason.VOLUME_MISSING,
    Code.CORRUPTED: Reason.DATA_CORRUPTED,
    Code.STALE: Reason.STALE_MOUNT,
    Code.NO_SPACE: Reason.NO_SPACE,
    Code.LOCKED: Reason.LOCKED,
    Code.IO_ERROR: Reason.IO_ERROR,
    Code.INTERNAL: Reason.INTERNAL,
    Code.STALLED: Reason.STALLED,
    Code.READ_ONLY: Reason.READ_ONLY,
}

_PENDING: Final = Judgement(Verdict.PENDING, Reason.PENDING)


def judge_resident(heard: Heard | None, now: float, threshold_seconds: float) -> Judgement:
    """Return the verdict; pending: nothing is known that changes the last one."""
    if heard is None:
        return _PENDING
    if heard.ready:
        return Judgement(Verdict.OK, Reason.OK)
    if heard.code is None:
        says_something_at = heard.since + SAYS_NOTHING_SECONDS
        if not heard.words:
            return _PENDING  # The node may have died before its kubelet asked.
        if now < says_something_at:
            return Judgement(Verdict.PENDING, Reason.PENDING, check_at=says_something_at)
        return Judgement(Verdict.INCONCLUSIVE, Reason.NO_ANSWER, heard.words, Stage.IO)
    stalled = heard.code is Code.STALLED
    what = f"an operation goes on for {threshold_seconds:g} s or longer" if stalled else "I/O fails"
    return by_area(
        Judgement(
            Verdict.HUNG if stalled else Verdict.FAILED,
            REASONS[heard.code],
            f"on a volume that stays mounted, {what} (status {int(heard.code)} of the resident probe)",
            Stage.IO,
        )
    )

"""What a resident probe answers, and when. A kubelet writes an Event at every failed probe, so few may fail.

The first question for which the answer is bad is answered at once. Later ones are held until I/O is well, or
for `HELD_SECONDS`: a mount that is bad for hours costs one Event a minute, and a recovery is seen at once.
"""

from dataclasses import dataclass, replace
from typing import Final

from pie.core.resident.codes import Code

HELD_SECONDS: Final = 55.0
"""Less than the `timeoutSeconds` of the kubelet's probe (60): it never meets a time-out."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of I/O. All times are seconds of one clock.

    `last` is the code of the last round; None: no round has ended yet. `busy_since` is when the operation
    began that runs now; None: no operation runs. `said` are the bad codes that the kubelet got as an answer
    since the last good round.
    """

    last: Code | None = None
    busy_since: float | None = None
    said: frozenset[Code] = frozenset()

    def code(self, now: float, threshold_seconds: float) -> Code | None:
        """Return the code for I/O now; None: no round has ended yet.

        It is stalled by the operation that goes on, not by the time since one ended: a process that was
        stopped for a while says nothing about its volume.
        """
        if self.busy_since is not None and now - self.busy_since >= threshold_seconds:
            return Code.STALLED
        return self.last

    def ended(self, code: Code) -> "Known":
        """Return what is known after a round of I/O."""
        return Known(code, None, frozenset() if code is Code.WELL else self.said)

    def told(self, code: Code) -> "Known":
        """Return what is known after the kubelet got this answer."""
        return replace(self, said=self.said | {code}) if code is not Code.WELL else self


def answer(known: Known, asked_at: float, now: float, threshold_seconds: float) -> Code | None:
    """Return what to answer a question of the kubelet now; None: it is held."""
    code = known.code(now, threshold_seconds)
    if code is None:
        return Code.STALLED if now - asked_at >= HELD_SECONDS else None
    new = code is Code.WELL or code not in known.said
    return code if new or now - asked_at >= HELD_SECONDS else None

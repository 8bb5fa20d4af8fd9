"""How much of their pace runs start at, so that a control plane that lags is spared.

The pace drops at once (multiplicative decrease) and comes back slowly (additive increase), as that of TCP
does. Only the control plane slows it down: a volume that is late because of its driver does not.
"""

from dataclasses import dataclass, replace
from typing import Final

CUT: Final = 0.5
LEAST: Final = 1 / 16
RISE: Final = 0.25
QUIET_PERIODS: Final = 2
"""The pace rises each time that nothing was wrong for so long."""
_FORGET_HALF_SECONDS: Final = 30.0
_REFUSED: Final = 2
"""One request that is refused is an accident."""
_SLOW: Final = 5
_SLOW_PART: Final = 0.2
_LATE: Final = 3
"""A machine that is busy for a moment is late once or twice."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What pie saw of the control plane since it looked last.

    Of `calls`, `refused` were answered with 429, and `slow` took long. `started_late` is how many runs were
    started late by CronJobs, or had their PVC created late; `bound_late` how many PVCs have their volume and
    are bound late; `attached_late` how many volumes are to be attached and have no VolumeAttachment.
    """

    calls: int = 0
    refused: int = 0
    slow: int = 0
    started_late: int = 0
    bound_late: int = 0
    attached_late: int = 0


@dataclass(frozen=True, slots=True)
class Recent:
    """What was observed recently: what is older counts less."""

    calls: float = 0.0
    refused: float = 0.0
    slow: float = 0.0
    started_late: float = 0.0
    bound_late: float = 0.0
    attached_late: float = 0.0

    def then(self, observed: Observed, after_seconds: float) -> "Recent":
        """Return what is recent after so many seconds."""
        keep = 0.5 ** (max(0.0, after_seconds) / _FORGET_HALF_SECONDS)
        return Recent(
            self.calls * keep + observed.calls,
            self.refused * keep + observed.refused,
            self.slow * keep + observed.slow,
            self.started_late * keep + observed.started_late,
            self.bound_late * keep + observed.bound_late,
            self.attached_late * keep + observed.attached_late,
        )

    def signs(self) -> tuple[str, ...]:
        """Return in words why the control plane has to be spared; nothing: it is well."""
        found = (
            (self.refused >= _REFUSED, "the API server refuses requests (429)"),
            (self.slow >= max(_SLOW, _SLOW_PART * self.calls), "the API server answers slowly"),
            (self.started_late >= _LATE, "Kubernetes starts runs late"),
            (self.bound_late >= _LATE, "PVCs are bound late although their volumes exist"),
            (self.attached_late >= _LATE, "VolumeAttachments are created late"),
        )
        return tuple(words for true, words in found if true)


@dataclass(frozen=True, slots=True)
class Throttle:
    """The pace now: runs start at `part` of it, in (0, 1].

    `changed_at` is when it changed last, and `wrong_at` when something was wrong last, epoch seconds. `signs`
    say in words what that was.
    """

    part: float = 1.0
    changed_at: float = 0.0
    wrong_at: float = 0.0
    signs: tuple[str, ...] = ()
    recent: Recent = Recent()
    looked_at: float = 0.0

    @property
    def on(self) -> bool:
        """Whether runs are slowed down."""
        return self.part < 1


def throttle(before: Throttle, observed: Observed, now: float, period_seconds: float) -> Throttle:
    """Return the pace after a look; `period_seconds` is the shortest period of all PieProbes.

    It is cut at once, and again after a period if that did not help.
    """
    recent = before.recent.then(observed, now - before.looked_at)
    found = replace(before, recent=recent, looked_at=now)
    if signs := recent.signs():
        # What was seen by now counts once.
        found = replace(found, signs=signs, wrong_at=now, recent=Recent())
        if not before.on or now - before.changed_at >= period_seconds:
            part = max(LEAST, before.part * CUT)
            found = replace(found, part=part, changed_at=now if part != before.part else before.changed_at)
        return found
    quiet_seconds = now - max(before.changed_at, before.wrong_at)
    if before.on and quiet_seconds >= QUIET_PERIODS * period_seconds:
        part = min(1.0, before.part + RISE)
        return replace(found, part=part, changed_at=now, signs=before.signs if part < 1 else ())
    return found

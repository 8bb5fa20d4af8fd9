"""Format of verdicts and durations on a terminal."""

from pie.core.model import Stage, Verdict
from pie.core.reasons import Area

_COLOURS = {
    Verdict.OK: "green",
    Verdict.LATE: "red",
    Verdict.FAILED: "red",
    Verdict.HUNG: "bold red",
    Verdict.INCONCLUSIVE: "magenta",
    Verdict.SUPPRESSED: "yellow",
    Verdict.PENDING: "dim",
    Verdict.UNKNOWN: "magenta",
}
STAGE_COLOURS = {
    Stage.QUEUE: "bright_black",
    Stage.SCHEDULE: "blue",
    Stage.PROVISION: "magenta",
    Stage.ATTACH: "yellow",
    Stage.MOUNT: "cyan",
    Stage.START: "bright_blue",
    Stage.IO: "green",
    Stage.TEARDOWN: "white",
}
WIDE_COLUMNS = 110
"""A terminal with this many columns has space for details beside a row's other cells."""

_MINUTE = 60
_HOUR = 3600
_DAY = 86_400


def colour(verdict: Verdict) -> str:
    """Return the Rich style of a verdict; the word is always shown, too."""
    return _COLOURS[verdict]


def seconds_text(seconds: float) -> str:
    """Return a duration for people: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 10:  # noqa: PLR2004  below it tenths matter
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def many(count: int, thing: str) -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def latency_text(seconds: float | None) -> str:
    """Return a latency for people: `0.21 ms`; empty where it is not known."""
    return "" if seconds is None else f"{seconds * 1000:.2f} ms"


def whose_problem(area: str) -> str:
    """Return in words whose problem it is: `area: node, not a storage problem`; empty without an area."""
    other = "" if area == Area.STORAGE else ", not a storage problem"
    return f"area: {area}{other}" if area else ""

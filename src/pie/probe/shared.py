"""A volume that is mounted on two nodes at once: each pod sees what the other one writes, fsyncs and renames.

Each pod writes records to a file of its own, and reads that of the other one. Neither goes on before it has
seen the last change of the other one, so a change that is not seen is known by its number.
"""

import time
from collections.abc import Callable
from typing import Final

from pie.core.result import Outcome, RecordStats
from pie.core.text import one_line
from pie.probe.failure import Failure
from pie.probe.records import Records
from pie.probe.ring import Record
from pie.probe.volume import Volume

_OVERWRITES: Final = 2
_EACH_SECONDS: Final = 0.2
FILES: Final = ("first", "second")
"""The files of the pods."""


def changes(place: int) -> str:
    """Return what a change is, by its place in the order in which each pod makes them."""
    if place in (0, _OVERWRITES + 1):
        return "a file that was renamed"
    return f"record {place + 1}"


class Shared:
    """One of the two pods; `second`: it started when the first one was at work."""

    def __init__(
        self,
        volume: Volume,
        *,
        second: bool,
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Do no I/O yet."""
        self._mine, self._theirs = FILES[second], FILES[not second]
        self._own, self._other = Records(volume, self._mine), Records(volume, self._theirs)
        self._newest: Record | None = None
        self._met: Record | None = None
        self._pause, self._now = pause, now

    def meet(self, patience_seconds: float) -> None:
        """Write the first records, and wait for those of the other pod."""
        self._newest = self._own.append(None)
        self._see(0, patience_seconds)

    def exchange(self, patience_seconds: float) -> None:
        """Change the own file again and again, and wait each time for the same change of the other one."""
        for place in range(1, _OVERWRITES + 2):
            replaces = place > _OVERWRITES
            self._newest = self._own.append(None if replaces else self._newest)
            self._see(place, patience_seconds)

    def stats(self) -> RecordStats:
        """Return what was seen and written."""
        met, newest = self._met, self._newest
        return RecordStats(
            identity_found=met.identity if met else None,
            sequence_found=met.sequence if met else None,
            identity_written=newest.identity if newest else None,
            sequence_written=newest.sequence if newest else None,
        )

    def _see(self, place: int, patience_seconds: float) -> None:
        give_up_at, why = self._now() + patience_seconds, ""
        while True:
            found = self._other.read()
            newest = found.newest if found is not None else None
            why = one_line(found.detail) if found is not None and found.corrupted else ""
            if newest is not None and not why and self._place(newest) >= place:
                self._met = self._met or newest
                return
            if self._now() >= give_up_at:
                break
            self._pause(_EACH_SECONDS)
        if why:
            raise Failure(Outcome.DATA_CORRUPTED, f"in what the other node wrote: {why}")
        has = f"it shows {_named(newest)}" if newest is not None else "it shows nothing of it"
        raise Failure(
            Outcome.SHARED_NOT_SEEN,
            f"after {patience_seconds:g} s this node does not show {changes(place)} of the other node"
            f" in {self._theirs}: {has}",
        )

    def _place(self, newest: Record) -> int:
        """Return which change of the other pod a record shows."""
        replaced = self._met is not None and newest.identity != self._met.identity
        return newest.sequence - 1 + (_OVERWRITES + 1 if replaced else 0)


def _named(record: Record) -> str:
    return f"record {record.sequence} of {record.identity[:8]}"

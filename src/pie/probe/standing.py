"""What the two sides of a resident probe share: the thread with the I/O notes, the others read and wait.

No lock is held during I/O, so whoever asks gets an answer also while I/O sleeps in the kernel for ever.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pie.core.resident.answers import Known, answer
from pie.core.resident.codes import Code
from pie.core.resident.interval import OPERATIONS

BUCKETS_SECONDS: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)

_LOOK_AGAIN_SECONDS: Final = 0.25
"""A question that is held becomes due by time alone, too."""


class Standing:
    """How I/O on the volume goes, and how long its operations took."""

    def __init__(self, threshold_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet."""
        self._threshold_seconds = threshold_seconds
        self._clock = clock
        self._known = Known()
        self._changed = threading.Condition()
        self._counts = {name: [0] * (len(BUCKETS_SECONDS) + 1) for name in OPERATIONS}
        self._sums = dict.fromkeys(OPERATIONS, 0.0)

    # The thread with the I/O.

    @contextmanager
    def doing(self, operation: str) -> Iterator[None]:
        """Note that an operation goes on; its time is kept if it is one of `OPERATIONS`."""
        began = self._clock()
        with self._changed:
            self._known = Known(self._known.last, began, self._known.said)
        try:
            yield
        finally:
            took = self._clock() - began
            with self._changed:
                self._known = Known(self._known.last, None, self._known.said)
                if operation in self._counts:
                    self._counts[operation][bisect_left(BUCKETS_SECONDS, took)] += 1
                    self._sums[operation] += took

    def ended(self, code: Code) -> None:
        """Note how a round of I/O ended."""
        with self._changed:
            self._known = self._known.ended(code)
            self._changed.notify_all()

    # The threads that answer.

    def now(self) -> Code | None:
        """Return the code for I/O now; None: no round has ended yet."""
        return self._known.code(self._clock(), self._threshold_seconds)

    def answer(self) -> Code:
        """Return what to answer the kubelet, as soon as it is to be answered."""
        asked_at = self._clock()
        with self._changed:
            while (code := answer(self._known, asked_at, self._clock(), self._threshold_seconds)) is None:
                self._changed.wait(_LOOK_AGAIN_SECONDS)
            self._known = self._known.told(code)
            return code

    def metrics(self) -> str:
        """Return the histogram of the operations, in the text format of Prometheus."""
        name = "pie_resident_io_duration_seconds"
        lines = [f"# HELP {name} How long an operation on the volume took.", f"# TYPE {name} histogram"]
        with self._changed:
            for operation, counts in self._counts.items():
                label, total = f'operation="{operation}"', 0
                for bound, count in zip((*map(str, BUCKETS_SECONDS), "+Inf"), counts, strict=True):
                    total += count
                    lines.append(f'{name}_bucket{{{label},le="{bound}"}} {total}')
                lines += [
                    f"{name}_sum{{{label}}} {self._sums[operation]}",
                    f"{name}_count{{{label}}} {total}",
                ]
        return "\n".join([*lines, ""])

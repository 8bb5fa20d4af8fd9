"""Errors of pie itself: each is logged with its object and counted; pie continues."""

from typing import Final

import structlog
from prometheus_client import Counter

from pie.kube.repeated import Repeated

_log = structlog.get_logger()

_LINES: Final = 5
"""The most log lines with a traceback for one place in the code, in ten minutes."""


class Defects:
    """The defects of one part of pie: a watch, or a kind of work. They are at zero from the start.

    Thousands of objects can meet the same defect: only the first few are logged, and all are counted.
    """

    def __init__(self, counter: Counter, part: str, name: str) -> None:
        self._count = counter.labels(part, name)
        self._about = {"part": part, "of": name}
        self._repeated = Repeated(_LINES)

    def note(self, error: Exception, **about: str) -> None:
        """Log a defect with its traceback, and count it. `about` names the object."""
        self._count.inc()
        left_out = self._repeated.write(_place(error))
        if left_out is not None:
            more = {"left_out": left_out} if left_out else {}
            _log.error("defect in pie, please report it", exc_info=error, **self._about, **about, **more)


def _place(error: Exception) -> tuple[str, str, int]:
    """Return what the error is and where it was raised."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return type(error).__name__, "", 0
    return type(error).__name__, traceback.tb_frame.f_code.co_filename, traceback.tb_lineno

"""From an error to the outcome in the result."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pie.core.result import Outcome

OUTCOMES: Mapping[int, Outcome] = {
    errno.EROFS: Outcome.READ_ONLY,
    errno.ENOSPC: Outcome.NO_SPACE,
    errno.EDQUOT: Outcome.NO_SPACE,
    errno.EACCES: Outcome.PERMISSION_DENIED,
    errno.EPERM: Outcome.PERMISSION_DENIED,
}
"""Errors of a volume that have an outcome of their own; every other one is an `IOError`."""


class Failure(Exception):  # noqa: N818  the word for it in results, docs and metrics
    """A step of the run failed: the outcome, and in `str()` what failed on which file."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        """Keep the outcome beside the message."""
        super().__init__(message)
        self.outcome = outcome


def outcome_of(number: int) -> Outcome:
    """Return the outcome for an errno of an operation on the volume."""
    return OUTCOMES.get(number, Outcome.IO_ERROR)


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Turn an OSError of an operation on the volume into a Failure that names the operation."""
    try:
        yield
    except OSError as error:
        number = error.errno or errno.EIO
        name = errno.errorcode.get(number, str(number))
        raise Failure(outcome_of(number), f"{what}: {os.strerror(number)} ({name})") from error

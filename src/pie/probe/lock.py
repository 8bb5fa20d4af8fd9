"""The lock that keeps two runs apart on one volume, where the volume has locks.

An application needs no lock to read and write, so a volume that has none, or that does not answer when it is
asked for one, works all the same. The result then says so, and the controller keeps the runs apart.
"""

import fcntl
import threading
from pathlib import Path
from typing import Final

from pie.core.result import Note, Outcome
from pie.probe.failure import Failure

PATIENCE_SECONDS: Final = 5.0
"""A lock is granted or refused at once, but a network filesystem asks its server, which may never answer."""


def take(descriptor: int, path: Path, patience_seconds: float = PATIENCE_SECONDS) -> Note | None:
    """Lock an open file for as long as it is open; return what kept this from being done, if anything did.

    Raises Failure if another run has the lock. A thread asks, since the call may hang in the kernel. It does
    not keep the process from ending, unless the kernel does.
    """
    answers: list[OSError | None] = []

    def ask() -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            answers.append(error)
        else:
            answers.append(None)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience_seconds)
    if not answers:
        return Note.LOCK_UNANSWERED
    if isinstance(answers[0], BlockingIOError):
        why = f"another run holds {path}: it is still at work, or hangs"
        raise Failure(Outcome.LOCKED, why) from answers[0]
    # Whatever else is wrong with the volume, reads and writes will show it.
    return Note.NO_LOCKS if answers[0] is not None else None

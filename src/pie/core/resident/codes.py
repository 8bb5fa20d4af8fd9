"""The status codes by which a resident probe answers: the code is all that a kubelet reports."""

from enum import IntEnum
from typing import Final

from pie.core.result import Outcome

PORT: Final = 8111
QUESTION: Final = "/ready"
"""The path that the kubelet asks for. The answer may be held."""


class Code(IntEnum):
    """How I/O on the volume goes."""

    WELL = 200
    PERMISSION_DENIED = 403
    VOLUME_MISSING = 404
    CORRUPTED = 409
    STALE = 410
    NO_SPACE = 413
    LOCKED = 423
    IO_ERROR = 500
    INTERNAL = 501
    STALLED = 503
    READ_ONLY = 507


_OF_OUTCOMES: Final = {
    Outcome.OK: Code.WELL,
    Outcome.PERMISSION_DENIED: Code.PERMISSION_DENIED,
    Outcome.VOLUME_MISSING: Code.VOLUME_MISSING,
    Outcome.DATA_CORRUPTED: Code.CORRUPTED,
    Outcome.NO_SPACE: Code.NO_SPACE,
    Outcome.LOCKED: Code.LOCKED,
    Outcome.INTERNAL: Code.INTERNAL,
    Outcome.READ_ONLY: Code.READ_ONLY,
}


def code_of(outcome: Outcome) -> Code:
    """Return the code for how a round of I/O ended."""
    return _OF_OUTCOMES.get(outcome, Code.IO_ERROR)

"""What a StorageClass offers, and whether it works: a line for each canary that a check ran."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from pie.core.kinds import KINDS
from pie.core.model import Stage, Verdict
from pie.core.oneshot import Checked
from pie.core.reasons import Reason


class Known(StrEnum):
    """The answer to a question about a feature."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Feature(Struct, frozen=True):
    """A feature of a class: whether it is offered and works, and how long the slowest good check took."""

    name: str
    offered: Known
    works: Known
    seconds: float = 0.0


def features_of(targets: Iterable[Checked]) -> list[Feature]:
    """Return the features that were checked, in the order of the kinds of probe."""
    found = list(targets)
    names = [name for name, row in KINDS.items() if row.canary]
    return [_feature(name, mine) for name in names if (mine := [each for each in found if each.kind == name])]


def _feature(name: str, checked: list[Checked]) -> Feature:
    good = [each for each in checked if each.verdict is Verdict.OK]
    # The volume was there, so the class offers it; an error before that may also mean that it does not.
    used = any(each.bad and each.stage is Stage.IO for each in checked)
    refused = any(each.reason is Reason.NOT_OFFERED for each in checked)
    offered = Known.YES if good or used else Known.NO if refused else Known.UNKNOWN
    bad = any(each.bad for each in checked)
    works = Known.NO if bad else Known.YES if good else Known.UNKNOWN
    return Feature(name, offered, works, max((each.seconds for each in good), default=0.0))

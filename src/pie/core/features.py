"""What a StorageClass offers, and whether it works: a line for each canary, of a check or of a PieProbe."""

from collections.abc import Iterable

from msgspec import Struct

from pie.core.apitypes import FeatureView, Known, RunView, TargetView
from pie.core.kinds import KINDS
from pie.core.model import Stage, Verdict
from pie.core.oneshot import Checked
from pie.core.reasons import Reason

_BAD = (Verdict.LATE, Verdict.FAILED, Verdict.HUNG)


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


def feature_now(target: TargetView, runs: Iterable[RunView]) -> FeatureView:
    """Return what a canary has found out until now; `runs` are its last ones, the newest first."""
    bad = target.verdict in _BAD
    # The volume was there, so the class offers it.
    used = target.last_ok is not None or (bad and target.stage is Stage.IO)
    refused = target.reason == Reason.NOT_OFFERED.value
    good = next((each for each in runs if each.verdict is Verdict.OK), None)
    return FeatureView(
        name=target.kind,
        storage_class=target.storage_class,
        offered=Known.NO if refused else Known.YES if used else Known.UNKNOWN,
        works=Known.NO if bad else Known.YES if target.verdict is Verdict.OK else Known.UNKNOWN,
        proved=target.last_ok,
        seconds=round(sum(good.stages.values()), 3) if good is not None else None,
    )

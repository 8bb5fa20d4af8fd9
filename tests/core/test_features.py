"""The features of a class, as the targets of a check say."""

import pytest
from msgspec.structs import replace

from pie.core.apitypes import FeatureView, Known, RunView, TargetView
from pie.core.features import Feature, feature_now, features_of
from pie.core.model import Stage, Verdict
from pie.core.oneshot import Checked
from pie.core.reasons import Reason

YES, NO, UNKNOWN = Known.YES, Known.NO, Known.UNKNOWN
GOOD = Checked("block", "n1", Verdict.OK, Reason.OK, seconds=3.0)
SLOWER = Checked("block", "n2", Verdict.OK, Reason.OK, seconds=5.0)
BROKEN = Checked("block", "n3", Verdict.FAILED, Reason.IO_ERROR, Stage.IO, seconds=9.0)
NOT_CREATED = Checked("block", "n3", Verdict.LATE, Reason.PROVISIONING_FAILED, Stage.PROVISION)
NOT_OFFERED = Checked("block", "n3", Verdict.INCONCLUSIVE, Reason.NOT_OFFERED, Stage.PROVISION)
NOT_TESTED = Checked("block", "n3", Verdict.INCONCLUSIVE, Reason.IMAGE_PULL, Stage.START)


@pytest.mark.parametrize(
    ("targets", "offered", "works", "seconds"),
    [
        ([GOOD], YES, YES, 3.0),
        ([GOOD, SLOWER], YES, YES, 5.0),
        ([GOOD, BROKEN], YES, NO, 3.0),
        ([BROKEN], YES, NO, 0.0),
        ([NOT_CREATED], UNKNOWN, NO, 0.0),
        ([NOT_OFFERED], NO, UNKNOWN, 0.0),
        ([NOT_TESTED], UNKNOWN, UNKNOWN, 0.0),
    ],
)
def test_a_feature_is_offered_and_works_as_its_checks_say(
    targets: list[Checked], offered: Known, works: Known, seconds: float
) -> None:
    assert features_of(targets) == [Feature("block", offered, works, seconds)]


def test_only_canaries_that_were_checked_are_features() -> None:
    others = [Checked(kind, "", Verdict.OK, Reason.OK) for kind in ("provision", "mount", "clone")]
    assert [each.name for each in features_of(others)] == ["clone"]


PENDING = TargetView(
    *("p", "block", "fast", "", "", Verdict.PENDING, "Pending"),
    message="",
    stage=None,
    since=None,
    due=None,
    last_ok=None,
    io=None,
)
WELL = replace(PENDING, verdict=Verdict.OK, reason="OK", last_ok=500.0)
BAD_IO = replace(PENDING, verdict=Verdict.FAILED, reason="IOError", stage=Stage.IO)
REFUSED = replace(PENDING, verdict=Verdict.INCONCLUSIVE, reason="NotOffered", stage=Stage.PROVISION)


@pytest.mark.parametrize(
    ("target", "offered", "works"),
    [
        (PENDING, UNKNOWN, UNKNOWN),
        (WELL, YES, YES),
        (BAD_IO, YES, NO),
        (replace(BAD_IO, verdict=Verdict.LATE, stage=Stage.PROVISION), UNKNOWN, NO),
        (replace(BAD_IO, verdict=Verdict.LATE, stage=Stage.PROVISION, last_ok=500.0), YES, NO),
        (REFUSED, NO, UNKNOWN),
        (replace(REFUSED, last_ok=500.0), NO, UNKNOWN),
        (replace(WELL, verdict=Verdict.SUPPRESSED, reason="NodeCordoned"), YES, UNKNOWN),
    ],
)
def test_a_canary_says_what_is_known_of_its_feature_now(
    target: TargetView, offered: Known, works: Known
) -> None:
    assert feature_now(target, ()) == FeatureView("block", "fast", offered, works, target.last_ok)


def test_how_long_a_feature_took_is_that_of_its_newest_good_run() -> None:
    good = RunView(
        *(480.0, "schedule", Verdict.OK, "OK", "", None, "n1"),
        ended=True,
        stages={Stage.PROVISION: 2.0, Stage.IO: 1.25},
        io=None,
        meaning="",
        next="",
    )
    bad = replace(good, verdict=Verdict.FAILED, stages={Stage.PROVISION: 9.0})
    slower = replace(good, stages={Stage.PROVISION: 7.0})
    assert feature_now(WELL, (bad, good, slower)).seconds == 3.25

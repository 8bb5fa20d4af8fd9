"""The features of a class, as the targets of a check say."""

import pytest

from pie.core.features import Feature, Known, features_of
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

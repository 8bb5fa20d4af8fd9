"""When a target is named for the runs that somebody deletes."""

import pytest

from pie.core.deletedruns import lose, losing_until, runs_deleted
from pie.core.model import Kind, Target
from tests.core.build import MOUNT, PROVISION, T0


@pytest.mark.parametrize(
    ("dues", "until"),
    [
        ((), None),
        ((0, 60), None),
        ((0, 60, 60), None),  # a due time and an early run of the same minute are one
        ((0, 60, 120), 600),
        ((0, 60, 120, 180), 660),
        ((0, 300, 540), 600),
        ((540, 0, 300), 600),
    ],
)
def test_a_target_is_named_once_it_lost_three_of_its_last_ten_periods(
    dues: tuple[float, ...], until: float | None
) -> None:
    lost: tuple[float, ...] = ()
    for due in dues:
        lost = lose(lost, T0 + due)
    assert losing_until(lost, 60) == (None if until is None else T0 + until)


def test_the_condition_names_the_targets_and_who_may_delete_jobs() -> None:
    assert runs_deleted([])["status"] == "False"
    found = runs_deleted([PROVISION, *(Target("p", Kind.MOUNT, "c", f"node-{i}") for i in range(6))])
    assert (found["status"], found["reason"]) == ("True", "JobDeleted")
    for words in ("7 targets", "StorageClass c", "node-0", "and 2 more", "clean-up job", "TTL"):
        assert words in found["message"]
    assert "1 target lost" in runs_deleted([MOUNT])["message"]

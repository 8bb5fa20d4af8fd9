"""How many finished runs wait while pie is away, by the number of targets."""

import pytest

from pie.core.batch.history import history_limit, keeps_few
from pie.core.batch.manifests import cronjob
from pie.core.model import Image, Kind
from tests.core.build import probe

LIMITS = ("successfulJobsHistoryLimit", "failedJobsHistoryLimit")


@pytest.mark.parametrize(
    ("targets", "before", "few"),
    [(200, False, False), (201, False, True), (200, True, True), (161, True, True), (160, True, False)],
)
def test_few_are_kept_above_the_limit_and_until_well_below_it(targets: int, before: bool, few: bool) -> None:
    assert keeps_few(targets, before) == few


def test_a_run_with_a_volume_of_its_own_is_kept_less_often() -> None:
    assert history_limit(few=False, with_volumes=True) < history_limit(few=False, with_volumes=False)
    assert history_limit(few=True, with_volumes=True) == history_limit(few=True, with_volumes=False) == 1


def test_where_few_are_kept_the_cronjob_keeps_one_good_and_one_bad_run_and_is_another() -> None:
    target = probe().target(Kind.MOUNT, "node-1")
    many, few = (
        cronjob(probe(), target, name="c", claim="p", image=Image("pie"), few_kept=few_kept)
        for few_kept in (False, True)
    )
    assert [few["spec"][limit] for limit in LIMITS] == [1, 1]
    assert few["metadata"]["annotations"] != many["metadata"]["annotations"]

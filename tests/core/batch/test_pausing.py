"""Which CronJobs `pie stop` and `pie resume` change where no controller leads."""

import pytest

from pie.core.batch.pausing import to_resume, to_suspend
from pie.core.batch.wire import CronJob, CronJobSpec
from pie.core.naming import ANNOTATION_SUPPRESSED_SINCE
from pie.core.wire import Metadata, OwnerReference

MAINTENANCE = {ANNOTATION_SUPPRESSED_SINCE: "2026-01-01T00:00:00Z"}


def cronjob(*, kind: str = "PieProbe", uid: str = "u", suspend: bool = False, **annotations: str) -> CronJob:
    owners = (OwnerReference(kind=kind, name="p", uid=uid, controller=True),) if kind else ()
    return CronJob(Metadata(owner_references=owners, annotations=annotations), CronJobSpec(suspend=suspend))


@pytest.mark.parametrize(
    ("found", "suspends", "resumes"),
    [
        (cronjob(), True, False),
        (cronjob(suspend=True), False, True),
        (cronjob(suspend=True, **MAINTENANCE), False, False),
        (cronjob(uid="other"), False, False),
        (cronjob(kind="Backup"), False, False),
        (cronjob(kind="", suspend=True), False, False),
    ],
)
def test_only_those_of_the_pieprobes_and_not_those_of_maintenance(
    found: CronJob, suspends: bool, resumes: bool
) -> None:
    assert (bool(to_suspend([found], {"u"})), bool(to_resume([found], {"u"}))) == (suspends, resumes)

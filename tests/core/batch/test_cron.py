"""Which due time a Job is for, also where the CronJob controller's annotation is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.batch.cron import cron, cron_schedule, due_seconds, manual
from pie.core.batch.naming import ANNOTATION_INSTANTIATE, ANNOTATION_SCHEDULED
from pie.core.batch.wire import CronJob, CronJobSpec, Job
from pie.core.wire import Metadata, rfc3339
from tests.core.build import MOUNT, T0, at

NAME = "mount-p-n1-c-123456"
DUE = T0  # 22:14:00
MINUTES = int(DUE) // 60


def cronjob(schedule: str = "0-59/1 * * * *") -> CronJob:
    return CronJob(metadata=Metadata(name=NAME), spec=CronJobSpec(schedule))


def job(name: str = "by-hand", created: float = 2, **annotations: str) -> Job:
    """Return a Job created so many seconds after T0."""
    return Job(metadata=Metadata(name=name, annotations=annotations, creation_timestamp=at(created)))


@pytest.mark.parametrize(
    ("found", "schedule", "due"),
    [
        # As the CronJob controller stamps it.
        (job(**{ANNOTATION_SCHEDULED: rfc3339(DUE - 300)}), "0-59/1 * * * *", DUE - 300),
        # By its name, also long after it was due.
        (job(f"{NAME}-{MINUTES}"), "0-59/1 * * * *", DUE),
        (job(f"{NAME}-{MINUTES}", created=200), "0-59/1 * * * *", DUE),
        (job(f"{NAME}-{MINUTES}", created=-1), "0-59/1 * * * *", DUE),  # another clock is a second behind
        (job(f"{NAME}-{MINUTES}", **{ANNOTATION_SCHEDULED: "soon"}), "0-59/1 * * * *", DUE),
        # A name that cannot mean a due time: the newest one of the schedule.
        (job(f"{NAME}-{MINUTES + 60}"), "0-59/1 * * * *", DUE),
        (job(f"{NAME}-{MINUTES - 3_000}"), "0-59/1 * * * *", DUE),
        (job(f"{NAME}-12345678901234567890"), "0-59/1 * * * *", DUE),
        (job(f"{NAME}-x"), "0-59/1 * * * *", DUE),
        (job(f"other-{MINUTES}"), "0-59/1 * * * *", DUE),
        (job(created=59), "4-59/5 * * * *", DUE),
        (job(created=-56), "4-59/5 * * * *", DUE - 300),
        (job(created=-4), "4-59/5 * * * *", DUE),
        (job(created=0), "20-59/25 * * * *", DUE - 29 * 60),  # 22:14: the newest one was at 21:45
        # A schedule that is not ours says nothing.
        (job(created=17), "@hourly", DUE + 17),
        (job(created=17), "99-59/0 * * * *", DUE + 17),
    ],
)
def test_a_job_of_a_cronjob_is_for_the_due_time_that_is_known_best(
    found: Job, schedule: str, due: float
) -> None:
    assert due_seconds(found, cronjob(schedule)) == due


def test_a_job_of_no_cronjob_or_of_a_person_is_due_when_it_is_created() -> None:
    assert due_seconds(job(created=17), None) == T0 + 17
    by_hand = job(created=17, **{ANNOTATION_INSTANTIATE: "manual"})
    assert due_seconds(by_hand, cronjob()) == T0 + 17
    assert manual(by_hand)
    assert not manual(job())


@given(st.integers(1, 59), st.integers(0, 86_400))
def test_the_newest_due_time_is_one_of_the_targets(period: int, created: int) -> None:
    expected = cron(MOUNT, period * 60).dues_between(T0 + created - 7_200, T0 + created + 5, limit=1_000)[-1]
    schedule = cron_schedule(MOUNT, period * 60)
    assert due_seconds(job(created=created), cronjob(schedule)) == expected

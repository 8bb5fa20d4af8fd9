"""A due time is counted once, also where nobody says which one a Job is for."""

from collections.abc import Callable

import pytest

from pie.core.batch.naming import ANNOTATION_INSTANTIATE
from pie.core.model import Verdict
from tests.controller.stories import (
    BEGIN_SECONDS,
    BUSY_SECONDS,
    END,
    WELL,
    Script,
    cronjobs_go_on,
    cronjobs_stand_still,
    played,
    storage,
)
from tests.controller.world import TARGET, World


def not_stamped(world: World) -> None:
    world.jobs_are_stamped = False


LATE_BY_THREE_SECONDS: Script = [
    action
    for due in range(60, 600, 60)
    for action in ((due - 1, cronjobs_stand_still), (due + 3, cronjobs_go_on))
]
"""Jobs are created a moment after they are due."""


def by_hand(world: World) -> None:
    """Create a Job from each CronJob, as `kubectl create job --from` does."""
    for cronjob in list(world.objects["cronjobs"].values()):
        metadata = cronjob["metadata"]
        owner = {"kind": "CronJob", "name": metadata["name"], "uid": metadata["uid"], "controller": True}
        marks = {ANNOTATION_INSTANTIATE: "manual"}
        name = f"try-{metadata['name']}"
        world.make_job(name, metadata["labels"], marks, owner, cronjob["spec"]["jobTemplate"]["spec"])


@pytest.mark.parametrize("state", ["well", "does not mount", "fails", "hangs"])
def test_a_job_without_its_annotation_counts_for_its_due_time(state: str) -> None:
    ending = [(BEGIN_SECONDS + BUSY_SECONDS, action) for action in WELL]
    script = [*LATE_BY_THREE_SECONDS, (BEGIN_SECONDS, storage(state)), *ending]
    stamped = played(script)
    outcome = played([(0, not_stamped), *script])
    assert outcome.errors(END) == []
    assert outcome.accounts.as_what(TARGET) == stamped.accounts.as_what(TARGET)


@pytest.mark.parametrize("change", [None, not_stamped])
def test_a_job_that_a_person_creates_counts_for_no_due_time(change: Callable[[World], None] | None) -> None:
    outcome = played([*([(0, change)] if change else []), (205, by_hand)])
    assert outcome.errors(END) == []
    assert outcome.counted_as() == {"on time"}
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}

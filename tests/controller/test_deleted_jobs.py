"""Somebody deletes pie's Jobs: what was seen of a run counts, and what was not is called by its name."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from pie.core.model import Verdict
from pie.core.reasons import Reason
from tests.controller.lives import lived
from tests.controller.simulation import Simulation
from tests.controller.stories import (
    BEGIN_SECONDS,
    BUSY_SECONDS,
    END,
    FAULTS,
    GAPS,
    SPEC,
    WELL,
    Script,
    at_once,
    played,
    quick,
    scripts,
    storage,
    with_gaps,
)
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NODE, T0, TARGET, World

Deletes = Callable[[dict[str, Any]], bool]


def ttl(seconds: int | None) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.job_ttl_seconds, world.collector_seconds = seconds, 1

    change.__name__ = f"ttl_{seconds}"
    return change


def janitor(deletes: Deletes | None, *, collector_seconds: int = 1) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.deletes_jobs, world.collector_seconds = deletes, collector_seconds

    change.__name__ = f"janitor_{getattr(deletes, '__name__', None)}_{collector_seconds}"
    return change


def finished(job: dict[str, Any]) -> bool:
    return bool(job["status"].get("conditions"))


def at_age(seconds: float) -> Callable[[World], None]:
    """Return the action after which Jobs of that age are deleted."""

    def change(world: World) -> None:
        def old(job: dict[str, Any]) -> bool:
            due = int(job["metadata"]["name"].rpartition("-")[2]) * 60
            return world.now() >= due + seconds

        world.deletes_jobs = old

    return change


CLEAN_UPS = {
    "TTL of 0 s": ttl(0),
    "TTL of 2 s": ttl(2),
    "TTL of 5 s": ttl(5),
    "a janitor that deletes finished Jobs": janitor(finished),
    "pods that outlive their Jobs": janitor(finished, collector_seconds=5),
}


@pytest.mark.parametrize("clean_up", CLEAN_UPS.values(), ids=CLEAN_UPS)
def test_a_result_that_was_seen_counts_though_its_job_is_deleted_at_once(
    clean_up: Callable[[World], None],
) -> None:
    outcome = played([(0, clean_up)], quiet=60)
    assert outcome.errors(END - 200) == []
    assert outcome.counted_as() == {"on time"}
    assert outcome.io["true"] >= 4
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}


@pytest.mark.parametrize("clean_up", CLEAN_UPS.values(), ids=CLEAN_UPS)
def test_failed_runs_are_reported_though_their_jobs_are_deleted_at_once(
    clean_up: Callable[[World], None],
) -> None:
    outcome = played([(0, clean_up), (BEGIN_SECONDS, storage("fails"))], quiet=60)
    assert outcome.io["false"] >= 4
    assert outcome.states[TARGET] == (Verdict.FAILED, Reason.IO_ERROR)
    (incident,) = lived((300, [(0, clean_up), (BEGIN_SECONDS, storage("fails"))]))[0].incidents
    assert (incident["reason"], incident["open"]) == ("IOError", True)


@pytest.mark.parametrize("state", ["does not mount", "hangs"])
def test_a_bad_run_that_was_seen_to_be_bad_stays_so_when_its_job_is_deleted(state: str) -> None:
    # Late after 20 s, hung 46 s after the start; believed some seconds later.
    outcome = played([(0, at_age(21 if state == "does not mount" else 48)), (BEGIN_SECONDS, storage(state))])
    verdict, _ = outcome.states[TARGET]
    assert verdict is (Verdict.LATE if state == "does not mount" else Verdict.HUNG)
    assert outcome.errors(END) == []
    assert Reason.JOB_DELETED not in outcome.accounts.as_what(TARGET)


@pytest.mark.parametrize("age_seconds", [0, 1, 2, 4])
def test_a_run_that_is_deleted_before_anything_is_known_of_it_is_jobdeleted_and_not_late(
    age_seconds: int,
) -> None:
    outcome = played([(BEGIN_SECONDS, at_age(age_seconds))], quiet=60)
    assert outcome.errors(END - 200) == []
    assert "late" not in outcome.counted_as()
    assert outcome.states[TARGET] == (Verdict.UNKNOWN, Reason.JOB_DELETED)
    # A mount run that had started was on time; what its I/O would have said is lost.
    lost = outcome.accounts.as_what(TARGET)[Reason.JOB_DELETED]
    assert lost + outcome.cut_short >= 3
    assert (lost == 0) is (age_seconds >= 4)


def test_a_job_that_comes_and_goes_unseen_is_jobdeleted_by_the_word_of_its_cronjob() -> None:
    outcome = played([(150, at_age(5))], with_gaps([("jobs", 175, 40), ("pods", 175, 40)]), quiet=0)
    assert outcome.errors(T0 + 240) == []
    assert "late" not in outcome.counted_as()


def test_a_pod_that_its_deleted_job_left_behind_hangs_all_the_same() -> None:
    stays = [(BEGIN_SECONDS, storage("hangs")), (140, World.delete_jobs)]
    outcome = played([(0, janitor(None, collector_seconds=300)), *stays], quiet=0)
    assert outcome.io["false"] >= 1


CLEANING = [World.delete_jobs, ttl(0), ttl(2), janitor(finished, collector_seconds=7)]


@quick
@given(scripts([*FAULTS, *CLEANING]), GAPS)
def test_every_due_time_is_counted_exactly_once_whoever_deletes_jobs(
    script: Script, gaps: list[tuple[str, int, int]]
) -> None:
    well = [(BEGIN_SECONDS + BUSY_SECONDS, action) for action in (*WELL, ttl(None), janitor(None))]
    outcome = played([*script, *well], with_gaps(gaps))
    assert outcome.errors(END) == []
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}


@quick
@given(scripts(CLEANING), GAPS)
def test_whoever_deletes_jobs_no_well_target_is_ever_bad(
    script: Script, gaps: list[tuple[str, int, int]]
) -> None:
    outcome = played(script, with_gaps(gaps))
    assert outcome.counted_as() <= {"on time", Reason.JOB_DELETED, Reason.POD_DELETED}
    assert outcome.io["false"] == 0


def conditions(script: Script, *seconds: int) -> list[dict[str, Any]]:
    """Return the condition RunsDeleted after each controller's life."""

    async def live() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        simulation = Simulation(at_once)
        simulation.world.begin(SPEC)

        def look(world: World) -> None:
            status = world.objects["pieprobes"]["p"]["status"]
            found.extend(each for each in status["conditions"] if each["type"] == "RunsDeleted")

        await simulation.run(seconds[-1] + 1, [*script, *((second, look) for second in seconds)])
        return found

    return in_virtual_time(live())


def test_a_target_that_loses_the_runs_of_three_periods_is_named_until_that_is_long_past() -> None:
    two, three, after = conditions([(100, at_age(0)), (300, janitor(None))], 230, 290, 900)
    assert (two["status"], three["status"], after["status"]) == ("False", "True", "False")
    assert three["reason"] == "JobDeleted"
    for words in (NODE, "StorageClass c", "kubectl delete jobs", "TTL"):
        assert words in three["message"]

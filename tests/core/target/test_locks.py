"""On a volume without file locks the controller alone keeps runs apart."""

from dataclasses import replace

import msgspec
import pytest

from pie.core.batch.cron import cron
from pie.core.model import Verdict
from pie.core.reasons import Reason
from pie.core.result import Note, Outcome, RecordStats, Result, encode
from pie.core.run import RunFact
from pie.core.target.effects import DiscardRun, KeepObjects
from pie.core.target.facts import ScheduleFact, TargetFacts
from pie.core.target.state import TargetState
from pie.core.target.step import Step, step
from pie.core.timeline import Sightings
from pie.core.wire import Metadata
from tests.core.build import MOUNT, T0, claim, pod, probe
from tests.core.target.build import known

PERIOD_SECONDS = 600
PROBE = probe(period_seconds=PERIOD_SECONDS)
CALENDAR = cron(MOUNT, PERIOD_SECONDS, PROBE.minute_seconds)
LOCKS: tuple[Note, ...] = ()
NO_LOCKS, UNANSWERED = (Note.NO_LOCKS,), (Note.LOCK_UNANSWERED,)
CLAIM = claim(bound=True)
FACTS = TargetFacts(
    known=True, probe=PROBE, calendar=CALENDAR, schedule=ScheduleFact(since=T0 - 10), claim=CLAIM
)


def said(outcome: Outcome, notes: tuple[Note, ...]) -> str:
    records = RecordStats(identity_found="a" * 32, sequence_found=1)
    return encode(Result(probe="mount", outcome=outcome, records=records, notes=notes)).decode()


def after_a_run(outcome: Outcome, notes: tuple[Note, ...]) -> Step:
    """Return a step of a target whose first run ended so, long enough ago to be believed."""
    shown = pod(scheduled=1, acknowledged=1, started=2, ended=5, message=said(outcome, notes))
    ended = RunFact("first", T0, T0, pod=shown, over_at=T0 + 5, seen=Sightings(ready=T0 + 2))
    now = step(TargetState(MOUNT), known(FACTS, -1), T0 - 1)
    for second in (6, 30, 40):
        now = step(now.state, known(FACTS, second, ended), T0 + second)
    assert now.state.standing.verdict in {Verdict.OK, Verdict.FAILED}
    return now


@pytest.mark.parametrize(("notes", "early"), [(LOCKS, True), (NO_LOCKS, False), (UNANSWERED, False)])
def test_a_bad_target_without_locks_is_not_probed_early(notes: tuple[Note, ...], early: bool) -> None:
    now = after_a_run(Outcome.IO_ERROR, notes)
    assert (now.state.early_at is not None) is early


@pytest.mark.parametrize(("notes", "paused"), [(LOCKS, False), (NO_LOCKS, True)])
def test_no_run_is_started_before_the_pod_of_a_deleted_job_is_gone(
    notes: tuple[Note, ...], paused: bool
) -> None:
    before = after_a_run(Outcome.OK, notes)
    hanging = pod(scheduled=1, acknowledged=1, started=2, deleted=20)
    deleted = RunFact("second", T0 + 60, T0, pod=hanging, deleted_at=T0 + 80, discardable="forget")
    steps = [before]
    for second in (90, 120, 150):
        steps.append(step(steps[-1].state, known(FACTS, second, deleted), T0 + second))
    effects = [effect for each in steps for effect in each.effects]
    kept = [each.paused_since is not None for each in effects if isinstance(each, KeepObjects)]
    assert kept == ([True] if paused else [])
    assert DiscardRun("second") not in effects, "what keeps the next run away stays known"


def test_when_that_pod_is_gone_runs_are_started_again() -> None:
    hanging = pod(scheduled=1, acknowledged=1, started=2, deleted=20)
    deleted = RunFact("second", T0 + 60, T0, pod=hanging, deleted_at=T0 + 80, discardable="forget")
    paused = step(after_a_run(Outcome.OK, NO_LOCKS).state, known(FACTS, 90, deleted), T0 + 90)
    suspended = ScheduleFact(since=T0 - 10, paused=True)
    gone = replace(deleted, pod_gone=True, pod_known_until=T0 + 140)
    for second in (150, 170, 190):
        paused = step(paused.state, replace(known(FACTS, second, gone), schedule=suspended), T0 + second)
    assert paused.state.resume_at is not None
    assert paused.state.resume_at >= CALENDAR.next_due(T0 + 150), "the schedule starts the run that it missed"
    assert paused.state.runs["second"].discard_ordered == "forget"
    resumed_at = paused.state.resume_at
    resumed = step(paused.state, replace(known(FACTS, resumed_at - T0), schedule=suspended), resumed_at)
    assert [each.paused_since for each in resumed.effects if isinstance(each, KeepObjects)] == [None]


@pytest.mark.parametrize(
    ("notes", "began", "verdict", "reason"),
    [
        (NO_LOCKS, 4.0, Verdict.INCONCLUSIVE, Reason.LOCKED),
        (NO_LOCKS, 6.0, Verdict.FAILED, Reason.DATA_CORRUPTED),
        (LOCKS, 4.0, Verdict.FAILED, Reason.DATA_CORRUPTED),
    ],
)
def test_what_a_run_says_of_the_data_is_not_believed_if_it_met_another_on_a_volume_without_locks(
    notes: tuple[Note, ...], began: float, verdict: Verdict, reason: Reason
) -> None:
    message = said(Outcome.DATA_CORRUPTED, notes)
    shown = pod(scheduled=1, acknowledged=1, started=2, ended=5, message=message, exit_code=1)
    ended = RunFact("first", T0, T0, pod=shown, over_at=T0 + 5, seen=Sightings(ready=T0 + 2))
    other = RunFact("second", T0 + 60, T0, pod=pod(scheduled=1, acknowledged=1, started=began))
    now = step(TargetState(MOUNT), known(FACTS, -1), T0 - 1)
    for second in (6, 30, 40):
        now = step(now.state, known(FACTS, second, ended, other), T0 + second)
    past = now.state.runs["first"].shown
    assert past is not None
    assert (past.verdict, past.reason) == (verdict, reason)


def test_a_run_that_failed_before_it_asked_for_a_lock_says_nothing_about_locks() -> None:
    before = after_a_run(Outcome.OK, NO_LOCKS)
    message = encode(Result(probe="mount", outcome=Outcome.VOLUME_MISSING)).decode()
    shown = pod(scheduled=1, acknowledged=1, started=2, ended=5, message=message, exit_code=1)
    ended = RunFact("second", T0 + 60, T0, pod=shown, over_at=T0 + 65, seen=Sightings(ready=T0 + 2))
    assert step(before.state, known(FACTS, 70, ended), T0 + 70).state.unlocked


def test_another_pvc_may_have_locks() -> None:
    before = after_a_run(Outcome.OK, NO_LOCKS)
    anew = msgspec.structs.replace(CLAIM, metadata=Metadata(name="pod-volume", uid="another"))
    shown = pod(scheduled=1, acknowledged=1, started=2, ended=5, message=said(Outcome.OK, LOCKS))
    ended = RunFact("second", T0 + 60, T0, pod=shown, over_at=T0 + 65, seen=Sightings(ready=T0 + 2))
    assert not step(before.state, replace(known(FACTS, 70, ended), claim=anew), T0 + 70).state.unlocked

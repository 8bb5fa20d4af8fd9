"""What a provisioner said of a PVC before pie listened is asked for: it may explain the runs of today."""

from dataclasses import replace

from pie.core.batch.cron import cron
from pie.core.model import Target
from pie.core.run import RunFact
from pie.core.target.effects import Ask, Question
from pie.core.target.facts import NodesFact, ScheduleFact, TargetFacts
from pie.core.target.state import TargetState
from pie.core.target.step import Step, step
from pie.core.timeline import WarningEvent
from tests.core.build import MOUNT, PROVISION, T0, claim, pod, probe

WAITS = WarningEvent("FailedScheduling", "0/1 nodes are available: waits", T0 + 2)
SAID = WarningEvent("ProvisioningFailed", "code = InvalidArgument desc = unknown pool", T0 - 600)
RUN = RunFact("run", T0, T0, pod=pod(unschedulable="waits"), claim=claim(), warnings=(WAITS,))


def looked_at(target: Target, run: RunFact) -> Step:
    """Return the step of a target whose run has not started in time: nobody says why."""
    facts = TargetFacts(
        known=True,
        probe=probe(),
        calendar=cron(target, 60, 60),
        schedule=ScheduleFact(since=T0 - 100),
        claim=claim() if target is MOUNT else None,
        runs=(run,),
        pods_as_of=T0 + 40,
        nodes=NodesFact(as_of=T0 + 40),
    )
    return step(TargetState(target), facts, T0 + 40)


def asks_for_events(seen: Step) -> bool:
    return any(isinstance(each, Ask) and each.what is Question.EVENTS for each in seen.effects)


def test_a_silent_provisioner_of_a_pvc_that_was_there_before_may_have_said_why() -> None:
    assert asks_for_events(looked_at(MOUNT, RUN))


def test_of_a_pvc_as_old_as_its_run_all_is_known_that_was_said() -> None:
    assert not asks_for_events(looked_at(PROVISION, RUN))


def test_what_is_known_is_not_asked_for() -> None:
    assert not asks_for_events(looked_at(MOUNT, replace(RUN, warnings=(SAID, WAITS))))

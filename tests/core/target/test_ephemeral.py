"""The PVC of an ephemeral volume goes with its pod: what it was like then explains the run all the same."""

from dataclasses import replace

import pytest

from pie.core.batch.cron import Cron
from pie.core.model import Verdict
from pie.core.reasons import Reason
from pie.core.run import RunFact
from pie.core.schedule import phase_minutes
from pie.core.target.facts import Answers, LeaseAnswer, NodesFact, ScheduleFact, TargetFacts
from pie.core.target.state import TargetState
from pie.core.target.step import look, step
from tests.core.build import PROVISION, T0, claim, pod, probe

PROBE = probe()
CALENDAR = Cron(phase_minutes(PROVISION, 60), 60, PROBE.minute_seconds)
FACTS = TargetFacts(known=True, probe=PROBE, calendar=CALENDAR, schedule=ScheduleFact(since=T0 - 10))
WAITS = RunFact("run", T0, T0, pod=pod(), claim=claim())


def facts(second: float, run: RunFact) -> TargetFacts:
    as_of = T0 + second
    answers = Answers(leases={"run": LeaseAnswer(as_of, None)})
    nodes = NodesFact(as_of=as_of)
    return replace(FACTS, runs=(run,), runs_as_of=as_of, pods_as_of=as_of, nodes=nodes, answers=answers)


@pytest.mark.parametrize("gone", [False, True])
def test_a_run_whose_pod_was_given_up_still_waits_for_its_provisioner(gone: bool) -> None:
    state = step(TargetState(PROVISION), facts(-1, WAITS), T0 - 1).state
    state = step(state, facts(40, WAITS), T0 + 40).state
    ending = replace(WAITS, pod=pod(deleted=64), claim=None, pod_gone=gone, pod_known_until=T0 + 64)
    (case,) = look(state, facts(66, ending), T0 + 66).cases
    assert (case.judgement.verdict, case.judgement.reason) == (Verdict.LATE, Reason.PROVISIONER_SILENT)

"""The PVC of an ephemeral volume goes with its pod: what it was like then explains the run all the same."""

from dataclasses import replace

import pytest

from pie.core.batch.cron import cron
from pie.core.model import Verdict
from pie.core.reasons import Reason
from pie.core.run import RunFact
from pie.core.target.facts import ScheduleFact, TargetFacts
from pie.core.target.state import TargetState
from pie.core.target.step import look, step
from tests.core.build import PROVISION, T0, claim, pod, probe
from tests.core.target.build import known

PROBE = probe()
CALENDAR = cron(PROVISION, 60, PROBE.minute_seconds)
FACTS = TargetFacts(known=True, probe=PROBE, calendar=CALENDAR, schedule=ScheduleFact(since=T0 - 10))
WAITS = RunFact("run", T0, T0, pod=pod(), claim=claim())


@pytest.mark.parametrize("gone", [False, True])
def test_a_run_whose_pod_was_given_up_still_waits_for_its_provisioner(gone: bool) -> None:
    state = step(TargetState(PROVISION), known(FACTS, -1, WAITS), T0 - 1).state
    state = step(state, known(FACTS, 40, WAITS), T0 + 40).state
    ending = replace(WAITS, pod=pod(deleted=64), claim=None, pod_gone=gone, pod_known_until=T0 + 64)
    (case,) = look(state, known(FACTS, 66, ending), T0 + 66).cases
    assert (case.judgement.verdict, case.judgement.reason) == (Verdict.LATE, Reason.PROVISIONER_SILENT)

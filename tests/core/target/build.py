"""Short ways to say what is known of a target."""

from dataclasses import replace

from pie.core.run import RunFact
from pie.core.target.facts import Answers, LeaseAnswer, NodesFact, TargetFacts
from tests.core.build import T0


def known(facts: TargetFacts, second: float, *runs: RunFact) -> TargetFacts:
    """Return these facts with runs, known so many seconds after T0; their nodes have no Leases to look at."""
    as_of = T0 + second
    return replace(
        facts,
        runs=runs,
        runs_as_of=as_of,
        pods_as_of=as_of,
        nodes=NodesFact(as_of=as_of),
        answers=Answers(leases={each.id: LeaseAnswer(as_of, None) for each in runs}),
    )

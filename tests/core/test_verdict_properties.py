"""Whatever of a run's life was seen, its verdict is that of the whole."""

from dataclasses import dataclass

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pie.core.judge import Judgement, judge
from pie.core.model import Kind, Target, Verdict
from pie.core.objects import Claim, Condition, Pod
from pie.core.result import Outcome
from pie.core.timeline import Sightings, sight
from tests.core.build import MOUNT, PROVISION, T0, at, claim, message, pod, probe, run

PROBE = probe()
LONG_AFTER_SECONDS = 1000.0


@dataclass(frozen=True)
class Life:
    """A run's pod and claim, change by change, and when each came (seconds after T0)."""

    target: Target
    pods: tuple[tuple[float, Pod], ...]
    claims: tuple[tuple[float, Claim], ...]
    job_finished: bool

    @property
    def last(self) -> float:
        """When the last change came."""
        return max(when for when, _ in (*self.pods, *self.claims))


def stages(moments: list[float], outcome: Outcome | None, killed: bool) -> list[tuple[float, Pod]]:
    """Return a pod's states: created, bound, taken by the kubelet, ready, started, ended."""
    names = ("scheduled", "acknowledged", "ready", "started", "ended")
    known: dict[str, float] = {}
    states = [(0.0, pod())]
    for name, moment in zip(names, moments, strict=False):
        known[name] = moment
        stamps = {key: value for key, value in known.items() if key != "ready"}
        ending = {}
        if name == "ended":
            bad = killed or outcome is not Outcome.OK
            ending = {"exit_code": int(bad), "message": "" if killed or outcome is None else message(outcome)}
        shown = pod(**stamps, **ending)  # type: ignore[arg-type]
        if "ready" in known and name != "ended":  # it turns False again when the pod ends
            ready = Condition("PodReadyToStartContainers", "True", last_transition_time=at(known["ready"]))
            status = msgspec.structs.replace(shown.status, conditions=(*shown.status.conditions, ready))
            shown = msgspec.structs.replace(shown, status=status)
        states.append((moment, shown))
    return states


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """Whole lives and lives that stop somewhere, well or not, each step quick or slow."""
    steps = draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, 29.0, 31.0, 70.0]), max_size=5))
    moments = [sum(steps[: count + 1]) for count in range(len(steps))]
    outcome = draw(st.sampled_from([Outcome.OK, Outcome.IO_ERROR, Outcome.LOCKED, None]))
    pods = stages(moments, outcome, draw(st.booleans()))
    target = draw(st.sampled_from([MOUNT, PROVISION]))
    claims = [(0.0, claim(bound=True))]
    if target.kind is Kind.PROVISION:
        asked, bound = draw(st.floats(0, 10)), draw(st.floats(10, 40))
        claims = [(0.0, claim(asked=False)), (asked, claim()), (bound, claim(bound=True))]
        claims = claims[: draw(st.integers(1, 3))]
    over = len(moments) == len(("scheduled", "acknowledged", "ready", "started", "ended"))
    return Life(target, tuple(pods), tuple(claims), over or draw(st.booleans()))


def verdict(life: Life, seen: Sightings, as_of: float) -> Judgement:
    """Judge the run from its last state and what was seen of those before."""
    last, its_claim = life.pods[-1][1], life.claims[-1][1]
    found = run(last, life.target, claim=its_claim, job_finished=life.job_finished, seen=seen)
    return judge(found, PROBE, T0 + as_of)


def answer(judgement: Judgement) -> tuple[object, ...]:
    """Return what is counted and shown of a judgement."""
    return judgement.verdict, judgement.on_time, judgement.succeeded, judgement.ended


@given(lives(), st.data())
def test_any_events_lost_or_late_end_in_the_verdict_of_the_full_history(
    life: Life, data: st.DataObject
) -> None:
    whole, part = Sightings(), Sightings()
    changes = [(when, item, None) for when, item in life.pods]
    changes += [(when, None, item) for when, item in life.claims]  # type: ignore[misc]
    for when, a_pod, a_claim in sorted(changes, key=lambda each: each[0]):
        whole = sight(whole, a_pod, a_claim, T0 + when)
    # Pods and claims come by watches of their own, so in any order between them; each may lose some events.
    left = data.draw(st.permutations(changes))
    for when, a_pod, a_claim in left[: data.draw(st.integers(0, len(left)))]:
        part = sight(part, a_pod, a_claim, T0 + when + data.draw(st.floats(0, 60)))
    part = sight(part, life.pods[-1][1], life.claims[-1][1], T0 + life.last)
    as_of = life.last + data.draw(st.floats(0, LONG_AFTER_SECONDS))
    assert answer(verdict(life, part, as_of)) == answer(verdict(life, whole, as_of))


@given(lives(), st.floats(0, LONG_AFTER_SECONDS), st.floats(0, LONG_AFTER_SECONDS))
def test_an_ended_run_has_one_verdict_and_time_does_not_change_it(
    life: Life, first: float, second: float
) -> None:
    once, again = (verdict(life, Sightings(), life.last + after) for after in (first, second))
    assert once.ended == life.job_finished
    if once.ended:
        assert once.verdict in {Verdict.OK, Verdict.LATE, Verdict.FAILED, Verdict.SUPPRESSED}
        assert once == again

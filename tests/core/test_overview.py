"""One word and one sentence for everything: what an operator reads first."""

from dataclasses import replace

import pytest
from msgspec.structs import replace as with_fields

from pie.core.apitypes import Counts, IncidentView, ProbeView, State
from pie.core.incidents.incident import Closing, Incident, Scope
from pie.core.model import Stage
from pie.core.overview import incident_views, state_of, summary, worst
from pie.core.reasons import ADVICE, MEANING, Reason

FINE = "Everything is fine:"
THREE = "3 targets of 1 StorageClass work."
NOTHING = "There is no result yet: no run has ended since this controller became the leader."
WORDS = "StorageClass fast: volumes are not mounted on nodes n1, n2."
OPEN = Incident(
    id="1",
    scope=Scope.NODE,
    stage=Stage.MOUNT,
    reason=Reason.MOUNT_FAILED,
    evidence="no driver",
    opened_at=1000.0,
    nodes=frozenset({"n2", "n1"}),
    targets=2,
)


def probe(state: State = "fine", **counts: int) -> ProbeView:
    total = sum(counts.values())
    return ProbeView("p", "pie", "fast", state, "not probed: X", 60, Counts(total=total, **counts), ())


def view(incident: Incident = OPEN) -> IncidentView:
    (found,) = incident_views([(incident, "p", "fast")])
    return found


@pytest.mark.parametrize(
    ("counts", "incidents", "probed", "state"),
    [
        (Counts(total=2, ok=2), [OPEN], True, "bad"),
        (Counts(total=2, ok=1, hung=1), [], True, "warning"),
        (Counts(total=2, ok=1, late=1), [], True, "warning"),
        (Counts(total=2, ok=1, failed=1), [], True, "warning"),
        (Counts(), [], False, "warning"),
        (Counts(total=2, ok=1, pending=1), [], True, "fine"),
        (Counts(total=2, ok=1, suppressed=1), [], True, "fine"),
        (Counts(total=2, suppressed=2), [], True, "unknown"),
        (Counts(total=2, pending=2), [], True, "unknown"),
    ],
)
def test_the_state_of_a_pieprobe(
    counts: Counts, incidents: list[Incident], probed: bool, state: State
) -> None:
    assert state_of(counts, incidents, probed=probed) == state


@pytest.mark.parametrize(
    ("states", "all_of_them"),
    [
        ([], "unknown"),
        (["fine", "unknown"], "fine"),
        (["fine", "warning"], "warning"),
        (["warning", "bad", "fine"], "bad"),
    ],
)
def test_the_worst_state_speaks_for_all(states: list[State], all_of_them: State) -> None:
    assert worst(states) == all_of_them


@pytest.mark.parametrize(
    ("probes", "incidents", "sentence"),
    [
        ([], [], "There is no PieProbe in the namespace pie yet, so nothing is probed."),
        ([probe(ok=1)], [], f"{FINE} 1 target of 1 StorageClass works."),
        (
            [with_fields(probe(ok=3), storage_class="fast, slow"), probe(ok=1)],
            [],
            f"{FINE} 4 targets of 2 StorageClasses work.",
        ),
        ([probe(ok=3, suppressed=1)], [], f"{FINE} {THREE} 1 is suppressed because of maintenance."),
        ([probe(ok=3, pending=2)], [], f"{FINE} {THREE} 2 have no result yet."),
        ([probe("unknown", suppressed=2)], [], "Not probed: all matching nodes are under maintenance."),
        ([probe("unknown", pending=2)], [], NOTHING),
        (
            [probe("warning", ok=2, late=1)],
            [],
            "1 of 3 targets failed once; an incident opens if it fails again.",
        ),
        ([probe("warning")], [], "Not everything is probed: p (not probed: X)."),
        ([probe("bad", late=2)], [view()], WORDS),
        ([probe("bad", late=2)], [view(), view()], f"{WORDS} And 1 more incident."),
    ],
)
def test_one_sentence_says_whether_everything_is_fine(
    probes: list[ProbeView], incidents: list[IncidentView], sentence: str
) -> None:
    assert summary(probes, incidents, "pie") == sentence


def test_an_incident_says_what_it_means_and_what_to_look_at() -> None:
    told = view()
    assert told.words == WORDS
    assert (told.meaning, told.next) == (MEANING[Reason.MOUNT_FAILED], ADVICE[Reason.MOUNT_FAILED])
    assert (told.nodes, told.targets, told.closed) == (("n1", "n2"), 2, None)


@pytest.mark.parametrize(
    ("because", "message", "words"),
    [
        (Closing.RECOVERED, "", "recovered"),
        (Closing.RECOVERED, "node n1 is under maintenance", "recovered, but node n1 is under maintenance"),
        (
            Closing.SUPPRESSED,
            "node n1 is under maintenance",
            "recovery not confirmed: node n1 is under maintenance",
        ),
        (Closing.GONE, "", "its targets no longer exist"),
        (None, "", ""),
    ],
)
def test_a_closed_incident_says_how_it_ended(because: Closing | None, message: str, words: str) -> None:
    closed = replace(OPEN, closed_at=2000.0, closed_because=because, closed_message=message)
    assert view(closed).ending == words


def test_an_incident_of_the_control_plane_stands_once_however_many_pieprobes_have_it() -> None:
    late = replace(OPEN, stage=Stage.QUEUE, reason=Reason.CONTROL_PLANE_LATE, scope=Scope.CLASS)
    found = [(late, "p", "fast"), (OPEN, "p", "fast"), (late, "q", "slow"), (replace(OPEN), "q", "slow")]
    views = incident_views(found)
    assert [each.reason for each in views] == ["ControlPlaneLate", "MountFailed", "MountFailed"]
    assert views[0].words == "The cluster: Kubernetes does not start pods in time in the whole cluster."
    assert views[0].targets == 4

"""A PieProbe with several classes: each has its own incidents, and all of them one status."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.byclass import STORED, by_class, status_of_all, step_all
from pie.core.incidents.cluster import is_shared
from pie.core.incidents.incident import Closing, Incident, Scope
from pie.core.incidents.stored import from_status
from pie.core.model import Kind, Stage, Target, Verdict
from pie.core.preflight import Pause
from pie.core.probestep import ProbeFacts, TargetNow, status_of
from pie.core.reasons import Reason
from pie.core.target.state import BadStreak, Life, Standing, TargetState
from pie.core.wire import Metadata, PieProbe, rfc3339
from pie.embedded.schema import errors, pieprobe_schema
from tests.core.build import T0, probe
from tests.examples import examples

SCHEMA = pieprobe_schema()["properties"]["status"]
GONE = Pause(Reason.STORAGE_CLASS_NOT_FOUND, "there is no StorageClass b", keep=True, stops=True)
CLASSES = ("a", "b")


def stored(**status: Any) -> PieProbe:
    spec = {"monitoringStorageClasses": list(CLASSES)}
    return PieProbe(Metadata(name="p", uid="u", generation=1), spec, status)


def target(storage_class: str, reason: Reason | None = None) -> TargetNow:
    """Return a mount target that was good, or bad for this reason, in its last two runs."""
    of = Target("p", Kind.MOUNT, storage_class, "n1")
    verdict = Verdict.OK if reason is None else Verdict.LATE
    bad = None
    if reason is not None:
        bad = BadStreak(
            Stage.MOUNT, reason, "evidence", "n1", first_bad=T0, bad_runs=2, last_due=T0, noted_at=T0
        )
    standing = Standing(verdict, reason or Reason.OK, last_ok=0.0 if bad else T0)
    return TargetNow(of, TargetState(of, Life.LIVE, standing=standing, bad=bad, heard=T0))


def facts(storage_class: str, *targets: TargetNow, **more: Any) -> ProbeFacts:
    of = probe(storage_class=storage_class)
    return ProbeFacts(more.pop("stored", stored()), known=True, probe=of, targets=targets, **more)


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in status["conditions"] if each["type"] == kind)
    return found


def incident(storage_class: str = "", number: str = "1") -> Incident:
    nodes = frozenset({"n1"})
    return Incident(
        number,
        Scope.NODE,
        Stage.MOUNT,
        Reason.MOUNT_FAILED,
        "",
        T0,
        nodes,
        targets=1,
        storage_class=storage_class,
    )


def test_the_same_fault_of_two_classes_is_two_incidents() -> None:
    bad = [facts(each, target(each, Reason.MOUNT_FAILED)) for each in CLASSES]
    done = step_all((), bad, T0)
    assert sorted(each.storage_class for each in done.opened) == ["a", "b"]
    assert len({each.id for each in done.opened}) == 2
    # One of them recovers.
    well = [bad[0], facts("b", target("b"))]
    after = step_all(done.incidents, well, T0 + 60)
    assert [each.storage_class for each in after.closed] == ["b"]
    assert [each.storage_class for each in after.incidents if each.closed_at is None] == ["a"]


def test_the_incidents_of_a_class_that_is_removed_from_the_list_close() -> None:
    done = step_all((incident("c"), incident("a", "2")), [facts("a", target("a", Reason.MOUNT_FAILED))], T0)
    (closed,) = done.closed
    assert (closed.storage_class, closed.closed_because) == ("c", Closing.GONE)
    assert closed.closed_message == "StorageClass c is not one of the PieProbe any more"
    assert [each.id for each in done.incidents if each.closed_at is None] == ["2"]


def test_incidents_stay_while_the_spec_cannot_be_read() -> None:
    unread = ProbeFacts(stored(), known=False, problem=(Reason.INVALID_SPEC, "no"))
    assert step_all((incident("a"),), [unread], T0).incidents == (incident("a"),)


def test_an_incident_without_a_class_is_one_of_the_first_class() -> None:
    assert by_class([incident()], CLASSES) == {"a": (incident(),), "b": ()}


def test_an_incident_of_the_control_plane_opens_once_for_all_classes() -> None:
    late = [facts(each, target(each, Reason.CONTROL_PLANE_LATE)) for each in CLASSES]
    done = step_all((), late, T0)
    assert len(done.opened) == 1
    assert len({each.id for each in done.incidents}) == 1
    closed = step_all(done.incidents, [facts(each, target(each)) for each in CLASSES], T0 + 60).closed
    assert len(closed) == 1


def test_the_status_says_of_each_class_how_it_is_and_of_all_the_worst() -> None:
    found = [facts("a", target("a")), facts("b", target("b", Reason.MOUNT_FAILED))]
    done = step_all((), found, T0)
    status = status_of_all(found, done.incidents, T0)
    assert errors(SCHEMA, status) == []
    assert [(each["name"], each["targets"]["ok"], each["targets"]["bad"]) for each in status[STORED]] == [
        ("a", 1, 0),
        ("b", 0, 1),
    ]
    assert status["targets"]["total"] == 2
    health = condition(status, "MountHealthy")
    assert (health["status"], health["reason"]) == ("False", "MountFailed")
    assert health["message"].startswith("StorageClass b: 1 of 1 targets are bad")
    assert "StorageClass a" not in health["message"]
    assert status["summary"].startswith("StorageClass b: volumes are not mounted")
    (incident,) = from_status(status)
    assert incident.storage_class == "b"


def test_a_class_that_is_gone_is_named_and_the_other_one_is_fine() -> None:
    paused = {Kind.MOUNT: GONE, Kind.PROVISION: GONE}
    found = [facts("a", target("a")), facts("b", paused=paused, gone_since=T0 - 60)]
    status = status_of_all(found, (), T0)
    assert errors(SCHEMA, status) == []
    ready = condition(status, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "StorageClassNotFound")
    assert ready["message"] == "StorageClass b: there is no StorageClass b"
    assert status[STORED][1]["goneSince"] == rfc3339(T0 - 60)
    assert "goneSince" not in status[STORED][0]


def test_a_pieprobe_with_the_single_field_has_the_status_that_it_always_had() -> None:
    single = PieProbe(Metadata(name="p", generation=1), {"monitoringStorageClass": "a"})
    found = facts("a", target("a"), stored=single)
    assert status_of_all([found], (), T0) == status_of(found, (), T0)
    was_several = replace(found, stored=PieProbe(single.metadata, single.spec, {STORED: [{"name": "a"}]}))
    assert status_of_all([was_several], (), T0)[STORED] is None


@pytest.mark.parametrize("worse", [Reason.MOUNT_FAILED, None])
def test_the_time_of_a_condition_is_that_of_its_last_change(worse: Reason | None) -> None:
    found = [facts("a", target("a")), facts("b", target("b"))]
    first = status_of_all(found, (), T0)
    again = [replace(each, stored=stored(**first)) for each in (found[0], facts("b", target("b", worse)))]
    second = status_of_all(again, (), T0 + 60)
    at = rfc3339(T0 + 60 if worse is not None else T0)
    assert condition(second, "MountHealthy")["lastTransitionTime"] == at
    of_a, of_b = (condition(each, "MountHealthy")["lastTransitionTime"] for each in second[STORED])
    assert (of_a, of_b) == (rfc3339(T0), at)


def own(incidents: Iterable[Incident]) -> list[tuple[Any, ...]]:
    """Return what is known of the incidents that a class does not share."""
    mine = (each for each in incidents if not is_shared(each))
    return [(each.stage, each.reason, each.closed_at, each.targets) for each in mine]


reasons = st.sampled_from([None, Reason.MOUNT_FAILED, Reason.MOUNT_SLOW, Reason.CONTROL_PLANE_LATE])


@examples(1)
@given(st.lists(st.lists(reasons, min_size=3, max_size=3), min_size=1, max_size=6))
def test_classes_do_not_touch_each_other_and_the_status_keeps_to_the_crd(
    moments: list[list[Reason | None]],
) -> None:
    """What becomes of a class is what would become of it alone, but for what all share."""
    names = ("a", "b", "c")
    together: tuple[Incident, ...] = ()
    alone: dict[str, tuple[Incident, ...]] = dict.fromkeys(names, ())
    for number, moment in enumerate(moments):
        now = T0 + 60 * number
        found = [facts(name, target(name, reason)) for name, reason in zip(names, moment, strict=True)]
        together = step_all(together, found, now).incidents
        for each in found:
            name = each.storage_class
            alone[name] = step_all(alone[name], [each], now).incidents
        assert errors(SCHEMA, status_of_all(found, together, now)) == []
    for name, mine in by_class(together, names).items():
        assert own(mine) == own(alone[name])

"""One fault, one incident: grouping, scope, opening, closing, and what a restart must not change."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.incidents.close import conclude
from pie.core.incidents.fold import Fold, fold, where_leaks_are_explained
from pie.core.incidents.incident import EVERY_NODE, Closing, Finding, Incident, Scope, View
from pie.core.incidents.stored import MOST_IN_STATUS, from_status, to_status
from pie.core.incidents.text import ending, headline, how_it_ended, story
from pie.core.model import Kind, Stage, Target
from pie.core.reasons import ADVICE, Area, Reason
from tests.core.build import T0

NODES = [f"n{i}" for i in range(6)]
ONE_ZONE = dict.fromkeys(NODES, "")
TWO_ZONES = {node: "a" if node in NODES[:3] else "b" for node in NODES}


def mount(
    node: str,
    stage: Stage = Stage.MOUNT,
    reason: Reason = Reason.MOUNT_FAILED,
    *,
    runs: int = 2,
    since: float = T0,
) -> Finding:
    target = Target("p", Kind.MOUNT, "c", node)
    return Finding(target, stage, reason, f"evidence of {node}", node, since, runs)


def provision(
    stage: Stage = Stage.PROVISION,
    reason: Reason = Reason.PROVISIONER_SILENT,
    *,
    node: str = "",
    runs: int = 2,
) -> Finding:
    return Finding(Target("p", Kind.PROVISION, "c"), stage, reason, "no volume", node, T0, runs)


def look(
    *findings: Finding,
    known: tuple[Incident, ...] = (),
    zones: dict[str, str] | None = None,
    unheard: str = "",
    now: float = T0 + 300,
) -> Fold:
    waiting = frozenset(Target("p", Kind.MOUNT, "c", node) for node in unheard.split())
    return fold(known, View(findings, ONE_ZONE if zones is None else zones, waiting), now)


def only(found: Fold) -> Incident:
    assert len(found.open) == 1, found.open
    return found.open[0]


def test_one_bad_run_is_no_incident_and_two_in_a_row_are() -> None:
    assert look(mount("n0", runs=1)).open == ()
    incident = only(look(mount("n0")))
    assert (incident.scope, incident.stage, incident.reason) == (
        Scope.NODE,
        Stage.MOUNT,
        Reason.MOUNT_FAILED,
    )
    assert (incident.nodes, incident.opened_at, incident.evidence) == ({"n0"}, T0, "evidence of n0")


def test_what_a_run_read_needs_no_second_run_to_be_believed() -> None:
    for reason in (Reason.DATA_STALE, Reason.DATA_LOST, Reason.DATA_SWAPPED, Reason.DATA_CORRUPTED):
        assert only(look(mount("n0", Stage.IO, reason, runs=1))).reason is reason


@pytest.mark.parametrize(
    ("findings", "explained"),
    [
        ((), False),
        ((provision(),), True),
        ((mount("n0"),), True),
        ((mount("n1"),), False),
        ((mount("n1"), mount("n2"), mount("n3")), True),
        ((mount("n0", Stage.IO, Reason.IO_ERROR),), False),
        ((provision(Stage.TEARDOWN, Reason.VOLUME_LEAKED, node="n0"),), False),
    ],
)
def test_a_leak_is_explained_by_what_is_wrong_on_its_node_or_everywhere(
    findings: tuple[Finding, ...], explained: bool
) -> None:
    found = where_leaks_are_explained(View(findings, ONE_ZONE))
    assert bool(found & {EVERY_NODE, "n0"}) is explained


def test_several_targets_that_fail_together_are_an_incident_at_once() -> None:
    assert look(mount("n0", runs=1), mount("n1", runs=1)).open == ()
    assert only(look(*(mount(node, runs=1) for node in NODES[:3]))).targets == 3
    two = {"n0": "", "n1": ""}
    assert only(look(mount("n0", runs=1), mount("n1", runs=1), zones=two)).scope is Scope.CLASS


def test_a_rack_that_fails_together_is_an_incident_at_once_however_many_nodes_are_elsewhere() -> None:
    zones = {f"n{i}": f"rack-{i // 10}" for i in range(300)}
    findings = tuple(mount(f"n{i}", runs=1, since=T0) for i in range(4))
    well = {Target("p", Kind.MOUNT, "c", node): T0 for node in list(zones)[4:]}
    assert only(fold((), View(findings, zones, well=well), T0 + 60)).targets == 4
    elsewhere = tuple(mount(f"n{10 * i}", runs=1, since=T0) for i in range(4))
    well = {Target("p", Kind.MOUNT, "c", node): T0 for node in zones if node[-1] != "0"}
    assert fold((), View(elsewhere, zones, well=well), T0 + 60).open == ()


LARGE = [f"n{i}" for i in range(5000)]


def judged(bad: dict[str, float]) -> Fold:
    """Return what is made of nodes of a large class that were bad once; due times are spread."""
    spread = dict(map(due, range(len(LARGE))))
    now = max(bad.values())
    well = {Target("p", Kind.MOUNT, "c", node): at for node, at in spread.items() if at <= now}
    well = {target: at for target, at in well.items() if target.node not in bad}
    findings = tuple(mount(node, runs=1, since=at) for node, at in bad.items())
    return fold((), View(findings, dict.fromkeys(LARGE, ""), well=well), now + 60)


def due(number: int) -> tuple[str, float]:
    """Return a node's name, and when it is due in a period of 59 minutes."""
    return LARGE[number], T0 + 3540 * number / len(LARGE)


@given(st.sets(st.integers(0, 49), min_size=1, max_size=10))
def test_a_few_of_thousands_that_are_bad_once_are_no_incident_however_many_there_are_in_a_period(
    numbers: set[int],
) -> None:
    assert judged(dict(due(100 * number) for number in numbers)).open == ()


def test_all_that_are_due_in_a_minute_or_a_good_part_of_them_are_an_incident() -> None:
    strays = dict(due(500 * number) for number in range(5))
    outage = dict(due(4000 + number) for number in range(8))
    assert only(judged(strays | outage)).targets == 13
    assert only(judged(dict(due(4000 + 3 * number) for number in range(8)))).targets == 8
    assert judged(dict(due(4000 + 10 * number) for number in range(8))).open == ()


def test_all_nodes_of_a_large_class_at_the_same_stage_are_one_incident() -> None:
    nodes = [f"n{i}" for i in range(5000)]
    incident = only(look(*(mount(node) for node in nodes), zones=dict.fromkeys(nodes, "")))
    assert (incident.scope, incident.targets) == (Scope.CLASS, 5000)


@pytest.mark.parametrize(
    ("bad", "zones", "scope", "zone"),
    [
        (NODES[:1], TWO_ZONES, Scope.NODE, ""),
        (NODES[:2], TWO_ZONES, Scope.ZONE, "a"),
        (NODES[:3], TWO_ZONES, Scope.ZONE, "a"),
        ([NODES[0], NODES[3]], TWO_ZONES, Scope.NODE, ""),
        (NODES[:4], TWO_ZONES, Scope.CLASS, ""),
        (NODES[:3], ONE_ZONE, Scope.CLASS, ""),
        (NODES[:2], ONE_ZONE, Scope.NODE, ""),
        (NODES, TWO_ZONES, Scope.CLASS, ""),
    ],
)
def test_the_scope_is_the_smallest_that_holds_what_is_bad(
    bad: list[str], zones: dict[str, str], scope: Scope, zone: str
) -> None:
    incident = only(look(*(mount(node) for node in bad), zones=zones))
    assert (incident.scope, incident.zone) == (scope, zone)


def test_different_faults_of_different_nodes_io_are_different_incidents() -> None:
    found = look(mount("n0", Stage.IO, Reason.IO_ERROR), mount("n1", Stage.IO, Reason.DATA_LOST))
    assert {incident.reason for incident in found.open} == {Reason.IO_ERROR, Reason.DATA_LOST}


def test_an_outage_of_the_back_end_is_one_incident_however_each_node_shows_it() -> None:
    found = look(
        *(mount(node, Stage.IO, Reason.HUNG) for node in NODES[:4]), mount("n4", Stage.IO, Reason.IO_ERROR)
    )
    assert (only(found).scope, only(found).reason) == (Scope.CLASS, Reason.HUNG)


def test_the_mount_probes_name_the_stage_of_what_the_provision_probe_suffers_from_too() -> None:
    late = provision(Stage.START, Reason.STARTED_LATE, node="n1")
    incident = only(look(late, *(mount(node) for node in NODES[:4])))
    assert (incident.stage, incident.reason, incident.provision) == (Stage.MOUNT, Reason.MOUNT_FAILED, True)
    on_bad_node = only(look(provision(Stage.IO, Reason.HUNG, node="n1"), mount("n1")))
    assert on_bad_node.stage is Stage.MOUNT


def test_a_provisioner_that_fails_is_not_the_fault_of_a_node_that_fails_too() -> None:
    found = look(provision(), mount("n1", Stage.IO, Reason.IO_ERROR))
    assert [(each.scope, each.reason) for each in found.open] == [
        (Scope.NODE, Reason.IO_ERROR),
        (Scope.CLASS, Reason.PROVISIONER_SILENT),
    ]


def test_a_better_word_for_the_same_trouble_is_no_new_incident() -> None:
    first = look(mount("n0", Stage.ATTACH, Reason.ATTACH_SLOW))
    second = look(mount("n0"), known=first.open)
    assert (second.opened, second.closed) == ((), ())
    assert (only(second).id, only(second).reason) == (only(first).id, Reason.MOUNT_FAILED)


def test_what_was_known_for_certain_is_not_taken_back_for_it_is_slow() -> None:
    first = look(mount("n0", Stage.ATTACH, Reason.ATTACH_FAILED))
    recovering = look(mount("n0", Stage.MOUNT, Reason.MOUNT_SLOW), known=first.open)
    assert recovering.open == first.open


def test_incidents_that_turn_out_to_be_one_fault_merge_into_the_oldest() -> None:
    apart = look(mount("n0", Stage.IO, Reason.HUNG), mount("n1", Stage.IO, Reason.IO_ERROR, since=T0 + 60))
    assert len(apart.open) == 2
    together = look(
        *(mount(node, Stage.IO, Reason.HUNG) for node in NODES[:4]),
        mount("n4", Stage.IO, Reason.IO_ERROR),
        known=apart.open,
    )
    assert (only(together).opened_at, together.opened, together.closed) == (T0, (), ())


def test_an_incident_closes_on_recovery() -> None:
    opened = look(*(mount(node) for node in NODES))
    partly = look(mount("n0"), known=opened.open)
    assert (only(partly).id, only(partly).scope, partly.closed) == (only(opened).id, Scope.CLASS, ())
    over = look(known=partly.open)
    assert over.open == ()
    assert [each.closed_at for each in over.closed] == [T0 + 300]


def restored(found: Fold) -> tuple[Incident, ...]:
    return tuple(from_status({"incidents": to_status(found.open)}))


def test_a_restart_neither_forgets_nor_duplicates_nor_closes_before_all_have_spoken() -> None:
    opened = look(*(mount(node) for node in NODES))
    after = look(known=restored(opened), unheard=" ".join(NODES))
    assert only(after).id == only(opened).id
    first = look(mount("n3", runs=1), known=after.open, unheard="n0 n1")
    assert (only(first).id, only(first).scope, first.opened) == (only(opened).id, Scope.CLASS, ())
    still = look(mount("n3"), known=first.open)
    assert only(still).id == only(opened).id
    assert look(known=restored(still)).closed[0].id == only(opened).id


def test_a_restored_incident_of_one_node_does_not_wait_for_the_others() -> None:
    opened = look(mount("n0"))
    assert look(known=restored(opened), unheard="n0").closed == ()
    assert len(look(known=restored(opened), unheard="n1 n2").closed) == 1


LEAK = provision(Stage.TEARDOWN, Reason.VOLUME_LEAKED, node="n1")


def test_a_leak_that_nothing_explains_is_an_incident_of_its_own() -> None:
    found = look(LEAK, mount("n0"), mount("n1", Stage.IO, Reason.IO_ERROR))
    assert {each.reason for each in found.open} == {
        Reason.VOLUME_LEAKED,
        Reason.MOUNT_FAILED,
        Reason.IO_ERROR,
    }
    later = look(mount("n0"), known=found.open)
    assert {each.reason for each in later.closed} == {Reason.VOLUME_LEAKED, Reason.IO_ERROR}


@pytest.mark.parametrize("cause", [provision(), mount("n1")], ids=["a provisioner", "its node"])
def test_a_leak_that_an_incident_explains_is_part_of_it(cause: Finding) -> None:
    found = only(look(LEAK, cause))
    assert (found.stage, found.reason) == (cause.stage, cause.reason)
    leak_first = look(LEAK)
    then = look(LEAK, cause, known=leak_first.open)
    assert (then.opened, then.closed) == ((), ())
    assert (only(then).id, only(then).reason) == (only(leak_first).id, cause.reason)
    # The cause is gone, the volume is not.
    assert only(look(LEAK, known=then.open)).reason is Reason.VOLUME_LEAKED


def test_runs_that_could_not_test_the_storage_open_one_incident_of_their_area_by_the_same_rules() -> None:
    pulls = [mount(node, Stage.START, Reason.IMAGE_PULL, runs=1) for node in NODES[:3]]
    assert look(*pulls[:2]).open == ()
    found = only(look(*pulls, mount("n3", Stage.IO, Reason.FIO_MISSING, runs=1)))
    assert (found.area, found.reason, found.targets) == (Area.PIE, Reason.IMAGE_PULL, 4)
    assert headline(found).startswith("pie cannot test the storage in the whole class")


def test_what_keeps_pie_from_testing_is_never_part_of_an_incident_of_the_storage() -> None:
    storage, blind = mount("n0"), mount("n0", Stage.MOUNT, Reason.EVICTED)
    found = look(storage, blind, provision(Stage.MOUNT, Reason.IMAGE_PULL, node="n0"))
    assert sorted(each.area for each in found.open) == [Area.NODE, Area.PIE, Area.STORAGE]
    later = look(blind, known=found.open)
    assert {each.area for each in later.closed} == {Area.PIE, Area.STORAGE}


def test_an_incident_of_an_area_is_over_when_its_targets_are_tested_again_well_or_not() -> None:
    opened = look(mount("n0", Stage.START, Reason.IMAGE_PULL))
    assert look(known=opened.open, unheard="n0").closed == ()
    for view in (View((), ONE_ZONE, well={N0: T0}), View((mount("n0"),), ONE_ZONE)):
        (closed,) = fold(opened.open, view, T0 + 300).closed
        assert conclude(closed, view).closed_because is Closing.RECOVERED


def test_a_storage_incident_is_not_over_because_its_target_cannot_be_tested_after_a_restart() -> None:
    opened = look(mount("n0"))
    found = look(mount("n0", Stage.START, Reason.IMAGE_PULL), known=restored(opened), unheard="n0")
    assert (found.closed, {each.area for each in found.open}) == ((), {Area.STORAGE, Area.PIE})


def test_a_restored_incident_of_an_area_does_not_wait_for_a_test_of_the_storage() -> None:
    opened = look(mount("n0", Stage.START, Reason.IMAGE_PULL))
    again = look(mount("n0", Stage.IO, Reason.FIO_MISSING), known=restored(opened), unheard="n0")
    assert (only(again).id, only(again).reason) == (only(opened).id, Reason.FIO_MISSING)


def test_a_control_plane_that_is_late_is_one_incident_whatever_its_runs_wait_for() -> None:
    unbound = mount("n0", Stage.SCHEDULE, Reason.NOT_SCHEDULED)
    found = only(look(provision(Stage.QUEUE, Reason.CONTROL_PLANE_LATE), unbound))
    assert (found.area, found.targets) == (Area.CONTROL_PLANE, 2)


def test_what_many_mount_targets_leave_behind_is_given_its_time() -> None:
    assert look(*(mount(node, Stage.TEARDOWN, Reason.VOLUME_LEAKED, runs=1) for node in NODES)).open == ()
    leaks = [mount(node, Stage.TEARDOWN, Reason.VOLUME_LEAKED) for node in NODES]
    assert only(look(*leaks)).reason is Reason.VOLUME_LEAKED


def test_a_restored_leak_waits_until_it_is_known_what_was_left_behind() -> None:
    opened = look(provision(Stage.TEARDOWN, Reason.VOLUME_LEAKED))
    early = fold(restored(opened), View((), ONE_ZONE, settled=False), T0 + 300)
    assert early.closed == ()
    assert len(look(known=early.open).closed) == 1


NO_LONGER_JUDGED = "closed after 2 min, recovery not confirmed: node n0 is under maintenance (NodeCordoned): "
N0, N1, N2, CLASS = (*(Target("p", Kind.MOUNT, "c", node) for node in NODES[:3]), provision().target)


@pytest.mark.parametrize(
    ("bad", "well", "suppressed", "because", "words"),
    [
        ([N0], [N0], {}, Closing.RECOVERED, "recovered after 2 min: "),
        ([N0], [], {N0: Reason.NODE_CORDONED}, Closing.SUPPRESSED, NO_LONGER_JUDGED),
        ([N0], [N1], {N0: Reason.NODE_CORDONED, N2: Reason.NODE_NEW}, Closing.SUPPRESSED, NO_LONGER_JUDGED),
        (
            [N0],
            [N1, CLASS],
            {N2: Reason.NODE_NEW},
            Closing.GONE,
            "closed after 2 min: its targets no longer exist: ",
        ),
        ([N0, N1], [N0], {}, Closing.RECOVERED, "recovered after 2 min: "),
        (
            [N0, N1],
            [N0],
            {N1: Reason.NODE_CORDONED},
            Closing.RECOVERED,
            "recovered after 2 min, but node n1 is under maintenance (NodeCordoned): ",
        ),
        (
            [N0, N1, N2],
            [],
            {N0: Reason.NODE_REBOOTED, N1: Reason.NODE_CORDONED, N2: Reason.NODE_REBOOTED},
            Closing.SUPPRESSED,
            (
                "closed after 2 min, recovery not confirmed: "
                "nodes n0, n1, n2 are under maintenance (NodeRebooted and others): "
            ),
        ),
        (
            [CLASS],
            [],
            {CLASS: Reason.NO_USABLE_NODE, N0: Reason.NODE_CORDONED},
            Closing.SUPPRESSED,
            "closed after 2 min, recovery not confirmed: all nodes are under maintenance (NoUsableNode): ",
        ),
    ],
)
def test_an_incident_says_why_it_is_over(
    bad: list[Target],
    well: list[Target],
    suppressed: dict[Target, Reason],
    because: Closing,
    words: str,
) -> None:
    opened = look(*(mount(each.node) if each.node else provision() for each in bad))
    view = View((), ONE_ZONE, well=dict.fromkeys(well, T0), suppressed=suppressed)
    (closed,) = (conclude(each, view) for each in fold(opened.open, view, T0 + 120).closed)
    assert closed.closed_because is because
    assert ending(closed, "fast") == f"StorageClass fast: {words}{headline(closed)}."
    (kept,) = from_status({"incidents": to_status([closed])})
    assert ending(kept, "fast") == ending(closed, "fast")


def test_a_stale_volume_does_not_recover_by_being_written_again() -> None:
    stale = only(look(mount("n0", Stage.IO, Reason.DATA_STALE)))
    (closed,) = fold((stale,), View((), ONE_ZONE, well={N0: T0}), T0 + 120).closed
    closed = conclude(closed, View((), ONE_ZONE, well={N0: T0}))
    assert how_it_ended(closed) == "new writes are read back, the lost ones are still lost"
    assert ending(closed, "c").startswith("StorageClass c: closed after 2 min: new writes are read back")


def test_an_incident_that_an_earlier_version_closed_is_over_and_no_more_is_known() -> None:
    closed = replace(only(look(mount("n0"))), closed_at=T0 + 45)
    assert ending(closed, "fast").startswith("StorageClass fast: closed after 45 s: volumes")
    assert how_it_ended(closed) == ""


def test_a_leak_is_over_when_nothing_is_left_behind() -> None:
    opened = look(provision(Stage.TEARDOWN, Reason.VOLUME_LEAKED))
    view = View((), ONE_ZONE, suppressed={CLASS: Reason.NO_USABLE_NODE})
    closed = conclude(fold(opened.open, view, T0 + 120).closed[0], view)
    assert closed.closed_because is Closing.RECOVERED
    assert how_it_ended(closed) == "no leaked volume is left that can still be deleted"
    assert ending(closed, "c").startswith("StorageClass c: closed after 2 min: no leaked volume is left")


def test_an_incident_waits_for_the_first_run_after_maintenance_on_a_node_that_it_was_seen_on() -> None:
    opened = look(mount("n0"), mount("n1"), mount("n2"))
    assert look(known=opened.open, unheard="n1").closed == ()
    assert len(look(known=opened.open, unheard="n5").closed) == 1


fates = st.sampled_from(["bad", "well", "suppressed", "gone"])


@given(st.lists(st.tuples(*[fates] * 3), min_size=1, max_size=8), st.data())
def test_recovered_is_only_what_was_judged_well_and_a_restart_changes_no_word_of_it(
    steps: list[tuple[str, ...]], data: st.DataObject
) -> None:
    known: tuple[Incident, ...] = ()
    after_restart: tuple[Incident, ...] = ()
    for step, now in enumerate(steps):
        at = dict(zip([N0, N1, N2], now, strict=True))
        view = View(
            tuple(mount(each.node, since=T0 + step) for each, fate in at.items() if fate == "bad"),
            {each.node: "" for each, fate in at.items() if fate in {"bad", "well"}},
            well={each: T0 for each, fate in at.items() if fate == "well"},
            suppressed={each: Reason.NODE_CORDONED for each, fate in at.items() if fate == "suppressed"},
        )
        found, same = fold(known, view, T0 + 100 + step), fold(after_restart, view, T0 + 100 + step)
        for closed in (conclude(each, view) for each in found.closed):
            fate = {at[each] for each in at if each.node in closed.nodes}
            expected = next(each for each in ("well", "suppressed", "gone") if each in fate)
            assert (
                closed.closed_because
                is {
                    "well": Closing.RECOVERED,
                    "suppressed": Closing.SUPPRESSED,
                    "gone": Closing.GONE,
                }[expected]
            )
            assert ("recovered" in ending(closed, "c")) is (expected == "well")
            assert ("maintenance" in ending(closed, "c")) is ("suppressed" in fate)
        for one, other in ((found.open, same.open), (found.closed, same.closed)):
            assert [replace(conclude(each, view), restored=False) for each in one] == [
                replace(conclude(each, view), restored=False) for each in other
            ]
        known = found.open
        after_restart = restored(same) if data.draw(st.booleans()) else same.open


reasons = st.sampled_from([Reason.MOUNT_FAILED, Reason.MOUNT_SLOW, Reason.ATTACH_SLOW])


@given(
    st.permutations(NODES),
    st.permutations(NODES),
    st.lists(reasons, min_size=6, max_size=6),
    st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_one_fault_is_one_incident_in_whatever_order_its_targets_fail_and_recover_and_looks_are_missed(
    failing: list[str], recovering: list[str], words: list[Reason], missed: list[bool]
) -> None:
    bad: dict[str, Finding] = {}
    known: tuple[Incident, ...] = ()
    opened: list[Incident] = []
    closed: list[Incident] = []
    for step, node in enumerate([*failing, *recovering]):
        if step < len(failing):
            bad[node] = mount(node, Stage.MOUNT, words[step])
        else:
            del bad[node]
        if missed[step] and step not in {len(failing) - 1, len(missed) - 1}:
            continue
        found = look(*bad.values(), known=known)
        known = found.open
        opened += found.opened
        closed += found.closed
        assert len(known) == (1 if bad else 0)
        if step == len(failing) - 1:
            assert (only(found).scope, only(found).nodes) == (Scope.CLASS, set(NODES))
    assert len(opened) == 1
    assert [each.id for each in closed] == [opened[0].id]


findings = st.lists(
    st.builds(
        mount,
        st.sampled_from(NODES),
        st.sampled_from(Stage),
        st.sampled_from([Reason.MOUNT_FAILED, Reason.HUNG, Reason.IO_ERROR, Reason.NO_SPACE]),
        runs=st.integers(1, 3),
    ),
    max_size=6,
    unique_by=lambda each: each.target,
)


@given(st.lists(findings, max_size=6), st.randoms())
def test_a_look_does_not_depend_on_the_order_of_what_it_finds_and_loses_no_target(
    looks: list[list[Finding]], random: object
) -> None:
    known: tuple[Incident, ...] = ()
    for step, seen in enumerate(looks):
        now = T0 + 300 + step
        shuffled = list(seen)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        found = look(*seen, known=known, now=now)
        assert look(*shuffled, known=tuple(reversed(known)), now=now) == found
        covered = frozenset[str]().union(*(each.nodes for each in found.open))
        explained = where_leaks_are_explained(View(tuple(seen), ONE_ZONE))
        told = (each for each in seen if each.stage is not Stage.TEARDOWN or each.node not in explained)
        assert EVERY_NODE in explained or {each.target.node for each in told if each.bad_runs > 1} <= covered
        assert len({each.id for each in found.open}) == len(found.open)
        again = look(*seen, known=found.open)
        assert (again.opened, again.closed) == ((), ())
        known = found.open


def test_the_status_is_bounded_and_has_the_open_ones_first() -> None:
    incident = only(look(mount("n0")))
    closed = [replace(incident, id=f"c{i}", closed_at=T0 + i) for i in range(40)]
    stored = to_status([*closed, incident])
    assert len(stored) == MOST_IN_STATUS
    assert [each["id"] for each in stored[:3]] == [incident.id, "c39", "c38"]


@pytest.mark.parametrize("status", [{}, {"incidents": None}, {"incidents": [{}, 3, {"id": "x"}]}])
def test_a_status_that_cannot_be_read_restores_nothing(status: dict[str, object]) -> None:
    assert from_status(status) == []


def test_the_words_say_what_where_how_far_the_evidence_and_what_to_look_at() -> None:
    wide = only(look(*(mount(node) for node in NODES)))
    text = story(wide, "fast")
    assert headline(wide) == (
        "volumes are not mounted in the whole class (nodes n0, n1, n2 and 3 more) (MountFailed)"
    )
    for part in ("StorageClass fast", headline(wide), "evidence of n0", ADVICE[Reason.MOUNT_FAILED]):
        assert part in text
    alone = only(look(mount("n0", Stage.IO, Reason.IO_ERROR)))
    assert headline(alone) == "I/O fails or is wrong on node n0 (IOError)"
    provisioner = only(look(provision()))
    assert headline(provisioner) == "new volumes are not provisioned in the whole class (ProvisionerSilent)"

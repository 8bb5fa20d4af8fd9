"""A PieProbe with several StorageClasses, played on each runner."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from pie.core.byclass import STORED
from pie.core.model import Kind, RunnerKind, Target, Verdict
from pie.core.naming import claim_names
from pie.core.reasons import Reason
from tests.accounting import Accounts
from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, Script, at_once, storage
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NAMESPACE, NODE, PROBE, PROVISION, T0, TARGET, World

OTHER, OTHER_PROVISION = (
    Target("p", Kind.MOUNT, "d", NODE, NAMESPACE),
    Target("p", Kind.PROVISION, "d", namespace=NAMESPACE),
)
ALL = {TARGET, PROVISION, OTHER, OTHER_PROVISION}
on_each_runner = pytest.mark.parametrize("runner", list(RunnerKind))
WITHOUT = {key: value for key, value in SPEC.items() if key != "monitoringStorageClass"}
LISTED = {"monitoringStorageClasses": ["c", "d"]}
SELECTED = {"monitoringStorageClassSelector": {"matchLabels": {"probed": ""}}}


def create_class(name: str, **labels: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        metadata = {"name": name, "labels": labels or {"probed": ""}}
        world.put("storageclasses", {"metadata": metadata, "volumeBindingMode": "WaitForFirstConsumer"})

    return change


def delete_class(name: str) -> Callable[[World], None]:
    return lambda world: world.objects["storageclasses"].pop(name)


def respecified(**spec: Any) -> Callable[[World], None]:
    def change(world: World) -> None:
        probe = world.objects["pieprobes"]["p"]
        runner = {"runner": probe["spec"]["runner"]}
        world.put("pieprobes", {**probe, "spec": {**WITHOUT, **runner, **spec}})

    return change


def played(
    seconds: int, script: Script, runner: RunnerKind, nodes: tuple[str, ...] = (), **spec: Any
) -> tuple[Simulation, list[Any]]:
    """Return a simulation after its script, and what `seen` found before each action."""
    moments: list[Any] = []

    async def play() -> Simulation:
        simulation = Simulation(at_once)
        world = simulation.world
        world.begin({**WITHOUT, "runner": runner.value, **spec}, *nodes)
        for name in ("c", "d"):
            create_class(name)(world)

        def noting(action: Callable[[World], None]) -> Callable[[World], None]:
            def change(world: World) -> None:
                moments.append(seen(simulation))
                action(world)

            return change

        await simulation.run(seconds, [(second, noting(action)) for second, action in script])
        return simulation

    return in_virtual_time(play()), moments


def seen(simulation: Simulation) -> dict[Target, tuple[Verdict, Reason]]:
    return {target: (each.verdict, each.reason) for target, each in simulation.states().items()}


def claims(world: World) -> dict[str, str]:
    """Return the PVCs that targets keep, each with its uid."""
    found = world.objects["persistentvolumeclaims"].values()
    kept = (each["metadata"] for each in found if each["metadata"]["name"].startswith("pie-pvc-"))
    return {each["name"]: each["uid"] for each in kept if "deletionTimestamp" not in each}


def status(simulation: Simulation) -> dict[str, Any]:
    found: dict[str, Any] = simulation.world.objects["pieprobes"]["p"]["status"]
    return found


@on_each_runner
@pytest.mark.parametrize("spec", [LISTED, SELECTED])
def test_each_class_has_targets_objects_and_series_of_its_own(
    runner: RunnerKind, spec: dict[str, Any]
) -> None:
    simulation, _ = played(200, [], runner, **spec)
    assert seen(simulation) == dict.fromkeys(ALL, (Verdict.OK, Reason.OK))
    assert claims(simulation.world).keys() == {claim_names(TARGET)[0], claim_names(OTHER)[0]}
    metrics = simulation.metrics()
    for name in ("c", "d"):
        labels = f'pie_probe_name="p",storage_class="{name}"'
        assert f'pie_provision_probe_total{{{labels},on_time="true"}}' in metrics
        assert f"pie_probe_paused{{{labels}}} 0.0" in metrics
    assert [(each["name"], each["summary"]) for each in status(simulation)[STORED]] == [
        ("c", "fine"),
        ("d", "fine"),
    ]
    assert status(simulation)["summary"] == "fine"
    assert status(simulation)["targets"]["total"] == len(ALL)


@on_each_runner
def test_a_class_that_is_deleted_pauses_its_targets_and_keeps_its_pvcs(runner: RunnerKind) -> None:
    script: Script = [(130, delete_class("d")), (310, create_class("d")), (500, lambda _: None)]
    simulation, moments = played(501, script, runner, **LISTED)
    kept = claims(simulation.world)
    assert kept.keys() == {claim_names(TARGET)[0], claim_names(OTHER)[0]}
    _, while_gone, after = moments
    for each in (OTHER, OTHER_PROVISION):
        assert while_gone[each] == (Verdict.UNKNOWN, Reason.STORAGE_CLASS_NOT_FOUND)
    assert {while_gone[each] for each in (TARGET, PROVISION)} == {(Verdict.OK, Reason.OK)}
    assert after == dict.fromkeys(ALL, (Verdict.OK, Reason.OK))
    assert status(simulation)[STORED][1].get("goneSince") is None


def test_the_status_names_the_class_that_is_gone() -> None:
    simulation, _ = played(200, [(130, delete_class("d"))], RunnerKind.CRON_JOB, **LISTED)
    ready = next(each for each in status(simulation)["conditions"] if each["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "StorageClassNotFound")
    assert "there is no StorageClass d" in ready["message"]
    assert status(simulation)[STORED][1]["goneSince"]
    assert status(simulation)["summary"] == "StorageClass d: not probed: StorageClassNotFound"


@on_each_runner
@pytest.mark.parametrize(
    ("begin", "taken_out"),
    [
        (LISTED, respecified(monitoringStorageClasses=["c"])),
        (LISTED, respecified(monitoringStorageClass="c")),
        (SELECTED, create_class("d", no="")),
    ],
)
def test_the_objects_of_a_class_are_deleted_when_it_is_not_one_of_the_pieprobe_any_more(
    runner: RunnerKind, begin: dict[str, Any], taken_out: Callable[[World], None]
) -> None:
    simulation, _ = played(330, [(130, taken_out)], runner, **begin)
    assert seen(simulation).keys() == {TARGET, PROVISION}
    assert claims(simulation.world).keys() == {claim_names(TARGET)[0]}
    for kind in ("cronjobs", "pods"):
        for each in simulation.world.objects[kind].values():
            assert each["metadata"]["labels"]["storage-class"] == "c"
    assert 'storage_class="d"' not in simulation.metrics()


@on_each_runner
def test_a_pieprobe_goes_from_one_class_to_several_with_the_same_volumes(runner: RunnerKind) -> None:
    before: dict[str, str] = {}

    def grow(world: World) -> None:
        before.update(claims(world))
        respecified(**LISTED)(world)

    simulation, _ = played(330, [(130, grow)], runner, monitoringStorageClass="c")
    assert before
    assert before.items() <= claims(simulation.world).items()
    assert seen(simulation) == dict.fromkeys(ALL, (Verdict.OK, Reason.OK))


@on_each_runner
def test_a_fault_is_one_incident_for_each_class(runner: RunnerKind) -> None:
    simulation, _ = played(400, [(130, storage("fails"))], runner, **LISTED)
    assert {each["storageClass"] for each in status(simulation)["incidents"]} == {"c", "d"}
    metrics = simulation.metrics()
    for name in ("c", "d"):
        labels = f'area="storage",pie_probe_name="p",storage_class="{name}"'
        assert f"pie_incidents_total{{{labels}}}" in metrics


@on_each_runner
def test_every_due_time_of_each_class_is_counted_once(runner: RunnerKind) -> None:
    script: Script = [(130, storage("does not mount")), (250, storage("well"))]
    with capture_logs() as lines:
        simulation, _ = played(400, script, runner, **LISTED)
    accounts, state = Accounts(lines), simulation.controller.probes.get(PROBE)
    assert state is not None
    for target in ALL:
        calendar = simulation.controller.runner.calendar(
            state.classes[target.storage_class].probe, target, runner
        )
        assert accounts.errors_by(target, calendar, T0 + 30, T0 + 300) == []


def test_a_selector_that_selects_no_class_is_said_and_a_class_that_gets_the_label_is_probed() -> None:
    none = {"monitoringStorageClassSelector": {"matchLabels": {"later": ""}}}
    script: Script = [(100, lambda _: None), (101, create_class("c", later=""))]
    simulation, (nothing, _) = played(260, script, RunnerKind.POD, **none)
    assert nothing == {}
    assert seen(simulation).keys() == {TARGET, PROVISION}


@on_each_runner
def test_a_class_with_other_parameters_gets_new_volumes_one_by_one(runner: RunnerKind) -> None:
    """A PVC is replaced only when the run on the new volume of the one before it was good."""
    begin: dict[str, str] = {}
    changes: list[int] = []
    conditions: list[tuple[str, str]] = []

    def change(world: World) -> None:
        begin.update(claims(world))
        found = world.objects["storageclasses"]["c"]
        world.put("storageclasses", {**found, "parameters": {"pool": "new"}})

    def watch(world: World) -> None:
        now = claims(world)
        changes.append(sum(now.get(name) != uid for name, uid in begin.items()))
        warning = next(
            each
            for each in world.objects["pieprobes"]["p"]["status"]["conditions"]
            if each["type"] == "ClassWarning"
        )
        conditions.append((warning["status"], warning["reason"]))

    script: Script = [(130, change), *((second, watch) for second in range(150, 500, 10))]
    simulation, _ = played(501, script, runner, nodes=("n2", "n3"), monitoringStorageClass="c")
    assert len(begin) == 3
    assert changes[-1] == 3
    assert all(later - before in {0, 1} for before, later in itertools.pairwise(changes))
    assert ("True", "ClassChanged") in conditions
    assert conditions[-1] == ("False", "OK")
    assert {verdict for verdict, _ in seen(simulation).values()} == {Verdict.OK}


def test_a_class_that_is_deleted_and_created_again_the_same_keeps_its_volumes() -> None:
    before: dict[str, str] = {}

    def delete(world: World) -> None:
        before.update(claims(world))
        world.objects["storageclasses"].pop("c")

    script: Script = [(130, delete), (200, create_class("c"))]
    simulation, _ = played(400, script, RunnerKind.POD, monitoringStorageClass="c")
    assert before == claims(simulation.world)


@on_each_runner
def test_the_next_leader_goes_on_with_the_incidents_and_volumes_of_each_class(runner: RunnerKind) -> None:
    async def play() -> tuple[Simulation, dict[str, str], list[Any]]:
        first = Simulation(at_once)
        first.world.begin({**WITHOUT, "runner": runner.value, **SELECTED})
        for name in ("c", "d"):
            create_class(name)(first.world)
        await first.run(330, [(130, storage("fails"))])
        before, opened = claims(first.world), status(first)["incidents"]
        # The class is gone while nobody leads.
        delete_class("d")(first.world)
        second = Simulation(at_once, first)
        await second.run(330, [(60, create_class("d")), (61, storage("well"))])
        return second, before, opened

    simulation, before, opened = in_virtual_time(play())
    assert {each["storageClass"] for each in opened if "closedAt" not in each} == {"c", "d"}
    assert claims(simulation.world) == before
    assert seen(simulation) == dict.fromkeys(ALL, (Verdict.OK, Reason.OK))
    assert [each["id"] for each in status(simulation)["incidents"] if "closedAt" not in each] == []
    assert {each["id"] for each in opened} <= {each["id"] for each in status(simulation)["incidents"]}

"""What a controller did is recorded, and can be run again."""

from copy import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from pie.controller.recorder import Recorder
from pie.core.decode import Unreadable
from pie.core.model import BAD, Target, Verdict
from pie.core.pods.calendar import Slowed
from pie.core.record.file import FORMAT, Head, Truncated, block, head_line, only, read_head, read_records
from pie.core.record.records import TakenStep
from pie.core.record.replay import replay, steps
from pie.core.target.duetimes import settle_due_times
from pie.core.target.facts import TargetFacts
from pie.core.target.followup import follow_up
from pie.core.target.judging import judge_runs
from pie.core.target.objects import pause_or_resume
from pie.core.target.state import Life, TargetState
from pie.core.target.step import WHILE_LIVE, Phase, Step, step
from pie.kube.metrics import KubeMetrics
from tests.controller.simulation import Simulation
from tests.controller.stories import (
    OTHER,
    SPEC,
    Script,
    at_once,
    cronjobs_go_on,
    cronjobs_stand_still,
    storage,
)
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import TARGET, World
from tests.examples import examples
from tests.harness import Samples

FAULTS: Script = [
    (100, storage("does not mount")),
    (230, storage("well")),
    (300, storage("hangs")),
    (420, storage("fails")),
    (520, storage("well")),
    (560, World.cordon),
    (700, World.uncordon),
    (800, World.power_off),
    (1000, World.power_on),
    (1100, World.evict),
    (1200, cronjobs_stand_still),
    (1400, cronjobs_go_on),
    (1500, World.delete_jobs),
    (1600, World.delete_node),
]


def recorded(
    directory: Path,
    seconds: int = 1800,
    script: Script = FAULTS,
    *,
    size: int = 2**28,
    spec: dict[str, Any] = SPEC,
) -> list[Path]:
    """Record a story with faults; returns the files, the oldest first."""

    async def play() -> None:
        simulation = Simulation(at_once, record=directory, record_size=size)
        simulation.world.begin(spec, OTHER)
        await simulation.run(seconds, script)

    in_virtual_time(play())
    return sorted(directory.glob("*.record"))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Record many faults."""
    (file,) = recorded(tmp_path_factory.mktemp("record"))
    return file.read_bytes()


def test_a_recording_of_many_faults_replays_without_a_difference(record: bytes) -> None:
    taken = list(steps(record))
    assert [found.differences for each in taken if (found := replay(each)).differences] == []
    assert {each.done.state.standing.verdict for each in taken} >= {*BAD, Verdict.OK}


@pytest.mark.parametrize("left_out", [settle_due_times, follow_up, judge_runs, pause_or_resume])
def test_with_a_phase_left_out_the_first_step_that_differs_is_named(
    record: bytes, monkeypatch: pytest.MonkeyPatch, left_out: Phase
) -> None:
    monkeypatch.setattr(
        "pie.core.target.step.WHILE_LIVE", tuple(each for each in WHILE_LIVE if each is not left_out)
    )
    taken = list(steps(record))
    first = next(found for each in taken if (found := replay(each)).differences)
    before = taken[: taken.index(first.taken)]
    assert all(step(each.before, each.facts, each.at) == each.done for each in before)
    assert step(first.taken.before, first.taken.facts, first.taken.at) != first.taken.done
    assert all(each.where and each.recorded != each.now for each in first.differences)


def test_a_recording_from_before_targets_had_namespaces_replays_without_a_difference(record: bytes) -> None:
    head, start = read_head(record)
    old = head_line(head) + block(_without_namespaces(each) for each in read_records(record, start))
    taken = list(steps(old))
    assert {each.before.target.namespace for each in taken} == {""}
    assert [found.differences for each in taken if (found := replay(each)).differences] == []


def _without_namespaces(body: bytes) -> bytes:
    """Return a record as it was before: a target had no namespace."""

    def former(value: Any) -> Any:
        if isinstance(value, dict):
            target = {"probe", "kind", "storage_class", "node", "namespace"}
            return {k: former(v) for k, v in value.items() if value.keys() != target or k != "namespace"}
        return [former(each) for each in value] if isinstance(value, list) else value

    return msgspec.msgpack.encode(former(msgspec.msgpack.decode(body)))


def test_of_two_pieprobes_of_one_name_each_has_its_own_records(tmp_path: Path) -> None:
    async def play() -> None:
        simulation = Simulation(at_once, record=tmp_path, beside="team")
        for world in (simulation.world, simulation.beside):
            assert world is not None
            world.begin(SPEC)
        await simulation.run(200, [(90, storage("does not mount"))])

    in_virtual_time(play())
    (file,) = tmp_path.glob("*.record")
    body = file.read_bytes()
    assert not any(replay(each).differences for each in steps(body))
    elsewhere = msgspec.structs.replace(TARGET, namespace="team")
    for target, bad in ((TARGET, True), (elsewhere, False)):
        taken = list(steps(only(body, target)))
        assert {each.before.target for each in taken} == {target}
        assert any(each.done.state.standing.verdict in BAD for each in taken) is bad


def test_a_recording_in_which_runs_are_thinned_replays_without_a_difference(tmp_path: Path) -> None:
    def budget(world: World) -> None:
        found = world.objects["pieprobes"]["p"]
        world.put("pieprobes", {**found, "spec": {**found["spec"], "budget": 0.25}})

    story = [(100, budget), (400, storage("does not mount")), (700, storage("well"))]
    (file,) = recorded(tmp_path, 1000, story, spec={**SPEC, "runner": "Pod"})
    taken = list(steps(file.read_bytes()))
    assert [found.differences for each in taken if (found := replay(each)).differences] == []
    assert {each.facts.every for each in taken} == {1, 4}
    assert any(isinstance(each.facts.calendar, Slowed) for each in taken)


def test_a_step_that_raises_is_a_difference(record: bytes) -> None:
    def broken(_state: TargetState, _facts: TargetFacts, _now: float) -> Step:
        raise KeyError("node")

    (difference,) = replay(next(steps(record)), broken).differences
    assert difference.now == "raised KeyError: 'node'"


def test_the_ring_is_bounded_and_each_of_its_files_replays_alone(tmp_path: Path) -> None:
    size = 24_000
    files = recorded(tmp_path, size=size)
    assert len(files) > 2
    assert sum(each.stat().st_size for each in files) <= size
    for each in files:
        taken = list(steps(each.read_bytes()))
        assert taken
        assert not any(replay(each).differences for each in taken)


@pytest.mark.parametrize("cut", [40, -1, -100, 5_000])
def test_a_file_that_was_cut_off_is_read_up_to_its_last_complete_block(record: bytes, cut: int) -> None:
    with pytest.raises(Truncated, match="it ends in"):
        list(steps(record[:cut]))


@pytest.fixture(scope="module")
def count(record: bytes) -> int:
    """How many steps the recording has."""
    return len(list(steps(record)))


@given(place=st.integers(0, 30_000), value=st.integers(0, 255))
@examples(0.2)
def test_a_damaged_file_is_a_clear_error_or_says_the_same(
    record: bytes, count: int, place: int, value: int
) -> None:
    place %= len(record)
    damaged = record[:place] + bytes([value]) + record[place + 1 :]
    try:
        found = list(steps(damaged))
    except Unreadable as error:
        assert str(error)
    else:
        assert len(found) == count


def test_another_format_and_what_is_no_record_are_said_to_be_so() -> None:
    with pytest.raises(Unreadable, match="it is not a record of pie"):
        list(steps(b"\x7fELF"))
    newer = head_line(Head(format=FORMAT + 1, version="9.9", began=0.0))
    with pytest.raises(Unreadable, match=r"its format is 2, written by pie 9\.9"):
        list(steps(newer))


def test_a_directory_that_cannot_be_written_costs_a_log_line_and_no_verdict(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    with capture_logs() as lines:
        assert recorded(place / "directory", 130, []) == []
    assert len([line for line in lines if "cannot write the flight record" in line["event"]]) == 1
    assert len([line for line in lines if line["event"] == "counted"]) > 3


def test_an_anonymous_recording_has_no_name_and_replays_without_a_difference(tmp_path: Path) -> None:
    names = ("node-of-acme-1", "node-of-acme-2")

    async def play() -> World:
        simulation = Simulation(at_once, record=tmp_path, record_anonymous=True)
        simulation.world.begin(SPEC, *names)
        await simulation.run(900, [(100, storage("does not mount")), (400, storage("well"))])
        return simulation.world

    world = in_virtual_time(play())
    (file,) = tmp_path.glob("*.record")
    body = file.read_bytes()
    taken = list(steps(body))
    assert [found.differences for each in taken if (found := replay(each, anonymous=True)).differences] == []
    plain = b"".join(read_records(body, read_head(body)[1]))
    kinds = ("pods", "jobs", "cronjobs", "persistentvolumeclaims")
    objects = [each["metadata"] for kind in kinds for each in world.objects[kind].values()]
    forbidden = {*names, *(each["name"] for each in objects), *(each["uid"] for each in objects)}
    assert {name for name in forbidden if name.encode() in plain} == set()
    assert {each.before.target.probe for each in taken}.isdisjoint({"p"})


def test_the_records_of_one_target_are_a_file_of_their_own(record: bytes) -> None:
    taken = list(steps(only(record, TARGET)))
    assert taken == [each for each in steps(record) if each.before.target == TARGET]
    assert only(record, msgspec.structs.replace(TARGET, node="n9")) == b""


def steps_of(target: Target, number: int) -> list[TakenStep]:
    """Return steps that each change the state; the next begins where one ends."""
    states = [TargetState(target, Life.LIVE, early_at=float(at)) for at in range(number + 1)]
    return [
        TakenStep(state.early_at or 0.0, state, TargetFacts(known=True), Step(after))
        for state, after in pairwise(states)
    ]


def note(recorder: Recorder, taken: list[TakenStep]) -> None:
    for each in taken:
        recorder.note(each.at, each.before, each.facts, each.done)


def counts(metrics: KubeMetrics) -> tuple[float, float]:
    """Return how many steps were recorded, and how many were lost."""
    samples = Samples(generate_latest(metrics.registry).decode())
    return (
        samples.value("pie_record_steps_total") or 0.0,
        samples.value("pie_record_lost_steps_total") or 0.0,
    )


def test_while_the_disk_hangs_a_bounded_part_waits_and_the_newest_steps_are_a_whole_file(
    tmp_path: Path,
) -> None:
    metrics = KubeMetrics(CollectorRegistry())
    recorder = Recorder(tmp_path, 8_000, metrics, most_waiting_bytes=2_000)
    taken = steps_of(TARGET, 2_000)
    note(recorder, taken)  # The thread that writes has not begun.
    recorder.start()
    recorder.close()
    files = sorted(tmp_path.glob("*.record"))
    assert sum(each.stat().st_size for each in files) <= 2_000
    found = [each for file in files for each in steps(file.read_bytes())]
    recorded, lost = counts(metrics)
    assert (len(found), recorded + lost) == (recorded, len(taken))
    assert found == taken[-len(found) :]
    assert lost


def test_a_step_that_changes_nothing_and_orders_nothing_is_not_recorded(tmp_path: Path) -> None:
    metrics = KubeMetrics(CollectorRegistry())
    recorder = Recorder(tmp_path, 2**20, metrics)
    state = TargetState(TARGET, Life.LIVE)
    recorder.note(1.0, state, TargetFacts(), Step(copy(state), wake_at=9.0))
    recorder.start()
    recorder.close()
    assert counts(metrics) == (0, 0)


def test_states_that_need_more_than_the_whole_size_are_not_written(tmp_path: Path) -> None:
    metrics = KubeMetrics(CollectorRegistry())
    recorder = Recorder(tmp_path, 800, metrics)
    for number in range(300):
        note(recorder, steps_of(msgspec.structs.replace(TARGET, node=f"node-{number}"), 1))
    with capture_logs() as lines:
        recorder.start()
        recorder.close()
    assert sum(each.stat().st_size for each in tmp_path.glob("*.record")) <= 800
    assert sum(counts(metrics)) == 300
    assert [line["error"] for line in lines] == ["a file of it needs more than 800 bytes"]

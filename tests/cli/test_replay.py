"""`pie replay` on what a simulated controller recorded."""

from pathlib import Path

import pytest

from pie.core.target.duetimes import settle_due_times
from pie.core.target.step import WHILE_LIVE
from tests.cli.conftest import within
from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, at_once, cronjobs_stand_still, storage
from tests.controller.virtualtime import in_virtual_time


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record a story in which a node cannot mount, and then no run starts."""
    directory = tmp_path_factory.mktemp("record")

    async def play() -> None:
        simulation = Simulation(at_once, record=directory)
        simulation.world.begin(SPEC)
        await simulation.run(400, [(100, storage("does not mount")), (200, cronjobs_stand_still)])

    in_virtual_time(play())
    (found,) = directory.glob("*.record")
    return found


async def test_no_difference_is_said_in_one_line(file: Path) -> None:
    ended = await within("replay", str(file))
    assert (ended.status, ended.complained) == (0, "")
    what, result = ended.said.splitlines()
    assert " steps of 2 targets" in what
    assert result.endswith("does the same in every step")


async def test_the_story_of_a_target_has_its_due_times_and_verdicts(file: Path) -> None:
    ended = await within("replay", str(file), "--target", "mount/p/c/n1")
    assert ended.status == 0
    assert "due time 2023-11-14T22:16:00Z counts as not on time\n" in ended.said
    assert "verdict late, reason ControlPlaneLate: no Job was created" in ended.said


async def test_a_target_that_is_not_in_the_file_is_said_with_those_that_are(file: Path) -> None:
    ended = await within("replay", str(file), "--target", "mount/p/c/n9")
    assert ended.status == 2
    assert ended.complained.endswith("has no target mount/p/c/n9; it has: mount/p/c/n1, provision/p/c\n")


async def test_the_first_step_that_differs_is_named_with_what_differs(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = tuple(each for each in WHILE_LIVE if each is not settle_due_times)
    monkeypatch.setattr("pie.core.target.step.WHILE_LIVE", phases)
    ended = await within("replay", str(file))
    assert ended.status == 1
    assert "The first is at 2023-11-14T22:1" in ended.said
    assert ", target " in ended.said
    assert "  wake_at\n    recorded: 1700000" in ended.said


def cut_off(file: Path, half: Path) -> Path:
    """Copy a file without its end."""
    half.write_bytes(file.read_bytes()[:-10])
    return half


async def test_a_file_that_cannot_be_read_is_one_line_and_status_2(file: Path, tmp_path: Path) -> None:
    half = cut_off(file, tmp_path / "half.record")
    ended = await within("replay", str(half))
    assert ended.status == 2
    assert "it ends in the middle of a block" in ended.complained
    ended = await within("replay", str(tmp_path / "nothing"))
    assert ended.status == 2
    assert ended.complained == f"pie replay: cannot read {tmp_path}/nothing: No such file or directory\n"


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record PieProbes of one name in two namespaces."""
    directory = tmp_path_factory.mktemp("record")

    async def play() -> None:
        simulation = Simulation(at_once, record=directory, beside="team")
        for world in (simulation.world, simulation.beside):
            assert world is not None
            world.begin(SPEC)
        await simulation.run(120, [])

    in_virtual_time(play())
    (found,) = directory.glob("*.record")
    return found


async def test_of_several_namespaces_a_target_is_named_with_its_own(of_two: Path) -> None:
    ended = await within("replay", str(of_two), "--target", "mount/team/p/c/n1")
    assert ended.status == 0
    assert ended.said.count("new run") == 1
    assert " steps of 4 targets" in ended.said
    ended = await within("replay", str(of_two), "--target", "mount/p/c/n9")
    assert "it has: mount/pie/p/c/n1, mount/team/p/c/n1, provision/pie/p/c, " in ended.complained

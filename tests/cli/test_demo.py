"""`pie demo` as a user runs it."""

import asyncio
import os
import re
import socket
import sys

import pytest

from tests.probe.conftest import demand

pytestmark = pytest.mark.timeout(240)


async def run(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pie", "demo", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "200"},
    )
    async with asyncio.timeout(230):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def story(name: str, nodes: int) -> str:
    """Play a story to its end; return what the terminal showed."""
    demand("fio")
    status, said = await run("--headless", "--scenario", name, "--nodes", str(nodes), "--minute-seconds", "4")
    assert status == 0, said
    return said


def incidents(said: str, how: str) -> list[str]:
    """Return the reasons of the incidents that opened or closed, in order."""
    return [
        re.findall(r"\((\w+)\)[,.]", line)[0] for line in said.splitlines() if f"  Incident{how} " in line
    ]


def runs(said: str) -> tuple[int, int, int, int]:
    """Return what pie counted: on time, late, with bad I/O, suppressed."""
    found = re.search(r"runs: (\d+) on time, (\d+) late, (\d+) with bad I/O, (\d+) suppressed", said)
    assert found, said
    on_time, late, bad, suppressed = (int(each) for each in found.groups())
    return on_time, late, bad, suppressed


async def test_a_dead_node_plugin_is_one_incident_with_its_stage_and_reason_and_it_closes() -> None:
    said = await story("crash", 4)
    assert incidents(said, "Opened") == incidents(said, "Closed") == ["MountFailed"]
    assert "volumes are not mounted in the whole class (nodes node-2, node-3, node-4)" in said
    assert re.search(r"late +mount/demo/embedded/node-[234]  MountFailed .*connection refused", said)
    assert runs(said)[1] >= 3


@pytest.mark.real  # for its length only
async def test_maintenance_is_suppressed_run_by_run_and_no_run_is_bad() -> None:
    said = await story("maintenance", 4)
    assert incidents(said, "Opened") == []
    _, late, bad, suppressed = runs(said)
    assert (late, bad) == (0, 0), said
    assert suppressed >= 3, said
    for reason in ("NodeCordoned", "NodeNotReady", "NodeTainted", "NodeMarked"):
        assert reason in said


@pytest.mark.real  # for its length only
async def test_a_control_plane_that_is_slow_or_gone_is_not_blamed_on_the_storage() -> None:
    said = await story("control-plane", 2)
    # A pod that was not scheduled yet when the API server went is late, and the control plane is blamed.
    assert set(incidents(said, "Opened")) <= {"ScheduleSlow", "ControlPlaneLate"}
    _, _, bad, suppressed = runs(said)
    assert (bad, suppressed) == (0, 0), said
    assert "watch interrupted" in said


@pytest.mark.real  # for its length only
async def test_faults_of_disks_are_told_apart() -> None:
    said = await story("disks", 5)
    expected = ["DataCorrupted", "DataLost", "Hung", "IOError", "NoCapacity"]
    assert sorted(incidents(said, "Opened")) == expected
    assert len(incidents(said, "Closed")) == len(expected)


async def test_without_a_story_it_shows_verdicts_and_ends_when_its_time_is_over() -> None:
    demand("fio")
    status, said = await run(
        *("--nodes", "1", "--scenario", "none", "--minute-seconds", "3", "--duration", "12")
    )
    assert status == 0, said
    assert "ok         mount/demo/embedded/node-1" in said
    assert "ok         provision/demo/embedded" in said
    for shown in ("The page:    http://127.0.0.1:", "Make faults: http://127.0.0.1:", "KUBECONFIG="):
        assert shown in said


async def test_what_cannot_be_done_is_refused_in_words() -> None:
    status, said = await run("--scenario", "flood")
    assert status == 2
    assert "crash" in said
    status, said = await run("--scenario", "disks", "--nodes", "2")
    assert status == 2
    assert "5 nodes or more" in said
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, said = await run("--headless", "--scenario", "none", "--nodes", "1", "--port", port)
    assert status == 2
    assert f"port {port} is in use" in said

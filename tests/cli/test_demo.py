"""`pie demo` as a user runs it."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pie.cli.demofault import addresses
from tests import forked
from tests.cli.conftest import within
from tests.harness import ROOT
from tests.probe.conftest import demand

pytestmark = pytest.mark.timeout(500)


async def run(*arguments: str, **environment: str) -> tuple[int, str]:
    # What changes Python itself must be there when Python starts.
    anew = "PYTHONPATH" in environment
    process = await asyncio.create_subprocess_exec(
        *((sys.executable, "-m", "pie", "demo", *arguments) if anew else forked.command("demo", *arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "200", **environment},
    )
    async with asyncio.timeout(480):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def story(name: str, nodes: int, *more: str) -> str:
    """Play a story to its end; return what the terminal showed."""
    demand("fio")
    usual = ("--headless", "--scenario", name, "--nodes", str(nodes), "--minute-seconds", "4")
    status, said = await run(*usual, *more)
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
async def test_with_pods_that_pie_starts_itself_the_story_ends_the_same() -> None:
    said = await story("crash", 4, "--runner", "Pod")
    assert incidents(said, "Opened") == incidents(said, "Closed") == ["MountFailed"]
    assert "Locked" not in said


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
    (slowed,) = re.findall(r"pie allows itself (\d+) of 200 writes a second$", said, re.MULTILINE)
    assert int(slowed) < 200
    _, _, bad, suppressed = runs(said)
    assert (bad, suppressed) == (0, 0), said
    assert "watch interrupted" in said


@pytest.mark.real  # for its length only
async def test_faults_of_disks_are_told_apart() -> None:
    said = await story("disks", 5)
    expected = ["DataCorrupted", "DataLost", "Hung", "IOError", "NoCapacity"]
    assert sorted(incidents(said, "Opened")) == expected
    assert len(incidents(said, "Closed")) == len(expected)


async def test_it_says_where_to_look_and_what_is_less_exact_and_ends_when_its_time_is_over(
    tmp_path: Path,
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; del os.O_DIRECT, os.posix_fadvise")
    without = {"PATH": "/nowhere", "PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"}
    only = ("--nodes", "1", "--scenario", "none", "--no-features")
    options = (*only, "--minute-seconds", "3", "--duration", "20")
    status, said = await run(*options, **without)
    assert status == 0, said
    assert "fio is not installed: pie measures roughly by itself" in said
    assert "does not support O_DIRECT" in said
    for shown in ("The page:    http://127.0.0.1:", "Faults:      http://127.0.0.1:", "KUBECONFIG="):
        assert shown in said
    assert "ok         mount/demo/embedded/node-1" in said
    assert "ok         provision/demo/embedded" in said


async def test_what_it_prints_to_ask_it_and_to_break_it_works_and_a_dead_cluster_ends_it() -> None:
    demand("fio")
    options = ("--nodes", "1", "--scenario", "none", "--no-features", "--minute-seconds", "3")
    async with asyncio.timeout(100), running(*options) as process:
        said = await until_said(process, "2 targets: 2 ok")
        asked = [await printed(command) for command in re.findall(r"pie ((?:status|explain) .+)", said)]
        assert [status for status, _ in asked] == [0, 0], asked
        assert re.search(r"^demo +embedded", asked[0][1], re.MULTILINE), asked
        assert "provision of embedded on any node: ok" in asked[1][1]
        await break_and_mend(said)
        volumes = directory(said) / "volumes"
        # At once, since probes write there; and were it made again meanwhile, this would fail.
        volumes.rename(volumes.with_name("volumes-before"))
        volumes.write_text("")
        rest, _ = await process.communicate()
    assert process.returncode == 1
    (last,) = rest.decode().splitlines()[-1:]
    assert "the embedded cluster is dead: provision met " in last
    assert "Traceback" not in rest.decode()


async def test_without_a_story_it_probes_features_and_a_mount_that_stays_at_once() -> None:
    async with running("--nodes", "1", "--scenario", "none") as process:
        said = await until_said(process, "6 targets: ")
    assert "On now: mounts that stay (residentProbe), and the canaries block, clone and expand." in said


async def printed(command: str, **environment: str) -> tuple[int, str]:
    """Run a `pie` command that the demo printed; return its status and what it said."""
    if not environment:
        ended = await within(*command.split())
        return ended.status, ended.said + ended.complained
    process = await asyncio.create_subprocess_exec(
        *forked.command(*command.split()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def break_and_mend(said: str) -> None:
    """Use the command of faults as the demo prints it, and as one would find out more."""
    (page,) = re.findall(r"status --server (\S+)", said)
    (command,) = re.findall(r"pie (demo fault hang --node node-1)", said)
    # Other demos may run on this machine.
    command = f"{command} --server {page}"
    assert await printed(command) == (0, "hang, node-1: injected\n")
    listing = f"demo fault --server {page}"
    assert re.search(r"^hang +node-1 +I/O does not return", (await printed(listing))[1], re.MULTILINE)
    shown = json.loads((await printed(f"{listing} --output json"))[1])
    assert shown["active"] == [{"fault": "hang", "node": "node-1"}]
    assert await printed(f"{command} --undo") == (0, "hang, node-1: ended\n")
    assert json.loads((await printed(f"{listing} --output json"))[1])["active"] == []
    status, refused = await printed(f"demo fault flood --server {page}")
    assert (status, refused.startswith("pie demo fault: there is no fault 'flood'; there are: ")) == (2, True)


def test_a_demo_that_ends_while_one_looks_for_it_is_none(tmp_path: Path) -> None:
    (tmp_path / "panel").write_text("http://127.0.0.1:1")
    assert addresses([tmp_path / "ended" / "panel", tmp_path / "panel"]) == ["http://127.0.0.1:1"]


async def test_a_fault_is_made_in_the_one_demo_that_runs_also_without_a_panel(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    left_behind = tmp_path / "pie-embedded-killed"
    left_behind.mkdir()
    (left_behind / "panel").write_text("http://127.0.0.1:1")
    status, said = await printed("demo fault hang", **environment)
    assert status == 2
    assert "no demo runs here" in said
    idle = ("--headless", "--scenario", "none", "--duration", "60", "--nodes", "2", "--minute-seconds", "60")
    async with running(*idle, **environment) as process:
        await until_said(process, "kubectl:")
        assert await printed("demo fault cordoned --node node-2", **environment) == (
            0,
            "cordoned, node-2: injected\n",
        )
        async with running(*idle, **environment) as other:
            await until_said(other, "kubectl:")
            status, said = await printed("demo fault", **environment)
        assert (status, said) == (
            2,
            "pie demo fault: 2 demos run here: give the address of one's page with --server\n",
        )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_story_that_was_stopped_has_no_good_end(number: signal.Signals, status: int) -> None:
    async with running("--headless", "--scenario", "crash", "--nodes", "3") as process:
        await until_said(process, "crash: ")
        process.send_signal(number)
        rest, _ = await process.communicate()
        assert process.returncode == status, rest


async def test_a_story_that_ran_out_of_time_has_no_good_end() -> None:
    status, said = await run("--headless", "--scenario", "crash", "--nodes", "3", "--duration", "3")
    assert status == 1, said
    assert "the time is over, before the end of the story" in said


async def test_the_end_by_hand_is_a_good_one_where_nobody_waits_for_a_story() -> None:
    async with running("--nodes", "3") as process:
        await until_said(process, "crash: ")
        process.send_signal(signal.SIGINT)
        rest, _ = await process.communicate()
        assert process.returncode == 0, rest


@asynccontextmanager
async def running(*arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a demo in the background."""
    process = await asyncio.create_subprocess_exec(
        *forked.command("demo", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1", **environment},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()


async def until_said(process: asyncio.subprocess.Process, words: str) -> str:
    """Return what a demo said once these words are among it."""
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(100):
        while words not in said:
            line = await process.stdout.readline()
            assert line, said
            said += line.decode()
    return said


def directory(said: str) -> Path:
    """Return where the demo keeps its volumes and its kubeconfig."""
    (path,) = re.findall(r"export KUBECONFIG=([^;\s]+)", said)
    return Path(path).parent


async def test_a_demo_of_too_few_nodes_for_its_story_says_that_it_plays_none() -> None:
    status, said = await run("--nodes", "2", "--duration", "1")
    assert status == 0, said
    assert "No story is played: crash needs 3 nodes or more, not 2." in said


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--nodes", "2"], "the story crash needs 3 nodes or more, not 2"),
        (["--nodes", "2", "--duration", "9"], "the story crash needs 3 nodes or more, not 2"),
        (["--scenario", "none"], "give --duration"),
    ],
)
async def test_headless_takes_a_story_that_can_be_played_or_an_end(arguments: list[str], why: str) -> None:
    status, said = await run("--headless", *arguments)
    assert status == 2
    assert why in said


async def test_what_cannot_be_done_is_refused_in_words() -> None:
    status, said = await run("--scenario", "flood")
    assert status == 2
    assert "crash" in said
    status, said = await run("--scenario", "disks", "--nodes", "2")
    assert status == 2
    assert "5 nodes or more" in said
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        none = ("--headless", "--scenario", "none", "--duration", "60")
        status, said = await run(*none, "--nodes", "1", "--port", port)
    assert status == 2
    assert f"port {port} is in use" in said

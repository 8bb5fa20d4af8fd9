"""The embedded kubelet and its processes, apart from pie's controller."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

from pie.embedded import childprocess
from pie.embedded.kinds import NODES, PODS, Json, condition
from tests.embedded.conftest import PlainApi, Start
from tests.embedded.probes import start_probe
from tests.harness import until
from tests.probe.conftest import demand

# Runs a cluster in a directory and under a fault that are given, with one probe that takes twenty seconds.
RUN_A_CLUSTER = """
import asyncio, pathlib, sys
from pie.embedded.cluster import EmbeddedCluster
from tests.embedded.probes import start_probe

async def main():
    options = ("--runtime", "20", "--size", "1G", "--rate-iops", "16", "--read-write", "randwrite")
    directory = pathlib.Path(sys.argv[1])
    async with EmbeddedCluster(nodes=1, directory=directory, probe_options=options) as cluster:
        await cluster.faults.inject(sys.argv[2])
        start_probe(cluster)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def commands_on(directory: Path) -> list[str]:
    """Return the commands of all processes that were given something in a directory."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(each.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return [command for command in found if f"{directory}/volumes" in command]


@pytest.mark.skipif(not childprocess.supported(), reason="only Linux ends the processes of a probe with it")
@pytest.mark.parametrize("fault", ["slow", "hang"])
async def test_nothing_of_a_probe_outlives_a_cluster_that_is_killed(tmp_path: Path, fault: str) -> None:
    demand("fio")
    cluster = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN_A_CLUSTER, str(tmp_path), fault)

    async def runs() -> bool:
        words = "fio " if fault == "slow" else "pie.embedded.childprocess"
        return any(words in command for command in commands_on(tmp_path))

    async def gone() -> bool:
        return commands_on(tmp_path) == []

    await until(runs, "a probe runs")
    cluster.kill()
    await cluster.wait()
    await until(gone, "all its processes are gone")


async def test_what_runs_goes_on_without_its_kubelet_and_is_told_when_that_is_back(
    start_embedded: Start,
) -> None:
    demand("fio")
    options = ("--size", "256M", "--runtime", "5", "--read-write", "randwrite")
    cluster = await start_embedded(nodes=1, node_grace_seconds=1.0, probe_options=options)

    def pod() -> Json:
        return cluster.registry.get(PODS, "pie", "p")

    async def is_phase(phase: str) -> bool:
        return bool(pod()["status"]["phase"] == phase)

    async def is_ready(status: str) -> bool:
        return bool(condition(cluster.registry.get(NODES, "", "node-1"), "Ready")["status"] == status)

    async def has_ended() -> bool:
        return commands_on(cluster.directory) == []

    start_probe(cluster)
    await until(lambda: is_phase("Running"), "the probe runs")
    await cluster.faults.inject("kubelet-gone")
    await until(lambda: is_ready("Unknown"), "the node's silence is noticed")
    taints = cluster.registry.get(NODES, "", "node-1")["spec"]["taints"]
    assert {taint["key"] for taint in taints} == {"node.kubernetes.io/unreachable"}
    await until(has_ended, "the probe ends")
    assert pod()["status"]["phase"] == "Running"
    await cluster.faults.clear("kubelet-gone")
    await until(lambda: is_phase("Succeeded"), "the kubelet says how the probe ended")
    await until(lambda: is_ready("True"), "the node is Ready again")
    assert pod()["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0


async def test_the_options_of_a_pod_count_before_those_of_the_cluster(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=1, probe_options=("--size", "4M", "--no-integrity"))
    start_probe(cluster, "--size", "1M", "--block-size", "1M", "--read-write", "write")

    async def has_ended() -> bool:
        return bool(cluster.registry.get(PODS, "pie", "p")["status"]["phase"] == "Succeeded")

    await until(has_ended, "the probe ends")
    (volume,) = (cluster.directory / "volumes").rglob(".pie")
    assert (volume / "fio" / "job").stat().st_size == 2**20
    assert not (volume / "records").exists()


async def test_a_slow_api_server_takes_two_seconds_more_until_it_is_well_again(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=1)
    async with PlainApi(cluster.front.address) as api:

        async def seconds() -> float:
            began_at = time.monotonic()
            assert len(await api.items("/api/v1/nodes")) == 1
            return time.monotonic() - began_at

        await cluster.faults.inject("api-slow")
        assert await seconds() >= 2
        await cluster.faults.clear("api-slow")
        assert await seconds() < 2

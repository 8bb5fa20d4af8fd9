"""What the flight recorder costs: two controllers side by side on one control plane, one of them records.

Runs on the real control plane with simulated (KWOK) nodes; each controller has a namespace and a PieProbe of
its own, on the same nodes. They change roles after each round, so that what one namespace costs more is not
taken for the recorder's:

    python bench/recording.py [--nodes 100] [--rounds 4] [--minutes 3]
"""

import argparse
import asyncio
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.api_writes import probe
from testbed.cluster import Cluster
from tests.harness import ON_TIME, Pie, apply_probe
from tests.real.conftest import install_crd

NAMESPACES = ("recording-a", "recording-b")
WARM_UP_SECONDS = 90.0


async def main(nodes: int, rounds: int, minutes: float) -> None:
    """Print for each round what both controllers used, and in the end the median of the difference."""
    async with Cluster(kwok_nodes=nodes) as cluster:
        await install_crd(cluster.api)
        for namespace in NAMESPACES:
            await cluster.create_namespace(namespace)
            await apply_probe(cluster.api, namespace, probe(1))
        more = []
        for number in range(rounds):
            one, other = NAMESPACES[number % 2], NAMESPACES[1 - number % 2]
            recorded, plain = await _round(cluster, one, other, minutes)
            more.append(100 * (recorded / plain - 1))
            print(
                f"round {number + 1}: {1000 * recorded:.2f} ms of CPU a run with the recorder,"
                f" {1000 * plain:.2f} ms without: {more[-1]:+.1f} %",
                flush=True,
            )
        print(f"{nodes} nodes, {rounds} rounds of {minutes:g} minutes: {median(more):+.1f} % in the median")


async def _round(cluster: Cluster, recording: str, plain: str, minutes: float) -> tuple[float, float]:
    """Return the CPU seconds a counted run of the controller that records, and of the other."""
    with TemporaryDirectory() as directory:
        async with (
            Pie(cluster.kubeconfig, recording, "--leader-elect", "--record", directory) as one,
            Pie(cluster.kubeconfig, plain, "--leader-elect") as other,
        ):
            await asyncio.gather(one.leads(), other.leads())
            await asyncio.sleep(WARM_UP_SECONDS)
            before = await asyncio.gather(_used(one), _used(other))
            await asyncio.sleep(60 * minutes)
            after = await asyncio.gather(_used(one), _used(other))
    (one_cpu, one_runs), (other_cpu, other_runs) = (
        (cpu - cpu_before, runs - runs_before)
        for (cpu, runs), (cpu_before, runs_before) in zip(after, before, strict=True)
    )
    return one_cpu / one_runs, other_cpu / other_runs


async def _used(pie: Pie) -> tuple[float, float]:
    """Return the CPU seconds that a controller has used, and how many due times it has counted."""
    samples = await pie.samples()
    runs = sum(sample.value for name in ON_TIME.values() for sample in samples.all(name))
    return samples.value("process_cpu_seconds_total") or 0.0, runs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=3.0)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.nodes, chosen.rounds, chosen.minutes))

"""`make versions`: pie on every version of Kubernetes that is pinned; writes docs/versions.md."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from testbed.build import kubernetes_versions
from testbed.cluster import Cluster
from tests.chart.helm import RELEASE
from tests.faults.row import NAMESPACE
from tests.harness import Pie
from tests.real.conftest import Probed
from tests.versions import page
from tests.versions.differences import DIFFERENCES, Record, restart_kubelet
from tests.versions.page import Tried
from tests.versions.scenarios import (
    CHART_ACCEPTED,
    LAST,
    NODES,
    RIGHT,
    RUNNERS,
    attempt,
    inflict,
    install,
    install_every_option,
    play,
)


def main(arguments: Sequence[str]) -> int:
    """Try the versions that are asked for, the newest first; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", default="", help="only these: 1.34,1.37; the page keeps the others")
    asked = {each for each in parser.parse_args(arguments).versions.split(",") if each}
    pinned = {version.rpartition(".")[0]: version for version in kubernetes_versions()}
    if unknown := asked - pinned.keys():
        parser.error(f"not pinned: {', '.join(sorted(unknown))} (there are: {', '.join(sorted(pinned))})")
    results = page.read()
    wrong = []
    for minor in sorted(asked or pinned, key=lambda each: int(each.partition(".")[2]), reverse=True):
        version = pinned[minor]
        tried = asyncio.run(_try(kubernetes_versions()[version]))
        results[version] = tried
        page.write({each: results[each] for each in kubernetes_versions() if each in results})
        print(f"{version}: {'right' if tried.right else f'WRONG: {tried}'}", flush=True)  # noqa: T201  the result
        wrong += [] if tried.right else [version]
    return 1 if wrong else 0


async def _try(kubernetes: str) -> Tried:
    """Try one version, by the suffix of its programs."""
    record = Record()
    async with Cluster(nodes=len(NODES), kubernetes=kubernetes) as cluster:
        following = asyncio.create_task(record.follow(cluster))
        try:
            scenarios = await _play(cluster)
            await restart_kubelet(cluster, NODES[0])
        finally:
            following.cancel()
        record.read_requests(cluster)
    differences = {each.title: each.read(record) for each in DIFFERENCES}
    return Tried(datetime.now(UTC).date().isoformat(), scenarios, differences)


async def _play(cluster: Cluster) -> dict[str, str]:
    """Play all scenarios; without the chart there is no CRD for those that follow."""
    chart = {CHART_ACCEPTED: await attempt(install_every_option(cluster))}
    if chart[CHART_ACCEPTED] != RIGHT:
        return chart
    await install(cluster)
    kubeconfig = await cluster.service_account_kubeconfig(NAMESPACE, RELEASE)
    async with Pie(kubeconfig, NAMESPACE, "--leader-elect") as pie:
        await pie.leads()
        probed = Probed(cluster, NAMESPACE, pie)
        runs = await play(probed, RUNNERS)
        faults = await inflict(probed)
        return {**chart, **runs, **faults, **await play(probed, LAST)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""pie on real nodes: health when all is well, and the truth when storage breaks, fault by fault.

The rows of the fault matrix that are `quick`; `make faults` runs them all.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from testbed import faults
from testbed.cluster import Cluster
from tests.chart.install import refusals
from tests.conftest import demand_machine
from tests.faults import page
from tests.faults.matrix import PLUGINS, ROWS
from tests.faults.row import NAMESPACE, Lane
from tests.faults.runner import Matrix, nodes_for, places
from tests.harness import ON_TIME, PERFORMANCE, Samples, gone, until
from tests.real.conftest import Probed
from tests.specs import SMALLEST

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

QUICK = [row for row in ROWS if row.quick]
KINDS = ("pieprobes", "cronjobs", "jobs", "pods", "persistentvolumeclaims")
OF_KUBERNETES = {
    "batch.kubernetes.io/job-tracking",
    "kubernetes.io/pvc-protection",
    "foregroundDeletion",
    "orphan",
}
SMALLEST_PROBE = ("smallest", SMALLEST["monitoringStorageClass"])
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


@dataclass
class Finalizers:
    """All that objects of pie's namespace ever had, as watches saw them."""

    seen: set[str] = field(default_factory=set)

    async def note(self, event: dict[str, Any]) -> None:
        """Take in a watch event."""
        self.seen.update(event["object"]["metadata"].get("finalizers", ()))


@pytest.fixture(scope="module")
def many_nodes() -> Iterator[str]:
    """Name of a cluster that has the nodes of all quick rows, and storage of either kind."""
    demand_machine(nodes=True)
    cluster = Cluster(nodes=nodes_for(QUICK), attachable=True)
    asyncio.run(cluster.bring_up())
    yield cluster.name
    asyncio.run(cluster.take_down())


@pytest.fixture(scope="module")
def finalizers() -> Finalizers:
    """Give the finalizers that objects of pie's namespace had while its controller was there."""
    return Finalizers()


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the controller records its steps."""
    return tmp_path_factory.mktemp("record")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def matrix(many_nodes: str, finalizers: Finalizers, record: Path) -> AsyncIterator[Matrix]:
    """All quick rows under way; each test waits for what it is about."""
    async with Cluster.attach(many_nodes) as cluster, places(cluster, QUICK, record) as found:
        matrix = Matrix(found, QUICK, look=look)
        watches = [
            asyncio.create_task(cluster.api.watch(matrix.probed.path(plural), finalizers.note))
            for plural in KINDS
        ]
        matrix.begin()
        yield matrix
        matrix.cancel()
        for watch in watches:
            watch.cancel()
        for namespace in found:
            assert refusals(cluster, namespace) == []


@dataclass(frozen=True)
class Well:
    """What there is when a lane is well: metrics, and the blocks of its volume's backing file by node."""

    samples: Samples
    blocks: dict[str, int]


async def look(probed: Probed, lane: Lane) -> Well | None:
    """Look at a lane that is well. Its first fault may end the drivers that know of its volumes."""
    if lane != PLUGINS:
        return None
    blocks = {}
    for node in lane.nodes:
        claims = f"{NAMESPACE}/{probed.claim(lane.name, node)}"
        volume = await faults.volume(probed.cluster, node=node, claims=claims)
        blocks[node] = Path(volume.backing_file).stat().st_blocks  # noqa: ASYNC240  one call on a local disk
    return Well(await probed.pie.samples(), blocks)


async def test_within_two_periods_all_metrics_are_good_and_real_files_lie_on_real_volumes(
    matrix: Matrix,
) -> None:
    seen: Well = await matrix.started[PLUGINS]
    samples = seen.samples
    of_probe = {"pie_probe_name": PLUGINS.name}
    assert 1 <= samples.value(ON_TIME["provision"], **of_probe, on_time="true") <= 2
    assert samples.value(ON_TIME["provision"], **of_probe, on_time="false") == 0
    for node in PLUGINS.nodes:
        labels = {**of_probe, "node": node}
        assert 1 <= samples.value(ON_TIME["mount"], **labels, on_time="true") <= 2
        assert samples.value(ON_TIME["mount"], **labels, on_time="false") == 0
        assert samples.value(PERFORMANCE, **labels, succeed="true") >= 1
        for direction in ("read", "write"):
            assert samples.value(f"pie_io_{direction}_latency_on_mount_probe_seconds", **labels) > 0
        assert seen.blocks[node] > 0


async def test_the_smallest_spec_of_go_pies_users_works_unchanged(matrix: Matrix) -> None:
    probed, (name, storage_class) = matrix.probed, SMALLEST_PROBE
    local = await probed.api.get(f"{CLASSES}/local")
    await probed.api.create(CLASSES, {**local, "metadata": {"name": storage_class}})
    role = {"node-role.kubernetes.io/role": "compute"}
    await probed.api.patch("/api/v1/nodes/node-1", {"metadata": {"labels": role}})
    body = {
        "apiVersion": "pie.topolvm.io/v1alpha1",
        "kind": "PieProbe",
        "metadata": {"name": name},
        "spec": SMALLEST,
    }
    await probed.api.create(probed.path("pieprobes"), body)
    for metric, labels in (
        (PERFORMANCE, {"node": "node-1", "succeed": "true"}),
        (ON_TIME["mount"], {"node": "node-1", "on_time": "true"}),
        (ON_TIME["provision"], {"on_time": "true"}),
    ):
        await probed.pie.until_value(metric, lambda value: value >= 1, 240, pie_probe_name=name, **labels)
    await probed.api.delete(probed.path("pieprobes", name))


@pytest.mark.parametrize("probe", ["mount", "provision"])
async def test_the_stages_of_runs_are_timed(matrix: Matrix, probe: str) -> None:
    stages = {"queue", "schedule", "mount", "start", "teardown"}
    of_kind = {"mount": {"io"}, "provision": {"provision"}}[probe]
    for storage_class, wanted in (
        ("local", stages | of_kind),
        ("attachable", {"queue", "schedule", "start", "attach"} | of_kind),
    ):
        labels = {"storage_class": storage_class, "probe": probe}
        for stage in wanted:
            await matrix.probed.pie.until_value(
                "pie_stage_duration_seconds_count", lambda count: count >= 1, 240, **labels, stage=stage
            )
    samples = await matrix.probed.pie.samples()
    assert samples.value("pie_stage_duration_seconds_count", storage_class="local", stage="attach") is None


@pytest.mark.parametrize("number", range(len(QUICK)), ids=[f"{row.lane.name}-{row.title}" for row in QUICK])
async def test_a_fault_is_told_as_it_is_and_clears_after_its_undo(matrix: Matrix, number: int) -> None:
    given = await matrix.given[number]
    print(page.line(number, QUICK[number], given))  # noqa: T201  figures for the reader
    assert QUICK[number].right(given)


async def test_deleting_the_pieprobes_leaves_nothing_in_the_cluster_or_on_the_nodes(
    matrix: Matrix, finalizers: Finalizers
) -> None:
    await matrix.done()
    probed = matrix.probed
    for plural in KINDS:
        await until(lambda plural=plural: gone(probed.api, probed.path(plural)), f"{plural} are gone", 180)
    await until(lambda: no_volumes(probed), "volumes and backing files are gone", 120)
    for probe, storage_class in {(lane.name, lane.storage_class) for lane in matrix.started} | {
        SMALLEST_PROBE
    }:
        await probed.pie.until_no_samples(pie_probe_name=probe)
        await probed.pie.until_no_samples(storage_class=storage_class)
    assert "kubernetes.io/pvc-protection" in finalizers.seen  # the watches saw what there was
    assert finalizers.seen <= OF_KUBERNETES


def recorded(directory: Path) -> list[Path]:
    files = sorted(directory.glob("*/*.record"))
    assert files
    return files


async def test_what_was_recorded_replays_without_a_difference(matrix: Matrix, record: Path) -> None:
    await matrix.done()
    assert await matrix.probed.pie.stop() == 0
    for file in recorded(record):
        command = (sys.executable, "-m", "pie", "replay", str(file))
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        print(said.decode())  # noqa: T201  figures for the reader
        assert process.returncode == 0


async def no_volumes(probed: Probed) -> bool:
    """Tell whether no PersistentVolume and no backing file is left."""
    if await probed.api.items("/api/v1/persistentvolumes"):
        return False
    places = [*probed.cluster.spec.node_names, "attachable"]
    return not [
        volume for node in places for volume in (await faults.state(probed.cluster, node=node)).volumes
    ]

"""What PieProbes cost besides writes: objects, volumes, image pulls, CPU and I/O, without a known ceiling."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pie.core.cost.ceilings import Cluster
from pie.core.cost.lines import Actor, Line, Source
from pie.core.cost.load import Demand, requests, set_up
from pie.core.iojob import IoJob
from pie.core.model import RunnerKind
from pie.core.resident.interval import OPERATIONS, SHORTEST_SECONDS, interval_seconds

CPU_SECONDS: Final = 0.45
READ_MEGABYTES: Final = 26.0
WRITTEN_MEGABYTES: Final = 27.0
"""Of a mount run on a fast disk: fio reads and writes its 50 MB in one second. `docs/cost.md` says how it was
measured. The kubelet's and the container runtime's part is not counted."""
_BESIDE_FIO_MEGABYTES: Final = READ_MEGABYTES + WRITTEN_MEGABYTES - IoJob().most_bytes / 1e6
"""Records, the sync, and what filesystems write."""
_ROUND_WRITES_MEGABYTES: Final = 4096 / 1e6
"""A round of a resident probe writes a block."""
_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in words: what, how much of what unit, and where it is from."""

    name: str
    value: float
    unit: str
    source: Source = Source.CALCULATED


def figures(demands: Sequence[Demand], cluster: Cluster) -> Iterator[Figure]:
    """Yield what PieProbes cost together besides writes."""
    yield Figure("runs that start in a second, on average", sum(d.runs_per_second for d in demands), "runs/s")
    yield Figure("runs that start together", sum(demand.runs_at_once for demand in demands), "runs")
    cronjobs = sum(demand.targets(RunnerKind.CRON_JOB) for demand in demands)
    yield Figure("CronJobs that exist", cronjobs, "CronJobs")
    stay = sum(load.targets for demand in demands for load in demand.loads() if load.resident)
    yield Figure("resident pods that exist", stay, "pods")
    yield Figure("PVCs and volumes that exist", sum(demand.volumes_kept for demand in demands), "volumes")
    stored = sum(demand.volumes_kept * demand.volume_bytes for demand in demands)
    yield Figure("size of these volumes together", stored / 2**30, "GiB")
    yield Figure("volumes of pie on a node, at most", sum(d.volumes_on_a_node for d in demands), "volumes")
    slots = sum(demand.volumes_on_a_node for demand in demands if demand.attach)
    yield Figure("of these, attached: attach slots of a node", slots, "volumes")
    attached = sum(demand.pods_per_second for demand in demands if demand.attach)
    yield Figure("volumes that are attached in a second", attached, "volumes/s")
    lines = list(set_up(demands))
    writes = sum((line.writes + line.events) * count for line, count in lines)
    yield Figure("writes and Events to set up all targets, once", writes, "writes", Source.MEASURED)
    slowest = max(_set_up_seconds(lines, actor, cluster) for actor in (Actor.PROVISIONER, Actor.ATTACHER))
    yield Figure("time until all volumes are provisioned, at least", slowest, "s")
    nodes = max((demand.nodes for demand in demands), default=0)
    yield Figure("image pulls, once for each node", nodes, "pulls")
    yield from _on_nodes(demands)
    yield from _of_residents(demands)


def _set_up_seconds(lines: Sequence[tuple[Line, int]], actor: Actor, cluster: Cluster) -> float:
    sent = sum(requests(line) * count for line, count in lines if line.actor is actor)
    return sent / cluster.sidecar_qps


def _on_nodes(demands: Sequence[Demand]) -> Iterator[Figure]:
    mounts = [demand for demand in demands if demand.mount and demand.nodes]
    on_a_node = sum(1 / demand.period_seconds for demand in mounts)
    moved = [(demand, _megabytes(demand.io.most_bytes) / demand.period_seconds) for demand in mounts]
    yield Figure("CPU on a node, mount runs", 100 * CPU_SECONDS * on_a_node, "% of a core", Source.MEASURED)
    written = sum(_written_megabytes(demand.io) / demand.period_seconds for demand in mounts)
    written += sum(1 for d in demands if d.resident and d.nodes) * _ROUND_WRITES_MEGABYTES / SHORTEST_SECONDS
    yield Figure("written on a node in a day, at most", written * _DAY_SECONDS, "MB/day", Source.MEASURED)
    yield Figure("I/O of a node, at most", sum(each for _, each in moved), "MB/s", Source.MEASURED)
    shared = sum(demand.nodes * each for demand, each in moved)
    yield Figure("I/O on a back end that all share, at most", shared, "MB/s", Source.MEASURED)
    peak = sum(_together(demand) * _megabytes(demand.io.most_bytes_a_second) for demand in mounts)
    yield Figure("the same, in the second in which runs start", peak, "MB/s")


def _of_residents(demands: Sequence[Demand]) -> Iterator[Figure]:
    """Yield what resident pods do on the storage that they share, at most."""
    rounds = sum(demand.nodes / interval_seconds(demand.nodes) for demand in demands if demand.resident)
    operations = len(OPERATIONS) * rounds
    yield Figure("I/O of resident pods on a back end that all share", operations, "operations/s")
    written = rounds * _ROUND_WRITES_MEGABYTES * _DAY_SECONDS
    yield Figure("what they write there in a day, at most", written, "MB/day")


def _written_megabytes(io: IoJob) -> float:
    """Return what a mount run writes."""
    part = {"read": 0.0, "randread": 0.0, "write": 1.0, "randwrite": 1.0}.get(io.read_write, 0.5)
    return part * io.most_bytes / 1e6 + WRITTEN_MEGABYTES - IoJob().most_bytes / 2e6


def _megabytes(moved_bytes: int) -> float:
    """Return what a run moves, if fio moves so much."""
    return moved_bytes / 1e6 + _BESIDE_FIO_MEGABYTES


def _together(demand: Demand) -> float:
    """Return how many mount runs start in the same second."""
    if demand.runner is RunnerKind.CRON_JOB:
        return min(float(demand.nodes), demand.runs_at_once)
    return min(float(demand.nodes), demand.nodes / demand.period_seconds)

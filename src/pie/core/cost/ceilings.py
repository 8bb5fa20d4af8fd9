"""What a cluster can take, and how much of each ceiling PieProbes use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pie.core.batch.history import most_finished
from pie.core.cost.lines import GARBAGE, Actor, Source
from pie.core.cost.load import Demand, Rate, rates, worst
from pie.core.model import RunnerKind

CHURN_OF_PODS: Final = 20.0
PODS_OF_A_NAMESPACE: Final = 3_000
LIVE_EVENTS: Final = 1_000_000
"""https://github.com/kubernetes/community/blob/master/sig-scalability/configs-and-limits/thresholds.md"""
FINISHED_PODS: Final = 12_500
"""`--terminated-pod-gc-threshold` of kube-controller-manager."""

RUN_SECONDS: Final = 15.0
"""How long a pod exists."""

_CHANGES_OF_A_POD: Final = 2  # created, deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What is known of a cluster; the defaults are those of Kubernetes and of the CSI sidecars.

    `volumes_per_node` is the smallest number of the class's volumes that a node can have. `unused`: the
    cluster sets the condition `Unused` of PVCs (from Kubernetes 1.37 on).
    """

    manager_qps: float = 20.0
    manager_burst: float = 30.0
    scheduler_qps: float = 50.0
    scheduler_burst: float = 100.0
    sidecar_qps: float = 5.0
    sidecar_burst: float = 10.0
    kubelet_qps: float = 50.0
    pie_qps: float = 200.0
    event_seconds: float = 3600.0
    volumes_per_node: int | None = None
    unused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """A ceiling, and how much of it is used.

    `by_period`: a longer period lowers what is used. `queue_seconds`: how long requests of others wait when
    runs start together.
    """

    name: str
    used: float
    limit: float
    unit: str
    by_period: bool = True
    queue_seconds: float = 0.0
    source: Source = Source.MEASURED

    @property
    def share(self) -> float:
        """How much of it is used; above 1 it is passed."""
        return self.used / self.limit

    def period_seconds(self, now_seconds: float) -> float | None:
        """Return the period at which it is just met, if it is `now_seconds` now; None: no period helps."""
        return now_seconds * self.share if self.by_period else None


def ceilings(demands: Sequence[Demand], cluster: Cluster) -> tuple[Ceiling, ...]:
    """Return all ceilings, the one that is used most first: it is the smallest."""
    found = (*_of_clients(demands, cluster), *_of_objects(demands, cluster))
    return tuple(sorted(found, key=lambda each: -each.share))


def _of_clients(demands: Sequence[Demand], cluster: Cluster) -> Iterator[Ceiling]:
    for rate in rates(demands, unused=cluster.unused):
        if rate.actor is Actor.KUBELET:  # each node has its own
            continue
        qps, burst = _limit(rate, cluster)
        yield Ceiling(
            name=f"{rate.actor} {rate.client}".strip(),
            used=rate.requests,
            limit=qps,
            unit="requests/s",
            queue_seconds=max(0.0, (rate.requests_at_once - burst) / qps),
            source=rate.source,
        )


def _limit(rate: Rate, cluster: Cluster) -> tuple[float, float]:
    """Return a client's rate limit, and its burst."""
    if rate.actor is Actor.CONTROLLER_MANAGER:
        # Its client for deletes has twice the limit (startGarbageCollectorController).
        factor = 2 if rate.client == GARBAGE else 1
        return factor * cluster.manager_qps, cluster.manager_burst
    return {
        Actor.SCHEDULER: (cluster.scheduler_qps, cluster.scheduler_burst),
        Actor.PROVISIONER: (cluster.sidecar_qps, cluster.sidecar_burst),
        Actor.ATTACHER: (cluster.sidecar_qps, cluster.sidecar_burst),
        Actor.RESIZER: (cluster.sidecar_qps, cluster.sidecar_burst),
        Actor.SNAPSHOTTER: (cluster.sidecar_qps, cluster.sidecar_burst),
        Actor.PIE: (cluster.pie_qps, cluster.pie_qps),
    }[rate.actor]


def _of_objects(demands: Sequence[Demand], cluster: Cluster) -> Iterator[Ceiling]:
    per_second = sum(demand.pods_per_second for demand in demands)
    found = rates(demands, unused=cluster.unused)
    source = worst(rate.source for rate in found)
    yield Ceiling(
        name="pods created and deleted",
        used=_CHANGES_OF_A_POD * per_second,
        limit=CHURN_OF_PODS,
        unit="changes/s",
        source=Source.CALCULATED,
    )
    yield Ceiling(
        name="Events that exist",
        used=sum(rate.events for rate in found) * cluster.event_seconds,
        limit=LIVE_EVENTS,
        unit="Events",
        source=source,
    )
    yield Ceiling(
        name="pods in the namespace",
        used=sum(map(_pods_at_once, demands)),
        limit=PODS_OF_A_NAMESPACE,
        unit="pods",
        source=Source.CALCULATED,
    )
    yield Ceiling(
        name="finished pods while pie is away",
        used=sum(map(_pods_unread, demands)),
        limit=FINISHED_PODS,
        unit="pods",
        by_period=False,
        source=Source.CALCULATED,
    )
    yield _of_a_kubelet(demands, cluster)
    if cluster.volumes_per_node is not None:
        yield Ceiling(
            name="volumes on a node",
            used=sum(demand.volumes_on_a_node for demand in demands),
            limit=max(1, cluster.volumes_per_node),
            unit="volumes",
            by_period=False,
            source=Source.CALCULATED,
        )


def _pods_at_once(demand: Demand) -> float:
    """Return how many pods there are at most at the same time."""
    return _stay(demand) + _runs_at_once(demand)


def _stay(demand: Demand) -> int:
    return sum(load.targets for load in demand.loads() if load.resident)


def _runs_at_once(demand: Demand) -> float:
    """Return how many pods of runs there are at most at the same time."""
    most = max(demand.runs_at_once, demand.runs_per_second * RUN_SECONDS)
    return min(float(demand.targets() - _stay(demand)), most)


def _pods_unread(demand: Demand) -> float:
    """Return how many finished pods are kept at most until pie reads them."""
    cronjobs = demand.targets(RunnerKind.CRON_JOB)
    # What pie itself starts does not wait: it is not started.
    return float(most_finished(cronjobs)) if cronjobs else _runs_at_once(demand)


def _of_a_kubelet(demands: Sequence[Demand], cluster: Cluster) -> Ceiling:
    """Return what the kubelet of one node sends, if the provision runs are there, too."""
    on_a_node = [replace(demand, nodes=min(1, demand.nodes)) for demand in demands]
    found = [rate for rate in rates(on_a_node, unused=cluster.unused) if rate.actor is Actor.KUBELET]
    return Ceiling(
        name="kubelet of a node",
        used=sum(rate.requests for rate in found),
        limit=cluster.kubelet_qps,
        unit="requests/s",
        source=worst(rate.source for rate in found),
    )

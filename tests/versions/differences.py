"""What versions of Kubernetes do differently: read from what a cluster did while pie probed it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from testbed.cluster import Cluster
from tests.chart.helm import RELEASE
from tests.faults.row import NAMESPACE
from tests.harness import until

Json = dict[str, Any]
SCHEDULED: Final = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_POD_IMAGE: Final = "pie.test/pie:dev"


@dataclass(frozen=True)
class Record:
    """Every state of every object that a watch reported, by the object's uid."""

    pods: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    jobs: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    pvcs: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    sleeper: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    requests: Counter[str] = field(default_factory=Counter)

    async def follow(self, cluster: Cluster) -> None:
        """Record what is in pie's namespace, and the pod of `restart_kubelet`; it never returns."""
        of_pie = f"namespaces/{NAMESPACE}"
        watched = {
            f"/api/v1/{of_pie}/pods": self.pods,
            f"/apis/batch/v1/{of_pie}/jobs": self.jobs,
            f"/api/v1/{of_pie}/persistentvolumeclaims": self.pvcs,
            "/api/v1/namespaces/default/pods": self.sleeper,
        }
        await asyncio.gather(*(_watch(cluster, path, states) for path, states in watched.items()))

    def read_requests(self, cluster: Cluster) -> None:
        """Count how pie read collections."""
        for event in cluster.audit.events():
            if event.user.username == f"system:serviceaccount:{NAMESPACE}:{RELEASE}":
                initial = event.verb == "watch" and "sendInitialEvents=true" in event.request_uri
                if initial and event.response_status.code < 400:
                    self.requests["WatchList"] += 1
                elif event.verb == "list":
                    self.requests["list"] += 1


async def _watch(cluster: Cluster, path: str, states: Mapping[str, list[Json]]) -> None:
    async def handle(event: Json) -> None:
        states[event["object"]["metadata"]["uid"]].append(event["object"])

    await cluster.api.watch(path, handle)


async def restart_kubelet(cluster: Cluster, node: str) -> None:
    """Restart a kubelet while a container runs on it; return when the new one has started another."""
    await _run_pod(cluster, "before", node)
    await cluster.restart(f"kubelet-{node}")
    await _run_pod(cluster, "after", node)


async def _run_pod(cluster: Cluster, name: str, node: str) -> None:
    pods = "/api/v1/namespaces/default/pods"
    command = ["python3", "-c", "import time; time.sleep(3600)"]
    container = {"name": "sleep", "image": _POD_IMAGE, "imagePullPolicy": "Never", "command": command}
    spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0}
    await cluster.api.create(pods, {"metadata": {"name": name}, "spec": spec})

    async def ready() -> bool:
        pod = await cluster.api.get(f"{pods}/{name}")
        return any(each["ready"] for each in pod["status"].get("containerStatuses", []))

    await until(ready, f"the pod {name} is Ready on {node}", 60)


def _changes(values: Iterable[str]) -> str:
    """Return values, each once for as long as it stays the same."""
    return " → ".join(value for value, _ in groupby(values))


def _ready_to_start(record: Record) -> str:
    """Return how the condition changes in pods that succeed."""

    def values(states: Iterable[Json]) -> Iterator[str]:
        for state in states:
            conditions = {each["type"]: each["status"] for each in state["status"].get("conditions") or []}
            yield conditions.get("PodReadyToStartContainers", "absent")

    ended = (states for states in record.pods.values() if states[-1]["status"].get("phase") == "Succeeded")
    return "; ".join(sorted({_last_changes(values(states)) for states in ended})) or "no pod ended"


def _last_changes(values: Iterable[str]) -> str:
    """Return the changes from the first True on: how a pod starts depends on what the watch saw."""
    changes = [value for value, _ in groupby(values)]
    return _changes(changes[changes.index("True") :]) if "True" in changes else "never True"


def _job_annotation(record: Record) -> str:
    """Return whether the Jobs of CronJobs say for when they are."""
    of_cronjobs = [
        SCHEDULED in (states[-1]["metadata"].get("annotations") or {})
        for states in record.jobs.values()
        if any(owner["kind"] == "CronJob" for owner in states[-1]["metadata"].get("ownerReferences") or [])
    ]
    return _how_many(of_cronjobs)


def _nominated(record: Record) -> str:
    """Return which runs had a pod with `nominatedNodeName`, without any preemption."""
    of_runs: dict[str, list[bool]] = {"provision": [], "mount": []}
    for states in record.pods.values():
        kind = "mount" if "node" in states[-1]["metadata"].get("labels", {}) else "provision"
        of_runs[kind].append(any(state["status"].get("nominatedNodeName") for state in states))
    return ", ".join(f"{_how_many(had)} {kind} runs" for kind, had in of_runs.items())


def _how_many(of: Sequence[bool]) -> str:
    return "no" if not any(of) else "all" if all(of) else "some"


def _pvc_conditions(record: Record) -> str:
    """Return the conditions that PVCs had."""
    found = {
        condition["type"]
        for states in record.pvcs.values()
        for state in states
        for condition in state["status"].get("conditions") or []
    }
    return ", ".join(f"`{each}`" for each in sorted(found)) or "none"


def _watch_list(record: Record) -> str:
    """Return how pie read collections."""
    return "WatchList" if record.requests["WatchList"] else "list and watch"


def _container_status(record: Record) -> str:
    """Return what became of `ready` and `started` of a container when kubelet restarted."""
    states = next(each for each in record.sleeper.values() if each[0]["metadata"]["name"] == "before")
    ready = _last_changes(str(_container(state).get("ready")) for state in states)
    started = _last_changes(str(_container(state).get("started")) for state in states)
    return f"`ready` {ready}, `started` {started}"


def _container(state: Json) -> Json:
    statuses: list[Json] = state["status"].get("containerStatuses") or [{}]
    return statuses[0]


@dataclass(frozen=True)
class Difference:
    """What is read from a record, and what it is for pie."""

    title: str
    for_pie: str
    read: Callable[[Record], str]


DIFFERENCES: Final = (
    Difference(
        "`PodReadyToStartContainers` of a probe pod, from start to end",
        "pie keeps the time of the first True: stage `mount` ends there",
        _ready_to_start,
    ),
    Difference(
        f"Jobs of CronJobs with the annotation `{SCHEDULED}`",
        "pie reads the due time of a run from it, or else from the name of the Job",
        _job_annotation,
    ),
    Difference("`nominatedNodeName` without preemption", "pie does not read it", _nominated),
    Difference(
        "conditions of bound PVCs",
        "pie does not read them; `Unused` costs two more writes a run ([cost](cost.md))",
        _pvc_conditions,
    ),
    Difference(
        "how pie reads collections",
        "without WatchList, pie lists first and then watches",
        _watch_list,
    ),
    Difference(
        "a container whose kubelet restarts",
        "pie reads only when a container started and ended",
        _container_status,
    ),
)

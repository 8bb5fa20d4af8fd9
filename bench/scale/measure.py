"""Measures one size of cluster with one runner, on a real control plane with simulated (KWOK) nodes."""

import asyncio
import os
import platform
import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import aiohttp

from bench.api_writes import NAMESPACE, STAND_INS, probe, reconcile
from bench.scale.figures import Figures
from testbed.api import Api, Json
from testbed.audit import FIRST_ERROR_CODE, WRITE_VERBS, AuditEvent
from testbed.cluster import Cluster
from testbed.kwok_stages import PROVISIONER
from tests.harness import ON_TIME, Pie, apply_probe, until
from tests.real.conftest import install_crd

FLOOR: Final = "floor"
CSI_DRIVERS: Final = "/apis/storage.k8s.io/v1/csidrivers"
WITHOUT_ATTACH: Final = {"metadata": {"name": PROVISIONER}, "spec": {"attachRequired": False}}
"""Without it, the driver could be one that attaches, and pie would look for that."""
_AT_ONCE = 32
_SAMPLE_SECONDS = 0.25
_SCRAPES = 5
_QPS = "2000"
_PVCS = "persistentvolumeclaims"


def collection(resource: str, namespace: str) -> str:
    """Return the path of a collection."""
    group = "/apis/batch/v1" if resource == "cronjobs" else "/api/v1"
    return f"{group}/namespaces/{namespace}/{resource}"


@dataclass(slots=True)
class _Watched:
    """What was sampled of a process while runs ended."""

    answers_seconds: list[float] = field(default_factory=list)
    most_bytes: int = 0


async def measure(nodes: int, runner: str, minutes: int) -> Figures:
    """Create a cluster and let pie probe it for three periods; return the figures of the last."""
    arguments = ("--leader-elect", "--kube-api-qps", _QPS)
    resources = [_PVCS, *(["cronjobs"] if runner == "CronJob" else [])]
    async with Cluster(kwok_nodes=nodes) as cluster:
        await install_crd(cluster.api)
        await cluster.api.create(CSI_DRIVERS, WITHOUT_ATTACH)
        for namespace in (NAMESPACE, FLOOR):
            await cluster.create_namespace(namespace)
        async with Pie(cluster.kubeconfig, NAMESPACE, *arguments) as pie:
            await pie.leads()
            create_cpu = await _cpu(pie)
            object_seconds = await reconcile(cluster, pie, nodes, runner=runner, timeout_seconds=600)
            create_cpu = await _cpu(pie) - create_cpu
            floor_seconds = await _floor(cluster.api, resources)
            rest_bytes = _resident_bytes(pie)
            await apply_probe(cluster.api, NAMESPACE, probe(minutes, runner=runner))
            # The controller manager reports PVCs that wait for their first pod, and is late with that.
            await _runs(pie, 2 * nodes, 2 * minutes)
            print("every target had two runs", flush=True)
            cpu, watched = await _cpu(pie), _Watched()
            sampling = asyncio.create_task(_sample(pie, watched))
            since = cluster.audit.now()
            await asyncio.sleep(60 * minutes)
            until_ = cluster.audit.now()
            sampling.cancel()
            cpu = await _cpu(pie) - cpu
            scrape_seconds, scrape_bytes = await _scrape(pie)
        events = [
            event
            for event in cluster.audit.events(since, until_)
            if event.stage == "ResponseComplete" and event.response_status.code < FIRST_ERROR_CODE
        ]
        ready_seconds = await _ready(cluster, arguments)
    mine = [event for event in events if event.object_ref.namespace == NAMESPACE]
    starts = [event for event in mine if _starts_run(event, runner)]
    judged = sorted(_judged(mine, "pods" if runner == "Pod" else "jobs"))
    runs, writes = len(starts), _writes(mine)
    reads = Counter((event.verb, event.resource) for event in events if _is_read(event))
    print(f"{runs} runs; writes {dict(writes)}; reads of pie {dict(reads)}", flush=True)
    of_events = sum(n for (_, resource), n in writes.items() if resource == "events")
    return Figures(
        nodes=nodes,
        runner=runner,
        period_minutes=minutes,
        day=datetime.now(UTC).date().isoformat(),
        machine=f"{os.cpu_count()} cores, {platform.machine()}",
        objects=nodes * len(resources),
        objects_per_second=round(1 / object_seconds, 1),
        floor_per_second=round(nodes * len(resources) / floor_seconds, 1),
        create_cpu_seconds=round(create_cpu, 2),
        runs=runs,
        writes_per_run=round((sum(writes.values()) - of_events) / runs, 2),
        events_per_run=round(of_events / runs, 2),
        controller_manager_writes_per_run=round(_by(writes, "kube-controller-manager") / runs, 2),
        pie_writes_per_run=round(_by(writes, "pie") / runs, 2),
        reads_per_run=round(reads.total() / runs, 3),
        cpu_milliseconds_per_run=round(1000 * cpu / runs, 2),
        starts=_by_second(starts, since, 60 * minutes),
        judged_p50_seconds=round(median(judged), 3),
        judged_p99_seconds=round(_p99(judged), 3),
        answer_p99_milliseconds=round(1000 * _p99(watched.answers_seconds), 1),
        rest_bytes=rest_bytes,
        busy_bytes=watched.most_bytes,
        scrape_milliseconds=round(1000 * scrape_seconds, 1),
        scrape_bytes=scrape_bytes,
        ready_seconds=round(ready_seconds, 2),
    )


async def _floor(api: Api, resources: Collection[str]) -> float:
    """Create the same objects in another namespace, as fast as the server takes them; return the seconds.

    They are deleted again: PVCs that wait for their first pod keep the controller manager busy.
    """
    bodies = [
        (collection(each, FLOOR), _bare(item))
        for each in resources
        for item in await api.items(collection(each, NAMESPACE))
    ]
    gate = asyncio.Semaphore(_AT_ONCE)

    async def create(path: str, body: Json) -> None:
        async with gate:
            await api.create(path, body)

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for path, body in bodies:
            group.create_task(create(path, body))
    took = time.monotonic() - began
    for each in resources:
        await api.delete(collection(each, FLOOR))
    return took


def _bare(item: Json) -> Json:
    """Return an object as it was sent, but without owner; a CronJob starts nothing."""
    metadata = {
        key: item["metadata"][key] for key in ("name", "labels", "annotations") if key in item["metadata"]
    }
    spec = {**item["spec"], "suspend": True} if "schedule" in item["spec"] else item["spec"]
    return {"metadata": metadata, "spec": spec}


async def _runs(pie: Pie, runs: int, minutes: int) -> None:
    """Return when so many runs have been counted."""

    async def counted() -> bool:
        return await _counted(pie) >= runs

    await until(counted, f"{runs} runs", 60 * minutes + 300, 2)


async def _counted(pie: Pie) -> float:
    samples = await pie.samples()
    return sum(sample.value for name in ON_TIME.values() for sample in samples.all(name))


async def _cpu(pie: Pie) -> float:
    return await pie.value("process_cpu_seconds_total") or 0.0


def _resident_bytes(pie: Pie) -> int:
    pages = int(Path(f"/proc/{pie.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _sample(pie: Pie, watched: _Watched) -> None:
    """Ask /healthz and read the memory, until cancelled."""
    async with aiohttp.ClientSession() as session:
        while True:
            began = time.monotonic()
            async with session.get(f"http://127.0.0.1:{pie.ports[1]}/healthz") as answer:
                await answer.read()
            watched.answers_seconds.append(time.monotonic() - began)
            watched.most_bytes = max(watched.most_bytes, _resident_bytes(pie))
            await asyncio.sleep(_SAMPLE_SECONDS)


async def _scrape(pie: Pie) -> tuple[float, int]:
    """Return the median of some scrapes that are not from the cache, and their size."""
    took, size = [], 0
    for _ in range(_SCRAPES):
        await asyncio.sleep(2)
        began = time.monotonic()
        size = len((await pie.get("/metrics"))[1])
        took.append(time.monotonic() - began)
    return median(took), size


async def _ready(cluster: Cluster, arguments: tuple[str, ...]) -> float:
    """Return how long another process needs until it judges; its predecessor's Lease is deleted first."""
    await cluster.api.delete(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases")
    began = time.monotonic()
    async with Pie(cluster.kubeconfig, NAMESPACE, *arguments) as pie:
        await pie.leads(120)
        return time.monotonic() - began


def _starts_run(event: AuditEvent, runner: str) -> bool:
    by = ("pie", "create", "pods") if runner == "Pod" else ("kube-controller-manager", "create", "jobs")
    return (event.agent, event.verb, event.resource) == by


def _judged(events: Iterable[AuditEvent], resource: str) -> list[float]:
    """Return for each run the seconds from the last status of its pod or Job to pie's delete of it."""
    ended: dict[str, datetime] = {}
    took = []
    for event in events:
        name = event.object_ref.name
        if event.resource == f"{resource}/status":
            ended[name] = event.request_received_timestamp
        elif (event.agent, event.verb, event.resource) == ("pie", "delete", resource) and name in ended:
            took.append((event.request_received_timestamp - ended.pop(name)).total_seconds())
    return took


def _writes(events: Iterable[AuditEvent]) -> Counter[tuple[str, str]]:
    """Count writes by program and resource, without stand-ins, pie's Lease and its status."""
    return Counter(
        (event.agent, event.resource)
        for event in events
        if event.verb in WRITE_VERBS
        and event.agent not in STAND_INS
        and event.resource not in {"leases", "pieprobes/status"}
    )


def _by(writes: Counter[tuple[str, str]], program: str) -> int:
    return sum(n for (agent, resource), n in writes.items() if agent == program and resource != "events")


def _is_read(event: AuditEvent) -> bool:
    return event.agent == "pie" and event.verb in {"get", "list"} and event.resource != "leases"


def _by_second(starts: Iterable[AuditEvent], since: datetime, seconds: int) -> tuple[int, ...]:
    counts = [0] * seconds
    for event in starts:
        counts[min(seconds - 1, int((event.request_received_timestamp - since).total_seconds()))] += 1
    return tuple(counts)


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[-1] if len(values) > 1 else max(values, default=0.0)

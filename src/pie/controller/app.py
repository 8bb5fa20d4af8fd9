"""Wires the controller together and runs it until it is told to stop."""

import asyncio
import signal
from contextlib import AsyncExitStack

import prometheus_client
import structlog
from prometheus_client import CollectorRegistry, Gauge

import pie
from pie.controller.apisource import ApiSource
from pie.controller.caches import Caches
from pie.controller.discard import Discard
from pie.controller.followups import FollowUps
from pie.controller.incidentkeeper import IncidentKeeper
from pie.controller.maintenance import Maintenance
from pie.controller.queue import WorkQueue
from pie.controller.runs import Runs
from pie.controller.settings import LEASE_NAME, Settings
from pie.controller.statuswriter import StatusWriter
from pie.controller.tally import Tally
from pie.controller.targets import Targets
from pie.controller.teardown import Teardown
from pie.controller.volumes import Volumes
from pie.controller.witness import Witness
from pie.core.history import History
from pie.kube.client import Client
from pie.kube.config import load
from pie.kube.leader import Elector
from pie.kube.metrics import KubeMetrics
from pie.kube.pacing import Pacer
from pie.serve.api import Api
from pie.serve.http import health_app, metrics_app, parse_address, serving
from pie.serve.incidentgauge import IncidentGauge
from pie.serve.series import RunSeries, TargetSeries
from pie.serve.suppressed import SuppressedSeries

_log = structlog.get_logger()


class Stopped(Exception):  # noqa: N818  an order, not an error
    """SIGTERM or SIGINT came."""


async def run(settings: Settings) -> signal.Signals:
    """Run the controller; returns the SIGTERM or SIGINT that ended it, raises Deposed when another leads."""
    told: list[signal.Signals] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_stop_on_signal(told))
            group.create_task(_control(settings))
    except* Stopped:
        _log.info("stopped")
    return told[0]


async def _stop_on_signal(told: list[signal.Signals]) -> None:
    """Put the signal that comes first on the list, and raise Stopped."""
    came = asyncio.Event()
    loop = asyncio.get_running_loop()

    def note(number: signal.Signals) -> None:
        told.append(number)
        came.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, note, number)
    await came.wait()
    raise Stopped


async def _control(settings: Settings) -> None:
    config = load(settings.kubeconfig)
    namespace = settings.namespace or config.namespace
    registry = _registry()
    metrics = KubeMetrics(registry)
    series, run_series = TargetSeries(), RunSeries(registry)
    suppressed_series, incident_series = SuppressedSeries(), IncidentGauge(registry)
    registry.register(suppressed_series)
    pacer = Pacer(settings.budget, max(1, int(settings.budget)), on_rate=metrics.write_rate.set)
    async with AsyncExitStack() as stack:
        elector: Elector | None = None
        if settings.leader_elect:
            elector = Elector(config, namespace=namespace, name=LEASE_NAME, metrics=metrics)
            await stack.enter_async_context(elector)
            stack.push_async_callback(elector.release)
        client = await stack.enter_async_context(
            Client(config, metrics=metrics, pacer=pacer, before_write=elector.check if elector else None)
        )
        caches = Caches(client, namespace)
        api = Api(leader=lambda: elector.holder if elector is not None else "")
        metrics_port = await stack.enter_async_context(
            serving(metrics_app(registry, series, api), settings.metrics_bind_address)
        )
        health_port = await stack.enter_async_context(
            serving(health_app(caches.missing), settings.health_probe_bind_address)
        )
        page = f"http://{_reachable_at(settings.metrics_bind_address)}:{metrics_port}/"
        _log.info("serving", metrics_port=metrics_port, health_port=health_port, page=page)
        async with asyncio.TaskGroup() as group:
            group.create_task(caches.run())
            if elector is not None:
                group.create_task(elector.run())
                await elector.leading.wait()
            await caches.wait_synced()
            queue = WorkQueue(metrics=metrics)
            Discard(client, caches, queue)
            volumes = Volumes(client, caches, queue)
            witness = Witness(client, caches, queue)
            maintenance = Maintenance(client, caches, queue, suppressed_series)
            incidents = IncidentKeeper(client, caches, queue, maintenance=maintenance, series=incident_series)
            follow_ups = FollowUps(
                client,
                caches,
                queue,
                maintenance=maintenance,
                incidents=incidents,
                image=settings.container_image,
            )
            history = History(settings.minute_seconds)
            tally = Tally(
                client,
                queue,
                warnings=witness.warnings,
                incidents=incidents,
                series=series,
                suppressed=suppressed_series,
                run_series=run_series,
                history=history,
            )
            runs = Runs(
                client,
                caches,
                queue,
                volumes=volumes,
                witness=witness,
                maintenance=maintenance,
                follow_ups=follow_ups,
                tally=tally,
                image=settings.container_image,
            )
            targets = Targets(client, caches, queue, settings, runs=runs, maintenance=maintenance)
            conditions = StatusWriter(
                client,
                caches,
                queue,
                targets=targets,
                runs=runs,
                maintenance=maintenance,
                incidents=incidents,
            )
            teardown = Teardown(
                client,
                caches,
                queue,
                probes=targets.probes,
                maintenance=maintenance,
                run_series=run_series,
                on_change=incidents.changed,
                explained=incidents.explain_leaks,
            )
            runs.start()
            targets.start()
            incidents.start(targets.live_targets, teardown.left_behind)
            teardown.start()
            maintenance.start()
            api.source = ApiSource(
                client,
                caches,
                settings,
                targets=targets,
                tally=tally,
                maintenance=maintenance,
                incidents=incidents,
                conditions=conditions,
                history=history,
            )
            group.create_task(witness.warnings.run())
            group.create_task(queue.run())
            _log.info("probing", namespace=namespace)


def _reachable_at(address: str) -> str:
    """Return the host under which this machine reaches what listens on a bind address."""
    host, _ = parse_address(address)
    wildcard = host in {None, "0.0.0.0", "::"}  # noqa: S104  compared with, not bound to
    return "localhost" if wildcard or host is None else f"[{host}]" if ":" in host else host


def _registry() -> CollectorRegistry:
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    prometheus_client.ProcessCollector(registry=registry)
    prometheus_client.PlatformCollector(registry=registry)
    build = Gauge("pie_build_info", "1, labelled with the version of pie.", ("version",), registry=registry)
    build.labels(pie.__version__).set(1)
    return registry

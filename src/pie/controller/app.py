"""Runs the controller until a signal stops it: connections, election, ports."""

import asyncio
import signal
from contextlib import AsyncExitStack

import prometheus_client
import structlog
from prometheus_client import CollectorRegistry, Gauge

import pie
from pie.controller.build import build, register_series
from pie.controller.caches import Caches
from pie.controller.gopie import report_leftovers
from pie.controller.recorder import Recorder
from pie.controller.runners.chosen import ChosenRunner
from pie.controller.settings import LEASE_NAME, READ_BURST, READ_QPS, Settings
from pie.controller.startup import Startup
from pie.core.model import Image
from pie.kube.client import Client
from pie.kube.config import load
from pie.kube.leader import Elector
from pie.kube.metrics import KubeMetrics
from pie.kube.pacing import Pacer
from pie.serve.api import Api
from pie.serve.bounds import HEALTH
from pie.serve.http import health_app, metrics_app, parse_address, serving

_log = structlog.get_logger()


class Stopped(Exception):  # noqa: N818  an order, not an error
    """SIGTERM or SIGINT came."""


async def run(settings: Settings) -> signal.Signals:
    """Run the controller; return the signal that ended it. Raises Deposed when another one leads."""
    came: list[signal.Signals] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_stop_on_signal(came))
            group.create_task(_control(settings))
    except* Stopped:
        _log.info("stopped")
    return came[0]


async def _stop_on_signal(came: list[signal.Signals]) -> None:
    """Put the signal that comes first on the list, and raise Stopped."""
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def note(number: signal.Signals) -> None:
        came.append(number)
        arrived.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, note, number)
    await arrived.wait()
    raise Stopped


async def _control(settings: Settings) -> None:
    config = load(settings.kubeconfig)
    namespace = config.namespace if settings.namespace is None else settings.namespace
    registry = _registry()
    metrics = KubeMetrics(registry)
    pacer = Pacer(settings.kube_api_qps, max(1, int(settings.kube_api_qps)), on_rate=metrics.write_rate.set)
    read_pacer = Pacer(READ_QPS, READ_BURST, slow_seconds=2.0, on_rate=metrics.read_rate.set)
    async with AsyncExitStack() as stack:
        elector: Elector | None = None
        if settings.leader_elect:
            elector = Elector(
                config, namespace=namespace or config.namespace, name=LEASE_NAME, metrics=metrics
            )
            await stack.enter_async_context(elector)
            stack.push_async_callback(elector.release)
        client = await stack.enter_async_context(
            Client(
                config,
                metrics=metrics,
                pacer=pacer,
                read_pacer=read_pacer,
                before_write=elector.check if elector else None,
            )
        )
        series = register_series(registry, client.now, all_namespaces=not namespace)
        recorder: Recorder | None = None
        if settings.record is not None:
            anonymous = settings.record_anonymous
            recorder = Recorder(settings.record, settings.record_bytes, metrics, anonymous=anonymous)
        caches = Caches(client, namespace)
        image = Image(
            settings.container_image,
            settings.image_pull_secrets,
            settings.image_pull_policy,
            settings.probe_pods,
        )
        runner = ChosenRunner(client, caches, image)
        api = Api(leader=lambda: elector.holder if elector is not None else "")
        metrics_port = await stack.enter_async_context(
            serving(
                metrics_app(registry, series.targets, api),
                settings.metrics_bind_address,
                web_file=settings.web_file,
            )
        )
        health_port = await stack.enter_async_context(
            serving(health_app(caches.unread), settings.health_probe_bind_address, HEALTH)
        )
        encrypted = settings.web_file is not None and settings.web_file.serving().context is not None
        scheme = "https" if encrypted else "http"
        page = f"{scheme}://{_reachable_at(settings.metrics_bind_address)}:{metrics_port}/"
        _log.info("serving", metrics_port=metrics_port, health_port=health_port, page=page)
        async with asyncio.TaskGroup() as group:
            group.create_task(caches.run())
            if elector is not None:
                group.create_task(elector.run())
                await elector.leading.wait()
            await Startup(client, caches).wait_synced()
            if recorder is not None:
                recorder.start()
                api.records = recorder
                stack.push_async_callback(asyncio.to_thread, recorder.close)
            controller = build(
                client,
                caches,
                settings,
                runner=runner,
                series=series,
                recorder=recorder,
                reign=elector.reign if elector is not None else None,
            )
            controller.start()
            api.source = controller.source
            group.create_task(controller.run())
            group.create_task(report_leftovers(client, caches))
            _log.info("probing", namespace=namespace or "all")


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

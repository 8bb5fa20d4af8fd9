"""Puts a controller together: who needs whom is said here, for the program and for its tests."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from pie.controller.apisource import ApiSource
from pie.controller.caches import Caches
from pie.controller.discard import Discard
from pie.controller.followups import FollowUps
from pie.controller.incidentkeeper import IncidentKeeper
from pie.controller.maintenance import Maintenance
from pie.controller.queue import WorkQueue
from pie.controller.runs import Runs
from pie.controller.settings import Settings
from pie.controller.statuswriter import StatusWriter
from pie.controller.tally import Tally
from pie.controller.targets import Targets
from pie.controller.teardown import Teardown
from pie.controller.volumes import Volumes
from pie.controller.warnings import WarningEvents
from pie.controller.witness import Witness
from pie.core.history import History
from pie.kube.client import Client
from pie.serve.incidentgauge import IncidentGauge
from pie.serve.series import RunSeries, TargetSeries
from pie.serve.suppressed import SuppressedSeries


@dataclass(frozen=True, slots=True)
class Series:
    """The metrics that a controller writes. `targets` renders itself, the others are in a registry."""

    targets: TargetSeries
    runs: RunSeries
    suppressed: SuppressedSeries
    incidents: IncidentGauge


def register_series(registry: CollectorRegistry, now: Callable[[], float]) -> Series:
    """Return the metrics of a controller, those other than `targets` registered.

    Ages are by the clock `now`: that of the API server, as the times are that they are told from.
    """
    suppressed = SuppressedSeries()
    registry.register(suppressed)
    return Series(TargetSeries(now), RunSeries(registry), suppressed, IncidentGauge(registry))


@dataclass(frozen=True, slots=True)
class Controller:
    """The parts of a controller that others start or ask."""

    queue: WorkQueue
    warnings: WarningEvents
    maintenance: Maintenance
    incidents: IncidentKeeper
    tally: Tally
    runs: Runs
    targets: Targets
    teardown: Teardown
    source: ApiSource

    def start(self) -> None:
        """Begin to lead: look at all that the caches hold, which have to be in sync."""
        self.runs.start()
        self.targets.start()
        self.incidents.start(self.targets.live_targets, self.teardown.left_behind)
        self.teardown.start()
        self.maintenance.start()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.warnings.run())
            group.create_task(self.queue.run())


def build(client: Client, caches: Caches, settings: Settings, series: Series) -> Controller:
    """Return a controller that has not begun yet."""
    queue = WorkQueue(metrics=client.metrics)
    history = History(settings.minute_seconds)
    Discard(client, caches, queue)
    witness = Witness(client, caches, queue)
    maintenance = Maintenance(client, caches, queue, series.suppressed)
    incidents = IncidentKeeper(client, caches, queue, maintenance=maintenance, series=series.incidents)
    tally = Tally(
        client,
        queue,
        warnings=witness.warnings,
        incidents=incidents,
        series=series.targets,
        suppressed=series.suppressed,
        run_series=series.runs,
        history=history,
    )
    runs = Runs(
        client,
        caches,
        queue,
        volumes=Volumes(client, caches, queue),
        witness=witness,
        maintenance=maintenance,
        follow_ups=FollowUps(
            client,
            caches,
            queue,
            maintenance=maintenance,
            incidents=incidents,
            image=settings.container_image,
        ),
        tally=tally,
        image=settings.container_image,
    )
    targets = Targets(client, caches, queue, settings, runs=runs, maintenance=maintenance)
    status = StatusWriter(
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
        run_series=series.runs,
        on_change=incidents.changed,
        explained=incidents.explain_leaks,
    )
    source = ApiSource(
        client,
        caches,
        settings,
        targets=targets,
        tally=tally,
        maintenance=maintenance,
        incidents=incidents,
        status=status,
        history=history,
    )
    return Controller(queue, witness.warnings, maintenance, incidents, tally, runs, targets, teardown, source)

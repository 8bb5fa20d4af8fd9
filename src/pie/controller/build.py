"""Puts a controller together from its parts: for `app`, and for tests on clusters of their own."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry

from pie.controller.apisource import ApiSource
from pie.controller.caches import Caches
from pie.controller.events import EventWriter
from pie.controller.facts import Facts
from pie.controller.imagepulls import ImagePulls
from pie.controller.nodes import Nodes
from pie.controller.objects import Objects
from pie.controller.paces import Paces
from pie.controller.perform import Perform
from pie.controller.probefacts import FactsOfProbes
from pie.controller.probes import Probes
from pie.controller.probeturns import ProbeTurns
from pie.controller.questions import Questions
from pie.controller.queue import WorkQueue
from pie.controller.recorder import Recorder
from pie.controller.runners import Runner
from pie.controller.screens import Screens
from pie.controller.servedschema import ServedSchema
from pie.controller.settings import Settings
from pie.controller.sharing import Sharing
from pie.controller.sightings import SightingsOfPods
from pie.controller.strain import StrainWatch
from pie.controller.targets import Targets
from pie.controller.teardown import Teardown
from pie.controller.warnings import WarningEvents
from pie.core.history import History
from pie.kube.client import Client
from pie.kube.leader import Reign
from pie.serve.incidentgauge import IncidentGauge
from pie.serve.labels import ProbeLabels
from pie.serve.paceseries import PaceSeries
from pie.serve.runseries import RunSeries
from pie.serve.series import TargetSeries
from pie.serve.untested import UntestedSeries


@dataclass(frozen=True, slots=True)
class Series:
    """The metrics that a controller writes. `targets` renders itself, the others are in a registry."""

    targets: TargetSeries
    runs: RunSeries
    untested: UntestedSeries
    incidents: IncidentGauge
    paces: PaceSeries


def register_series(
    registry: CollectorRegistry, now: Callable[[], float], *, all_namespaces: bool = False
) -> Series:
    """Return the metrics of a controller of one namespace or of all, those other than `targets` registered.

    `now` is the clock of the API server, by which ages are calculated.
    """
    labels = ProbeLabels(all_namespaces)
    untested = UntestedSeries(labels)
    registry.register(untested)
    return Series(
        TargetSeries(now, labels),
        RunSeries(registry, labels),
        untested,
        IncidentGauge(registry, labels),
        PaceSeries(registry, labels),
    )


@dataclass(frozen=True, slots=True)
class Controller:
    """The parts of a controller that leads."""

    runner: Runner
    probes: Probes
    nodes: Nodes
    objects: Objects
    targets: Targets
    teardown: Teardown
    probe_turns: ProbeTurns
    warnings: WarningEvents
    pulls: ImagePulls
    history: History
    source: ApiSource
    schema: ServedSchema
    queue: WorkQueue
    paces: Paces
    strain: StrainWatch

    def start(self) -> None:
        """Begin to lead, once the caches have seen their lists."""
        self.schema.start()
        self.nodes.start()
        self.probes.start()
        self.objects.start()
        self.runner.start(self.queue)
        self.targets.start()
        self.probe_turns.start()
        self.teardown.start()
        self.strain.start()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.warnings.run())
            group.create_task(self.pulls.run())
            group.create_task(self.queue.run())


def build(
    client: Client,
    caches: Caches,
    settings: Settings,
    *,
    runner: Runner,
    series: Series,
    recorder: Recorder | None = None,
    reign: Reign | None = None,
) -> Controller:
    """Return a controller that keeps, judges and reports the PieProbes of a namespace, or of all.

    `reign`: since when it leads, where a leader is elected.
    """
    queue = WorkQueue(metrics=client.metrics)
    history = History(settings.minute_seconds)
    screens = Screens(series.targets, series.untested, series.runs, history)
    nodes = Nodes(client, caches, queue, series.untested)
    probes = Probes(
        client,
        caches,
        queue,
        nodes=nodes,
        screens=screens,
        minute_seconds=settings.minute_seconds,
        bounds=settings.author_bounds,
        architectures=settings.image_architectures,
    )
    paces = Paces(caches, queue, probes=probes, budget=settings.budget, now=client.now, series=series.paces)
    sharing = Sharing(caches, probes=probes, nodes=nodes, finder=probes.finder, now=client.now)
    objects = Objects(client, caches, queue, probes=probes, runner=runner)
    warnings = WarningEvents(client, caches.namespace, partial(queue.add, "warning"), caches.has_probes)
    questions = Questions(client, caches, queue, runner=runner, warnings=warnings)
    pulls = ImagePulls(client, caches.namespace, caches.has_probes)
    sightings = SightingsOfPods(client, caches, pulls)
    events = EventWriter(client, caches, queue)
    perform = Perform(
        client,
        caches,
        queue,
        runner=runner,
        nodes=nodes,
        objects=objects,
        questions=questions,
        events=events,
        screens=screens,
    )
    facts = Facts(
        caches,
        runner=runner,
        probes=probes,
        nodes=nodes,
        warnings=warnings,
        questions=questions,
        sightings=sightings,
        now=client.now,
        paces=paces,
        sharing=sharing,
        reign=reign,
    )
    targets = Targets(
        client,
        caches,
        queue,
        runner=runner,
        probes=probes,
        facts=facts,
        questions=questions,
        warnings=warnings,
        perform=perform,
        recorder=recorder,
    )
    teardown = Teardown(client, caches, queue, probes=probes, nodes=nodes, run_series=series.runs)
    schema = ServedSchema(client, caches, queue)
    of_probes = FactsOfProbes(
        client,
        caches,
        runner=runner,
        probes=probes,
        nodes=nodes,
        objects=objects,
        targets=targets,
        teardown=teardown,
        questions=questions,
        schema=schema,
        paces=paces,
        sharing=sharing,
    )
    probe_turns = ProbeTurns(
        client,
        caches,
        queue,
        facts=of_probes,
        objects=objects,
        teardown=teardown,
        events=events,
        paces=paces,
        series=series.incidents,
    )
    strain = StrainWatch(client, queue, probes=probes, targets=targets, paces=paces)
    source = ApiSource(
        client,
        caches,
        settings,
        probes=probes,
        targets=targets,
        nodes=nodes,
        facts=of_probes,
        probe_turns=probe_turns,
        history=history,
    )
    return Controller(
        runner,
        probes,
        nodes,
        objects,
        targets,
        teardown,
        probe_turns,
        warnings,
        pulls,
        history,
        source,
        schema,
        queue,
        paces,
        strain,
    )

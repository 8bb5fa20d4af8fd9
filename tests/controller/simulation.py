"""The controller's own objects on a cluster that is a simulation, in virtual time: an hour takes a second.

Nothing of the controller is replaced but the wire: requests are answered from the simulation's objects, and
the caches are given its lists whenever the test lets them, as by a reflector that has to list anew. So
changes reach the controller late, several at once, in any order between kinds, or never.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest

from pie.controller.build import build, register_series
from pie.controller.caches import Caches
from pie.controller.recorder import Recorder
from pie.controller.runners.chosen import ChosenRunner
from pie.controller.settings import Settings
from pie.core.authorbounds import AuthorBounds
from pie.core.batch.wire import CronJob, Job
from pie.core.decode import decode
from pie.core.model import Image, Target
from pie.core.target.state import Standing
from pie.core.wire import Claim, CSINode, Node, PieProbe, Pod, StorageClass
from pie.kube.client import Client
from pie.kube.clock import ServerClock
from pie.kube.config import ClusterConfig
from pie.kube.leader import Reign
from pie.kube.reflector import Reflector
from tests.alerts import SERIES, Scrapes
from tests.controller.actors import tick
from tests.controller.wire import TwoNamespaces, Wire
from tests.controller.world import NAMESPACE, T0, World
from tests.rights import permitted

_TYPES: Final[dict[str, Any]] = {
    "nodes": Node,
    "csinodes": CSINode,
    "pods": Pod,
    "jobs": Job,
    "cronjobs": CronJob,
    "persistentvolumeclaims": Claim,
    "pieprobes": PieProbe,
    "storageclasses": StorageClass,
}


OF_NO_NAMESPACE: Final = frozenset({"nodes", "csinodes", "storageclasses"})


class ExactClock(ServerClock):
    """The API server's clock, known without a question."""

    def __init__(self, monotonic: Callable[[], float], ahead_seconds: float) -> None:
        super().__init__(monotonic)
        self._ahead_seconds = ahead_seconds

    def now(self) -> float:
        return self._monotonic() + self._ahead_seconds

    def at(self, moment: float) -> float:
        return moment + self._ahead_seconds


class Simulation:
    """A controller on a world: a new one, or that of the controller `before`.

    `lag(kind, second)` is how old the lists are that the caches are given. If it is `scraped`, then each
    second, for what alerts are made of. With a namespace `beside` that of the world, the controller serves
    all namespaces; the nodes and classes are those of the world.
    """

    def __init__(
        self,
        lag: Callable[[str, int], int],
        before: "Simulation | None" = None,
        *,
        record: Path | None = None,
        record_size: int = 2**28,
        record_anonymous: bool = False,
        author_bounds: AuthorBounds | None = None,
        reign: Reign | None = None,
        budget: float | None = None,
        scraped: bool = False,
        beside: str = "",
    ) -> None:
        loop = asyncio.get_running_loop()
        self._time = loop.time
        self._lag = lag
        self._begin = before._begin if before is not None else loop.time()
        self.world = before.world if before is not None else World(self.now)
        self.beside = World(self.now, namespace=beside) if beside else None
        clock = ExactClock(loop.time, T0 - self._begin)
        client = self.client = Client(ClusterConfig(server="https://simulation"), clock=clock)
        self.wire = Wire(self.world, permitted)
        self.wire_beside = Wire(self.beside, permitted) if self.beside is not None else None
        wire = self.wire if self.wire_beside is None else TwoNamespaces(self.wire, self.wire_beside)
        client._transport = wire  # type: ignore[assignment]  # it has the one method that is used
        caches = self._caches = Caches(client, "" if beside else NAMESPACE)
        self._old: dict[str, list[bytes]] = {kind: [] for kind in _TYPES}
        self._given: dict[str, bytes] = {}
        self._joined: dict[str, tuple[tuple[bytes, bytes], bytes]] = {}
        registry = self._registry = CollectorRegistry()
        self._series = register_series(registry, self.now, all_namespaces=bool(beside))
        self.scrapes = Scrapes()
        self._scraped = scraped
        self._alerted_on = registry.restricted_registry([SERIES])
        settings = Settings(container_image="i", author_bounds=author_bounds or AuthorBounds(), budget=budget)
        recorder = self._recorder = (
            Recorder(record, record_size, client.metrics, anonymous=record_anonymous) if record else None
        )
        self.controller = build(
            client,
            caches,
            settings,
            runner=ChosenRunner(client, caches, Image("i")),
            series=self._series,
            recorder=recorder,
            reign=reign,
        )
        self._reflectors: dict[str, Reflector[Any]] = {
            each.resource.plural: each for each in caches.reflectors() if each.resource.plural in _TYPES
        }

    def now(self) -> float:
        """Epoch seconds."""
        return T0 + self._time() - self._begin

    def states(self) -> dict[Target, Standing]:
        """Return the last verdict on each target."""
        ids = self.controller.probes.ids()
        return {state.target: state.standing for each in ids for state in self.controller.targets.of(each)}

    def metrics(self) -> str:
        """Return what /metrics would say."""
        return (self._series.targets.render() + generate_latest(self._registry)).decode()

    def _scrape(self) -> None:
        """Scrape the series that alerts are made of."""
        found = self._alerted_on.collect()
        self.scrapes.add(self.now(), (sample for metric in found for sample in metric.samples))

    async def run(self, seconds: int, script: Iterable[tuple[int, Callable[[World], None]]]) -> None:
        """Live for so long; each action of the script is done at its second."""
        actions = sorted(script, key=lambda each: each[0])
        self._deliver(0)
        self.controller.start()
        if self._recorder is not None:
            self._recorder.start()
        work = asyncio.create_task(self.controller.queue.run())
        for second in range(seconds):
            while actions and actions[0][0] <= second:
                actions.pop(0)[1](self.world)
            for world in self._worlds():
                tick(world)
            self._deliver(second)
            await asyncio.sleep(1)
            if self._scraped:
                self._scrape()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        if self._recorder is not None:
            self._recorder.close()
        (defects,) = self.client.metrics.defects.collect()
        met = [each.labels for each in defects.samples if each.name.endswith("_total") and each.value]
        assert met == [], "the controller met no defect"

    def _worlds(self) -> list[World]:
        return [self.world, *([self.beside] if self.beside is not None else [])]

    def _snapshot(self, kind: str) -> bytes:
        """Return all objects of a kind: the same bytes object while nothing changes."""
        own = self.world.snapshot(kind)
        if self.beside is None or kind in OF_NO_NAMESPACE:
            return own
        parts = own, self.beside.snapshot(kind)
        known = self._joined.get(kind)
        if known is None or known[0] != parts:
            lists = [each.removeprefix(b"[").removesuffix(b"]") for each in parts]
            known = self._joined[kind] = parts, b"[" + b",".join(filter(None, lists)) + b"]"
        return known[1]

    def _deliver(self, second: int) -> None:
        """Give each cache the list of some seconds ago, never an older one than it has."""
        now = self._time()
        for kind, reflector in self._reflectors.items():
            snapshot, given, age = self._snapshot(kind), self._given.get(kind), self._lag(kind, second)
            old = self._old[kind]
            if age == 0 and snapshot is given:
                old[:] = [snapshot]
                reflector._heard(now)
                continue
            old.append(snapshot)
            age = min(age, len(old) - 1)
            if len(old) > age + 1:
                del old[: -1 - age]
            asked_at = now - age
            if old[0] is given:
                reflector._heard(asked_at)
                continue
            self._given[kind] = old[0]
            fresh = decode(old[0], list[_TYPES[kind]])  # type: ignore[misc]
            items = {(each.metadata.namespace, each.metadata.name): each for each in fresh}
            reflector._replace(items, str(second), asked_at, how="list")

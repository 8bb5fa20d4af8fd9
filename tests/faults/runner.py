"""Runs rows of the matrix on a cluster: the lanes side by side, the rows of each one after the other."""

import asyncio
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.cluster import Cluster
from tests.alerts import Scraper
from tests.chart.install import controller_account, refusals
from tests.faults import page
from tests.faults.lanes import Suffering
from tests.faults.row import NAMESPACE, Given, Lane, Row
from tests.harness import Pie
from tests.real.conftest import Probed, install_crd


def nodes_for(rows: Sequence[Row]) -> int:
    """Return how many real nodes it takes."""
    return max(int(node.removeprefix("node-")) for row in rows for node in row.lane.nodes)


@asynccontextmanager
async def places(
    cluster: Cluster, rows: Sequence[Row], record: Path | None = None
) -> AsyncIterator[Mapping[str, Probed]]:
    """Give each namespace of the rows, with a controller that has the chart's rights.

    `record`: where the controllers record their steps.
    """
    await install_crd(cluster.api)
    found: dict[str, Probed] = {}
    async with AsyncExitStack() as stack:
        for namespace in dict.fromkeys(row.lane.namespace for row in rows):
            await cluster.create_namespace(namespace)
            arguments = ("--record", str(record / namespace)) if record else ()
            kubeconfig = await stack.enter_async_context(controller_account(cluster, namespace))
            pie = await stack.enter_async_context(Pie(kubeconfig, namespace, *arguments))
            found[namespace] = Probed(cluster, namespace, pie)
        yield found


async def run(
    cluster: Cluster, rows: Sequence[Row], record: Path | None = None
) -> tuple[list[Given], list[str]]:
    """Return what was given, in the order of the rows, and what the controllers were refused."""
    async with places(cluster, rows, record) as found:
        matrix = Matrix(found, rows)
        try:
            matrix.begin()
            await matrix.done()
            refused = [each for namespace in found for each in refusals(cluster, namespace)]
            return [future.result() for future in matrix.given], refused
        finally:
            for namespace, probed in found.items():
                log = cluster.log_directory / f"pie-controller-{namespace}.log"
                log.write_text("\n".join(probed.pie.lines))
                await probed.pie.stop()


async def _nothing(_place: Probed, _lane: Lane) -> None:
    """Look at nothing."""


@dataclass
class Matrix:
    """Some rows under way. `started` are the lanes whose targets are well, `given` what each row gave.

    `look` looks at a lane that is well, before its first row; `started` has what it returned.
    """

    places: Mapping[str, Probed]
    rows: Sequence[Row]
    look: Callable[[Probed, Lane], Awaitable[Any]] = _nothing
    started: dict[Lane, asyncio.Future[Any]] = field(default_factory=dict)
    given: list[asyncio.Future[Given]] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _scrapers: dict[str, Scraper] = field(default_factory=dict)
    _scraping: list[asyncio.Task[None]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    @property
    def probed(self) -> Probed:
        """The namespace that most lanes are in."""
        return self.places[NAMESPACE]

    def begin(self) -> None:
        """Begin with all lanes."""
        loop = asyncio.get_running_loop()
        self.given = [loop.create_future() for _ in self.rows]
        for lane in dict.fromkeys(row.lane for row in self.rows):
            self.started[lane] = loop.create_future()
        self._scrapers = {namespace: Scraper(place.pie) for namespace, place in self.places.items()}
        self._scraping = [asyncio.create_task(each.run()) for each in self._scrapers.values()]
        lanes = sorted(self.started, key=lambda lane: lane.last)
        for lane in lanes:
            before = tuple(self._tasks) if lane.last else ()
            self._tasks.append(asyncio.create_task(self._run(lane, before)))

    async def done(self) -> None:
        """Return when all rows are."""
        await asyncio.gather(*self._tasks)
        self.cancel()

    def cancel(self) -> None:
        """End what goes on."""
        for task in (*self._tasks, *self._scraping):
            task.cancel()

    async def _run(self, lane: Lane, before: Sequence[asyncio.Task[None]]) -> None:
        await asyncio.gather(*before)
        place, scraper = self.places[lane.namespace], self._scrapers[lane.namespace]
        suffering = Suffering(place, lane, scraper, self._note)
        mine = [each for each in zip(self.rows, self.given, strict=True) if each[0].lane == lane]
        try:
            await suffering.start()
            seen = await self.look(place, lane)
        except Exception as error:  # noqa: BLE001  the other lanes go on
            self._note(f"{lane.name}: {traceback.format_exc()}")
            self.started[lane].set_exception(error)
            for _, future in mine:
                future.set_result(Given(problems=(f"not begun: {error}",)))
            return
        self.started[lane].set_result(seen)
        for row, future in mine:
            future.set_result(await self._suffer(suffering, row))
        if needed := [future for row, future in zip(self.rows, self.given, strict=True) if row.needs == lane]:
            await asyncio.wait(needed)
        await suffering.stop()

    async def _suffer(self, lane: Suffering, row: Row) -> Given:
        try:
            given = await lane.suffer(row)
        except Exception as error:  # noqa: BLE001  a row that cannot be run is a wrong row, and not the end
            self._note(f"{row.title}: {traceback.format_exc()}")
            given = Given(problems=(f"not run to its end: {error}",))
        self._note(
            f"{'right' if row.right(given) else 'WRONG'}  {row.lane.name}: {row.title}: {page.words(given)}"
        )
        return given

    def _note(self, text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - self._began:5.0f} s  {text}\n")

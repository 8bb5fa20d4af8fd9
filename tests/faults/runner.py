"""Runs rows of the matrix on a cluster: the lanes side by side, the rows of each one after the other."""

import asyncio
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field

from testbed.cluster import Cluster
from tests.faults import page
from tests.faults.lanes import Suffering
from tests.faults.row import Given, Lane, Row
from tests.harness import Pie
from tests.real.conftest import Probed, install_crd

NAMESPACE = "pie"


def nodes_for(rows: Sequence[Row]) -> int:
    """Return how many real nodes it takes."""
    return max(int(node.removeprefix("node-")) for row in rows for node in row.lane.nodes)


async def prepare(cluster: Cluster) -> None:
    """Install the CRD, and make the namespace, which holds pods to the restricted level."""
    await install_crd(cluster.api)
    await cluster.create_namespace(NAMESPACE, labels={"pod-security.kubernetes.io/enforce": "restricted"})


async def run(cluster: Cluster, rows: Sequence[Row]) -> list[Given]:
    """Return what was given, in the order of the rows."""
    await prepare(cluster)
    async with Pie(cluster.kubeconfig, NAMESPACE) as pie:
        matrix = Matrix(Probed(cluster, NAMESPACE, pie), rows)
        try:
            matrix.begin()
            await matrix.done()
            return [future.result() for future in matrix.given]
        finally:
            (cluster.log_directory / "pie-controller.log").write_text("\n".join(pie.lines))


@dataclass
class Matrix:
    """Some rows under way. `started` are the lanes whose targets are well, `given` what each row gave."""

    probed: Probed
    rows: Sequence[Row]
    started: dict[Lane, asyncio.Future[None]] = field(default_factory=dict)
    given: list[asyncio.Future[Given]] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """Begin with all lanes."""
        loop = asyncio.get_running_loop()
        self.given = [loop.create_future() for _ in self.rows]
        for lane in dict.fromkeys(row.lane for row in self.rows):
            self.started[lane] = loop.create_future()
        lanes = sorted(self.started, key=lambda lane: lane.last)
        for lane in lanes:
            before = tuple(self._tasks) if lane.last else ()
            self._tasks.append(asyncio.create_task(self._run(lane, before)))

    async def done(self) -> None:
        """Return when all rows are."""
        await asyncio.gather(*self._tasks)

    def cancel(self) -> None:
        """Give up."""
        for task in self._tasks:
            task.cancel()

    async def _run(self, lane: Lane, before: Sequence[asyncio.Task[None]]) -> None:
        await asyncio.gather(*before)
        suffering = Suffering(self.probed, lane, self._note)
        mine = [each for each in zip(self.rows, self.given, strict=True) if each[0].lane == lane]
        try:
            await suffering.start()
        except Exception as error:  # noqa: BLE001  the other lanes go on
            self._note(f"{lane.name}: {traceback.format_exc()}")
            self.started[lane].set_exception(error)
            for _, future in mine:
                future.set_result(Given(problems=(f"not begun: {error}",)))
            return
        self.started[lane].set_result(None)
        for row, future in mine:
            future.set_result(await self._suffer(suffering, row))
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

"""Plays rows of weather: those that hit only their own controller side by side, the others one by one."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from testbed.cluster import Cluster
from tests.real.conftest import install_crd
from tests.weather.rows import Row
from tests.weather.scene import Outcome, Scene

NODES: Final = 5
_SIDE_BY_SIDE: Final = 5


async def play(cluster: Cluster, rows: Sequence[Row]) -> list[Outcome]:
    """Play all rows on a cluster with NODES simulated nodes; return what became of each, in their order."""
    await install_crd(cluster.api)
    found: dict[str, Outcome] = {}
    free = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def one(row: Row) -> None:
        async with free:
            found[row.title] = outcome = await play_row(cluster, row)
            said = "right" if outcome.right else f"WRONG: {outcome}"
            sys.stderr.write(f"{said}: {row.title}\n")

    async with asyncio.TaskGroup() as group:
        for row in rows:
            if not row.alone:
                group.create_task(one(row))
    for row in rows:
        if row.alone:
            await one(row)
    return [found[row.title] for row in rows]


async def play_row(cluster: Cluster, row: Row) -> Outcome:
    """Play one row."""
    nodes = [f"kwok-{number + 1}" for number in range(NODES)]
    async with Scene(cluster, nodes, clock=row.clock) as scene:
        await row.happens(scene)
        return await scene.outcome(forgets=row.forgets)

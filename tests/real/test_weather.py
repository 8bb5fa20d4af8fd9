"""pie in hostile weather: the rows that CI plays; `make weather` plays all of them."""

from collections.abc import Awaitable, Callable

import pytest

from testbed.cluster import Cluster
from tests.weather.play import NODES, play
from tests.weather.rows import ROWS


@pytest.mark.timeout(900)
async def test_weather_ends_no_controller_loses_no_due_time_and_opens_no_incident(
    start_cluster: Callable[..., Awaitable[Cluster]],
) -> None:
    cluster = await start_cluster(kwok_nodes=NODES)
    rows = [row for row in ROWS if row.quick]
    for row, outcome in zip(rows, await play(cluster, rows), strict=True):
        assert outcome.right, f"{row.title}: {outcome}"

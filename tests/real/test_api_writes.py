"""What pie costs the control plane, counted in the API server's audit log."""

from dataclasses import replace

import pytest

from bench.api_writes import measure
from tests.conftest import demand_machine

pytestmark = pytest.mark.real


@pytest.mark.timeout(600)
async def test_a_healthy_run_costs_what_is_promised_and_an_idle_pie_writes_nothing_but_its_lease() -> None:
    demand_machine(nodes=False)
    cost = await measure(nodes=24, minutes=1)
    assert cost.runs >= 24
    # Seconds say little on a busy machine; the benchmark is for them.
    assert replace(cost, object_seconds=0.0).above_limits() == []

"""Pacing: how many writes may go out, in which order, and what slows them down."""

import asyncio

import pytest

from pie.kube.pacing import Pacer
from tests.kube.scripted import eventually


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_a_burst_passes_and_the_rest_is_spread() -> None:
    pacer = Pacer(qps=100, burst=3)
    loop = asyncio.get_running_loop()
    started = loop.time()
    passed = []
    for _ in range(8):
        await pacer.wait()
        passed.append(loop.time() - started)
    assert passed[2] < 0.03
    assert passed[7] >= 5 / 100 - 0.005  # five more at 100 per second


async def test_waiters_are_served_in_order_urgent_ones_first_and_new_runs_last() -> None:
    clock = Clock()
    pacer = Pacer(qps=1000, burst=1, clock=clock)
    await pacer.wait()
    served: list[str] = []

    async def write(name: str, *, urgent: bool = False, last: bool = False) -> None:
        await pacer.wait(urgent=urgent, last=last)
        served.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(write("run", last=True))
        for name in ("first", "second", "third"):
            group.create_task(write(name))
        group.create_task(write("urgent", urgent=True))
        await eventually(lambda: pacer.waiting == 5, "all wait")
        for number in range(1, 6):
            clock.seconds += 0.001
            wanted = number
            await eventually(lambda: len(served) == wanted, f"{wanted} served")  # noqa: B023  used at once
    assert served == ["urgent", "first", "second", "third", "run"]


async def test_a_cancelled_waiter_takes_no_turn() -> None:
    clock = Clock()
    pacer = Pacer(qps=10, burst=1, clock=clock)
    await pacer.wait()
    gone, stays = (asyncio.create_task(pacer.wait()) for _ in range(2))
    await eventually(lambda: pacer.waiting == 2, "both wait")
    gone.cancel()
    clock.seconds += 0.1
    await stays
    assert gone.cancelled()


async def test_a_turn_that_came_and_was_not_used_goes_to_the_next() -> None:
    pacer = Pacer(qps=0.001, burst=1)
    late = asyncio.create_task(pacer.wait())
    turn = asyncio.create_task(pacer.wait())
    await eventually(late.done, "the only token is taken")
    assert not turn.done()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert pacer.waiting == 0


async def test_429_and_slowness_halve_the_rate_once_a_second_and_good_answers_raise_it() -> None:
    clock = Clock()
    rates: list[float] = []
    pacer = Pacer(qps=10, burst=1, clock=clock, on_rate=rates.append)
    pacer.failed()
    pacer.failed()
    pacer.answered(took_seconds=3)
    assert pacer.rate == 5
    clock.seconds += 1
    pacer.answered(took_seconds=3)
    assert pacer.rate == 2.5
    pacer.answered(took_seconds=0.01)
    assert pacer.rate == pytest.approx(2.7)
    for _ in range(100):
        pacer.answered(took_seconds=0.01)
    assert pacer.rate == 10
    assert rates[:3] == [10, 5, 2.5]
    assert rates[-1] == 10


async def test_the_rate_never_falls_to_nothing() -> None:
    clock = Clock()
    pacer = Pacer(qps=10, burst=1, clock=clock)
    for _ in range(50):
        clock.seconds += 1
        pacer.failed()
    assert pacer.rate == 0.5


@pytest.mark.parametrize(("qps", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_rate_that_allows_nothing_is_refused(qps: float, burst: int) -> None:
    with pytest.raises(ValueError, match="qps must be positive"):
        Pacer(qps, burst)


async def test_nothing_goes_out_while_the_server_wants_to_be_left_alone() -> None:
    clock = Clock()
    pacer = Pacer(qps=1000, burst=10, clock=clock)
    pacer.failed(hold_seconds=0.05)
    turns = [asyncio.create_task(pacer.wait(urgent=urgent)) for urgent in (False, True)]
    await eventually(lambda: pacer.waiting == 2, "both wait, with tokens left")
    clock.seconds = 0.05
    await asyncio.gather(*turns)

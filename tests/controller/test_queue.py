"""The work queue: once, never twice at a time, again when added meanwhile, later when it failed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from pie.controller.queue import Key, Lane, WorkQueue
from pie.kube.errors import ServiceUnavailable, Unreachable
from pie.kube.metrics import KubeMetrics
from tests.harness import until


@asynccontextmanager
async def running(
    handler: Callable[[Hashable], Awaitable[None]],
    workers: int = 4,
    registry: CollectorRegistry | None = None,
) -> AsyncIterator[WorkQueue]:
    metrics = KubeMetrics(registry or CollectorRegistry())
    queue = WorkQueue({**dict.fromkeys(Lane, 2), Lane.WRITES: workers}, metrics=metrics)
    queue.handle("work", handler)
    task = asyncio.create_task(queue.run())
    yield queue
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def idle(queue: WorkQueue) -> None:
    async def empty() -> bool:
        return len(queue) == 0

    await until(empty, "the queue is empty", every_seconds=0.01)


async def test_a_key_added_often_is_handled_once() -> None:
    handled: list[Hashable] = []

    async def handle(thing: Hashable) -> None:
        handled.append(thing)

    async with running(handle) as queue:
        for _ in range(5):
            queue.add("work", "a")
        await idle(queue)
    assert handled == ["a"]


async def test_a_key_added_while_it_is_handled_is_handled_again_and_never_twice_at_a_time() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()
    at_once = most_at_once = rounds = 0

    async def handle(_thing: Hashable) -> None:
        nonlocal at_once, most_at_once, rounds
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        rounds += 1
        entered.set()
        await go_on.wait()
        at_once -= 1

    async with running(handle) as queue:
        queue.add("work", "a")
        await entered.wait()
        queue.add("work", "a")
        queue.add("work", "a")
        go_on.set()
        await idle(queue)
    assert (rounds, most_at_once) == (2, 1)


async def test_different_keys_are_handled_at_the_same_time() -> None:
    both = asyncio.Barrier(2)

    async def handle(_thing: Hashable) -> None:
        await both.wait()

    async with running(handle) as queue, asyncio.timeout(60):
        queue.add("work", "a")
        queue.add("work", "b")
        await idle(queue)


async def test_a_failed_key_and_a_defect_are_tried_again() -> None:
    errors: list[Exception] = [Unreachable("no answer"), ZeroDivisionError("a defect")]
    done = asyncio.Event()
    registry = CollectorRegistry()

    async def handle(_thing: Hashable) -> None:
        if errors:
            raise errors.pop()
        done.set()

    with capture_logs() as lines:
        async with running(handle, registry=registry) as queue, asyncio.timeout(60):
            queue.add("work", "a")
            await done.wait()
    assert registry.get_sample_value("pie_defects_total", {"part": "work", "name": "work"}) == 1
    (line,) = (line for line in lines if line["log_level"] == "error")
    assert (line["of"], line["thing"]) == ("work", "a")
    assert isinstance(line["exc_info"], ZeroDivisionError), "with its traceback"


async def test_the_earliest_of_several_times_stands() -> None:
    handled = asyncio.Event()

    async def handle(_thing: Hashable) -> None:
        handled.set()

    async with running(handle) as queue, asyncio.timeout(60):
        queue.add("work", "a", after_seconds=3600)
        queue.add("work", "a", after_seconds=0.01)
        queue.add("work", "a", after_seconds=1800)
        await handled.wait()


async def test_a_key_that_failed_for_days_stops_nothing() -> None:
    handled = asyncio.Event()

    async def handle(thing: Hashable) -> None:
        if thing == "a":
            raise Unreachable("no answer")
        handled.set()

    async with running(handle) as queue, asyncio.timeout(60):
        queue._failures[Key("work", "a")] = 1024  # its power of two is no float any more
        queue.add("work", "a")
        await idle(queue)
        queue.add("work", "b")
        await handled.wait()
        assert Key("work", "a") in queue._later


async def test_a_handler_whose_awaitable_was_cancelled_ends_no_worker() -> None:
    handled = asyncio.Event()

    async def handle(thing: Hashable) -> None:
        if thing == "a":
            cancelled = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            await cancelled
        handled.set()

    async with running(handle, workers=1) as queue, asyncio.timeout(60):
        queue.add("work", "a")
        queue.add("work", "b")
        await handled.wait()


async def test_a_server_that_asks_for_time_gets_it() -> None:
    async def handle(_thing: Hashable) -> None:
        raise ServiceUnavailable(503, "ServiceUnavailable", "starting", retry_after_seconds=300)

    async with running(handle) as queue:
        queue.add("work", "a")
        await idle(queue)
        due = queue._later[Key("work", "a")].when() - asyncio.get_running_loop().time()
    assert due == pytest.approx(300, abs=2)


@pytest.mark.parametrize("lane", [Lane.WRITES, Lane.READS])
async def test_verdicts_wait_behind_neither_writes_nor_reads(lane: Lane) -> None:
    stuck, judged = asyncio.Event(), asyncio.Event()

    async def ask(_thing: Hashable) -> None:
        await stuck.wait()

    async def judge(_thing: Hashable) -> None:
        judged.set()

    async with running(ask) as queue, asyncio.timeout(60):
        queue.handle("ask", ask, lane)
        queue.handle("run", judge, Lane.JUDGES)
        for thing in range(20):
            queue.add("ask", thing)
        queue.add("run", "a")
        await judged.wait()


async def test_statuses_and_deletes_wait_behind_no_run_that_is_to_be_started() -> None:
    stuck, deleted = asyncio.Event(), asyncio.Event()

    async def start(_thing: Hashable) -> None:
        await stuck.wait()

    async def delete(_thing: Hashable) -> None:
        deleted.set()

    async with running(start) as queue, asyncio.timeout(60):
        queue.handle("start", start, Lane.STARTS)
        queue.handle("discard", delete, Lane.WRITES)
        for thing in range(20):
            queue.add("start", thing)
        queue.add("discard", "a")
        await deleted.wait()


def sample(registry: CollectorRegistry, name: str, work: str = "work") -> float | None:
    return registry.get_sample_value(f"workqueue_{name}", {"name": work, "controller": work})


AT_ZERO = (
    "depth",
    "adds_total",
    "queue_duration_seconds_count",
    "work_duration_seconds_count",
    "unfinished_work_seconds",
    "longest_running_processor_seconds",
    "retries_total",
)


async def test_a_kind_of_work_shows_at_zero_before_anything_is_added() -> None:
    async def handle(_thing: Hashable) -> None:
        pass

    registry = CollectorRegistry()
    async with running(handle, registry=registry):
        assert {name: sample(registry, name) for name in AT_ZERO} == dict.fromkeys(AT_ZERO, 0)


async def test_the_queue_shows_under_the_names_that_dashboards_of_controllers_know() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def handle(_thing: Hashable) -> None:
        entered.set()
        await go_on.wait()

    registry = CollectorRegistry()
    async with running(handle, workers=1, registry=registry) as queue, asyncio.timeout(60):
        for thing in "aab":
            queue.add("work", thing)
        await entered.wait()
        queue.add("work", "a")  # while it is being handled
        assert sample(registry, "adds_total") == 3, "a, b, and a once more"
        assert sample(registry, "depth") == 2

        async def some_time() -> bool:
            return (sample(registry, "longest_running_processor_seconds") or 0) > 0.01

        await until(some_time, "the age of the thing in hand grows", every_seconds=0.01)
        assert (sample(registry, "unfinished_work_seconds") or 0) > 0.01
        go_on.set()
        await idle(queue)
    assert sample(registry, "depth") == 0
    assert sample(registry, "unfinished_work_seconds") == 0
    assert sample(registry, "queue_duration_seconds_count") == 3
    assert sample(registry, "work_duration_seconds_count") == 3
    assert (sample(registry, "work_duration_seconds_sum") or 0) > 0.01


@pytest.mark.parametrize("error", [Unreachable("no answer"), ZeroDivisionError("a defect")])
async def test_what_fails_is_counted_as_a_retry(error: Exception) -> None:
    async def handle(_thing: Hashable) -> None:
        raise error

    registry = CollectorRegistry()
    async with running(handle, registry=registry) as queue:
        queue.add("work", "a")
        await idle(queue)
    assert sample(registry, "retries_total") == 1
    assert sample(registry, "unfinished_work_seconds") == 0

"""The work queue: once, never twice at a time, again when added meanwhile, later when it failed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager

from pie.controller.queue import WorkQueue
from pie.kube.errors import Unreachable
from tests.harness import until


@asynccontextmanager
async def running(
    handler: Callable[[Hashable], Awaitable[None]], workers: int = 4
) -> AsyncIterator[WorkQueue]:
    queue = WorkQueue(workers)
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

    async with running(handle) as queue, asyncio.timeout(5):
        queue.add("work", "a")
        queue.add("work", "b")
        await idle(queue)


async def test_a_failed_key_and_a_defect_are_tried_again() -> None:
    errors: list[Exception] = [Unreachable("no answer"), ZeroDivisionError("a defect")]
    done = asyncio.Event()

    async def handle(_thing: Hashable) -> None:
        if errors:
            raise errors.pop()
        done.set()

    async with running(handle) as queue, asyncio.timeout(10):
        queue.add("work", "a")
        await done.wait()


async def test_the_earliest_of_several_times_stands() -> None:
    handled = asyncio.Event()

    async def handle(_thing: Hashable) -> None:
        handled.set()

    async with running(handle) as queue, asyncio.timeout(5):
        queue.add("work", "a", after_seconds=3600)
        queue.add("work", "a", after_seconds=0.01)
        queue.add("work", "a", after_seconds=1800)
        await handled.wait()

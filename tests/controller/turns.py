"""Counts the turns of the controller's work by key: how often each thing is looked at."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from pie.controller.queue import Lane, WorkQueue


class Turn(NamedTuple):
    """One look at one thing, when (seconds of the event loop)."""

    at: float
    work: str
    thing: Hashable


@dataclass
class Turns:
    """The turns of the queues that are built while it counts."""

    all: list[Turn] = field(default_factory=list)

    def count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Begin to count."""
        register = WorkQueue.handle

        def counted(
            queue: WorkQueue,
            work: str,
            handler: Callable[[Hashable], Awaitable[None]],
            lane: Lane = Lane.WRITES,
        ) -> None:
            async def turn(thing: Hashable) -> None:
                self.all.append(Turn(asyncio.get_running_loop().time(), work, thing))
                await handler(thing)

            register(queue, work, turn, lane)

        monkeypatch.setattr(WorkQueue, "handle", counted)

    def of(self, work: str, thing: Hashable, since: float, until: float) -> int:
        """Return how often a thing was looked at in [since, until]."""
        same = [each for each in self.all if (each.work, each.thing) == (work, thing)]
        return sum(since <= each.at <= until for each in same)

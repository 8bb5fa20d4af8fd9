"""A level-based work queue: it holds keys, never events.

A key that was added several times is handled once. Two workers never handle the same key at the same time. A
key that is added while it is handled is handled again; after an error it is handled again later, with growing
delays.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

import structlog
from prometheus_client import CollectorRegistry

from pie.controller.queuemetrics import QueueMetrics, WorkSeries
from pie.kube.backoff import Backoff
from pie.kube.defects import Defects
from pie.kube.errors import ApiError, Conflict, KubeError
from pie.kube.metrics import KubeMetrics
from pie.kube.repeated import Repeated

_log = structlog.get_logger()

SETTLE_SECONDS: Final = 0.5
"""Wait this long, so that what belongs together, such as the verdicts of one fault, is looked at once."""

_RETRY: Final = Backoff(base_seconds=1.0, cap_seconds=60.0)

_LINES: Final = 5
"""At most this many log lines for one kind of work and one kind of error, in ten minutes."""


class Key(NamedTuple):
    """What to look at: the kind of work, and the thing."""

    work: str
    thing: Hashable


class Lane(Enum):
    """The most expensive thing that a kind of work does."""

    WRITES = "writes"
    READS = "reads"
    STARTS = "starts"
    """Creates the pod or the Job of a run. No other write waits for these."""
    JUDGES = "judges"
    """Decides from what is known, and reads only rarely."""


_WORKERS: Final[Mapping[Lane, int]] = {Lane.WRITES: 16, Lane.STARTS: 16, Lane.READS: 8, Lane.JUDGES: 4}


class WorkQueue:
    """Keys to handle, and the workers that do; `handle` maps a kind of work to its handler.

    All things of one kind of work have the type that its handler takes.

    Each lane has its own workers. Writes and reads wait for the API server, writes also for --kube-api-qps,
    and verdicts must not wait for either. A handler that raises is called again later. An error that is not
    one of the API server is a defect of pie: it is logged and counted.
    """

    def __init__(self, workers: Mapping[Lane, int] = _WORKERS, *, metrics: KubeMetrics | None = None) -> None:
        self._metrics = metrics or KubeMetrics(CollectorRegistry())
        self._queue_metrics = QueueMetrics(self._metrics.registry)
        self._series: dict[str, WorkSeries] = {}
        self._defects: dict[str, Defects] = {}
        self._handlers: dict[str, Callable[[Any], Awaitable[None]]] = {}
        self._workers = workers
        self._lanes: dict[str, Lane] = {}
        self._ready: dict[Lane, asyncio.Queue[Key]] = {lane: asyncio.Queue() for lane in Lane}
        self._waiting: set[Key] = set()
        self._busy: set[Key] = set()
        self._later: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._repeated = Repeated(_LINES)

    def handle(self, work: str, handler: Callable[[Any], Awaitable[None]], lane: Lane = Lane.WRITES) -> None:
        """Register the handler of a kind of work, and its lane."""
        self._handlers[work], self._lanes[work] = handler, lane
        self._defects[work] = Defects(self._metrics.defects, "work", work)
        self._series[work] = self._queue_metrics.of(work)

    def add(self, work: str, thing: Hashable, *, after_seconds: float = 0.0) -> None:
        """Handle a thing, now or later; the earliest of several times counts."""
        self._add(Key(work, thing), after_seconds)

    def _add(self, key: Key, after_seconds: float) -> None:
        if after_seconds > 0:
            self._add_later(key, after_seconds)
            return
        if (timer := self._later.pop(key, None)) is not None:
            timer.cancel()
        if key in self._waiting:
            return
        self._waiting.add(key)
        self._series[key.work].added(key.thing)
        if key not in self._busy:
            self._put(key)

    def _put(self, key: Key) -> None:
        self._ready[self._lanes[key.work]].put_nowait(key)

    def _add_later(self, key: Key, after_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        when = loop.time() + after_seconds
        timer = self._later.get(key)
        if timer is not None and timer.when() <= when:
            return
        if timer is not None:
            timer.cancel()
        self._later[key] = loop.call_at(when, self._due, key)

    def _due(self, key: Key) -> None:
        del self._later[key]
        self._add(key, 0)

    def __len__(self) -> int:
        """Return how many keys wait or are being handled now."""
        return len(self._waiting | self._busy)

    async def run(self) -> None:
        """Handle keys until cancelled."""
        async with asyncio.TaskGroup() as group:
            for lane, workers in self._workers.items():
                for _ in range(workers):
                    group.create_task(self._work(self._ready[lane]))

    async def _work(self, ready: asyncio.Queue[Key]) -> None:
        while True:
            key = await ready.get()
            self._waiting.discard(key)
            self._busy.add(key)
            series = self._series[key.work]
            series.began(key.thing)
            try:
                await self._handle(key)
            finally:
                self._busy.discard(key)
                series.ended(key.thing)
                if key in self._waiting:
                    self._put(key)

    async def _handle(self, key: Key) -> None:
        try:
            await self._handlers[key.work](key.thing)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not the worker was cancelled, but something that the handler waited for: the worker continues.
            _log.warning("interrupted, trying again", work=key.work, thing=str(key.thing))
            self._retry(key)
        except Conflict as error:
            # The cache is outdated. Its next event adds the key again; if there is none, the retry helps.
            _log.debug("object changed meanwhile", work=key.work, thing=str(key.thing), error=str(error))
            self._retry(key)
        except KubeError as error:
            self._report(key, error)
            asked = error.retry_after_seconds if isinstance(error, ApiError) else None
            self._retry(key, asked or 0.0)
        except Exception as error:  # noqa: BLE001  the boundary of the controller's own work
            # A defect that one key meets must not stop the work on all others.
            self._defects[key.work].note(error, thing=str(key.thing))
            self._retry(key)
        else:
            self._failures.pop(key, None)

    def _report(self, key: Key, error: KubeError) -> None:
        """Log a failed request; of many that fail for the same reason, only the first ones."""
        left_out = self._repeated.write((key.work, type(error)))
        if left_out is not None:
            about = {"work": key.work, "thing": str(key.thing), "error": str(error)}
            _log.warning("API request failed, trying again", **about, left_out=left_out)

    def _retry(self, key: Key, asked_seconds: float = 0.0) -> None:
        """Handle a key again later: after the delay that the server wants, plus that of pie."""
        self._series[key.work].retried()
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self._add(key, asked_seconds + _RETRY.delay(failures))

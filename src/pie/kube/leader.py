"""Leader election with a Lease (coordination.k8s.io/v1), as in client-go, with a check before each write.

The rules (client-go, tools/leaderelection): nobody trusts anybody's clock. A candidate notes on its own
monotonic clock when it last saw the record change, and may take the lease once the record stood still for the
lease's duration. A leader that could not renew for `renew_deadline_seconds`, which is shorter, must stop.

Two things differ. Renewals come every 5 s instead of 2 s, since idle pie writes nothing else. And a leader
need not be told in time that it must stop: `check` is asked right before every write, and compares a clock
that runs on while the process is frozen. A leader that wakes up too late sends nothing more, not even a
renewal, and `run` raises Deposed.
"""

import asyncio
import random
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Never, Self

import structlog

from pie.core.wire import parse_seconds
from pie.kube.client import Client
from pie.kube.clock import boottime
from pie.kube.config import ClusterConfig
from pie.kube.errors import AlreadyExists, Conflict, KubeError, WriteRefused
from pie.kube.lease import Lease, LeaseSpec, held, micro_time
from pie.kube.metrics import KubeMetrics
from pie.kube.repeated import Repeated
from pie.kube.resources import LEASES

log = structlog.get_logger()

_LINES: Final = 5
"""The most log lines of one kind in ten minutes."""

_JITTER: Final = 1.2
"""Candidates wait up to this factor longer at random, as in client-go."""

_RELEASED_SECONDS: Final = 1
"""Duration written into a released lease; client-go's."""


class Deposed(KubeError):  # noqa: N818  a fact to act on: the process must end
    """The lease is lost, or could not be renewed in time. Another replica may lead now."""


class NotLeading(WriteRefused):
    """A write was not sent, because this process does not hold the lease (any more)."""


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """client-go's three times, and how often a leader renews; seconds."""

    lease_duration_seconds: int = 15
    renew_deadline_seconds: float = 10.0
    renew_period_seconds: float = 5.0
    retry_period_seconds: float = 2.0

    def __post_init__(self) -> None:
        """Refuse times with which two replicas could lead at the same time."""
        if not self.lease_duration_seconds > self.renew_deadline_seconds > self.renew_period_seconds > 0:
            raise ValueError("wanted: lease duration > renew deadline > renew period > 0")

    @property
    def request_timeout_seconds(self) -> float:
        """Time limit for one renewal: long enough for slow servers, short enough for a second try."""
        return 0.6 * (self.renew_deadline_seconds - self.renew_period_seconds)


@dataclass(frozen=True, slots=True)
class Reign:
    """Since when a process leads; both are by the API server's clock, epoch seconds.

    What was due at `since` or before belongs to those that led before. `unled_since` is until when the former
    holder is known to have led; None: there was none.
    """

    since: float
    unled_since: float | None = None


DEFAULT_LEASE_TIMING: Final = LeaseTiming()


def own_identity() -> str:
    """Return a unique name for this process, different even from an earlier process in the same pod."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


class Elector:
    """One candidate for one lease, as an async context manager with connections of its own.

    `leading` is set once the lease is held. `check` is what `Client(before_write=…)` wants.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        namespace: str,
        name: str,
        identity: str | None = None,
        timing: LeaseTiming = DEFAULT_LEASE_TIMING,
        metrics: KubeMetrics | None = None,
        clock: Callable[[], float] = boottime,
    ) -> None:
        self.identity = identity or own_identity()
        self.leading = asyncio.Event()
        self._namespace = namespace
        self._name = name
        self._timing = timing
        self._clock = clock
        self._deadline: float | None = None  # None until the lease is held, and after it was released
        self._lease: Lease | None = None
        self._former: Lease | None = None
        self._reign: Reign | None = None
        self._changed_at = clock()
        self._client = Client(
            config,
            metrics=metrics,
            before_write=self._check_own_write,
            timeout_seconds=timing.request_timeout_seconds,
            attempts=1,
        )
        self._repeated = Repeated(_LINES)
        self._log = log.bind(lease=f"{namespace}/{name}", identity=self.identity)

    async def __aenter__(self) -> Self:
        """Open the connections."""
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections. This does not release the lease; see `release`."""
        await self._client.__aexit__()

    @property
    def holder(self) -> str:
        """The last known holder of the lease; empty if there is none."""
        return (self._lease.spec.holder_identity or "") if self._lease else ""

    @property
    def reign(self) -> Reign | None:
        """Since when this process leads; None before the lease is held."""
        return self._reign

    def deadline(self) -> float | None:
        """When the right to write ends, on the clock `boottime`; None without the right to write."""
        return self._deadline

    def is_leader(self) -> bool:
        """Whether a write may be sent at this moment."""
        return self._deadline is not None and self._clock() < self._deadline

    def check(self) -> None:
        """Raise NotLeading unless a write may be sent at this moment."""
        if not self.is_leader():
            raise NotLeading(
                f"not sent: {self.identity} does not hold the lease {self._namespace}/{self._name}"
            )

    async def run(self) -> Never:
        """Wait for the lease, then hold it. Raises Deposed when it is lost; the process should end then."""
        while not await self._try_acquire():
            # The right to write may have run out before the answer that gave it came: that is none.
            self._deadline = None
            jitter = random.uniform(1, _JITTER)  # noqa: S311  spreads load, guards no secret
            await asyncio.sleep(self._timing.retry_period_seconds * jitter)
        self._log.info("leading")
        self.leading.set()
        while True:
            await asyncio.sleep(self._timing.renew_period_seconds)
            await self._renew()

    async def release(self) -> None:
        """Give the lease back, so that a successor need not wait; call it when nothing writes any more.

        Bounded by the time of one request; a failure is logged and costs the successor the lease's duration.
        """
        if not self.is_leader() or self._lease is None:
            return
        self._deadline = None
        now = micro_time(self._client.now())
        spec = {
            "holderIdentity": "",
            "leaseDurationSeconds": _RELEASED_SECONDS,
            "acquireTime": now,
            "renewTime": now,
        }
        try:
            await self._patch(self._lease, spec)
        except KubeError as error:
            self._log.warning("lease not released; a successor must wait for its end", error=str(error))

    async def _renew(self) -> None:
        """Renew the lease, trying until the deadline. Raises Deposed."""
        why: KubeError | None = None
        while self.is_leader():
            tried_at = self._clock()
            try:
                if await self._try_renew():
                    return
            except NotLeading as error:
                why = why or error  # the error of an earlier renewal explains more
            except KubeError as error:
                why = error
                if self._repeated.write("renewed") is not None:
                    self._log.warning("lease not renewed", error=str(error))
            if self.holder != self.identity:
                self._deadline = float("-inf")
                raise Deposed(f"{self.holder or 'nobody'} holds the lease {self._namespace}/{self._name} now")
            await asyncio.sleep(tried_at + self._timing.retry_period_seconds - self._clock())
        reason = str(why) if why else "the process slept past its deadline"
        raise Deposed(f"the lease {self._namespace}/{self._name} was not renewed in time: {reason}") from why

    async def _try_renew(self) -> bool:
        """Renew once; False if another replica holds the lease, or its state could not be read."""
        if self._lease is None:
            return False
        try:
            return await self._take(self._lease)
        except Conflict:  # the object was changed, or our last renewal succeeded but its answer was lost
            await self._look()
        return self.holder == self.identity and await self._take(self._lease)

    async def _try_acquire(self) -> bool:
        """Try once to get the lease; False if it is not free, or its state could not be read."""
        try:
            await self._look()
            if self._lease is None:
                return await self._create()
            return self._free(self._lease) and await self._take(self._lease)
        except Conflict:
            return False  # another candidate was faster
        except KubeError as error:
            if self._repeated.write("acquired") is not None:
                self._log.warning("lease not acquired", error=str(error))
            return False

    def _free(self, lease: Lease) -> bool:
        if self.holder in {"", self.identity}:
            return True
        duration = lease.spec.lease_duration_seconds or self._timing.lease_duration_seconds
        return self._clock() >= self._changed_at + duration

    async def _look(self) -> None:
        """Read the lease, and store when it last changed."""
        lease = await self._client.get_or_none(LEASES, self._name, self._namespace, decode=Lease)
        if lease is None or self._lease is None or lease.spec != self._lease.spec:
            self._changed_at = self._clock()
        self._lease = lease
        if lease is not None and self.holder != self.identity:
            self._former = lease

    async def _create(self) -> bool:
        sent_at = self._clock()
        began = self._client.now()
        now = micro_time(began)
        spec = held(self.identity, self._timing.lease_duration_seconds, now)
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": spec | {"acquireTime": now, "leaseTransitions": 0},
        }
        try:
            lease = await self._client.create(LEASES, body, self._namespace, decode=Lease)
        except AlreadyExists:
            return False
        self._reign = Reign(began)
        return self._hold(lease, sent_at)

    async def _take(self, lease: Lease | None) -> bool:
        """Write this process into the lease as its holder. Raises Conflict if it changed meanwhile."""
        if lease is None:
            return False
        sent_at = self._clock()
        began = self._client.now()
        now = micro_time(began)
        spec = held(self.identity, self._timing.lease_duration_seconds, now)
        if lease.spec.holder_identity != self.identity:
            spec |= {"acquireTime": now, "leaseTransitions": (lease.spec.lease_transitions or 0) + 1}
        written = await self._patch(lease, spec)
        if self._reign is None:
            self._reign = self._reign_from(began)
        return self._hold(written, sent_at)

    def _reign_from(self, began: float) -> Reign:
        """Return since when this process leads: the former holder may have worked until its next renewal."""
        former = self._former.spec if self._former is not None else LeaseSpec()
        renewed = parse_seconds(former.renew_time or "")
        if renewed is None or renewed > began + self._timing.lease_duration_seconds:
            return Reign(began)  # The former holder never renewed the Lease, or its clock was wrong.
        worked = self._timing.renew_period_seconds if former.holder_identity else 0.0
        return Reign(max(began, renewed + worked), min(renewed, began))

    def _hold(self, lease: Lease, sent_at: float) -> bool:
        """Store that this process holds the lease, from the time of the request: others saw it no earlier."""
        self._lease = lease
        self._changed_at = sent_at
        self._deadline = sent_at + self._timing.renew_deadline_seconds
        return self.is_leader()

    async def _patch(self, lease: Lease, spec: dict[str, Any]) -> Lease:
        """Change the spec if the lease is still the one that was read; labels and the like stay."""
        body = {"metadata": {"resourceVersion": lease.metadata.resource_version}, "spec": spec}
        return await self._client.merge_patch(LEASES, self._name, body, self._namespace, decode=Lease)

    def _check_own_write(self) -> None:
        """Do not renew if the process slept past its deadline: another replica may lead."""
        if self._deadline is not None and not self.is_leader():
            raise NotLeading(f"not sent: the right of {self.identity} to the lease {self._name} has run out")

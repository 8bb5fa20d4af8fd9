"""Where a row plays: a namespace with a PieProbe, its controller, and the proxy that it goes through."""

import asyncio
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self

from pie.core.model import Target
from testbed.api import Api
from testbed.cluster import Cluster
from testbed.errors import TestbedError
from testbed.kwok import report_ready
from tests.accounting import DECIDED_SECONDS, Accounts, lasting, targets_since
from tests.harness import GROUP, Pie, apply_probe, pieprobe, until
from tests.weather.clock import Clock
from tests.weather.proxy import Proxy

PROBE: Final = "weather"
CLASS: Final = "kwok"
PERIOD_MINUTES: Final = 1
RECOVERY_SECONDS: Final = 300.0
RECORD_MIB, DISK_MIB = 16, 20


@dataclass(frozen=True)
class Outcome:
    """What a row did to pie: all zero, and the seconds until each target was probed well again."""

    crashes: int
    miscounted: tuple[str, ...]
    false_incidents: int
    recovery_seconds: float | None
    counted: int
    """How many due times were counted."""

    @property
    def right(self) -> bool:
        """Whether nothing was harmed."""
        harmed = self.crashes or self.miscounted or self.false_incidents
        return not harmed and self.recovery_seconds is not None and self.counted > 0


def by_one_process(entries: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield log entries without the due times that an earlier process had counted, too.

    A run that goes on while its controller is killed is counted by the next one too, whose counters are new.
    """
    process, counted_by = 0, dict[tuple[str, float], int]()
    for entry in entries:
        process += entry["event"] == "serving"
        if "due" in entry and counted_by.setdefault((entry["target"], entry["due"]), process) < process:
            continue
        yield entry


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """Mount a filesystem in memory that has room for the recorder's files, and little more."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "weather", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


class Scene:
    """Use it in `async with`. `clock`: the controller has a clock of its own."""

    def __init__(self, cluster: Cluster, nodes: list[str], *, clock: bool = False) -> None:
        self.cluster = cluster
        self._with_clock = clock
        self.clock: Clock | None = None
        self.namespace = f"weather-{uuid.uuid4().hex[:8]}"
        self._nodes = nodes
        self._since: dict[Target, float] = {}
        self._open = AsyncExitStack()
        self.proxy: Proxy
        self.recordings: Path
        self.pie: Pie

    @property
    def api(self) -> Api:
        """The administrator's client, which does not go through the proxy."""
        return self.cluster.api

    async def __aenter__(self) -> Self:
        """Start it all; return when every target was probed well."""
        directory = Path(self._open.enter_context(TemporaryDirectory()))
        await self.cluster.create_namespace(self.namespace)
        self.proxy = await self._open.enter_async_context(Proxy(self.cluster.kubeconfig, directory))
        if self._with_clock:
            self.clock = Clock(directory / "clock")
        self.recordings = directory / "recordings"
        self._open.enter_context(small_disk(self.recordings))
        recording = ("--record", str(self.recordings), "--record-size", str(RECORD_MIB))
        self.pie = Pie(
            self.proxy.kubeconfig,
            self.namespace,
            *("--log-level", "debug", *recording),
            environment=self.clock.environment if self.clock else {},
        )
        await self._open.enter_async_context(self.pie)
        await self.pie.leads(60)
        kubelets = asyncio.create_task(self._report_nodes())
        self._open.callback(kubelets.cancel)
        await self.apply()
        await self._until_all_good(0.0)
        await self._note_targets()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the controller, and delete the namespace."""
        await self._open.__aexit__(kind, error, trace)
        await self.api.delete(f"/api/v1/namespaces/{self.namespace}")

    async def apply(self) -> None:
        """Create the PieProbe on the nodes of the scene."""
        body = pieprobe(PROBE, CLASS, "", probePeriod=PERIOD_MINUTES, probeThreshold="40s", deadline="50s")
        of = {"key": "metadata.name", "operator": "In"}
        terms = [{"matchFields": [{**of, "values": [node]}]} for node in self._nodes]
        body["spec"]["nodeSelector"]["nodeSelectorTerms"] = terms
        await apply_probe(self.api, self.namespace, body)

    async def _report_nodes(self) -> None:
        """Report the nodes as Ready, as kubelets do after an outage; KWOK reports that once only."""
        while True:
            with suppress(TestbedError, TimeoutError):  # kubelets try again, too
                async with asyncio.timeout(5):
                    await self._report_unready_nodes()
            await asyncio.sleep(5)

    async def _report_unready_nodes(self) -> None:
        for node in await self.api.items("/api/v1/nodes"):
            conditions = {each["type"]: each["status"] for each in node["status"]["conditions"]}
            if conditions["Ready"] != "True":
                await report_ready(self.api, node["metadata"]["name"], "True")

    async def outcome(self, *, forgets: bool) -> Outcome:
        """Return what became of pie: wait until all is well again, and one more period."""
        began = time.time()
        try:
            await self._until_all_good(began)
            recovered: float | None = time.time() - began
        except AssertionError:
            recovered = None
        await asyncio.sleep(DECIDED_SECONDS)
        if forgets:
            await self._note_targets()
        now = time.time() - DECIDED_SECONDS
        errors = await lasting(lambda: self._miscounted(now))
        accounts = self._accounts
        counted = sum(accounts.as_what(target).total() for target in self._since)
        return Outcome(
            int(not self.pie.running), tuple(errors), await self._storage_incidents(), recovered, counted
        )

    @property
    def _accounts(self) -> Accounts:
        return Accounts(by_one_process(self.pie.entries))

    def _miscounted(self, end: float) -> list[str]:
        accounts = self._accounts
        return [
            each
            for target, since in self._since.items()
            for each in accounts.errors(target, 60 * PERIOD_MINUTES, since, end)
        ]

    async def _until_all_good(self, since: float) -> None:
        await until(lambda: self._all_good_since(since), "every target was probed well", RECOVERY_SECONDS, 1)

    async def _all_good_since(self, since: float) -> bool:
        """Tell whether the series say of every target that its last run after a moment was good."""
        if not self.pie.running:
            return False
        samples = await self.pie.samples()
        healthy = samples.all("pie_target_healthy")
        last = samples.all("pie_target_last_success_timestamp_seconds")
        well = sum(each.value == 1 for each in healthy)
        recent = sum(each.value > since for each in last)
        return well == recent == len(self._nodes) + 1

    async def _note_targets(self) -> None:
        """Note from when on each target has due times: those after its CronJob was created."""
        self._since = await targets_since(self.api, self.namespace, PROBE, CLASS)
        assert len(self._since) == len(self._nodes) + 1, self._since

    async def _storage_incidents(self) -> int:
        """Return how many incidents of the storage opened: in the status, where they outlive the process."""
        found = await self.api.find(f"{GROUP}/namespaces/{self.namespace}/pieprobes/{PROBE}")
        incidents = (found or {}).get("status", {}).get("incidents") or []
        return sum(each["area"] == "storage" for each in incidents)

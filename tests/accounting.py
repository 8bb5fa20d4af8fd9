"""What became of each due time, as the controller's debug log tells it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from pie.core.batch.cron import cron
from pie.core.model import Kind, Target
from pie.core.target.facts import Calendar
from testbed.api import Api

DECIDED_SECONDS = 75
"""What became of a due time is known so long after it, unless the machine is busy."""


async def targets_since(api: Api, namespace: str, probe: str, storage_class: str) -> dict[Target, float]:
    """Return the targets of a PieProbe, and since when each has due times: since its CronJob exists."""
    since: dict[Target, float] = {}
    for item in await api.items(f"/apis/batch/v1/namespaces/{namespace}/cronjobs"):
        node = item["metadata"]["labels"].get("node", "")
        target = Target(probe, Kind.MOUNT if node else Kind.PROVISION, storage_class, node)
        since[target] = datetime.fromisoformat(item["metadata"]["creationTimestamp"]).timestamp()
    return since


async def lasting(errors: Callable[[], list[str]]) -> list[str]:
    """Return the errors that do not go by themselves: a busy machine counts a due time late."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + DECIDED_SECONDS
    while (found := errors()) and loop.time() < give_up_at:  # noqa: ASYNC110  another process counts
        await asyncio.sleep(1)
    return found


class Accounts:
    """How often each due time of each target was counted, and as what."""

    def __init__(self, entries: Iterable[Mapping[str, Any]]) -> None:
        self._counted: dict[str, list[tuple[float, str]]] = {}
        for entry in entries:
            if entry["event"] == "counted":
                self._add(entry, "on time" if entry["on_time"] else "late")
            elif entry["event"] in {"counted as suppressed", "counted as inconclusive"}:
                self._add(entry, entry["reason"])

    def _add(self, entry: Mapping[str, Any], answer: str) -> None:
        self._counted.setdefault(entry["target"], []).append((float(entry["due"]), answer))

    def as_what(self, target: Target) -> Counter[str]:
        """Return how many due times of a target were counted as what."""
        return Counter(answer for _, answer in self._counted.get(str(target), ()))

    def errors(self, target: Target, period_seconds: int, since: float, until: float) -> list[str]:
        """Return the same for a target that has a CronJob."""
        return self.errors_by(target, cron(target, period_seconds), since, until)

    def errors_by(self, target: Target, calendar: Calendar, since: float, until: float) -> list[str]:
        """Return in words which due times in (since, until] were not counted exactly once."""
        found = self._counted.get(str(target), ())
        times = Counter(due for due, _ in found)
        due_times = calendar.dues_between(since, until, limit=100_000)
        beyond = [due for due in times if since < due <= until and due not in due_times]
        return [
            f"{target}: {due:.0f} ({due - since:.0f} s after the start, {until - due:.0f} s before the end)"
            f" was counted {times[due]} times: {[what for when, what in found if when == due]}"
            for due in (*due_times, *beyond)
            if times[due] != 1
        ]

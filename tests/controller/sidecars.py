"""Containers that a webhook adds to the pods of a simulated cluster."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class Sidecar:
    """A container that starts with `probe`, and ends after so long.

    `lives_seconds` None: it runs until its pod is ended.
    """

    name: str
    lives_seconds: float | None = None
    exit_code: int = 0

    def state(self, probe: dict[str, Any], now: float, *, pod_over: bool) -> dict[str, Any]:
        """Return its state beside that of the container `probe`."""
        began = (probe.get("running") or probe.get("terminated") or {}).get("startedAt")
        if began is None:
            return {"waiting": {"reason": "PodInitializing"}}
        ends = seconds_of(began) + (math.inf if self.lives_seconds is None else self.lives_seconds)
        if now < ends and not pod_over:
            return {"running": {"startedAt": began}}
        code = self.exit_code if now >= ends else 137
        times = {"startedAt": began, "finishedAt": rfc3339(min(now, ends))}
        return {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed", **times}}


@lru_cache(maxsize=10_000)
def rfc3339(seconds: float) -> str:
    """Return a Kubernetes time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=100_000)
def seconds_of(stamp: str) -> float:
    """Return a Kubernetes time in epoch seconds."""
    return datetime.fromisoformat(stamp).timestamp()


def probe_state(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the state of the container `probe` of a pod; none if the kubelet said nothing of it."""
    named = (each["state"] for each in pod["status"].get("containerStatuses", []) if each["name"] == "probe")
    return next(named, {})

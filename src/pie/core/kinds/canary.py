"""Canaries: kinds of probe for features of a class, each switched on in `spec.canaries`, with its own period.

Like a provision run, each run has a new volume on any matching node, and a bad one is followed by a run on
another node. Not every class offers each feature: then the canary is paused, and nothing is bad. pie starts
the runs itself, whatever starts those of the other kinds.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pie.core.kinds.row import Row
from pie.core.model import Probe, RunnerKind


def canary(name: str, on_time: str, *, least_deadline_seconds: float = 0.0, **fields: Any) -> Row:
    """Return the row of a canary; its container runs `pie probe NAME`.

    Its runs have so much time at least, if their period is not shorter. `fields` are those of the row that
    other canaries do not need.
    """
    return Row(
        name=name,
        command=("pie", "probe", name),
        per_node=False,
        pvc="",
        io_apart=False,
        on_time=on_time,
        enabled=lambda probe: name in probe.canaries,
        disabled=f"spec.canaries.{name} is not set",
        condition=f"{name.capitalize()}Healthy",
        canary=True,
        spec=_spec(name, least_deadline_seconds),
        **fields,
    )


def _spec(name: str, least_deadline_seconds: float) -> Callable[[Probe], Probe]:
    def spec(probe: Probe) -> Probe:
        wanted = probe.canaries.get(name)
        if wanted is None:
            return probe
        return replace(
            probe,
            period_seconds=wanted.period_seconds,
            threshold_seconds=min(probe.threshold_seconds, float(wanted.period_seconds)),
            deadline_seconds=min(
                max(probe.deadline_seconds, least_deadline_seconds), float(wanted.period_seconds)
            ),
            runner=RunnerKind.POD,
        )

    return spec

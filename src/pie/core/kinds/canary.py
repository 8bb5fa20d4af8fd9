"""Canaries: kinds of probe for features of a class, each switched on in `spec.canaries`, with its own period.

Like a provision run, each run has a new volume on any matching node, and a bad one is followed by a run on
another node. Not every class offers each feature: then the canary is paused, and nothing is bad. pie starts
the runs itself, whatever starts those of the other kinds.
"""

from collections.abc import Callable
from dataclasses import replace

from pie.core.kinds.row import Row
from pie.core.model import Probe, RunnerKind


def canary(name: str, on_time: str, *, block: bool = False) -> Row:
    """Return the row of a canary; its container runs `pie probe NAME`."""
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
        block=block,
        spec=_spec(name),
    )


def _spec(name: str) -> Callable[[Probe], Probe]:
    def spec(probe: Probe) -> Probe:
        wanted = probe.canaries.get(name)
        if wanted is None:
            return probe
        return replace(
            probe,
            period_seconds=wanted.period_seconds,
            threshold_seconds=min(probe.threshold_seconds, float(wanted.period_seconds)),
            deadline_seconds=min(probe.deadline_seconds, float(wanted.period_seconds)),
            runner=RunnerKind.POD,
        )

    return spec

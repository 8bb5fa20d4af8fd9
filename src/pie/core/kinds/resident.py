"""The resident probe: on each node a volume that stays mounted is used again and again by a pod that stays.

It sees a mount that dies while new mounts work. It has no due times: the pod goes on, see
`pie.core.target.residents`.
"""

from dataclasses import replace

from pie.core.kinds.row import Row
from pie.core.model import Probe, RunnerKind
from pie.core.resident.interval import SHORTEST_SECONDS

START_SECONDS = 60
"""Within so long the pods are started, spread over it; so are those that are started again."""


def _options(probe: Probe) -> list[str]:
    interval = probe.resident_interval_seconds
    found = ["--threshold", f"{probe.resident_threshold_seconds:g}"]
    return found if interval == SHORTEST_SECONDS else [*found, "--interval", f"{interval:g}"]


def _spec(probe: Probe) -> Probe:
    return replace(probe, period_seconds=START_SECONDS, runner=RunnerKind.POD)


ROW = Row(
    name="resident",
    command=("pie", "probe", "resident"),
    per_node=True,
    pvc="pie-resident",
    io_apart=False,
    on_time="I/O on a volume that stays mounted works",
    enabled=lambda probe: probe.resident,
    disabled="spec.residentProbe is not set",
    condition="ResidentHealthy",
    options=_options,
    resident=True,
    spec=_spec,
)

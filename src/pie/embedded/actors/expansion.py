"""Expansion of volumes: the resizer of each machine, and the kubelet that lets a filesystem grow.

The size of a volume's filesystem is that of the file `size` in its directory.
"""

import os
from functools import partial
from typing import Final

from pie.core.quantity import quantity
from pie.embedded.kinds import PVCS, PVS, Json, find, is_leaving
from pie.embedded.machines import DRIVER, Machines
from pie.embedded.registry import Registry

_REFUSED: Final = "rpc error: code = InvalidArgument desc = the pool is offline"


def expand(registry: Registry, machines: Machines) -> None:
    """Expand the volume of each PVC that asks for more than it has."""
    for claim in registry.store.all(PVCS):
        wanted, name = find(claim, "spec.resources.requests.storage"), find(claim, "spec.volumeName") or ""
        volume = registry.find(PVS, "", name)
        machine = machines.get(find(volume, "spec.csi.volumeAttributes.machine") or "")
        if machine is None or volume is None or is_leaving(claim) or not _is_more(claim, wanted):
            continue
        if not machine.runs("provisioner-gone", "node-plugin-gone"):
            continue
        if "expand-refused" in machine.faults:
            why = f'resize volume "{name}" by resizer "{DRIVER}" failed: {_REFUSED}'
            registry.event(claim, "VolumeResizeFailed", why, DRIVER)
            registry.set_status(claim, allocatedResourceStatuses={"storage": "ControllerResizeInfeasible"})
            continue
        if "expands-nothing" not in machine.faults:
            os.truncate(machine.volumes / name / "size", int(quantity(wanted) or 0))
        spec = {**volume["spec"], "capacity": {"storage": wanted}}
        registry.edit(volume, partial(_set, spec))
        registry.set_status(claim, capacity={"storage": wanted}, allocatedResourceStatuses=None)


def _is_more(claim: Json, wanted: str) -> bool:
    now = quantity(find(claim, "status.capacity.storage") or "")
    return now is not None and (quantity(wanted) or 0) > now


def _set(spec: Json, copy: Json) -> None:
    copy["spec"] = spec

"""The mount probe: a node mounts a volume that exists, in time, and I/O on it works.

An existing volume must always mount where it lives. Its runs have no stage `provision`, except for the first
run of a PVC that is bound with its first pod.
"""

from pie.core.kinds.row import Row
from pie.core.model import Kind

ROW = Row(
    name=Kind.MOUNT,
    command=("pie", "probe", "mount"),
    per_node=True,
    pvc="pie-pvc",
    io_apart=True,
    on_time="the container started within the threshold",
    enabled=lambda probe: probe.mount_enabled,
    disabled="disableMountProbes is true",
    condition="MountHealthy",
    options=lambda probe: [*probe.io.options(), *(() if probe.integrity else ("--no-integrity",))],
)

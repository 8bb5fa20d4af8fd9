"""The provision probe: some matching node gets a new volume, mounts it and writes to it in time.

That is all that a new application needs. Its runs go through each stage, `provision` included.
"""

from pie.core.kinds.row import Row
from pie.core.model import Kind

ROW = Row(
    name=Kind.PROVISION,
    command=("pie", "probe", "provision"),
    per_node=False,
    pvc="",
    io_apart=False,
    on_time="a new volume was mounted within the threshold and written without an error",
    enabled=lambda probe: probe.provision_enabled,
    disabled="disableProvisionProbe is true",
    condition="ProvisionHealthy",
)

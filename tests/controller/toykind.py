"""A kind of probe for tests: each node gets a new volume, mounts it and writes to it in time."""

from pie.core.kinds.row import Row

ROW = Row(
    name="toy",
    command=("pie", "probe", "provision"),
    per_node=True,
    pvc="",
    io_apart=False,
    on_time="a new volume was mounted on the node and written",
    enabled=lambda _probe: True,
    disabled="",
    condition="ToyHealthy",
)

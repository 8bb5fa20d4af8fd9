"""The canary `snapshot`: a volume restored from a snapshot has the records of that moment, no later ones.

The first pod writes records to a new volume. Then pie has a VolumeSnapshot of it taken. When that is ready,
the second pod writes more records to the same volume. The third one mounts it, and a volume that is restored
from the snapshot. All are on one node: drivers of node-local volumes restore there only.
"""

from pie.core.kinds.canary import canary
from pie.core.kinds.row import Step

ROW = canary(
    "snapshot",
    "a volume was restored from a snapshot within the threshold, and had its records and no later ones",
    least_deadline_seconds=300.0,
    steps=(
        Step(),
        Step(snapshot=True, options=("--later",)),
        Step(source="VolumeSnapshot"),
    ),
)

"""The canary `clone`: a volume is cloned from another one, has the same records, and is independent of it.

The first pod writes records to a new volume. The second pod mounts that volume and a clone of it, on the same
node: drivers of node-local volumes clone there only, and a volume can be mounted on one node only.
"""

from pie.core.kinds.canary import canary
from pie.core.kinds.row import Step

ROW = canary(
    "clone",
    "a clone of a volume was mounted within the threshold, had its records, and was independent of it",
    steps=(Step(), Step(source="PersistentVolumeClaim")),
)

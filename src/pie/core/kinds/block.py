"""The canary `block`: a new raw block volume is mapped, written, read back and unmapped.

The probe does not run as root. It may use the device because it is in the group `disk`.
"""

from pie.core.kinds.canary import canary

ROW = canary(
    "block", "a new raw block volume was mapped within the threshold and read back right", block=True
)

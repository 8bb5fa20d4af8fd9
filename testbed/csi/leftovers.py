"""What is left when a testbed's namespaces are killed while a volume is frozen.

A freeze outlives the mounts: the writers sleep on, uninterruptible, and keep the loop device and their PID namespace. The
way out is to mount the loop device once more, which finds the frozen filesystem again, and to thaw it there.
"""

import os
import tempfile
from pathlib import Path

from testbed.csi import filesystems
from testbed.csi.filesystems import CommandError, run


async def thaw_left_behind(directory: Path) -> list[Path]:
    """Thaw all filesystems on loop devices whose backing files lie below `directory`; return those that were frozen.

    Works from any mount namespace, needs root. A filesystem that is in use and not frozen is not disturbed.
    """
    root = Path(os.path.realpath(directory))
    thawed = []
    for number, image in filesystems.loop_devices().items():
        if image.is_relative_to(root) and await _thaw_device(number):
            thawed.append(image)
    return thawed


async def _thaw_device(number: str) -> bool:
    device = Path("/dev") / Path(f"/sys/dev/block/{number}").resolve().name
    with tempfile.TemporaryDirectory(prefix="pie-thaw-") as target:
        try:
            await run("mount", device, target)
        except CommandError as error:
            print(f"cannot look at {device}: {error}")
            return False
        try:
            return await filesystems.thaw(Path(target))
        finally:
            await run("umount", target)

"""What `pie check` shows on a terminal while it goes."""

from rich.console import Console

from pie.cli.checkprogress import LiveTable
from pie.core.model import Kind, Stage, Target, Verdict
from pie.core.oneshot import Checked
from pie.core.reasons import Reason

TARGET = Target("check", Kind.PROVISION, "local")
LATE = Checked(Kind.PROVISION, "node-1", Verdict.LATE, Reason.MOUNT_FAILED, Stage.MOUNT, "no driver")
GOOD = Checked(Kind.PROVISION, "node-2", Verdict.OK, Reason.OK, seconds=3.0)


def drawn(table: LiveTable) -> str:
    """Return what is on the terminal now."""
    console = Console(width=100, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_it_can_be_drawn_at_every_moment_of_a_target_that_is_tried_elsewhere() -> None:
    table = LiveTable()
    table.stage(TARGET, Stage.PROVISION)
    assert "provision on any node  provision 0.0 s" in drawn(table)
    table.again(TARGET, LATE)
    assert "late in mount: MountFailed: no driver" in drawn(table)
    assert "provision 0.0 s" not in drawn(table)
    table.stage(TARGET, Stage.MOUNT)
    assert "mount 0.0 s" in drawn(table)
    table.ended(TARGET, GOOD)
    assert "mount 0.0 s" not in drawn(table)
    assert "1 ok" in drawn(table)

"""What the table of `pie check` looks like."""

from rich.console import Console

from pie.cli.checkreport import table
from pie.core.model import Kind, Stage, Verdict
from pie.core.oneshot import Checked, Report
from pie.core.reasons import Reason

NODE = "ip-10-0-12-17.compute.internal"
ERROR = "MountVolume.MountDevice failed for volume pvc-6e1a: connection error"
TARGETS = (
    Checked(Kind.MOUNT, "node-1", Verdict.OK, Reason.OK, seconds=9.1, stages={Stage.IO: 1.6}),
    Checked(Kind.MOUNT, NODE, Verdict.LATE, Reason.MOUNT_FAILED, Stage.MOUNT, ERROR, "Look there.", 60.0),
)


def shown(width: int) -> list[str]:
    """Return what a terminal so wide shows."""
    report = Report(
        "c", "local", "d", "ns", "i", 0.0, 1.0, ok=False, error="", targets=TARGETS, skipped=(), left=()
    )
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        table(report, console)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_on_a_wide_terminal_a_row_says_all() -> None:
    lines = shown(180)
    assert lines[1].endswith("9.1 s      io 1.6 s")
    assert lines[2].startswith(f"mount  {NODE}  late     mount  MountFailed  1 min 0 s  {ERROR}")


def test_on_80_columns_the_evidence_stands_below_the_table() -> None:
    lines = shown(80)
    assert lines[2].split() == ["mount", NODE, "late", "mount", "MountFailed", "1", "min", "0", "s"]
    assert " ".join(lines[3:]).startswith(f"mount on {NODE}: MountVolume.MountDevice failed")
    assert "→ Look there." in lines

"""What `pie explain` looks like; what it says is in test_status.py."""

from msgspec.structs import replace
from rich.console import Console

from pie.cli.explaintable import Explanation, table
from pie.core.apitypes import RunView, TargetDetail, TargetView
from pie.core.model import Kind, Stage, Verdict
from pie.core.result import IoStats, Latency

ERROR = 'MountVolume.MountDevice failed for volume "pvc-6e1a": connection error'


def explanation(more: int = 0) -> Explanation:
    """Return a node whose last run was late, and the one before well."""
    stages = {Stage.QUEUE: 0.1, Stage.MOUNT: 1.0, Stage.START: 0.6, Stage.IO: 1.6}
    bad = RunView(
        *(60.0, "retry", Verdict.LATE, "MountFailed", ERROR, Stage.MOUNT, "n", True, {Stage.QUEUE: 0.1}),
        *(None, "The node could not mount the volume.", "Look at the driver's node pod."),
    )
    well = RunView(0.0, "schedule", Verdict.OK, "OK", "", None, "n", True, stages, None, "", "")
    target = TargetView(
        *("local", Kind.MOUNT, "c", "n", "", Verdict.LATE, "MountFailed", ERROR, Stage.MOUNT),
        *(60.0, 60.0, 0.0, None),
    )
    others = tuple(f"node-{number}" for number in range(more))
    return Explanation(90.0, (TargetDetail(90.0, target, 40.0, (bad, well)),), others)


def shown(width: int, what: Explanation) -> list[str]:
    """Return what a terminal so wide shows."""
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(table(what))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_what_there_is_to_say_of_a_run_stands_beside_its_bar_or_below_it_where_there_is_no_room() -> None:
    said = "3.3 s: queue 0.1 s, mount 1.0 s, start 0.6 s, io 1.6 s"
    wide = next(line for line in shown(140, explanation()) if "iiii" in line)
    assert wide.endswith(said)
    narrow = shown(80, explanation())
    bar = next(number for number, line in enumerate(narrow) if "iiii" in line)
    assert narrow[bar + 1] == f"    {said}"
    assert len(narrow) < 14


def test_it_shows_the_job_and_the_limit_of_the_spec() -> None:
    what = explanation()
    (detail,) = what.targets
    side = Latency(iops=1, mean_seconds=0.02, p50_seconds=0.02, p99_seconds=0.03, max_seconds=1)
    target = replace(detail.target, io=IoStats(read=side))
    asked = replace(detail, target=target, options="--block-size 1M", max_latency_seconds=0.05)
    lines = shown(140, replace(what, targets=(asked,)))
    assert "  last good run 1 min 30 s ago; late after 40 s; slow above 50.00 ms" in lines
    assert "  last I/O: read 20.00 ms (p99 30.00 ms); --block-size 1M" in lines


def test_it_says_whose_problem_it_is() -> None:
    what = explanation()
    (detail,) = what.targets
    for area, line in (("pie", ["  area: pie, not a storage problem"]), ("", [])):
        target = replace(detail.target, area=area)
        lines = shown(140, replace(what, targets=(replace(detail, target=target),)))
        assert [each for each in lines if "area:" in each] == line


def test_of_many_targets_that_are_bad_as_well_ten_are_named() -> None:
    (line,) = (line for line in shown(200, explanation(5000)) if "also bad" in line)
    assert line.endswith("node-9 and 4990 more")

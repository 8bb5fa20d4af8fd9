"""Writes docs/faults.md: the matrix with what a real run of it gave."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.alerts import RULE
from tests.faults.row import DEADLINE_SECONDS, PERIOD_SECONDS, THRESHOLD_SECONDS, Expected, Given, Row

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
_HEAD = f"""# Faults, and what pie reports

Each row is a fault of real storage on real nodes, and what pie reported. kubelet, containerd, csi-provisioner
and external-attacher are the released ones; the CSI driver is the testbed's own, which can inject faults.
`make faults` runs all rows and writes this page. It fails when a row is not as expected, or when pie reports
anything else: another incident, or a bad run of a healthy target. `tests/faults/matrix.py` has what is
expected; `.ci/run` runs some of the rows.

Storage is probed every {PERIOD_SECONDS} s, with a threshold of {THRESHOLD_SECONDS} s and a deadline of
{DEADLINE_SECONDS} s.

- *Moment*: whether the fault begins between two runs (quiet), or in the middle of one (mid-run).
- *Counted*: after how many seconds the first bad run was counted in the metrics.
- *Reported*: after how many seconds the incident was open (it opens after two consecutive bad runs of a
  target, or at once if all targets fail together), or the suppression was visible.
- *inconclusive*: the run can say nothing of the storage; another area (a node, pie itself) has a problem, and
  its incident says so. No bad run is counted.
- *Clear*: how many seconds after the end of the fault all targets were healthy again and the incident closed.

- *Alert*: how often `{RULE}` fired, as promtool evaluates it over scrapes of every second:
  once while a fault of the storage lasts (and it ends with the incident), and never otherwise.

Maintenance must not count as a fault of the storage: no bad run, no incident.

"""
_BETWEEN = " | "
_GIVEN = 5
"""So many cells of a line say what is expected; what was given follows."""
_NOT_RUN = ["not run yet", "", "", "", " |\n"]
_TABLE = """
| # | Class | Fault | Moment | Expected | Result | Counted | Reported | Clear | Alert | Also reported |
|--:|---|---|---|---|---|--:|--:|--:|---|---|
"""


def write(given: Mapping[int, Given], rows: Sequence[Row], *, setting: str) -> None:
    """Write the page. `given` is by the row's place in the matrix, `setting` where and how long it ran."""
    right = sum(row.right(given[number]) for number, row in enumerate(rows))
    _write([line(number, row, given[number]) for number, row in enumerate(rows)], right, setting)


def update(given: Mapping[int, Given], rows: Sequence[Row], *, setting: str) -> None:
    """Write the page with what some rows gave; the others stay on it as they are."""
    known = {}
    for each in PAGE.read_text().splitlines(keepends=True):
        cells = each.split(_BETWEEN)
        known[tuple(cells[1:_GIVEN])] = cells[_GIVEN:]
    lines = []
    for number, row in enumerate(rows):
        new = line(number, row, given[number]) if number in given else beginning(number, row)
        cells = new.split(_BETWEEN)
        lines.append(cells[:_GIVEN] + (cells[_GIVEN:] or known.get(tuple(cells[1:_GIVEN]), _NOT_RUN)))
    right = sum(each[_GIVEN] == "the same" and each[-1] == "nothing |\n" for each in lines)
    _write([_BETWEEN.join(_whole(each)) for each in lines], right, setting)


def _whole(cells: list[str]) -> list[str]:
    """Return the cells of a row with one for the alert, which a row that was run long ago does not have."""
    columns = len(_TABLE.splitlines()[1].split(_BETWEEN))
    return [*cells[:-1], *[""] * (columns - len(cells)), cells[-1]]


def _write(lines: Sequence[str], right: int, setting: str) -> None:
    PAGE.write_text(
        f"{_HEAD}{right} of {len(lines)} rows are as expected. {setting}\n{_TABLE}{''.join(lines)}"
    )


def line(number: int, row: Row, given: Given) -> str:
    """Return one row of the table."""
    cells = (
        "the same" if row.expected.matches(given) else f"**{said(given)}**",
        seconds(given.seen_seconds),
        seconds(given.detect_seconds),
        seconds(given.clear_seconds),
        given.alert,
        "; ".join(given.problems) or "nothing",
    )
    return f"{beginning(number, row)}{_BETWEEN}{_joined(cells)} |\n"


def beginning(number: int, row: Row) -> str:
    """Return what stands in a row before it is run."""
    cells = (str(number + 1), row.lane.storage_class, row.title, row.moment.value, said(row.expected))
    return f"| {_joined(cells)}"


def _joined(cells: Iterable[str]) -> str:
    return _BETWEEN.join(cell.replace("|", "/") for cell in cells)


def said(it: Expected | Given) -> str:
    """Return a verdict, its stage, reason, scope and nodes in short."""
    where = (
        f"{it.scope} ({', '.join(it.nodes)})" if it.scope and it.nodes else it.scope or ", ".join(it.nodes)
    )
    return ", ".join(part for part in (it.verdict, it.stage, it.reason, where) if part) or "nothing"


def seconds(value: float | None) -> str:
    """Return whole seconds."""
    return "" if value is None else f"{value:.0f}"


def words(given: Given) -> str:
    """Return all that was given, in one line."""
    times = (given.seen_seconds, given.detect_seconds, given.clear_seconds)
    took = "counted {} s, told {} s, clear {} s".format(*(seconds(each) or "-" for each in times))
    return f"{said(given)}; {took}; {'; '.join(given.problems) or 'nothing else'}; {given.evidence!r}"

"""Writes what README.md says was measured, from the pages on faults, maintenance and hostile weather."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.faults.matrix import ROWS
from tests.faults.page import PAGE, beginning
from tests.faults.row import PERIOD_SECONDS, Row

README = Path(__file__).parents[2] / "README.md"
MAINTENANCE = PAGE.with_name("suppression.md")
WEATHER = PAGE.with_name("reliability.md")
COMMAND = "python -m tests.faults.rates"
_MARKS = "<!-- measured -->\n", "<!-- end of measured -->\n"
_REPLAY = re.compile(r"(?<=^```\n)counted as failures: .*?(?=^```$)", re.MULTILINE | re.DOTALL)
_RESULT, _REPORTED = 5, 7


def paragraph(faults: str, maintenance: str, weather: str) -> str:
    """Return the paragraph for the texts of these three pages."""
    lines = [(row, _cells(faults, number, row)) for number, row in enumerate(ROWS)]
    with_incident = [cells for row, cells in lines if row.expected.incident]
    without = [cells for row, cells in lines if not row.expected.incident]
    found = [cells for cells in with_incident if _is_right(cells)]
    quiet = [cells for cells in without if _is_right(cells)]
    times = sorted(float(cells[_REPORTED]) for cells in found)
    took = f"median {median(times):.0f} s, worst {times[-1]:.0f} s"
    failures = sum(map(int, _only(r"counted as failures: (\d+) late, (\d+) failed", maintenance)))
    due = sum(map(int, re.findall(r"^(\d+) due times of", maintenance, re.MULTILINE)))
    harm = re.findall(r"^\| .* \| \d+ \| (\d+) \| (\d+) \| (\d+) \| [\d-]+ \|$", weather, re.MULTILINE)
    crashes, lost, false = (sum(map(int, column)) for column in zip(*harm, strict=True))
    (incidents,) = _only(r"^incidents: \[(.*)\]$", maintenance)
    rows = (
        (
            "Faults on real nodes that were reported as they are: stage, reason, nodes, and nothing else",
            f"{len(found)} of {len(with_incident)}",
        ),
        (f"Time to report, with a period of {PERIOD_SECONDS} s", took),
        (
            "Maintenance and other events that must not count: no bad run, no incident",
            f"{len(quiet)} of {len(without)}",
        ),
        (
            "False alarms in a rolling maintenance of 300 simulated nodes",
            f"{failures} of {due:,} due times, {'incidents' if incidents else 'no incident'}",
        ),
        (
            (
                "Crashes, lost or doubled due times, false incidents while the control plane or pie fails"
                f" in {len(harm)} ways"
            ),
            f"{crashes}, {lost}, {false}",
        ),
    )
    table = "".join(f"| {what} | {figure} |\n" for what, figure in (("Measured", ""), ("---", "---"), *rows))
    return (
        f"{table}\nEach fault and what pie reported: [docs/faults.md](docs/faults.md); the maintenance:\n"
        "[docs/suppression.md](docs/suppression.md); the failures of the control plane:\n"
        "[docs/reliability.md](docs/reliability.md).\n"
    )


def _only(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None, pattern
    return found.groups()


def _cells(page: str, number: int, row: Row) -> list[str]:
    (line,) = (each for each in page.splitlines() if each.startswith(f"{beginning(number, row)} |"))
    return line.removesuffix(" |").split(" | ")


def _is_right(cells: list[str]) -> bool:
    return cells[_RESULT] == "the same" and cells[-1] == "nothing"


def parts() -> tuple[str, str, str]:
    """Return README.md before the paragraph, the paragraph, and what follows."""
    before, _, rest = README.read_text().partition(_MARKS[0])
    old, _, after = rest.partition(_MARKS[1])
    return before + _MARKS[0], old, _MARKS[1] + after


def with_replay(page: str, report: Sequence[str]) -> str:
    """Return docs/suppression.md with what the last maintenance reported."""
    text = "".join(f"{line}\n" for line in report)
    changed, count = _REPLAY.subn(lambda _: text, page)
    if count != 1:
        raise ValueError(f"{MAINTENANCE.name} has {count} reports of `make maintenance`, not one")
    return changed


def write_maintenance(report: Sequence[str]) -> None:
    """Write what the last maintenance reported, here and in README.md."""
    MAINTENANCE.write_text(with_replay(MAINTENANCE.read_text(), report))
    write()


def write() -> None:
    """Write the paragraph for the pages as they are now."""
    before, _, after = parts()
    README.write_text(
        before + paragraph(PAGE.read_text(), MAINTENANCE.read_text(), WEATHER.read_text()) + after
    )


if __name__ == "__main__":
    sys.exit(write())

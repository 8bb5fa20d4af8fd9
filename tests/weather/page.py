"""docs/reliability.md, written by `make weather`."""

from collections.abc import Sequence
from typing import Final

from tests.harness import ROOT
from tests.weather.rows import Row
from tests.weather.scene import Outcome

PAGE: Final = ROOT / "docs" / "reliability.md"

_HEAD: Final = """\
# Hostile weather

What pie does when the control plane, its answers or pie itself fail. Each row has a controller of its own on
the real control plane with simulated nodes, period 1, and a proxy of the tests between the two. Counted are:

- **crashes**: the controller ended by itself;
- **lost or doubled**: due times that were not counted, or twice by one process. (A run that goes on
  while its controller is killed is counted by it and by the next one, whose counters start at 0);
- **false incidents**: incidents of the storage, which worked all the time;
- **recovery**: seconds from the end of the weather until the storage was tested well again on every node. The
  next due time is up to 60 s away, so about 70 s is normal.

`make weather` writes this page, and fails if one of the first three is not 0. Where the PieProbe itself was
deleted, due times count from its new creation on.

"""


def cells(row: Row, outcome: Outcome) -> str:
    """Return a row of the table."""
    recovery = "never" if outcome.recovery_seconds is None else f"{outcome.recovery_seconds:.0f}"
    return (
        f"| {row.title} | {outcome.counted} | {outcome.crashes} | {len(outcome.miscounted)}"
        f" | {outcome.false_incidents} | {recovery} |\n"
    )


def write(lines: Sequence[str], setting: str) -> None:
    """Write the page, with the lines of its table."""
    head = "| Weather | Due times | Crashes | Lost or doubled | False incidents | Recovery, s |\n"
    PAGE.write_text(f"{_HEAD}{setting}\n\n{head}|---|--:|--:|--:|--:|--:|\n{''.join(lines)}")


def known_lines() -> dict[str, str]:
    """Return the lines of the table on the page as it is, by the titles of their rows."""
    found = PAGE.read_text().splitlines(keepends=True) if PAGE.exists() else []
    return {line.split(" | ")[0].removeprefix("| "): line for line in found if line.startswith("| ")}

"""Progress of a check on standard error: a live table on a terminal, else a line for each step."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pie.cli.words import colour, many, seconds_text
from pie.controller.oneshot.perform import Progress
from pie.controller.oneshot.survey import Survey
from pie.core.model import Stage, Target, Verdict
from pie.core.oneshot import Checked

_MOST_ROWS = 20


@contextmanager
def progress() -> Iterator[Progress]:
    """Show the progress of a check while the context lasts."""
    console = Console(stderr=True, highlight=False, markup=False)
    if not console.is_terminal:
        yield Lines()
        return
    shown = LiveTable()
    with Live(shown, console=console, refresh_per_second=4, transient=True):
        yield shown


class Lines:
    """Progress as lines."""

    def begins(self, check: str, found: Survey, targets: int) -> None:
        """Print what is checked, and what is skipped."""
        self._say(f"{check}: {targets} checks of {found.storage_class.metadata.name}, image {found.image}")
        for each in found.skipped:
            self._say(f"node {each.node} skipped: {each.reason} ({each.message})")

    def stage(self, target: Target, stage: Stage) -> None:
        """Print the stage of a target."""
        self._say(f"{name(target)}: {stage}")

    def again(self, target: Target, result: Checked) -> None:
        """Print the result of a target that is tried again on another node."""
        self._say(f"{name(target)}: {verdict(result)}; trying once more, not on {result.node}")

    def ended(self, target: Target, result: Checked) -> None:
        """Print the result of a target."""
        self._say(f"{name(target)}: {verdict(result)}")

    def cleaning(self) -> None:
        """Print that the clean-up begins."""
        self._say("cleaning up")

    @staticmethod
    def _say(line: str) -> None:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
        sys.stderr.flush()


class LiveTable:
    """Progress as a table of running targets, above a line with counts."""

    def __init__(self) -> None:
        self._title = "reading the cluster"
        self._targets = 0
        self._under_way: dict[Target, tuple[Stage, float]] = {}
        """The stage that a target is in, and since when it is checked, on the monotonic clock.

        Rich draws from a thread of its own, so that what belongs together is in one place.
        """
        self._bad: list[tuple[Target, Checked]] = []
        self._verdicts: Counter[Verdict] = Counter()
        self._skipped = 0

    def begins(self, check: str, found: Survey, targets: int) -> None:
        """Store what is checked."""
        self._title, self._targets, self._skipped = check, targets, len(found.skipped)

    def stage(self, target: Target, stage: Stage) -> None:
        """Store the stage of a target."""
        _, began = self._under_way.get(target, (stage, time.monotonic()))
        self._under_way[target] = stage, began

    def again(self, target: Target, result: Checked) -> None:
        """Store the result of a target that is tried again on another node."""
        self._under_way.pop(target, None)
        self._bad.append((target, result))

    def ended(self, target: Target, result: Checked) -> None:
        """Store the result of a target."""
        self._under_way.pop(target, None)
        self._verdicts[result.verdict] += 1
        if result.verdict is not Verdict.OK:
            self._bad.append((target, result))

    def cleaning(self) -> None:
        """Store that the clean-up begins."""
        self._title += ": cleaning up (Ctrl-C again: stop at once)"
        self._under_way.clear()

    def __rich__(self) -> Group:
        """Return what to show now."""
        done = sum(self._verdicts.values())
        counts = ", ".join(f"{count} {word}" for word, count in sorted(self._verdicts.items()))
        skipped = f", {many(self._skipped, 'node')} skipped" if self._skipped else ""
        line = f"{self._title}: {done} of {self._targets} done{': ' if counts else ''}{counts}{skipped}"
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for target, result in self._bad[-_MOST_ROWS:]:
            table.add_row(name(target), Text(verdict(result), colour(result.verdict)))
        for target, (stage, began) in list(self._under_way.items())[:_MOST_ROWS]:
            took = seconds_text(time.monotonic() - began)
            table.add_row(name(target), Text.assemble((f"{stage} ", "cyan"), (took, "dim")))
        return Group(Text(line, "bold"), table)


def name(target: Target) -> str:
    """Return the name of a target for users."""
    return f"{target.kind} {target.node or 'on any node'}"


def verdict(result: Checked) -> str:
    """Return the result of a target in one line."""
    if result.verdict is Verdict.OK:
        return f"ok after {seconds_text(result.seconds)}"
    where = f" in {result.stage}" if result.stage is not None else ""
    return f"{result.verdict}{where}: {result.reason}: {result.message}"

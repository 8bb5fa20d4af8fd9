"""`python -m tests.tiers`: run a tier, and print at the end of `.ci/run` what each one cost."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from testbed.build import cache_directory, place, usual_programs
from testbed.packages import debian_packages
from tests.tiers import results, stamp
from tests.tiers.table import EVERYTHING, FAST, TESTBED, Run, rows, selection, too_long

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "build/tiers"
app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context, tier: str) -> None:
    """Run the tests of a tier; other arguments are pytest's."""
    forced = os.environ.get(stamp.FORCED, "")
    before = fingerprint()
    testbed_due = stamp.due(stamps(), before, forced)
    if tier == EVERYTHING and not testbed_due:
        typer.echo(
            "tiers: without the testbed's own tests: they passed on this machine, and nothing changed since "
            f"({stamp.FORCED}=always runs them)",
        )
    RESULTS.mkdir(parents=True, exist_ok=True)
    written = RESULTS / f"{tier}.xml"
    written.unlink(missing_ok=True)
    selected = selection(tier, testbed_due=testbed_due)
    status = pytest(*selected, f"--junitxml={written}", *context.args)
    if tier != FAST.name and written.exists():
        keep_stamp(before, results.read(written))
    raise typer.Exit(status)


@app.command(name="machine")
def print_machine() -> None:
    """Print `warm` when all programs that the tests need are in its cache, else `fresh`."""
    typer.echo("warm" if all(place(each).exists() for each in usual_programs().values()) else "fresh")


@app.command(name="table")
def print_table(machine: Annotated[str, typer.Argument(help="warm or fresh")], seconds: float) -> None:
    """Print what the last run of each tier cost; fail when all together took too long."""
    runs = [results.read(path) for path in sorted(RESULTS.glob("*.xml"))]
    printed = Table("tier")
    for heading in ("tests", "failed", "skipped", "minutes"):
        printed.add_column(heading, justify="right")
    for row in rows(runs, seconds):
        printed.add_row(*row)
    Console(soft_wrap=True).print(printed)
    if complaint := too_long(machine, seconds):
        typer.echo(complaint, err=True)
        raise typer.Exit(1)


def pytest(*arguments: str) -> int:
    """Run pytest in a process of its own. An interrupt reaches it too: it takes its testbeds down first."""
    signal.signal(signal.SIGINT, lambda *_: None)
    with subprocess.Popen([sys.executable, "-m", "pytest", *arguments], cwd=ROOT) as process:
        return process.wait()


def keep_stamp(before: str, ended: Run) -> None:
    """Write the stamp when every test of the testbed passed."""
    if not any(case.tier == TESTBED.name for case in ended.cases):
        return
    if stamp.earned(before, fingerprint(), every_testbed_test(), ended.passed):
        directory = cache_directory()
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{stamp.PREFIX}{before}").touch()
        for name in stamps() - {before}:
            (directory / f"{stamp.PREFIX}{name}").unlink(missing_ok=True)


def every_testbed_test() -> set[str]:
    """Return the names of all real tests of the testbed."""
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "--quiet",
        *selection(TESTBED.name, testbed_due=True),
    ]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    tests = (line.split("::", maxsplit=1) for line in listed.splitlines() if line.startswith("tests/"))
    return {results.name_of(path, test) for path, test in tests}


def stamps() -> set[str]:
    """Return the hashes of what passed on this machine."""
    return {path.name.removeprefix(stamp.PREFIX) for path in cache_directory().glob(f"{stamp.PREFIX}*")}


def fingerprint() -> str:
    """Return the hash of the testbed as it is now."""
    return stamp.fingerprint(stamp.read_sources(ROOT), versions())


def versions() -> dict[str, str]:
    """Return the versions of what the testbed uses of this machine."""
    commands = {
        "kernel": ["uname", "-r"],
        "go": ["go", "version"],
        "packages": ["dpkg-query", "--show", *debian_packages()],
    }
    return {name: _said(argv) for name, argv in commands.items()} | {"python": sys.version}


def _said(argv: list[str]) -> str:
    if shutil.which(argv[0]) is None:
        return ""
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    app()

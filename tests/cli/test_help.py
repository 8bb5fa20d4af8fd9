"""What `pie --help` costs, and that every command says how it is used."""

import subprocess
import sys

import pytest

from tests.cli.conftest import within

HEAVY = ("aiohttp", "jinja2", "msgspec", "prometheus_client", "rich", "structlog", "yaml")
"""What takes hundreds of milliseconds to load, and what `--help` can do without."""

MOST_MODULES = 300
"""Python itself, Typer and asyncio are some 200, which load in a tenth of a second on a machine at rest."""


def test_help_loads_nothing_that_it_does_not_need() -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pie", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "typer" in loaded
    assert loaded.isdisjoint(HEAVY)
    assert len(loaded) < MOST_MODULES


@pytest.mark.parametrize(
    "command", ["check", "status", "explain", "report", "plan", "replay", "demo", "controller", "probe"]
)
async def test_every_command_has_an_example(command: str) -> None:
    ended = await within(command, "--help")
    assert ended.status == 0
    _, example, commands = ended.said.partition("Example")
    assert example
    assert f"pie {command} " in commands

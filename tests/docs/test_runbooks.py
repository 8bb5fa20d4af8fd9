"""Each reason has a runbook page, which is generated, and whose commands can be typed as they are."""

import re
import shlex

import pytest
import typer.main

from pie.cli.app import app
from pie.core.reasons import ADVICE, MEANING, Reason
from website.runbooks import page
from website.runbooks.entry import commands, runbooks

KUBECTL = frozenset({"get", "describe", "logs", "auth", "debug"})
"""What a runbook asks of kubectl before anything is known: it only reads."""

LINES = sorted({line for each in commands().checks.values() for line in each.commands.splitlines()})
SECTIONS = ("## How pie knows", "## What to check", "## What to do")


def test_every_reason_has_a_runbook_and_there_is_no_other() -> None:
    assert set(runbooks()) == set(Reason)
    assert {path.stem for path in page.DIRECTORY.glob("*.md")} == {str(reason) for reason in Reason}


def test_each_page_is_that_of_the_code() -> None:
    written = {reason: (page.DIRECTORY / f"{reason}.md").read_text() for reason in Reason}
    assert [reason for reason in Reason if written[reason] != page.page(reason)] == [], "run: make pages"
    for reason, text in written.items():
        flat = " ".join(text.split())
        assert [section for section in SECTIONS if section not in text] == [], reason
        assert [each for each in (MEANING[reason], ADVICE[reason]) if each not in flat] == [], reason


def test_the_table_of_reasons_is_that_of_the_code() -> None:
    assert page.INDEX.read_text() == page.index(), "run: make pages"


def test_runbooks_name_checks_that_exist_and_every_check_is_used() -> None:
    assert {name for each in runbooks().values() for name in each.check} == set(commands().checks)


def test_a_command_uses_only_variables_that_the_page_sets() -> None:
    used = {(line, variable) for line in LINES for variable in re.findall(r"\$([A-Z_]+)\b", line)}
    assert {each for each in used if each[1] not in commands().variables} == set()


def test_what_is_checked_with_kubectl_only_reads() -> None:
    lines = [line for line in LINES if not line.startswith("pie ")]
    words = {line: shlex.split(re.sub(r"^[A-Z]+=\$\((.*)\)$", r"\1", line)) for line in lines}
    assert [line for line, (program, *_) in words.items() if program != "kubectl"] == []
    assert [line for line, (_, verb, *_) in words.items() if verb not in KUBECTL] == []


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("pie ")])
def test_what_is_checked_with_pie_are_commands_and_options_that_it_has(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = typer.main.get_command(app)
    subcommand = getattr(command, "commands", {})[name]
    with subcommand.make_context(name, arguments) as context:
        assert context.params

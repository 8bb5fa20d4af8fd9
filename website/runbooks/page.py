"""A runbook as a page, and all pages."""

import re
import textwrap
from pathlib import Path
from typing import Final

from pie.core.reasons import ADVICE, AREA, MEANING, Reason
from tests.core.cases.page import KINDS, normalised
from website.runbooks.entry import Runbook, commands, runbooks

ROOT: Final = Path(__file__).parents[2]
DIRECTORY: Final = ROOT / "docs/runbooks"
INDEX: Final = ROOT / "docs/reasons.md"

_MOST_TEXTS: Final = 3
_LONGEST_TEXT: Final = 200
_USED: Final = re.compile(r"\$([A-Z_]+)\b")
_SET: Final = re.compile(r"^([A-Z_]+)=", re.MULTILINE)
_ROWS: Final = re.compile(r'(?:^\| <a id="\w+"></a>.*\n)+', re.MULTILINE)


def index_row(reason: Reason) -> str:
    """Return the row of a reason in docs/reasons.md."""
    area = f" {AREA[reason]}" if reason in AREA else ""
    name = f'<a id="{reason}"></a>[`{reason}`](runbooks/{reason}.md)'
    return f"| {name} |{area} | {MEANING[reason]} | {ADVICE[reason]} |"


def index() -> str:
    """Return docs/reasons.md with the rows of the reasons as they are now."""
    rows = "".join(f"{index_row(reason)}\n" for reason in Reason)
    return _ROWS.sub(lambda _: rows, INDEX.read_text())


def texts(reason: Reason) -> list[str]:
    """Return some texts of clusters that have this reason, as cells of a table: the shortest ones."""
    found = {normalised(row.text) for rows in KINDS.values() for row in rows if row.reason == reason}
    short = sorted((each for each in found if len(each) <= _LONGEST_TEXT), key=lambda each: (len(each), each))
    return short[:_MOST_TEXTS]


def page(reason: Reason) -> str:
    """Return the page of a reason."""
    runbook = runbooks()[reason]
    checks = [commands().checks[name] for name in runbook.check]
    parts = [f"# {reason}\n", f"{MEANING[reason]}\n"]
    if reason in AREA:
        parts.append(f"Area: `{AREA[reason]}` ([all reasons, and what the areas mean](../reasons.md)).\n")
    parts.append(f"## How pie knows\n\n{_wrapped(runbook.knows)}")
    if found := texts(reason):
        rows = "\n".join(f"| {text} |" for text in found)
        parts.append(f"| Texts of real clusters with this reason ([more](../verdicts.md)) |\n|---|\n{rows}\n")
    parts.append(f"## What to check\n\n{_variables(runbook)}")
    parts += [f"{_wrapped(f'{each.question}:')}\n```sh\n{each.commands}\n```\n" for each in checks]
    steps = "".join(_wrapped(step, f"{number}. ") for number, step in enumerate(runbook.do, 1))
    parts.append(f"## What to do\n\n{_wrapped(ADVICE[reason])}\n{steps}")
    if runbook.is_not:
        parts.append("## What it is not\n\n" + "".join(_wrapped(each, "- ") for each in runbook.is_not))
    return "\n".join(parts)


def _wrapped(text: str, before: str = "") -> str:
    """Return a paragraph, or an item of a list, in lines of at most 120 characters."""
    found = textwrap.wrap(
        text,
        120,
        initial_indent=before,
        subsequent_indent=" " * len(before),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(found) + "\n"


def _variables(runbook: Runbook) -> str:
    """Return the lines of a shell that set what the commands of a runbook use."""
    shell = "\n".join([*(commands().checks[name].commands for name in runbook.check), *runbook.do])
    names = set(_USED.findall(shell)) - set(_SET.findall(shell))
    used = [(name, each) for name, each in commands().variables.items() if name in names]
    width = max((len(f"{name}={each.example}") for name, each in used), default=0)
    lines = [f"{f'{name}={each.example}':<{width}}  # {each.meaning}\n" for name, each in used]
    return (
        f"Set these first, with the values of your cluster:\n\n```sh\n{''.join(lines)}```\n" if lines else ""
    )


def write() -> None:
    """Write all pages, and delete those of reasons that do not exist any more."""
    DIRECTORY.mkdir(exist_ok=True)
    for old in DIRECTORY.glob("*.md"):
        old.unlink()
    for reason in Reason:
        (DIRECTORY / f"{reason}.md").write_text(page(reason))
    INDEX.write_text(index())

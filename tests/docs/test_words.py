"""Texts for users are in plain English: they do not use the words and phrases of a list.

The reader is an on-call engineer whose first language is not English. So: the nouns of Kubernetes, simple
verbs, one word for one thing. Names in code, and code in Markdown, are not texts.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pie.cli.app import app
from pie.core.reasons import ADVICE, MEANING
from pie.core.yamltext import read_yaml

LONGEST_LINE = 140
ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src/pie"

AVOIDED = {
    # The thing, by its name.
    r"claims?": "PVC",
    r"excuse[sd]?|excusing": "suppressed",
    r"(?-i:[Rr]ests?)|rested|resting": "paused, or suppressed; `the others` for the remainder",
    r"in maintenance": "under maintenance",
    r"held against": "counts as a failure",
    r"(?:is|are|was|were|all) (?:not )?well": "healthy, or ok",
    r"judged|judging": "gets a verdict, or counts",
    r"in a row": "consecutive",
    # Create, delete, report.
    r"mak(?:e|es|ing) (?:\w+ )?(?:pods?|volumes?|jobs?|cronjobs?|pvcs?|objects?|namespaces?)": "create",
    r"(?:pods?|volumes?|jobs?|cronjobs?|pvcs?|objects?|namespaces?) (?:is|are|was|were) made": "created",
    r"made anew|anew": "created again, or again",
    r"tak(?:e|es|en|ing) (?:\w+ )?away|away with": "delete",
    r"told|tells? (?:of|apart)|is said|are said|was said": "report, print, distinguish",
    r"mend(?:s|ed|ing)?": "repair, or end the fault",
    r"given again": "cached",
    # Plain words.
    r"speaks? for|spoke for": "counts for",
    r"(?:stands?|stood) in the way": "prevents, blocks",
    r"what(?:ever)? (?:has )?bec(?:ame|omes?) of": "the result of",
    r"nobody|none of them": "say who does not, or what does not exist",
    r"in the same breath|dear|wipes?|slate|whom|vouch(?:es)?|lest|hence|thus": "a simpler word",
    r"of late|all the same|at rest|to be had|yet to|by then": "a simpler phrase",
    r"in flight|under way": "unfinished, running",
    r"heard(?: of)?|unheard|unsaid": "known, read, not read yet",
}
"""Each avoided word or phrase, a regular expression, with what to write instead."""

_WORDS = re.compile("|".join(rf"\b(?:{each})\b" for each in AVOIDED), re.IGNORECASE)
_FENCED = re.compile(r"^( *)```.*?^\1```|^    [^\n]*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(_FENCED.pattern + r"|`[^`]*`", re.DOTALL | re.MULTILINE)
_JS = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`')
_JS_CODE = re.compile(r"\$\{[^}]*\}|^\s*(?://|/\*|\*).*$", re.MULTILINE)


def avoided(text: str) -> list[str]:
    """Return what a text for users should not say."""
    return [found.group() for found in _WORDS.finditer(text)]


def constants(source: Path) -> Iterator[str]:
    """Yield the string constants of a module that have words, without docstrings."""
    tree = ast.parse(source.read_text())
    documentation = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for each in ast.walk(tree):
        text = each.value if isinstance(each, ast.Constant) and id(each) not in documentation else None
        if isinstance(text, str) and " " in text.strip():
            yield text


def help_texts(command: Any) -> Iterator[str]:
    """Yield what `--help` of a command and of its subcommands says."""
    yield command.help or ""
    for parameter in command.params:
        yield getattr(parameter, "help", None) or ""
    for each in getattr(command, "commands", {}).values():
        yield from help_texts(each)


def descriptions(found: Any) -> Iterator[str]:
    """Yield every description and message in a CRD."""
    for key, value in found.items() if isinstance(found, dict) else ():
        if key in {"description", "message"} and isinstance(value, str):
            yield value
        yield from descriptions(value)
    for each in found if isinstance(found, list) else ():
        yield from descriptions(each)


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value or "" for name, value in attrs if name in {"aria-label", "title", "placeholder"}]


def html(page: Path) -> list[str]:
    """Return the texts of an HTML page."""
    parser = _Html()
    parser.feed(page.read_text())
    return parser.texts


def script(source: Path) -> Iterator[str]:
    """Yield the strings of a script, without what is put into them."""
    for found in _JS.finditer(_JS_CODE.sub("", source.read_text())):
        yield found[1] or found[2] or ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The claim of the volume was not made.", ["claim"]),
        ("All 12 targets rest for maintenance.", ["rest"]),
        ("A run on another node speaks for the class.", ["speaks for"]),
        (
            "Everything is taken away again; the volume is made anew.",
            ["taken away", "volume is made", "anew"],
        ),
        ("Runs of which nobody read what they said.", ["nobody"]),
        # Kubernetes' own names, and words that only contain one of the list.
        ("PersistentVolumeClaim, volumeClaimTemplate, claimRef, ClaimRefused", []),
        ("The REST API restarts; a pod is restored, and an arrest is forwarded.", []),
        ("A PVC is created, and then it is deleted.", []),
    ],
)
def test_whole_words_are_found_and_no_names(text: str, found: list[str]) -> None:
    assert avoided(text) == found


PAGES = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
MODULES = [*SOURCES.rglob("*.py")]
WEB = [*SOURCES.rglob("*.html"), *SOURCES.rglob("*.js"), *SOURCES.rglob("*.md")]
CHART = [each for each in (ROOT / "charts").rglob("*") if each.is_file() and "files" not in each.parts]


def path(source: Path) -> str:
    return str(source.relative_to(ROOT))


def wrong(texts_of: Callable[[Path], Iterable[str]], sources: Iterable[Path]) -> dict[str, list[str]]:
    """Return what the texts of files should not say, by file."""
    found = {path(each): [word for text in texts_of(each) for word in avoided(text)] for each in sources}
    assert found, "there are such files"
    return {name: words for name, words in found.items() if words}


def test_pages() -> None:
    assert wrong(lambda page: [_CODE.sub("", page.read_text())], PAGES) == {}


def test_lines_of_pages_are_short() -> None:
    lines = [(path(page), line) for page in PAGES for line in _FENCED.sub("", page.read_text()).splitlines()]
    assert [
        (page, line) for page, line in lines if len(line) > LONGEST_LINE and line.lstrip()[:1] != "|"
    ] == []


def test_messages() -> None:
    assert wrong(constants, MODULES) == {}


def test_web_pages_and_reports() -> None:
    texts = {".html": html, ".js": script, ".md": lambda page: [page.read_text()]}
    assert wrong(lambda source: texts[source.suffix](source), WEB) == {}


def test_the_chart() -> None:
    assert wrong(lambda source: [source.read_text()], CHART) == {}


def test_the_crd() -> None:
    crd = read_yaml((ROOT / "charts/pie/files/pieprobe.yaml").read_text())
    assert {text: avoided(text) for text in descriptions(crd) if avoided(text)} == {}


def test_help() -> None:
    assert {text: avoided(text) for text in help_texts(typer.main.get_command(app)) if avoided(text)} == {}


def test_reasons() -> None:
    texts = [*MEANING.values(), *ADVICE.values()]
    assert {text: avoided(text) for text in texts if avoided(text)} == {}

"""Cleans text from outside: plain characters, on one line, bounded.

Texts of others (a node's message, an Event, an error of a driver, a label of Prometheus) are shown on
terminals, in JUnit files, in a status and on a page. So they are cleaned once, where they enter:
`pie.core.decode` cleans fields of type `PlainText`, and `one_line` all others.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

MOST_CHARACTERS = 4096
"""The most of a text as it enters; so a cause in the middle of it can be found."""
EVIDENCE_CHARACTERS = 256
"""The most of a message about a run, an error or a node."""

CUT = " … "
_LOOKED_AT = 16
"""Only this many times the limit of a text is read; a longer text is cut first."""

# Characters that control a terminal, a line or the direction of letters, or that are not visible:
# controls, line ends, zero widths, marks of direction, tags, halves of surrogate pairs, private use, what XML
# forbids.
_UNFIT = (
    r"\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    r"\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U0010ffff"
)
_unfit = re.compile(f"[{_UNFIT}]")

# Commands to a terminal (ECMA-48): CSI; OSC, DCS and other strings; others.
_escape = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)

PLAIN = rf"\A[ -~]*+[^{_UNFIT}]*\Z"
"""What a text matches that has no unfit character; quick where it is ASCII, as it mostly is."""

_plain = re.compile(PLAIN)

PlainText = Annotated[str, Meta(max_length=MOST_CHARACTERS, pattern=PLAIN)]
"""The type of a field with a text of others. `pie.core.decode` cleans texts that do not match."""


def few(names: Sequence[str], most: int = 5) -> str:
    """Return the first of some names, and how many more there are: `a, b and 3 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def one_line(text: str, limit: int = EVIDENCE_CHARACTERS) -> str:
    """Return a text as one line of at most `limit` fit characters; of a longer one the middle is left out.

    The end of an error often says more than its beginning, so both stay.
    """
    if len(text) > _LOOKED_AT * limit:
        text = text[: _LOOKED_AT // 2 * limit] + text[-_LOOKED_AT // 2 * limit :]
    plain = " ".join(_unfit.sub(_fit, _escape.sub("", text)).split())
    if len(plain) <= limit:
        return plain
    head = (limit - len(CUT)) // 2
    tail = limit - len(CUT) - head
    return f"{plain[:head].rstrip()}{CUT}{plain[-tail:].lstrip()}"


_NOISE = re.compile(
    # A path of three parts or more: its last part matters.
    r"(?<![\w/:.])/(?:[^\s\"'(),;/]+/){2,}(?P<last>[^\s\"'(),;/]*)"
    # Identifiers, but not the name of a volume that was made of one: it identifies the volume.
    r"|(?<!pvc-)\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b[0-9a-f]{32,}\b"
    # OpenShift lists each security context constraint that a pod may not use, and among them those it may.
    r"|(?P<none>\bprovider \"?[\w-]+\"?: Forbidden: not usable by user or serviceaccount(?:, )?)"
)


def _less(noise: re.Match[str]) -> str:
    if noise["none"]:
        return ""
    return f"…/{noise['last']}" if noise["last"] else "…"


def evidence(text: str, limit: int = EVIDENCE_CHARACTERS) -> str:
    """Return a text of others as one line of at most `limit` characters.

    In a longer text, paths and identifiers are left out first, since drivers write the cause after them.
    """
    plain = one_line(text, MOST_CHARACTERS)
    if len(plain) <= limit:
        return plain
    return one_line(_NOISE.sub(_less, plain), limit)


def plain_texts(found: Any) -> Any:
    """Return free JSON in which every text is plain, as a `PlainText` would be; what is so stays as it is."""
    if isinstance(found, str):
        plain = len(found) <= MOST_CHARACTERS and _plain.search(found)
        return found if plain else one_line(found, MOST_CHARACTERS)
    if isinstance(found, dict):
        return {key: plain_texts(value) for key, value in found.items()}
    return [plain_texts(item) for item in found] if isinstance(found, list) else found


def _fit(unfit: re.Match[str]) -> str:
    """Return the replacement of an unfit character: a blank, nothing if it is not visible, or U+FFFD."""
    character = unfit[0]
    if character.isspace():
        return " "
    return "\ufffd" if unicodedata.category(character) in {"Cc", "Co", "Cs"} else ""

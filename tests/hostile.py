"""A text as nobody should write it, and what must not be left of it."""

import unicodedata
from collections.abc import Iterator
from typing import Any, Final

_TRICKS: Final = (
    "\x1b]0;owned\x07\x1b[31;1mred\x1b[0m \u202etxt\u200b\x00\x9b2J\r\n\tline ]]> <b> & \"' [bold]"
)

HOSTILE: Final = f"{_TRICKS}{'x' * 40_000} END"
"""Commands to a terminal, letters that turn around or that nobody sees, XML, markup, 40 kB, and an end."""

_UNFIT: Final = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def unfit(text: str, *, allowed: str = "") -> set[str]:
    """Return the characters of a text that must not reach a person."""
    return {each for each in text if unicodedata.category(each) in _UNFIT and each not in allowed}


def texts(found: Any) -> Iterator[str]:
    """Yield every text in free JSON, names of fields too."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict):
        yield from found
        for value in found.values():
            yield from texts(value)
    elif isinstance(found, list | tuple):
        for item in found:
            yield from texts(item)


def assert_fit(found: Any, longest: int) -> None:
    """Fail where a text in free JSON is not plain, or longer than that."""
    for text in texts(found):
        assert not unfit(text), text[:80]
        assert len(text) <= longest, text[:80]

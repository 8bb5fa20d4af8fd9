"""Quantities and durations, exact, as Kubernetes and Go write them."""

import re
from fractions import Fraction
from typing import Final

_UNITS: Final = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{unit: Fraction(1000 ** (i + 1)) for i, unit in enumerate("kMGTPE")},
    **{f"{unit}i": Fraction(1024 ** (i + 1)) for i, unit in enumerate("KMGTPE")},
}
_QUANTITY: Final = re.compile(
    r"([+-]?)(\d+\.?\d*|\.\d+)(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?\d{1,2}))?", re.ASCII
)
_SECONDS: Final = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


def quantity(text: str) -> Fraction | None:
    """Return the value of a quantity such as `1.5Gi`; None if it is none."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    sign, digits, unit, exponent = match.groups()
    value = Fraction(digits) * (Fraction(10) ** int(exponent) if exponent else _UNITS[unit or ""])
    return -value if sign == "-" else value


def duration(text: str) -> Fraction | None:
    """Return the seconds of a duration such as `1m30s`; None if it is none."""
    sign, rest = (text[0], text[1:]) if text[:1] in {"+", "-"} else ("", text)
    total, position = Fraction(0), 0
    while match := _PART.match(rest, position):
        total += Fraction(match[1]) * _SECONDS[match[2]]
        position = match.end()
    if position != len(rest) or not rest:
        return Fraction(0) if rest == "0" else None
    return -total if sign == "-" else total

"""Kubernetes quantities, such as `100Mi` or `1.5e3`.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from fractions import Fraction
from typing import Final

_QUANTITY: Final = re.compile(
    r"(?=.{1,64}$)([+-]?(?:\d+\.?\d*|\.\d+))([KMGTPE]i|[numkMGTPE]?|[eE][+-]?\d{1,2})", re.ASCII
)
_UNITS: Final[dict[str, Fraction]] = {
    **{unit: Fraction(1000) ** power for power, unit in enumerate(("n", "u", "m", "", *"kMGTPE"), -3)},
    **{f"{unit}i": Fraction(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def quantity(text: str) -> Fraction | None:
    """Return the value of a quantity, in bytes for storage; None: the text is not a quantity."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, unit = match.groups()
    return Fraction(number) * _UNITS[unit] if unit in _UNITS else Fraction(number + unit)

"""The page's colours can be read: WCAG 2.2 wants 4.5 to 1 for text of its size."""

import re
from pathlib import Path

import pytest

import pie.serve

STYLE = (Path(pie.serve.__file__).parent / "page_files/style.css").read_text()
LIGHT, DARK = (dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in STYLE.split("@media", 2)[:2])
READ = [
    *((ink, ground) for ink in ("ink", "quiet", "link") for ground in ("paper", "card")),
    *((f"{verdict}-ink", "card") for verdict in ("ok", "late", "failed", "hung", "suppressed", "pending")),
    ("on-late", "late"),
    ("on-bad", "failed"),
    ("on-bad", "hung"),
    ("card", "ok-ink"),
    ("ink", "pending"),
]


def luminance(colour: str) -> float:
    """Return how bright a colour is: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), READ)
def test_text_stands_out_from_its_ground(colours: dict[str, str], ink: str, ground: str) -> None:
    dark, bright = sorted((luminance(colours[ink]), luminance(colours[ground])))
    assert (bright + 0.05) / (dark + 0.05) >= 4.5

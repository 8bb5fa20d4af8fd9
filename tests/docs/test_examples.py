"""The PieProbes in the docs are accepted as they are, and the texts that explain them name what they have."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pie.core.decode import convert
from pie.core.parse import parse_probe
from pie.core.wire import PieProbe
from pie.embedded import schema

ROOT = Path(__file__).parents[2]
HOWTO = ROOT / "docs/howto"
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def pieprobes(page: Path) -> Iterator[dict[str, Any]]:
    """Yield the PieProbes in the YAML blocks of a page."""
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        if "kind: PieProbe\n" in block:
            yield from (each for each in yaml.safe_load_all(block) if each and each.get("kind") == "PieProbe")


SHOWN = [(page, each) for page in PAGES for each in pieprobes(page)]


@pytest.mark.parametrize(
    ("page", "manifest"), SHOWN, ids=[f"{page.stem}-{each['metadata']['name']}" for page, each in SHOWN]
)
def test_a_pieprobe_in_the_docs_is_accepted_with_no_field_unknown(
    page: Path, manifest: dict[str, Any]
) -> None:
    crd = schema.pieprobe_schema()
    assert list(schema.prune(crd, manifest)) == [], page
    schema.default(crd, manifest)
    assert schema.errors(crd, manifest) == [], page
    manifest["metadata"] |= {"namespace": "pie", "uid": "u", "generation": 1}
    assert parse_probe(convert(manifest, PieProbe)).storage_class


def test_there_is_an_example_for_each_storage() -> None:
    shown = {page.stem for page, _ in SHOWN if page.parent == HOWTO}
    assert shown >= {"topolvm", "rook-ceph", "ebs", "nfs", "autoscaled"}

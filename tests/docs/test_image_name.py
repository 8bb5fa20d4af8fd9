"""The image has one name and one tag wherever a reader may copy them."""

import re

import pie
from tests.harness import ROOT

NAME = f"registry.example.com/pie:{pie.__version__}"
IN_THE_TESTBED = "pie.test/pie:dev"


def test_every_text_names_the_image_by_its_one_name_and_the_tag_of_this_version() -> None:
    files = [ROOT / "README.md", ROOT / "Containerfile", *(ROOT / "docs").rglob("*.md")]
    for directory in ("src", "charts", "image"):
        files += [path for path in (ROOT / directory).rglob("*") if path.suffix in {".py", ".md", ".yaml"}]
    named = {
        (str(path.relative_to(ROOT)), image)
        for path in files
        for image in re.findall(r"[\w.-]+\.\w+/(?:[\w-]+/)*pie:[\w.-]*\w", path.read_text())
    }
    assert {path for path, _ in named} >= {"README.md", "Containerfile", "docs/cli.md"}
    assert [each for each in named if each[1] not in {NAME, IN_THE_TESTBED}] == []

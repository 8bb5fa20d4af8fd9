"""What an installation consists of changes only together with its golden file."""

from pathlib import Path

import pytest

from pie.core.yamltext import read_yaml
from tests.chart.golden import CASES, GOLDEN, PLAIN, golden, plain, render
from tests.chart.helm import CHART, one

# helm may have to be built first.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("values", CASES, ids=lambda path: path.name.partition(".")[0])
def test_the_chart_renders_as_reviewed(values: Path) -> None:
    assert render(values) == golden(values).read_text(), "to accept it: python -m tests.chart.golden"


def test_pie_manifests_prints_what_the_chart_installs() -> None:
    assert plain() == PLAIN.read_text(), "to accept it: python -m tests.chart.golden"


def test_every_golden_file_has_its_values() -> None:
    assert {*GOLDEN.iterdir()} == {each for values in CASES for each in (values, golden(values))}


def test_the_crd_is_the_one_that_everything_else_uses_and_outlives_the_release() -> None:
    crd = one("CustomResourceDefinition")
    assert crd == read_yaml((CHART / "files/pieprobe.yaml").read_text())
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"

"""Package, image and chart have one version, higher than the last one of Go pie, so an upgrade is one."""

import tomllib

import pie
from pie.core.yamltext import read_yaml
from tests.harness import ROOT

LAST_OF_GO_PIE = (0, 17)


def test_package_image_and_chart_have_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = read_yaml((ROOT / "charts/pie/Chart.yaml").read_text())
    # The chart's default tag of the image is its appVersion.
    assert {project, chart["version"], chart["appVersion"]} == {pie.__version__}


def test_the_version_is_higher_than_those_of_go_pie() -> None:
    assert tuple(int(part) for part in pie.__version__.split(".")) > LAST_OF_GO_PIE

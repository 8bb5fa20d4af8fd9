"""Every locked package has a wheel for each architecture of the image, and the lock file allows it."""

import yaml

from image.wheels import MACHINES, WHEELS
from tests.harness import ROOT
from tests.image.locked import locked, normal


def test_every_locked_package_has_a_wheel_for_each_architecture() -> None:
    lines = [line.split() for line in WHEELS.read_text().splitlines()]
    for architecture, machine in MACHINES.items():
        wheels = {
            (normal(file.split("-")[0]), file.split("-")[1]): (file, sha256)
            for of, file, sha256 in lines
            if of == architecture
        }
        assert wheels.keys() == locked().keys()
        for package, (file, sha256) in wheels.items():
            assert sha256 in locked()[package], file
            assert file.endswith((f"_{machine}.whl", "-none-any.whl")), file


def test_the_chart_probes_nodes_of_the_architectures_that_the_image_is_built_for() -> None:
    values = yaml.safe_load((ROOT / "charts/pie/values.yaml").read_text())
    assert values["image"]["architectures"] == list(MACHINES)

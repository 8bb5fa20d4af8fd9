"""The kubectl plugin: krew installs it from its archive and manifest, and it runs."""

import asyncio
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import pie
from image.krew import PLATFORMS, manifest, pack, write_manifest
from image.recipe import architecture
from testbed.build import binary

URL = "https://downloads.example.com/pie"


def test_the_manifest_describes_the_archive_of_each_platform(tmp_path: Path) -> None:
    for each in PLATFORMS:
        (tmp_path / each.archive).write_text(each.archive)
    described = manifest(tmp_path, URL)
    assert described["spec"]["version"] == f"v{pie.__version__}"
    platforms = described["spec"]["platforms"]
    assert len({each["sha256"] for each in platforms}) == len(PLATFORMS)
    assert len({tuple(each["selector"]["matchLabels"].values()) for each in platforms}) == len(PLATFORMS)
    assert all(each["uri"].startswith(f"{URL}/kubectl-pie-") for each in platforms)
    # krew finds a manifest by its name.
    written = write_manifest(tmp_path, URL)
    assert written.name == f"{described['metadata']['name']}.yaml"
    assert yaml.safe_load(written.read_text()) == described


@pytest.mark.real
@pytest.mark.usefixtures("machine")
@pytest.mark.timeout(600)
def test_krew_installs_the_plugin_and_it_runs_without_any_other_package(tmp_path: Path) -> None:
    krew = asyncio.run(binary("krew"))
    (here,) = (each for each in PLATFORMS if (each.os, each.arch) == ("linux", architecture()))
    pack(tmp_path, here, ["".join(platform.python_version_tuple()[:2])])
    described = write_manifest(tmp_path, URL, [here])
    environment = {
        "PATH": os.pathsep.join((str(Path(sys.executable).resolve().parent), os.environ["PATH"])),
        "KREW_ROOT": str(tmp_path / "krew"),
        "HOME": str(tmp_path),
    }
    install = ("install", f"--manifest={described}", f"--archive={tmp_path / here.archive}")
    subprocess.run([krew, *install], check=True, env=environment)
    plugin = tmp_path / "krew" / "bin" / "kubectl-pie"
    said = subprocess.run([plugin, "--version"], check=True, env=environment, capture_output=True, text=True)
    assert said.stdout == f"pie {pie.__version__}\n"

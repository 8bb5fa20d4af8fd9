"""The real helm, on the chart of this checkout."""

import asyncio
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pie.core.yamltext import read_documents, read_yaml
from testbed.build import BuildError, binary

Json = dict[str, Any]
CHART = Path(__file__).parents[2] / "charts/pie"
IMAGE = ("--set", "image.repository=registry.example.com/pie")
VERSION = read_yaml((CHART / "Chart.yaml").read_text())["version"]
RELEASE = "pie"


MAIN = "helm"
"""The helm that tests run: version 3. Some run version 4 too."""
PROGRAMS = (MAIN, "helm4")


@cache
def program(name: str = MAIN) -> Path:
    """Return a helm, which is built when it is not in the cache; without Go skip the test, in CI fail."""
    try:
        return asyncio.run(binary(name))
    except BuildError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


def helm(*arguments: str, seconds: float = 150, name: str = MAIN) -> subprocess.CompletedProcess[str]:
    """Run helm."""
    command = [program(name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)


@cache  # many tests look at the same manifests
def template(
    *values: str, release: str = RELEASE, namespace: str = "pie"
) -> subprocess.CompletedProcess[str]:
    """Render the chart."""
    where = ("--namespace", namespace, "--kube-version", "1.35.0")
    return helm("template", release, str(CHART), *where, *values)


def rendered(*values: str, release: str = RELEASE, namespace: str = "pie") -> list[Json]:
    """Return the chart's manifests; of a list, its items."""
    result = template(*IMAGE, *values, release=release, namespace=namespace)
    assert result.returncode == 0, result.stderr
    documents = [document for document in read_documents(result.stdout) if document]
    return [each for document in documents for each in document.get("items", [document])]


def one(kind: str, *values: str, release: str = RELEASE, namespace: str = "pie") -> Json:
    """Return the chart's only manifest of a kind."""
    manifests = rendered(*values, release=release, namespace=namespace)
    (found,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return found


def refusal(*values: str) -> str:
    """Return what helm prints when it refuses values."""
    result = template(*values)
    assert result.returncode != 0, result.stdout
    return result.stderr


def notes(directory: Path, *values: str) -> str:
    """Return what helm prints after an installation, in which it needs a cluster: here a copy renders it."""
    chart = shutil.copytree(CHART, directory / "pie")
    (chart / "templates/NOTES.txt").rename(chart / "NOTES.txt")
    (chart / "templates/notes.yaml").write_text('notes: {{ tpl (.Files.Get "NOTES.txt") . | toJson }}\n')
    where = ("--namespace", "storage", "--kube-version", "1.35.0", "--show-only", "templates/notes.yaml")
    result = helm("template", RELEASE, str(chart), *where, *IMAGE, *values)
    assert result.returncode == 0, result.stderr
    return str(read_yaml(result.stdout)["notes"])

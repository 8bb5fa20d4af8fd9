"""Puts pie's image together: the cached base layer, and the wheel of this checkout on top of it."""

import os
import platform
import shutil
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pie
from image.archive import Layer, add_tree, write
from image.base import COMPILE, MAX_AGE_SECONDS, PYTHON, SITE_PACKAGES, USER_ID, ImageError, base_layer, run

_GO_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}
_ENTRY = Path(__file__).parent / "entry.py"


def build(output: Path, *, name: str, with_base: bool = True, labels: Mapping[str, str] = {}) -> str:
    """Build the image `name` (with its tag) as a tar at `output`; return its ID, equal for equal content.

    The first time takes minutes and needs mmdebstrap, later ones a second. Without its base layer
    the tar is small, and of use where `build_base` was imported before. Other `labels` give another ID.
    """
    below = base()
    with tempfile.TemporaryDirectory(prefix="pie-image-") as directory:
        return write(
            output,
            name=name,
            architecture=architecture(),
            run={
                "User": f"{USER_ID}:{USER_ID}",
                "Entrypoint": ["pie"],
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"],
                "WorkingDir": "/",
                "Labels": {
                    "org.opencontainers.image.title": "pie",
                    "org.opencontainers.image.licenses": "Apache-2.0",
                    "org.opencontainers.image.version": pie.__version__,
                    **labels,
                },
            },
            layers=[below, _pie_layer(Path(directory))],
            left_out=() if with_base else [below],
        )


def build_base(output: Path, *, name: str) -> str:
    """Build an image of the base layer alone; return its ID."""
    return write(output, name=name, architecture=architecture(), run={}, layers=[base()])


def base() -> Layer:
    """Return the base layer, from the cache if it is there."""
    layer = base_layer(cache_directory())
    delete_old(layer.path.parent)
    return layer


def delete_old(current: Path) -> None:
    """Delete directories beside `current` that were made for other inputs, more than two weeks ago."""
    kind = current.name.partition("-")[0]
    for directory in current.parent.glob(f"{kind}-*/"):
        if directory != current and time.time() - directory.stat().st_mtime > 2 * MAX_AGE_SECONDS:
            shutil.rmtree(directory, ignore_errors=True)


def architecture() -> str:
    """Return this machine's architecture, in Go's and so the registries' word for it."""
    return _GO_ARCHITECTURE[platform.machine()]


def cache_directory() -> Path:
    """Return where base layers are kept: `pie-image` in `$XDG_CACHE_HOME` or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pie-image"


def _pie_layer(directory: Path) -> Layer:
    """Build the wheel, unpack it where the image's Python looks, compile it, and add the entry points."""
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)])
    (wheel,) = directory.glob("*.whl")
    stage = directory / "stage"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(stage / SITE_PACKAGES)  # noqa: S202  our own wheel, built one line above
    run([_python(), *COMPILE, "-s", str(stage), "-p", "/", str(stage / SITE_PACKAGES)])
    commands = stage / "usr/local/bin"
    commands.mkdir(parents=True)
    for command in ("pie", "kubectl-pie"):
        shutil.copyfile(_ENTRY, commands / command)
        (commands / command).chmod(0o755)
    path = directory / "pie.tar"
    with tarfile.open(path, "w") as tar:
        add_tree(tar, stage)
    return Layer.of(path)


def _python() -> str:
    """Find a Python whose byte code the image's Python reads."""
    if sys.version_info[:2] == PYTHON:
        return sys.executable
    wanted = "python{}.{}".format(*PYTHON)
    found = shutil.which(wanted)
    if found is None:
        raise ImageError(f"the image's byte code needs {wanted} on the PATH; this is {sys.version}")
    return found

"""`python -m image.krew DIRECTORY --url URL` packs the kubectl plugin for krew: archives, and pie.yaml.

An archive holds, for one platform, a launcher and the wheels of pie and its dependencies, unpacked: those for
any Python once, the others for each Python. The user's machine needs a Python, and downloads nothing else.
Upload the archives to URL, and give pie.yaml to an index.
"""

import argparse
import gzip
import hashlib
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import pie
from image.archive import add_tree
from image.base import LOCK, ROOT, ImageError, run

LAUNCHER = Path(__file__).parent / "launcher.py"
PYTHONS = ("311", "312", "313", "314")
_HOMEPAGE = "https://github.com/topolvm/pie"
_DESCRIPTION = """\
pie proves that Kubernetes storage works, as an application sees it: it provisions volumes, mounts
them on nodes, does I/O on them, and checks the data. `kubectl pie check` does it once, with your
own rights, and leaves nothing behind. `kubectl pie status` and `kubectl pie explain` ask a pie
controller that runs in the cluster.
"""


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform in krew's words, and in those of wheels."""

    os: str
    arch: str
    tags: tuple[str, ...]

    @property
    def archive(self) -> str:
        """The name of its archive."""
        return f"kubectl-pie-{pie.__version__}-{self.os}-{self.arch}.tar.gz"


def _linux(machine: str) -> tuple[str, ...]:
    return tuple(f"manylinux{tag}_{machine}" for tag in ("_2_28", "_2_17", "2014"))


PLATFORMS = (
    Platform("linux", "amd64", _linux("x86_64")),
    Platform("linux", "arm64", _linux("aarch64")),
    Platform("darwin", "amd64", ("macosx_13_0_x86_64",)),
    Platform("darwin", "arm64", ("macosx_13_0_arm64",)),
)


def pack(target: Path, platform: Platform, pythons: Sequence[str] = PYTHONS) -> None:
    """Write a platform's archive into a directory."""
    with tempfile.TemporaryDirectory(prefix="pie-krew-") as directory:
        wheels, stage = Path(directory) / "wheels", Path(directory) / "stage"
        run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels / "any")])
        for python in pythons:
            _download(wheels / python, platform, python)
        for wheel in sorted(wheels.glob("*/*.whl")):
            into = "any" if wheel.name.endswith("-none-any.whl") else f"cp{wheel.parent.name}"
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(stage / "lib" / into)  # noqa: S202  ours, or of the hash in the lock file
        launcher = stage / "kubectl-pie"
        launcher.write_bytes(LAUNCHER.read_bytes())
        launcher.chmod(0o755)
        (stage / "LICENSE").write_bytes((ROOT / "LICENSE").read_bytes())
        with (
            gzip.GzipFile(target / platform.archive, "wb", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            add_tree(tar, stage)


def _download(target: Path, platform: Platform, python: str) -> None:
    run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary=:all:", "--implementation=cp", f"--python-version={python}"),
            *(f"--platform={tag}" for tag in platform.tags),
            *("--dest", str(target), "--requirement", str(LOCK)),
        ]
    )


def manifest(directory: Path, url: str, platforms: Sequence[Platform] = PLATFORMS) -> dict[str, Any]:
    """Return krew's manifest of the archives in a directory, which are to be served below `url`."""
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "pie"},
        "spec": {
            "version": f"v{pie.__version__}",
            "homepage": _HOMEPAGE,
            "shortDescription": "Prove that storage works",
            "description": _DESCRIPTION,
            "caveats": "This plugin needs Python 3.11 or later.\n",
            "platforms": [
                {
                    "selector": {"matchLabels": {"os": platform.os, "arch": platform.arch}},
                    "uri": f"{url.rstrip('/')}/{platform.archive}",
                    "sha256": hashlib.sha256((directory / platform.archive).read_bytes()).hexdigest(),
                    "bin": "kubectl-pie",
                }
                for platform in platforms
            ],
        },
    }


def write_manifest(directory: Path, url: str, platforms: Sequence[Platform] = PLATFORMS) -> Path:
    """Write pie.yaml beside the archives; krew wants this name."""
    path = directory / "pie.yaml"
    path.write_text(yaml.safe_dump(manifest(directory, url, platforms), sort_keys=False))
    return path


def main() -> int:
    """Pack all platforms."""
    parser = argparse.ArgumentParser(prog="python -m image.krew", description="Pack pie for krew.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--url", required=True, help="where you will upload the archives to (https)")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    try:
        for platform in PLATFORMS:
            pack(arguments.directory, platform)
    except ImageError as error:
        print(f"krew: {error}", file=sys.stderr)  # noqa: T201  a command line
        return 1
    print(write_manifest(arguments.directory, arguments.url))  # noqa: T201  a command line
    return 0


if __name__ == "__main__":
    sys.exit(main())

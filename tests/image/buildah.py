"""Builds the Containerfile with buildah: no registry, no engine, a base of Debian's packages."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from image.archive import Layer, write
from image.recipe import architecture
from tests.harness import ROOT

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class Buildah:
    """buildah with storage of its own below a directory."""

    def __init__(self, directory: Path) -> None:
        """Nothing is built yet."""
        self._directory = directory
        self._storage = (
            *("--root", str(directory / "storage"), "--runroot", str(directory / "run")),
            *("--storage-driver", "vfs"),
        )

    def __call__(self, *arguments: str) -> str:
        """Run buildah; return what it prints."""
        command = ("buildah", *self._storage, *arguments)
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._directory)
        assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
        return result.stdout.strip()

    def build(self, base: Path) -> str:
        """Build the Containerfile of this checkout on a base; return the image's ID.

        pip trusts the certificates that this machine trusts.
        """
        settings = self._directory / "pip.conf"
        settings.write_text("[global]\ncert = /certificates.pem\n")
        return self(
            *("build", "--quiet", "--isolation", "chroot", "--build-arg", f"BASE=oci-archive:{base}"),
            *("--volume", f"{settings}:/etc/pip.conf:ro"),
            *("--volume", f"{CERTIFICATES}:/certificates.pem:ro"),
            *("--file", str(ROOT / "Containerfile"), str(ROOT)),
        )

    @contextmanager
    def root(self, image: str) -> Iterator[Path]:
        """Give the root directory of an image."""
        container = self("from", image)
        yield Path(self("mount", container))
        self("rm", container)


def debian(directory: Path) -> Path:
    """Make an image of Debian alone, as the slim images of registries have it."""
    tar, image = directory / "debian.tar", directory / "debian-image.tar"
    left_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man")]
    merged = ("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", "--include=usr-is-merged")
    options = ("--quiet", "--variant=apt", "--format=tar", *merged, *left_out)
    command = ["mmdebstrap", *options, "bookworm", str(tar)]
    subprocess.run(command, check=True)
    paths = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
    write(image, name="debian:12", architecture=architecture(), run={"Env": [paths]}, layers=[Layer.of(tar)])
    tar.unlink()
    return image

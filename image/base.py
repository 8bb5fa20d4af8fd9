"""The base layer of pie's image: Debian with Python and fio, and the locked dependencies.

It changes rarely and takes half a minute, so it is kept in a cache by a hash of what it is made from: this
file and the lock file.
"""

import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from image.archive import Layer

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements" / "pie.lock"
DEBIAN = "bookworm"
PACKAGES = ("usr-is-merged", "python3", "fio")  # the first keeps perl's modules out
PYTHON = (3, 11)  # Debian 12's; byte code and wheels must match it
SITE_PACKAGES = "usr/local/lib/python{}.{}/dist-packages".format(*PYTHON)
COMPILE = ("-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash")
USER_ID = 1001  # a number, or kubelet cannot check runAsNonRoot
_ACCOUNT = f"pie:x:{USER_ID}:{USER_ID}:pie:/nonexistent:/usr/sbin/nologin"
_GROUP = f"pie:x:{USER_ID}:"
_EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
_KEPT = "/usr/share/doc/*/copyright"  # the licences of what the image ships
_ERROR_TAIL_CHARACTERS = 2000


class ImageError(Exception):
    """The image cannot be built. The text says what failed and what to install."""


def base_layer(cache: Path) -> Layer:
    """Take the base layer from the cache, or make it (root and mmdebstrap needed).

    Two builders wait for each other.
    """
    made_from = hashlib.sha256(Path(__file__).read_bytes() + LOCK.read_bytes() + platform.machine().encode())
    directory = cache / f"base-{made_from.hexdigest()[:12]}"
    tar, digest = directory / "layer.tar", directory / "sha256"
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory / ".lock"):
        if not digest.exists():
            print(f"image: making the base layer; kept in {directory}", flush=True)  # noqa: T201  takes a minute
            _make(tar)
            digest.write_text(Layer.of(tar).sha256)
    return Layer(tar, digest.read_text())


def run(argv: Sequence[str]) -> None:
    """Run a step of the recipe; its output is shown only when it fails."""
    try:
        subprocess.run(argv, cwd=ROOT, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        tail = (error.stdout + error.stderr)[-_ERROR_TAIL_CHARACTERS:]
        raise ImageError(f"{shlex.join(argv[:4])} … ended with code {error.returncode}:\n{tail}") from error


def _make(tar: Path) -> None:
    if shutil.which("mmdebstrap") is None or os.geteuid() != 0:
        raise ImageError("the base layer needs root and mmdebstrap: apt-get install mmdebstrap, run as root")
    with tempfile.TemporaryDirectory(prefix="pie-image-") as directory:
        dependencies = Path(directory) / "dependencies"
        _download_dependencies(dependencies)
        libraries = "/usr/lib/python3", "/usr/lib/python{}.{}".format(*PYTHON), f"/{SITE_PACKAGES}"
        hooks = [
            f'mkdir -p "$1/{SITE_PACKAGES}"',
            f"sync-in {dependencies} /{SITE_PACKAGES}",
            f'chroot "$1" python3 {shlex.join((*COMPILE, *libraries))}',
            f'echo {_ACCOUNT} >> "$1/etc/passwd"; echo {_GROUP} >> "$1/etc/group"',
            'rm -rf "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/etc/*- "$1"/var/cache/* "$1"/var/log/*',
        ]
        run(
            [
                *("mmdebstrap", "--quiet", "--variant=essential", "--format=tar"),
                '--aptopt=Acquire::Retries "5"',
                "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
                *(f"--dpkgopt=path-exclude={path}" for path in _EXCLUDED),
                f"--dpkgopt=path-include={_KEPT}",
                f"--include={','.join(PACKAGES)}",
                *(f"--customize-hook={hook}" for hook in hooks),
                DEBIAN,
                str(tar),
            ]
        )


def _download_dependencies(target: Path) -> None:
    """Unpack the locked wheels for the image's Python, whichever Python runs here."""
    machine = platform.machine()
    platforms = [f"manylinux{tag}_{machine}" for tag in ("_2_28", "_2_17", "2014")]
    run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"),
            *("--no-deps", "--require-hashes", "--only-binary=:all:"),
            *("--implementation=cp", "--python-version={}.{}".format(*PYTHON)),
            *(f"--platform={platform}" for platform in platforms),
            *("--target", str(target), "--requirement", str(LOCK)),
        ]
    )
    shutil.rmtree(target / "bin", ignore_errors=True)  # scripts with this machine's interpreter in them


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

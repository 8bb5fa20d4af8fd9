"""The base layer of pie's image: Debian with Python and fio, and the locked dependencies.

It changes rarely and takes a minute, fio two more: both are kept in a cache by a hash of what they are made
from. After a week they are made anew, for Debian's security updates. Equal packages give an equal layer.
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
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from image.archive import Layer

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements" / "pie.lock"
DEBIAN = "bookworm"
PACKAGES = ("usr-is-merged", "python3")  # the first keeps perl's modules out
FIO = Path(__file__).parent / "fio.sh"
MAX_AGE_SECONDS = 7 * 24 * 3600
PYTHON = (3, 11)  # Debian 12's; byte code and wheels must match it
SITE_PACKAGES = "usr/local/lib/python{}.{}/dist-packages".format(*PYTHON)
COMPILE = ("-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash")
USER_ID = 1001  # a number, or kubelet cannot check runAsNonRoot
_ACCOUNT = f"pie:x:{USER_ID}:{USER_ID}:pie:/nonexistent:/usr/sbin/nologin"
_GROUP = f"pie:x:{USER_ID}:"
_EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
_LICENCES = "/usr/share/doc/*/copyright"  # the licences of what the image ships
_ERROR_TAIL_CHARACTERS = 2000


class ImageError(Exception):
    """The image cannot be built. The text says what failed and what to install."""


def base_layer(cache: Path) -> Layer:
    """Take the base layer from the cache, or make it (mmdebstrap needed)."""
    fio = _kept(cache, "fio", _build_fio, FIO.read_bytes())
    base = _kept(cache, "base", partial(_make, fio), Path(__file__).read_bytes() + LOCK.read_bytes())
    return Layer(base / "layer.tar", (base / "sha256").read_text())


def _kept(cache: Path, name: str, make: Callable[[Path], None], made_from: bytes) -> Path:
    """Return a directory of the cache, which `make` fills; it is made again when it is a week old.

    Two builders wait for each other. An old directory is used all the same when no new one can be made.
    """
    key = hashlib.sha256(made_from + platform.machine().encode()).hexdigest()
    directory = cache / f"{name}-{key[:12]}"
    unfinished = directory.with_suffix(".part")
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(directory.with_suffix(".lock")):
        if directory.exists() and time.time() - directory.stat().st_mtime < MAX_AGE_SECONDS:
            return directory
        print(f"image: making {name}, which takes minutes; kept in {directory}", flush=True)  # noqa: T201
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            make(unfinished)
        except ImageError as error:
            if not directory.exists():
                raise
            print(f"image: {directory} is more than a week old: {error}", file=sys.stderr)  # noqa: T201
        else:
            shutil.rmtree(directory, ignore_errors=True)
            unfinished.rename(directory)
    return directory


def run(argv: Sequence[str]) -> None:
    """Run a step of the recipe; its output is shown only when it fails. No file is younger than 1970."""
    environment = os.environ | {"SOURCE_DATE_EPOCH": "0"}
    try:
        subprocess.run(
            argv,
            cwd=ROOT,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
        )
    except subprocess.CalledProcessError as error:
        tail = (error.stdout + error.stderr)[-_ERROR_TAIL_CHARACTERS:]
        raise ImageError(f"{shlex.join(argv[:4])} … ended with code {error.returncode}:\n{tail}") from error


def _make(fio: Path, target: Path) -> None:
    """Write `layer.tar`, and its `sha256`."""
    with tempfile.TemporaryDirectory(prefix="pie-image-") as directory:
        Path(directory).chmod(0o755)  # without root, mmdebstrap reads it as another user
        dependencies = Path(directory) / "dependencies"
        _download_dependencies(dependencies)
        libraries = "/usr/lib/python3", "/usr/lib/python{}.{}".format(*PYTHON), f"/{SITE_PACKAGES}"
        documents = "/usr/share/doc/fio"
        _debian(
            target / "layer.tar",
            "--variant=essential",
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
            *(f"--dpkgopt=path-exclude={path}" for path in _EXCLUDED),
            f"--dpkgopt=path-include={_LICENCES}",
            f"--include={','.join(PACKAGES)}",
            hooks=(
                f'mkdir -p "$1/{SITE_PACKAGES}" "$1{documents}"',
                f"sync-in {dependencies} /{SITE_PACKAGES}",
                f"copy-in {fio}/usr/local/bin/fio /usr/local/bin",
                f"sync-in {fio}{documents} {documents}",
                f'chroot "$1" chown -R 0:0 /usr/local {documents}',
                f'chroot "$1" python3 {shlex.join((*COMPILE, *libraries))}',
                'find "$1" -xdev -type f -perm /6000 -exec chmod ug-s {} +',
                f'echo {_ACCOUNT} >> "$1/etc/passwd"; echo {_GROUP} >> "$1/etc/group"',
                'rm -rf "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/etc/*- "$1"/var/cache/* "$1"/var/log/*',
            ),
        )
    (target / "sha256").write_text(Layer.of(target / "layer.tar").sha256)


def _build_fio(stage: Path) -> None:
    """Build fio in a Debian of its own, which is then deleted."""
    _debian(
        Path("/dev/null"),
        "--variant=apt",
        hooks=(
            f"copy-in {FIO} /tmp",
            f'chroot "$1" sh /tmp/{FIO.name} /tmp/stage',
            f"sync-out /tmp/stage {stage}",
        ),
    )


def _debian(output: Path, *options: str, hooks: Sequence[str]) -> None:
    """Unpack and configure a Debian, in a user namespace without root; write it as a tar, or not at all."""
    if shutil.which("mmdebstrap") is None:
        raise ImageError("the image needs mmdebstrap, and without root uidmap: apt-get install both")
    run(
        [
            *("mmdebstrap", "--quiet", f"--format={'null' if output == Path('/dev/null') else 'tar'}"),
            '--aptopt=Acquire::Retries "5"',
            *options,
            *(f"--customize-hook={hook}" for hook in hooks),
            *(DEBIAN, str(output)),
        ]
    )


def platform_options(machine: str) -> list[str]:
    """Return pip's options for wheels of a machine (the kernel's word for it) and of the image's Python."""
    platforms = [f"manylinux{tag}_{machine}" for tag in ("_2_28", "_2_17", "2014")]
    python = ("--implementation=cp", "--python-version={}.{}".format(*PYTHON))
    return [*python, *(f"--platform={platform}" for platform in platforms)]


def _download_dependencies(target: Path) -> None:
    """Unpack the locked wheels for the image's Python, whichever Python runs here."""
    run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"),
            *("--no-deps", "--require-hashes", "--only-binary=:all:"),
            *platform_options(platform.machine()),
            *("--target", str(target), "--requirement", str(LOCK)),
        ]
    )
    # Scripts name this machine's interpreter: with them, images from two machines would not be equal.
    shutil.rmtree(target / "bin", ignore_errors=True)
    for files in target.glob("*.dist-info/RECORD"):
        lines = files.read_text().splitlines(keepends=True)
        files.write_text("".join(line for line in lines if not line.startswith("../../bin/")))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

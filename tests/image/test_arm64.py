"""All parts of the image are there for arm64. Nothing of them runs here: they are unpacked and looked at."""

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.base import DEBIAN, LOCK, PACKAGES, platform_options

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("machine"), pytest.mark.timeout(600)]

AARCH64 = 183  # e_machine of an ELF file, after its first 18 bytes


def machine_of(content: bytes) -> int | None:
    return int.from_bytes(content[18:20], "little") if content.startswith(b"\x7fELF") else None


def programs(root: Path) -> Iterator[tuple[str, int | None]]:
    """Give each program and library in the Debian root, with the machine that it is for."""
    with tarfile.open(root) as tar:
        for entry in tar:
            wanted = entry.name.startswith(("./usr/bin/", "./usr/lib/"))
            if wanted and entry.isreg() and entry.size > 20:
                file = tar.extractfile(entry)
                assert file is not None
                machine = machine_of(file.read(20))
                if machine is not None:
                    yield entry.name, machine


def test_debian_has_the_packages(tmp_path: Path) -> None:
    root = tmp_path / "root.tar"
    options = (
        "--variant=extract",
        "--architectures=arm64",
        "--format=tar",
        f"--include={','.join(PACKAGES)}",
    )
    subprocess.run(["mmdebstrap", "--quiet", *options, DEBIAN, str(root)], check=True)
    found = dict(programs(root))
    assert "./usr/bin/python3.11" in found
    assert set(found.values()) == {AARCH64}


def test_the_wheels_of_the_lock_file_are_for_it(tmp_path: Path) -> None:
    install = ("install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile")
    where = ("--target", str(tmp_path), "--requirement", str(LOCK))
    command = [sys.executable, "-m", "pip", *install, *platform_options("aarch64"), *where]
    subprocess.run(command, check=True)
    libraries = {path.name: machine_of(path.read_bytes()) for path in tmp_path.rglob("*.so")}
    assert len(libraries) > 10
    assert set(libraries.values()) == {AARCH64}

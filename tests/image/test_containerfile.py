"""The Containerfile builds a small, safe image; it is for every architecture."""

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import pie
from image.sbom import debian_packages
from tests.harness import ROOT
from tests.image.buildah import Buildah, debian

CONTAINERFILE = (ROOT / "Containerfile").read_text()
STORAGE_SYSTEMS = ("librbd", "librados", "libgfapi", "glusterfs", "librdmacm", "libibverbs", "libnbd")
# Mounts over the read-only root what kubelet mounts there, and runs a command as the image's user.
READ_ONLY = """set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount --bind "$2" "$1/mnt"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
shift 2
exec chroot --userspec=1001:1001 "$@"
"""


def test_the_base_is_an_argument_and_no_architecture_is_named() -> None:
    assert re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE) == ["${BASE}", "${BASE}", "scratch"]
    named = re.compile(r"amd64|arm64|x86|aarch64|--platform=")
    assert not named.search(CONTAINERFILE)
    assert not named.search((ROOT / "image/fio.sh").read_text())


def test_all_python_packages_are_installed_by_hash() -> None:
    installs = re.findall(r"pip install(?:[^&\n]|\\\n)*", CONTAINERFILE)
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "/wheel/*.whl" in install
        assert "--no-deps" in install


def test_the_image_has_the_version_of_the_package() -> None:
    assert f"image.version={pie.__version__}\n" in CONTAINERFILE


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    missing = [program for program in ("buildah", "mmdebstrap") if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        reason = f"needs root and these packages: {', '.join(missing) or 'none'}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("buildah")
    yield Buildah(directory)
    shutil.rmtree(directory)  # gigabytes, which pytest would keep


@pytest.fixture(scope="module")
def built(buildah: Buildah, tmp_path_factory: pytest.TempPathFactory) -> str:
    return buildah.build(debian(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def root(buildah: Buildah, built: str) -> Iterator[Path]:
    with buildah.root(built) as path:
        yield path


def run(root: Path, volume: Path, *command: str) -> str:
    """Run a command in the image, which cannot be written to, as its user."""
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(root), str(volume), str(root), *command],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin", "LANG": "C.UTF-8"},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.real
@pytest.mark.timeout(1500)
class TestBuilt:
    """The image that buildah built."""

    def test_it_runs_pie_as_a_user_without_a_name_on_the_node(self, buildah: Buildah, built: str) -> None:
        config = json.loads(buildah("inspect", "--type", "image", built))["OCIv1"]["config"]
        assert config["User"] == "1001:1001"
        assert config["Entrypoint"] == ["pie"]

    def test_no_file_gives_the_rights_of_another_user(self, root: Path) -> None:
        files = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        assert [path for path in files if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)] == []

    def test_a_probe_does_its_io_with_fio_on_a_read_only_root(self, root: Path, tmp_path: Path) -> None:
        os.chown(tmp_path, 1001, 1001)
        assert run(root, tmp_path, "pie", "--version") == f"pie {pie.__version__}\n"
        probe = ("pie", "probe", "mount", "--path=/mnt", "--no-mount-check", "--size=1M")
        result = json.loads(run(root, tmp_path, *probe))
        assert result["outcome"] == "ok", result
        assert result["io"].get("tool", "fio") == "fio"

    def test_fio_loads_no_library_of_a_storage_system(self, root: Path, tmp_path: Path) -> None:
        loaded = run(root, tmp_path, "ldd", "/usr/local/bin/fio")
        libraries = {Path(line.split()[0]).name.partition(".so")[0] for line in loaded.splitlines()}
        loader = next(name for name in libraries if name.startswith("ld-linux"))
        assert libraries <= {"linux-vdso", "libm", "libmvec", "libc", "libz", loader}

    def test_its_packages_can_be_listed_and_none_is_of_a_storage_system(
        self, buildah: Buildah, built: str, tmp_path: Path
    ) -> None:
        buildah("push", "--quiet", built, f"docker-archive:{tmp_path / 'pie.tar'}")
        components = debian_packages(tmp_path / "pie.tar")
        names = {each.name for each in components}
        assert {"fio", "libc6", "python3"} <= names
        assert [name for name in names if name.startswith(STORAGE_SYSTEMS)] == []
        assert all(each.licences for each in components)

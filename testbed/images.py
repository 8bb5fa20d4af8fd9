"""The container images on every node: pie, from the recipe of the released image, and the pause container.

Unpacking Debian takes seconds. So containerd's directory with pie's base layer is created once and kept in
the cache; each node starts with a copy of it, which consists of links if possible.
"""

import asyncio
import hashlib
import shutil
import tarfile
import tempfile
from pathlib import Path

from image import archive, recipe
from image.base import ImageError
from testbed.build import binary, cache_directory, locked
from testbed.errors import TestbedError

PIE = "pie.test/pie:dev"
PAUSE = "pie.test/pause:dev"
_BASE = "pie.test/base:dev"
_ROOT_LINK = "containerd"
# Imports into a private containerd, and stops it in the right order, so that its database is complete.
_MAKE_ROOT = """set -e
mount -t tmpfs -o mode=755 tmpfs /run
containerd --root "$1" --state /run/containerd --address /run/containerd.sock --log-level error &
until ctr --address /run/containerd.sock version > /dev/null 2>&1; do
    kill -0 $!
    sleep 0.1
done
ctr --address /run/containerd.sock --namespace k8s.io images import "$2"
kill $!
wait $! || true
"""


async def make(directory: Path) -> None:
    """Create in `directory` what nodes need. The first time it takes a minute, later a second."""
    directory.mkdir(exist_ok=True)  # noqa: ASYNC240  one call on a local disk
    try:
        root = await containerd_root()
        await asyncio.to_thread(recipe.build, directory / "pie.tar", name=PIE, with_base=False)
    except ImageError as error:
        raise TestbedError(str(error)) from error
    await asyncio.to_thread(_make_pause, await binary("pause"), directory / "pause.tar")
    (directory / _ROOT_LINK).symlink_to(root)


async def install(directory: Path, root: Path) -> None:
    """Create containerd's root directory from what `make` left in `directory`."""
    source = (directory / _ROOT_LINK).resolve()
    same_disk = source.stat().st_dev == root.parent.stat().st_dev
    # containerd never writes its files again, except its databases.
    await _run("cp", "--archive", *(["--link"] if same_disk else []), str(source), str(root))
    for database in await asyncio.to_thread(lambda: list(source.rglob("*.db"))):
        await _run("cp", "--remove-destination", str(database), str(root / database.relative_to(source)))


async def load(directory: Path, socket: Path) -> None:
    """Import and unpack the images into the containerd that listens on `socket`."""
    for name in ("pause", "pie"):
        file = str(directory / f"{name}.tar")
        await _run("ctr", "--address", str(socket), "--namespace", "k8s.io", "images", "import", file)


async def remove(socket: Path, image: str) -> None:
    """Remove an image from the containerd that listens on `socket`."""
    await _run("ctr", "--address", str(socket), "--namespace", "k8s.io", "images", "remove", image)


async def containerd_root() -> Path:
    """Take containerd's directory with the base layer from the cache, or create it."""
    layer = await asyncio.to_thread(recipe.base)
    version = hashlib.sha256((await _run("containerd", "--version")).encode()).hexdigest()
    root = cache_directory() / f"containerd-{version[:6]}-{layer.sha256[:12]}"
    root.parent.mkdir(parents=True, exist_ok=True)
    async with locked(root.with_suffix(".lock")):
        if not root.exists():
            print(f"testbed: unpacking pie's base layer; kept in {root}", flush=True)
            await _make_root(root)
            await asyncio.to_thread(recipe.delete_old, root)
    return root


async def _make_root(root: Path) -> None:
    unfinished = root.with_suffix(".part")
    await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="pie-image-") as directory:
        base = Path(directory) / "base.tar"
        await asyncio.to_thread(recipe.build_base, base, name=_BASE)
        await _run(
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", _MAKE_ROOT, "sh", str(unfinished), str(base)),
        )
    unfinished.rename(root)


def _make_pause(program: Path, output: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pie-image-") as directory:
        stage = Path(directory) / "stage"
        stage.mkdir()
        shutil.copy(program, stage / "pause")
        layer = Path(directory) / "layer.tar"
        with tarfile.open(layer, "w") as tar:
            archive.add_tree(tar, stage)
        archive.write(
            output,
            name=PAUSE,
            architecture=recipe.architecture(),
            run={"Entrypoint": ["/pause"], "User": "65535:65535"},
            layers=[archive.Layer.of(layer)],
        )


async def _run(*argv: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, error = await process.communicate()
    if process.returncode != 0:
        raise TestbedError(f"{' '.join(argv)}: {error.decode(errors='replace').strip()}")
    return output.decode()

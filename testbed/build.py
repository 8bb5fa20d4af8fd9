"""Go programs for the testbed, built from pinned modules and kept outside the checkout.

Every directory under `testbed/go` is a module. Its `tools.go` imports the main packages that it pins. A
program has the name of the last part of the import path, or the name in the comment after the import. A
directory with a `main.go` is a program itself, with the name of the directory.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from testbed.errors import TestbedError

MODULES = Path(__file__).parent / "go"
_IMPORT = re.compile(r'_ "(?P<package>[^"]+)"(?:\s*// (?P<name>\S+)$)?', re.MULTILINE)
_VERSION = re.compile(r"^v\d+$")
_ERROR_TAIL_CHARACTERS = 2000
# Modules with these prefixes have a build cache of their own, which is deleted after the build: they share
# almost nothing with the other modules, and would add gigabytes to Go's build cache.
_CACHED_FOR_ITSELF = ("helm4", "kubernetes")


class BuildError(TestbedError):
    """A Go program cannot be built; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """A Go program: the directory of its module, its main package, and the flags of the linker."""

    name: str
    module: Path
    package: str
    linker_flags: str = "-s -w"
    static: bool = False


@cache
def programs() -> dict[str, Program]:
    """Return every program the modules under `testbed/go` pin, by name."""
    return find_programs(MODULES)


def find_programs(modules: Path) -> dict[str, Program]:
    """Return every program that the modules in a directory pin, by name."""
    found: dict[str, Program] = {}
    for module in sorted(path.parent for path in modules.glob("*/go.mod")):
        if (module / "main.go").exists():
            found[module.name] = Program(module.name, module, ".", static=True)
        elif (tools := module / "tools.go").exists():
            flags = _linker_flags((module / "go.mod").read_text())
            for match in _IMPORT.finditer(tools.read_text()):
                name = match["name"] or _name(match["package"])
                found[name] = Program(name, module, match["package"], flags)
    return found


def kubernetes_versions() -> dict[str, str]:
    """Return which versions of Kubernetes are pinned whole, each with its suffix: see `Spec.kubernetes`."""
    return {
        _pinned_kubernetes((program.module / "go.mod").read_text()): name.partition("-")[2]
        for name, program in programs().items()
        if program.package.endswith("/cmd/kubelet")
    }


def usual_programs() -> dict[str, Program]:
    """Return all programs but those that only `make versions` needs, by name."""
    rare = tuple(f"-{suffix}" for suffix in kubernetes_versions().values() if suffix)
    return {name: program for name, program in programs().items() if not name.endswith(rare)}


async def binary(tool: str) -> Path:
    """Return the path of a program; build it first if it is not in the cache.

    If several processes need the same module at once, one builds and the others wait.
    """
    program = programs().get(tool)
    if program is None:
        raise BuildError(
            f"no Go program {tool!r} under {MODULES} (there are: {', '.join(sorted(programs()))})"
        )
    path = place(program)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    async with locked(path.parent / ".lock"):
        await build_module([each for each in programs().values() if each.module == program.module])
    return path


async def binaries(tools: Iterable[str]) -> dict[str, Path]:
    """Return the paths of several programs, built one after the other: each build uses all cores."""
    return {tool: await binary(tool) for tool in tools}


async def build_module(siblings: Iterable[Program]) -> None:
    """Build the programs of one module that are not in the cache."""
    absent = [program for program in siblings if not place(program).exists()]
    for program in absent:
        await _build(program, place(program))
    for program in absent:
        shutil.rmtree(_own_cache(program), ignore_errors=True)


def place(program: Program) -> Path:
    """Return where a program is, or will be when it is built."""
    return cache_directory() / f"{program.module.name}-{fingerprint(program)}" / program.name


def cache_directory() -> Path:
    """Return where built programs and images are kept: `pie-testbed` in `$XDG_CACHE_HOME` or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pie-testbed"


async def _build(program: Program, path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise BuildError(
            f"{program.name} must be built, and `go` is not on the PATH: install Go 1.26 (https://go.dev/dl)"
        )
    unfinished = path.with_suffix(".part")
    argv = [
        go,
        "build",
        "-trimpath",
        "-ldflags",
        program.linker_flags,
        "-o",
        str(unfinished),
        program.package,
    ]
    environment = {**os.environ, **({"CGO_ENABLED": "0"} if program.static else {})}
    if program.module.name.startswith(_CACHED_FOR_ITSELF):
        environment["GOCACHE"] = str(_own_cache(program))
    print(f"testbed: building {program.name} ({program.package}); kept in {path.parent}", flush=True)
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=program.module,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        tail = output.decode(errors="replace")[-_ERROR_TAIL_CHARACTERS:]
        raise BuildError(f"go build of {program.package} in {program.module} failed:\n{tail}")
    unfinished.replace(path)


def _own_cache(program: Program) -> Path:
    """Return the build cache of a module that has one. It remains after a build that was interrupted."""
    return place(program).parent / "go-build"


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Hold a lock file in this context, so that other processes wait."""
    with path.open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield


def fingerprint(program: Program) -> str:
    """Return a hash of all inputs of a build: the pins, the sources of this repository, and the flags."""
    digest = hashlib.sha256(f"{program.linker_flags} {program.static}".encode())
    sources = [program.module / "go.mod", program.module / "go.sum", *sorted(program.module.glob("*.go"))]
    for source in sources:
        if source.exists():
            digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _linker_flags(go_mod: str) -> str:
    """Give Kubernetes the version it was tagged with: `go build` alone would say v0.0.0."""
    version = _pinned_kubernetes(go_mod)
    stamp = f" -X k8s.io/component-base/version.gitVersion=v{version}" if version else ""
    return f"-s -w{stamp}"


def _pinned_kubernetes(go_mod: str) -> str:
    match = re.search(r"require k8s\.io/kubernetes v(\S+)", go_mod)
    return match[1] if match else ""


def _name(package: str) -> str:
    parts = [part for part in package.split("/") if not _VERSION.match(part)]
    return parts[-1]

"""The cgroups of a testbed, in every hierarchy that the machine has mounted."""

import contextlib
import os
import time
from pathlib import Path

from testbed.errors import TestbedError

MOUNT = Path("/sys/fs/cgroup")
REMOVE_TIMEOUT_SECONDS = 60


def hierarchies() -> list[Path]:
    """Return the roots: one with cgroup v2 alone, one for each controller with cgroup v1."""
    if (MOUNT / "cgroup.procs").exists():
        return [MOUNT]
    return sorted(path for path in MOUNT.iterdir() if (path / "cgroup.procs").exists())


def make(name: str) -> None:
    """Create the cgroup `name`, a relative path, in every hierarchy."""
    for root in hierarchies():
        path = root / name
        path.mkdir(parents=True, exist_ok=True)
        _inherit_cpuset(root, path)
        _pass_controllers_on(root, path)


def process_files(name: str) -> list[Path]:
    """Return the files that a process writes 0 to in order to join the cgroup."""
    return [root / name / "cgroup.procs" for root in hierarchies()]


def processes(name: str) -> set[int]:
    """Return the ids of all processes in the cgroup and below, as in this PID namespace."""
    found: set[int] = set()
    for root in hierarchies():
        for file in (root / name).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):  # removed meanwhile
                found.update(int(line) for line in file.read_text().split())
    return found - {0}  # 0: it is in another PID namespace


def remove(name: str) -> None:
    """Remove the cgroup, all below it, and parents that are empty then.

    Its processes must have ended, or must end soon. It is no error if the cgroup does not exist.
    """
    deadline = time.monotonic() + REMOVE_TIMEOUT_SECONDS
    for root in hierarchies():
        while not _remove_tree(root / name):
            if time.monotonic() > deadline:
                raise TestbedError(f"the cgroup {root / name} is still in use: see its cgroup.procs")
            time.sleep(0.05)
        with contextlib.suppress(OSError):  # the parent holds another machine
            for parent in (root / name).parents:
                if root in parent.parents:
                    parent.rmdir()


def _remove_tree(top: Path) -> bool:
    try:
        for directory, _, _ in os.walk(top, topdown=False):
            Path(directory).rmdir()
    except FileNotFoundError:
        return not top.exists()
    except OSError:
        return False  # a process has not left it yet
    return True


def _inherit_cpuset(root: Path, path: Path) -> None:
    """Give a new cpuset of cgroup v1 processors and memory; before that no process can join it."""
    for directory in (*_ancestors(root, path), path):
        for file in ("cpuset.cpus", "cpuset.mems"):
            setting = directory / file
            if setting.exists() and not setting.read_text().strip():
                setting.write_text((directory.parent / file).read_text())


def _pass_controllers_on(root: Path, path: Path) -> None:
    """Enable every controller for a new cgroup of v2: a parent does not do that by itself."""
    for directory in (root, *_ancestors(root, path)):
        controllers = directory / "cgroup.controllers"
        if controllers.exists() and (names := controllers.read_text().split()):
            passed_on = directory / "cgroup.subtree_control"
            passed_on.write_text(" ".join(f"+{name}" for name in names))


def _ancestors(root: Path, path: Path) -> list[Path]:
    """Return the cgroups between the root and `path`, from top to bottom."""
    return [parent for parent in reversed(path.parents) if root in parent.parents]

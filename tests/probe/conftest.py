"""Probes started as a pod starts them: a process of their own, and its termination message."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from pie.core.result import Result, decode

Probe = Callable[..., Result]


def demand(*programs: str, root: bool = False) -> None:
    """Skip the test, saying what it lacks and how to get it; in CI, fail."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        lack(f"{', '.join(missing)}: apt-get install fio util-linux e2fsprogs xfsprogs")
    if root and os.geteuid() != 0:
        lack("root, to mount loop devices: run the tests as root")


def lack(what: str) -> NoReturn:
    """Skip the test, or in CI fail it, for what the machine lacks."""
    if os.environ.get("CI"):
        pytest.fail(f"this machine lacks {what}", pytrace=False)
    pytest.skip(f"this machine lacks {what}")


@pytest.fixture
def fio() -> None:
    """Demand the real fio."""
    demand("fio")


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    """Run one probe on a directory to its end and return its result.

    The termination log is there beforehand, as kubelet has it, and the exit status agrees with the result.
    """
    log = tmp_path / "termination-log"

    def run(kind: str, path: Path, *options: str, env: dict[str, str] | None = None) -> Result:
        log.write_text("")
        argv = [sys.executable, "-m", "pie", "probe", kind, "--path", str(path), "--no-mount-check"]
        process = subprocess.run(
            [*argv, "--termination-log", str(log), *options],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | (env or {}),
        )
        result = decode(log.read_text())
        assert process.stdout == log.read_text() + "\n", process.stderr
        assert process.returncode == int(not result.ok)
        return result

    return run


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Make a directory to stand for a volume."""
    path = tmp_path / "volume"
    path.mkdir()
    return path

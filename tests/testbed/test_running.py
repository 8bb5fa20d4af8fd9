"""Whether a testbed still runs: its lock says so, however many look at it."""

import fcntl
from pathlib import Path

import pytest

from testbed.cluster import is_running
from testbed.spec import LOCK_FILE


@pytest.mark.parametrize(("held", "runs"), [(fcntl.LOCK_EX, True), (fcntl.LOCK_SH, False)])
def test_a_testbed_runs_while_its_lock_is_held_and_not_because_another_looks(
    tmp_path: Path, held: int, runs: bool
) -> None:
    with (tmp_path / LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, held)
        assert is_running(tmp_path) is runs

"""Child processes: started by name, ended for good, and their last words kept."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testbed.processes import ProcessError, Processes
from tests.testbed.waiting import until


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    processes = Processes(tmp_path / "logs")
    yield processes
    await processes.stop_all(timeout_seconds=1)


async def test_what_a_process_prints_is_in_its_log_and_in_the_error_when_it_should_run(
    processes: Processes,
) -> None:
    await processes.start("talker", ["sh", "-c", "echo out; echo $WORD >&2; exit 3"], env={"WORD": "err"})
    assert await processes.wait("talker") == 3
    assert processes.log_path("talker").read_text() == "out\nerr\n"
    with pytest.raises(ProcessError, match=r"(?s)talker has ended with code 3.*out\nerr"):
        processes.pid("talker")


async def test_stop_is_sigterm_and_waits_until_the_process_has_ended(processes: Processes) -> None:
    await processes.start("sleeper", ["sleep", "600"])
    assert processes.running("sleeper")
    await processes.stop("sleeper")
    assert not processes.running("sleeper")
    assert await processes.wait("sleeper") == -signal.SIGTERM
    await processes.stop("sleeper")  # again: no error


async def test_a_process_that_ignores_sigterm_is_killed_with_its_children(processes: Processes) -> None:
    # Two commands: a shell would run a single one in its own place.
    await processes.start("stubborn", ["sh", "-c", "trap '' TERM; echo ready; sleep 600; true"])
    await until(lambda: read(processes.log_path("stubborn")), lambda text: "ready" in text)
    await processes.stop("stubborn", timeout_seconds=0.2)
    assert await processes.wait("stubborn") == -signal.SIGKILL


async def test_a_frozen_process_can_be_stopped(processes: Processes) -> None:
    await processes.start("sleeper", ["sleep", "600"])
    processes.send_signal("sleeper", signal.SIGSTOP)
    await processes.stop("sleeper")
    assert await processes.wait("sleeper") == -signal.SIGTERM


async def test_a_process_is_started_again_as_it_was_and_its_log_goes_on(processes: Processes) -> None:
    await processes.start("echo", ["sh", "-c", "echo $WORD"], env={"WORD": "hello"})
    await processes.wait("echo")
    await processes.start_again("echo")
    await processes.wait("echo")
    assert processes.log_path("echo").read_text() == "hello\nhello\n"


async def test_a_name_that_runs_cannot_be_started(processes: Processes) -> None:
    await processes.start("one", ["sleep", "600"])
    with pytest.raises(ProcessError, match="one runs already"):
        await processes.start("one", ["sleep", "600"])


async def test_a_program_that_is_not_there_is_named(processes: Processes) -> None:
    with pytest.raises(ProcessError, match="no-such-program: No such file"):
        await processes.start("ghost", ["no-such-program"])
    with pytest.raises(ProcessError, match=r"no process 'ghost' in this testbed \(there are: none\)"):
        await processes.stop("ghost")


async def read(path: Path) -> str:
    """Read a log."""
    return path.read_text()  # noqa: ASYNC240  a few bytes on a local disk

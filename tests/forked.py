"""`pie …` in a process of its own that imports nothing: it is forked from one that has imported all of pie.

To import pie takes longer than most commands run, and tests start hundreds of them. `command(…)` is what to
run in place of `python -m pie …`: a small client that gives its streams, its environment and its directory to
a server, passes signals on, and ends as the command ends. The server ends with the process that started it.
"""

import array
import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import NoReturn

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGABRT)
REQUEST_BYTES = 1 << 20
NO_SERVER = "\0"


@cache
def _server() -> str:
    """Start the server of this process; returns the abstract address of its socket."""
    address = f"pie-tests-{os.getpid()}-{os.urandom(8).hex()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.forked", "--serve", address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    atexit.register(process.communicate)
    return address


def command(*arguments: str) -> list[str]:
    """Return the command that runs `pie` with these arguments."""
    if sys.platform != "linux":
        return [sys.executable, "-m", "pie", *arguments]
    return [sys.executable, "-ISs", __file__, _server(), *arguments]


# In the client, which imports little.


def _client(address: str, arguments: list[str]) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{NO_SERVER}{address}")
        request = {"arguments": arguments, "environment": dict(os.environ), "directory": str(Path.cwd())}
        streams = array.array("i", [0, 1, 2])
        connection.sendmsg(
            [json.dumps(request).encode() + b"\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)]
        )
        answers = connection.makefile()
        pid = int(answers.readline())

        def pass_on(number: int, _frame: FrameType | None) -> None:
            os.kill(pid, number)

        for number in PASSED_ON:
            signal.signal(number, pass_on)
        status = int(answers.readline())
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


# In the server.


def _import_all() -> None:
    """Import all of pie."""
    import gc  # noqa: PLC0415  the client imports little
    import importlib  # noqa: PLC0415
    import pkgutil  # noqa: PLC0415

    from typer.testing import CliRunner  # noqa: PLC0415

    import pie  # noqa: PLC0415
    from pie.cli.app import app  # noqa: PLC0415

    for module in pkgutil.walk_packages(pie.__path__, "pie."):
        importlib.import_module(module.name)
    # Typer imports the most when it reads its first arguments.
    CliRunner().invoke(app, ["replay", "/nowhere"])
    gc.freeze()


def _serve(address: str) -> None:
    import random  # noqa: PLC0415

    from pie.__main__ import main  # noqa: PLC0415

    _import_all()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{NO_SERVER}{address}")
        listener.listen()
        os.write(1, b"ready\n")
        while True:
            ready, _, _ = select.select([0, listener], [], [])
            if 0 in ready:
                return
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
    request, streams = _received(connection)
    if (pid := os.fork()) != 0:
        for stream in streams:
            os.close(stream)
        _keep(connection, pid)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    random.seed()
    _become(request)
    try:
        main()
    except SystemExit as end:
        # As Python ends, but what was imported is not deleted one by one.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


def _received(connection: socket.socket) -> tuple[dict[str, object], list[int]]:
    """Return what a client asks for, and its streams."""
    body, streams, _, _ = socket.recv_fds(connection, REQUEST_BYTES, 3)
    while not body.endswith(b"\n"):
        if not (more := connection.recv(REQUEST_BYTES)):
            os._exit(1)
        body += more
    return json.loads(body), streams


def _keep(connection: socket.socket, pid: int) -> NoReturn:
    """Say how a command ends; kill it when its client is gone."""
    connection.sendall(f"{pid}\n".encode())
    ended = os.pidfd_open(pid)
    ready, _, _ = select.select([ended, connection], [], [])
    if ended not in ready:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if ended in ready:
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(request: dict[str, object]) -> None:
    """Take on what the client has."""
    import faulthandler  # noqa: PLC0415

    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    os.chdir(str(request["directory"]))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stdout.reconfigure(write_through=unbuffered, line_buffering=unbuffered)
    sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
    if os.environ.get("PYTHONFAULTHANDLER"):
        faulthandler.enable()
    sys.argv = ["pie", *request["arguments"]]  # type: ignore[misc]


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        _serve(sys.argv[2])
    else:
        _client(sys.argv[1], sys.argv[2:])

"""`pie probe mount`, `provision` and the canaries: read the options, run, leave the result in the pod."""

import argparse
import math
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Never, get_args

from pie.core.iojob import (
    BLOCK_SIZES,
    FSYNC,
    IO_DEPTHS,
    RATES,
    READ_WRITE,
    RUNTIME_SECONDS,
    SIZES,
    IoJob,
)
from pie.core.resident.codes import PORT
from pie.core.result import Outcome, ProbeName, Result, encode
from pie.probe.run import Options, Run

TERMINATION_LOG = Path("/dev/termination-log")
LAST_PORT = 65_535


def main(argv: Sequence[str]) -> int:
    """Run one probe; exit status 0 if everything worked, else 1."""
    try:
        given = parsers()[0].parse_args(argv)
    except _UsageError as error:
        probe: ProbeName = next((each for each in get_args(ProbeName) if each in argv[:1]), "mount")
        unread = Result(probe=probe, outcome=Outcome.INTERNAL, message=f"bad arguments: {error}")
        report(unread, TERMINATION_LOG)
        return 1
    if given.probe == "resident":
        from pie.probe import resident  # noqa: PLC0415  start-up counts in the pods of runs

        return resident.run(
            given.path,
            threshold=given.threshold,
            interval=given.interval,
            port=given.port,
            check_mount=not given.no_mount_check,
        )
    options = _options(given)
    run = Run(options)
    before = {number: signal.signal(number, _terminate) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        run()
        _ignore_signals()
    except _Terminated:
        run.killed()
    result = run.result()
    report(result, options.termination_log)
    for number, handler in before.items():
        signal.signal(number, handler)
    return 0 if result.ok else 1


def parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return what reads the command line after `pie probe`, and its part for each probe."""
    parser = _Parser(
        prog="pie probe",
        description="Use a mounted volume as an application would, once.",
        epilog="Examples: pie probe mount --path /mnt/volume;"
        " pie probe provision --path /tmp --no-mount-check",
    )
    probes = parser.add_subparsers(
        dest="probe", required=True, metavar=f"{{{','.join(get_args(ProbeName))}}}"
    )
    mount = probes.add_parser(
        "mount", help="measure an existing volume, and check what earlier runs left on it"
    )
    provision = probes.add_parser("provision", help="write to a fresh volume and read it back")
    block = probes.add_parser("block", help="write to a fresh raw block volume and read it back")
    clone = probes.add_parser("clone", help="write to a fresh volume, or compare its clone with it")
    clone.add_argument("--source", type=Path, help="where the volume is mounted that this one is a clone of")
    shared = probes.add_parser(
        "shared", help="use a fresh volume together with another pod, and see what that one writes"
    )
    shared.add_argument(
        "--second", action="store_true", help="be the second of the two pods, which have a file each"
    )
    shared.add_argument(
        "--meets-within",
        type=_seconds,
        default=180.0,
        help="how long to wait for the other pod, in seconds (%(default)s)",
    )
    shared.add_argument(
        "--patience",
        type=_seconds,
        default=90.0,
        help="how long a write of the other pod may take to be seen, in seconds (%(default)s)",
    )
    snapshot = probes.add_parser(
        "snapshot", help="write to a fresh volume, or compare what was restored from its snapshot with it"
    )
    snapshot.add_argument("--source", type=Path, help="where the volume is mounted that the snapshot is of")
    snapshot.add_argument(
        "--later", action="store_true", help="only write to that volume, after its snapshot was taken"
    )
    expand = probes.add_parser(
        "expand", help="write to a fresh volume until its filesystem has --capacity more bytes"
    )
    resident = probes.add_parser(
        "resident", help="use a volume that stays mounted, and say by HTTP how it goes"
    )
    of_kind: dict[str, argparse.ArgumentParser] = {
        "mount": mount,
        "provision": provision,
        "block": block,
        "clone": clone,
        "shared": shared,
        "expand": expand,
        "snapshot": snapshot,
        "resident": resident,
    }
    for probe in of_kind.values():
        probe.add_argument(
            "--path", type=Path, required=True, help="where the volume is mounted, or its device"
        )
        probe.add_argument(
            "--capacity", type=_bytes, default=0, help="in bytes, of the volume that was asked for (0: any)"
        )
        probe.add_argument(
            "--termination-log", type=Path, default=TERMINATION_LOG, help="takes the result as JSON"
        )
        probe.add_argument(
            "--no-mount-check",
            action="store_true",
            help="take any directory for a volume, or any file for a device",
        )
    expand.add_argument(
        "--patience", type=int, default=240, help="how long to wait for that, in seconds (%(default)s)"
    )
    expand.add_argument(
        "--asked-after",
        type=_seconds,
        default=math.inf,
        help="how long after the start the volume is expanded, in seconds (%(default)s: later)",
    )
    expand.add_argument(
        "--size-of", type=Path, help="a file whose size stands for that of the filesystem, for demos"
    )
    job = IoJob()
    mount.add_argument(
        "--block-size", choices=BLOCK_SIZES, default=job.block_size, help="of fio's job (%(default)s)"
    )
    mount.add_argument("--size", choices=SIZES, default=job.size, help="of fio's file (%(default)s)")
    mount.add_argument(
        "--runtime",
        type=int,
        choices=RUNTIME_SECONDS,
        default=job.runtime_seconds,
        help="in seconds (%(default)s)",
    )
    mount.add_argument(
        "--read-write", choices=READ_WRITE, default=job.read_write, help="fio's rw (%(default)s)"
    )
    mount.add_argument("--direct", action=argparse.BooleanOptionalAction, default=job.direct, help="O_DIRECT")
    mount.add_argument(
        "--fsync", type=int, choices=FSYNC, default=job.fsync, help="sync after so many writes (0: never)"
    )
    mount.add_argument(
        "--io-depth", type=int, choices=IO_DEPTHS, default=job.io_depth, help="operations at a time"
    )
    mount.add_argument(
        "--rate-iops",
        type=int,
        choices=RATES,
        default=job.rate_iops,
        help="at most so many reads a second, and so many writes (0: no limit)",
    )
    mount.add_argument(
        "--without-fio", action="store_true", help="where there is no fio, measure without it, for demos"
    )
    mount.add_argument("--no-integrity", action="store_true", help="keep no records on the volume")
    resident.add_argument(
        "--threshold",
        type=_seconds,
        default=10.0,
        help="an operation of so many seconds is a stall (%(default)s)",
    )
    resident.add_argument(
        "--interval",
        type=_seconds,
        default=2.0,
        help="seconds between two rounds of I/O, about (%(default)s)",
    )
    resident.add_argument("--port", type=_port, default=PORT, help="it listens on (%(default)s)")
    return parser, of_kind


def parse(argv: Sequence[str]) -> Options:
    """Read the command line of a run, what comes after `pie probe`."""
    return _options(parsers()[0].parse_args(argv))


def _options(given: argparse.Namespace) -> Options:
    job = IoJob()
    if given.probe == "mount":
        job = IoJob(
            block_size=given.block_size,
            size=given.size,
            runtime_seconds=given.runtime,
            read_write=given.read_write,
            direct=given.direct,
            fsync=given.fsync,
            io_depth=given.io_depth,
            rate_iops=given.rate_iops,
        )
    return Options(
        probe=given.probe,
        path=given.path,
        source=getattr(given, "source", None),
        second=getattr(given, "second", False),
        later=getattr(given, "later", False),
        job=job,
        capacity_bytes=given.capacity,
        integrity=not getattr(given, "no_integrity", False),
        check_mount=not given.no_mount_check,
        patience_seconds=getattr(given, "patience", 0),
        meets_within_seconds=getattr(given, "meets_within", 0.0),
        asked_after_seconds=getattr(given, "asked_after", math.inf),
        size_of=getattr(given, "size_of", None),
        without_fio=getattr(given, "without_fio", False),
        termination_log=given.termination_log,
    )


def report(result: Result, termination_log: Path) -> None:
    """Leave the result where kubelet looks for it, and on stdout for who runs the probe by hand.

    The log is not created: kubelet mounts it, and outside a pod nobody wants one.
    """
    message = encode(result)
    try:
        descriptor = os.open(termination_log, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(descriptor, message)
        finally:
            os.close(descriptor)
    except OSError as error:
        _say(2, f"{termination_log}: {error.strerror}: the result is on stdout only\n".encode())
    _say(1, message + b"\n")


def _say(descriptor: int, text: bytes) -> None:
    """Write past Python's buffers: a closed or full stdout must not change how the probe ends."""
    try:
        os.write(descriptor, text)
    except OSError:
        return


class _Terminated(BaseException):
    """SIGTERM: the pod's deadline is over, or it is being deleted."""


def _terminate(_number: int, _frame: FrameType | None) -> Never:
    _ignore_signals()  # only the first one counts; a second one must not interrupt the report
    raise _Terminated


def _ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


class _UsageError(Exception):
    """The arguments are wrong; the text says how."""


class _Parser(argparse.ArgumentParser):
    """Raises errors, since the controller reads the termination message and not stderr."""

    def _get_formatter(self) -> argparse.HelpFormatter:
        return argparse.HelpFormatter(self.prog, width=100)  # measuring the terminal costs three imports

    def error(self, message: str) -> Never:
        raise _UsageError(message)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return float(text)


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def _bytes(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""fio on the volume: the job, what it measured, and what its errors mean."""

import errno
import os
import re
import signal
import subprocess
from pathlib import Path

import msgspec

from pie.core.iojob import IoJob, size_bytes
from pie.core.result import IoStats, Latency, Outcome
from pie.core.text import one_line
from pie.probe.failure import Failure, doing, outcome_of
from pie.probe.volume import REFUSED_DIRECT, Volume


def arguments(job: IoJob, filename: str) -> list[str]:
    """Give fio's command line. A colon separates fio's file names, so one in a path is escaped.

    More than one operation at a time is done by threads: fio's asynchronous engines need a library, or system
    calls that a pod may not have. Each thread has a part of the file.
    """
    threads = job.threads
    part = size_bytes(job.size) // threads
    shared = ["--group_reporting", f"--offset_increment={part}"] if threads > 1 else []
    return [
        "fio",
        "--name=pie",
        "--filename=" + filename.replace("\\", "\\\\").replace(":", "\\:"),
        f"--direct={int(job.direct)}",
        f"--rw={job.read_write}",
        f"--bs={job.block_size}",
        f"--size={part if shared else job.size}",
        f"--numjobs={threads}",
        # The kernel's clock: fio's own costs more CPU to calibrate than a small job.
        "--clocksource=clock_gettime",
        # As a process its worker would be in a session of its own, and outlive a fio that is killed.
        "--thread",
        f"--runtime={job.runtime_seconds}",
        *([f"--fsync={job.fsync}"] if job.fsync else []),
        *([f"--rate_iops={job.rate_iops // threads}"] if job.rate_iops else []),
        *shared,
        "--output-format=json",
        "--eta=never",
    ]


class _Total(msgspec.Struct, frozen=True):
    mean: float = 0
    max: float = 0


class _Completion(msgspec.Struct, frozen=True):
    percentile: dict[str, float] = {}


class _Direction(msgspec.Struct, frozen=True):
    total_ios: int = 0
    iops: float = 0
    lat_ns: _Total = _Total()
    clat_ns: _Completion = _Completion()


class _Job(msgspec.Struct, frozen=True):
    error: int
    read: _Direction
    write: _Direction


class _Report(msgspec.Struct, frozen=True):
    jobs: list[_Job]


def run(volume: Volume, job: IoJob) -> IoStats:
    """Run the job on a file of pie's own in the volume, which stays there for the next run."""
    file = volume.own / "fio" / "job"
    volume.make_directory(file.parent)
    if not job.direct:
        return _measured(volume, file, job)
    return volume.past_cache(
        lambda flag: _measured(volume, file, msgspec.structs.replace(job, direct=bool(flag)))
    )


def _measured(volume: Volume, file: Path, job: IoJob) -> IoStats:
    """Run the job; raises OSError if O_DIRECT is refused, Failure for all else."""
    status, stdout, stderr = _run(arguments(job, str(file)), volume.lock)
    report, spoken = parse(stdout)
    if status == 0 and report is not None and report.error == 0:
        return IoStats(read=_latency(report.read), write=_latency(report.write))
    error, said = report.error if report is not None else 0, f"{stderr}\n{spoken}"
    if job.direct and (refused := errno_of(error, said)) in REFUSED_DIRECT:
        raise OSError(refused, os.strerror(refused))
    why = failure(status, error, said)
    if why.outcome is Outcome.NO_SPACE:
        with doing(f"removing {file}"):
            file.unlink(missing_ok=True)  # the part of it that fio could write fills the volume
    raise why


def _run(argv: list[str], lock: int) -> tuple[int, str, str]:
    """Run fio in its own process group; it keeps the volume's lock if it hangs after this process ends."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[lock],
            process_group=0,
        )
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EACCES, errno.ENOEXEC):
            raise Failure(
                Outcome.FIO_MISSING, f"fio cannot be run: {error.strerror}; is it in the image?"
            ) from error
        raise
    try:
        stdout, stderr = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # not waited for: it may be stuck in the disk
        raise
    return process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace")


def parse(stdout: str) -> tuple[_Job | None, str]:
    """Split fio's output into its JSON report and the lines it prints before that."""
    spoken, brace, text = ("\n" + stdout).partition("\n{")
    try:
        report = msgspec.json.decode(brace + text, type=_Report, strict=False)  # noqa: TID251  it may quote numbers
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None, stdout
    return (report.jobs[0] if report.jobs else None), spoken


def failure(status: int, error: int, spoken: str) -> Failure:
    """Return the failure for a failed fio: by the errno it reports, else by an error text in its output."""
    said = [line.strip() for line in spoken.splitlines() if line.startswith("fio:") and not _is_aside(line)]
    evidence = one_line(said[0] if said else spoken, 200) or "without a word"
    number = errno_of(error, spoken)
    if number in _NOT_THE_VOLUME or not number:
        return Failure(Outcome.FIO_FAILED, f"fio ended with status {status}: {evidence}")
    return Failure(outcome_of(number), evidence)


def errno_of(error: int, spoken: str) -> int:
    """Return the errno that a failed fio reports or prints; 0: none."""
    numbers = [error, *(int(number) for number in re.findall(r"\berr=(\d+)", spoken))]
    numbers += [number for number in errno.errorcode if f": {os.strerror(number)}" in spoken]
    return next((number for number in numbers if number), 0)


def _is_aside(line: str) -> bool:
    """Tell whether fio says that it does without something that the filesystem or the kernel lacks."""
    return any(call in line for call in ("fallocate", "fadvise", "cache invalidation"))


_NOT_THE_VOLUME = (errno.EINVAL, errno.ENOMEM, errno.EINTR, errno.ENOEXEC, errno.E2BIG)
"""Errors of fio's arguments and memory, not of the volume."""


def _latency(direction: _Direction) -> Latency | None:
    if not direction.total_ios:
        return None
    percentile = direction.clat_ns.percentile
    return Latency(
        iops=direction.iops,
        mean_seconds=_seconds(direction.lat_ns.mean),
        p50_seconds=_seconds(percentile.get("50.000000", 0)),
        p99_seconds=_seconds(percentile.get("99.000000", 0)),
        max_seconds=_seconds(direction.lat_ns.max),
    )


def _seconds(nanoseconds: float) -> float:
    return round(nanoseconds / 1e9, 9)

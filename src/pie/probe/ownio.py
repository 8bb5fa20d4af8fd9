"""I/O of pie's own, in place of fio where there is none: for demos, and only when asked for.

It follows fio's job as far as a demo needs: blocks in order, a write and a read in turn (whatever the job's
`rw` is), one at a time, for so many seconds or so many bytes. The interpreter's own time is in the latencies,
some microseconds an operation, so they are not comparable with fio's; the result says who measured.
"""

import mmap
import os
import re
import time
from pathlib import Path

from pie.core.result import IoStats, Latency
from pie.probe.failure import doing
from pie.probe.fio import Job
from pie.probe.volume import Volume, create

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def size_bytes(text: str) -> int:
    """Return the bytes of a size in fio's notation, such as `4k` or `50M`."""
    match = re.fullmatch(r"([0-9]+)([kmg]?)", text.lower())
    if match is None:
        raise ValueError(f"{text!r} is no size like 4k or 50M")
    return int(match[1]) * _UNITS[match[2]]


def run(volume: Volume, job: Job) -> IoStats:
    """Write and read a file of pie's own in the volume, which stays there for the next run."""
    file = volume.own / "fio" / "job"
    volume.make_directory(file.parent)
    with doing(f"measuring on {file}"):
        if job.direct:
            return volume.past_cache(lambda flag: _measured(file, job, flag))
        return _measured(file, job, 0)


def _measured(file: Path, job: Job, flag: int) -> IoStats:
    block = size_bytes(job.block_size)
    blocks = max(1, size_bytes(job.size) // block)
    reads: list[float] = []
    writes: list[float] = []
    with mmap.mmap(-1, block) as buffer:
        buffer.write(os.urandom(block))
        descriptor = create(file, os.O_RDWR | flag)
        try:
            ends_at = time.perf_counter() + job.runtime_seconds
            for number in range(blocks):
                started = time.perf_counter()
                os.pwritev(descriptor, [buffer], number * block)
                written = time.perf_counter()
                writes.append(written - started)
                if job.fsync and (number + 1) % job.fsync == 0:
                    os.fsync(descriptor)
                    written = time.perf_counter()
                os.preadv(descriptor, [buffer], number * block)
                reads.append(time.perf_counter() - written)
                if time.perf_counter() >= ends_at:
                    break
        finally:
            os.close(descriptor)
    return IoStats(read=_latency(reads), write=_latency(writes), tool="pie")


def _latency(seconds: list[float]) -> Latency:
    ordered = sorted(seconds)
    total = sum(ordered)
    return Latency(
        iops=round(len(ordered) / total, 3),
        mean_seconds=round(total / len(ordered), 9),
        p50_seconds=round(ordered[len(ordered) // 2], 9),
        p99_seconds=round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 9),
        max_seconds=round(ordered[-1], 9),
    )

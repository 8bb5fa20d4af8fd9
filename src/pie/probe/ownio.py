"""I/O of pie's own, in place of fio where there is none: for demos, and only when asked for.

It follows fio's job, but for small things: a job that reads and writes does so in turn. The interpreter's own
time is in the latencies, some microseconds an operation, so they are not comparable with fio's; the result
says who measured.
"""

import mmap
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pie.core.iojob import IoJob, size_bytes
from pie.core.result import IoStats, Latency
from pie.probe.failure import doing
from pie.probe.volume import Volume, create


def run(volume: Volume, job: IoJob) -> IoStats:
    """Write and read a file of pie's own in the volume, which stays there for the next run."""
    file = volume.own / "fio" / "job"
    volume.make_directory(file.parent)
    with doing(f"measuring on {file}"):
        if job.direct:
            return volume.past_cache(lambda flag: _measured(file, job, flag))
        return _measured(file, job, 0)


def _measured(file: Path, job: IoJob, flag: int) -> IoStats:
    workers = [_Worker(file, job, flag, part) for part in range(job.threads)]
    threads = [threading.Thread(target=worker.work, daemon=True) for worker in workers[1:]]
    for thread in threads:
        thread.start()
    workers[0].work()
    for thread in threads:
        thread.join()
    for worker in workers:
        if worker.error is not None:
            raise worker.error
    reads = [seconds for worker in workers for seconds in worker.reads]
    writes = [seconds for worker in workers for seconds in worker.writes]
    return IoStats(read=_latency(reads, job), write=_latency(writes, job), tool="pie")


class _Worker:
    """One thread's operations, on its own part of the file."""

    def __init__(self, file: Path, job: IoJob, flag: int, part: int) -> None:
        self.reads: list[float] = []
        self.writes: list[float] = []
        self.error: OSError | None = None
        self._file = file
        self._job = job
        self._flag = flag
        self._block = size_bytes(job.block_size)
        count = max(1, size_bytes(job.size) // self._block // job.threads)
        self._blocks = range(part * count, (part + 1) * count)

    def work(self) -> None:
        """Do the operations; an error ends them."""
        try:
            with mmap.mmap(-1, self._block) as buffer:
                buffer.write(os.urandom(self._block))
                descriptor = create(self._file, os.O_RDWR | self._flag)
                try:
                    self._operate(descriptor, buffer)
                finally:
                    os.close(descriptor)
        except OSError as error:
            self.error = error

    def _operate(self, descriptor: int, buffer: mmap.mmap) -> None:
        job = self._job
        reads = job.read_write not in {"write", "randwrite"}
        writes = job.read_write not in {"read", "randread"}
        if not writes:
            self._lay_out(descriptor, buffer)
        began = time.perf_counter()
        for done, number in enumerate(self._order()):
            if writes:
                started = time.perf_counter()
                os.pwritev(descriptor, [buffer], number * self._block)
                self.writes.append(time.perf_counter() - started)
                if job.fsync and (done + 1) % job.fsync == 0:
                    os.fsync(descriptor)
            if reads:
                started = time.perf_counter()
                os.preadv(descriptor, [buffer], number * self._block)
                self.reads.append(time.perf_counter() - started)
            next_at = began + (done + 1) * job.threads / job.rate_iops if job.rate_iops else 0.0
            if max(next_at, time.perf_counter()) >= began + job.runtime_seconds:
                break
            time.sleep(max(0.0, next_at - time.perf_counter()))

    def _order(self) -> Iterator[int]:
        """Yield the blocks in the order in which they are used, each once."""
        if not self._job.read_write.startswith("rand"):
            return iter(self._blocks)
        return iter(random.sample(self._blocks, len(self._blocks)))

    def _lay_out(self, descriptor: int, buffer: mmap.mmap) -> None:
        """Write the blocks that the file lacks, as fio does before it reads."""
        size = os.fstat(descriptor).st_size
        for number in self._blocks:
            if size < (number + 1) * self._block:
                os.pwritev(descriptor, [buffer], number * self._block)


def _latency(seconds: list[float], job: IoJob) -> Latency | None:
    if not seconds:
        return None
    ordered = sorted(seconds)
    total = sum(ordered)
    return Latency(
        iops=round(job.threads * len(ordered) / total, 3),
        mean_seconds=round(total / len(ordered), 9),
        p50_seconds=round(ordered[len(ordered) // 2], 9),
        p99_seconds=round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 9),
        max_seconds=round(ordered[-1], 9),
    )

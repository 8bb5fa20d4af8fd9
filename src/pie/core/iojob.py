"""The I/O job of a mount run: `spec.io` of a PieProbe, and options of `pie probe mount`.

All values come from closed sets. Free text for fio would be a way to run commands in the pod.
"""

import msgspec

BLOCK_SIZES = ("512", "4k", "8k", "16k", "32k", "64k", "128k", "256k", "512k", "1M")
SIZES = ("1M", "4M", "8M", "16M", "50M", "64M", "100M", "256M", "512M", "1G")
RUNTIME_SECONDS = (1, 2, 5, 10, 20)
READ_WRITE = ("read", "write", "readwrite", "randread", "randwrite", "randrw")
FSYNC = (0, 1, 2, 4, 8, 16, 32, 64, 128)
IO_DEPTHS = (1, 2, 4, 8, 16)
RATES = (0, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
"""Each can be divided by each depth."""

_UNITS = {"": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class IoJob(msgspec.Struct, frozen=True):
    """fio's job; the defaults are Go pie's job exactly. Sizes in fio's notation."""

    block_size: str = "4k"
    size: str = "50M"
    runtime_seconds: int = 1
    read_write: str = "readwrite"
    direct: bool = True
    fsync: int = 0
    """Sync after this many writes; 0: never, as in Go pie's job."""
    io_depth: int = 1
    """So many threads, each with its own part of the file."""
    rate_iops: int = 0
    """At most so many reads a second, and so many writes, of all threads together; 0: no limit."""

    @property
    def threads(self) -> int:
        """How many threads do I/O: no more than the file has blocks."""
        return max(1, min(self.io_depth, size_bytes(self.size) // size_bytes(self.block_size)))

    @property
    def most_bytes(self) -> int:
        """How much a run reads and writes at most: each block of the file is used once."""
        return min(size_bytes(self.size), self.most_bytes_a_second * self.runtime_seconds)

    @property
    def most_bytes_a_second(self) -> int:
        """How much a run reads and writes in a second at most."""
        if not self.rate_iops:
            return size_bytes(self.size)
        sides = 2 if self.read_write in {"readwrite", "randrw"} else 1
        return min(size_bytes(self.size), sides * self.rate_iops * size_bytes(self.block_size))

    def options(self) -> list[str]:
        """Return the options of `pie probe mount` that are not its defaults.

        So a probe of an older image, which does not know a new option, runs as long as nobody asks for it.
        """
        given = msgspec.structs.asdict(self)
        usual = msgspec.structs.asdict(IoJob())
        words: list[str] = []
        for field, option in OPTIONS.items():
            if given[field] != usual[field]:
                words += [option, str(given[field])]
        return words if self.direct else [*words, "--no-direct"]


OPTIONS = {
    "block_size": "--block-size",
    "size": "--size",
    "runtime_seconds": "--runtime",
    "read_write": "--read-write",
    "fsync": "--fsync",
    "io_depth": "--io-depth",
    "rate_iops": "--rate-iops",
}
"""The option of each field that has a value."""


def size_bytes(text: str) -> int:
    """Return the bytes of one of the sizes above."""
    unit = text[-1:] if text[-1:] in _UNITS else ""
    return int(text.removesuffix(unit)) * _UNITS[unit]

"""The bytes of a file of records: a line that says what it is, then blocks of compressed records.

Only complete blocks are read. So a file can be read while it is written, and after its writer was killed, up
to its last complete block.
"""

import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

import msgspec

from pie.core.decode import Unreadable, decode
from pie.core.model import Target

FORMAT: Final = 1
_MAGIC: Final = b"pie record "
_LONGEST_HEAD: Final = 4096
_SIZE_BYTES: Final = 4
BLOCK_BYTES: Final = 256 * 1024
"""A block of so many bytes, before it is compressed, is written."""
_LARGEST_BLOCK: Final = 64 * 1024 * 1024
_LEVEL: Final = 3


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is: its format, the version of pie that wrote it, since when, whether names are hashed."""

    format: int = FORMAT
    version: str
    began: float
    anonymous: bool = False


class Truncated(Unreadable):
    """The file ends in the middle of a block: its writer was killed, or it was not copied whole."""


def head_line(head: Head) -> bytes:
    """Return the first bytes of a file."""
    return _MAGIC + msgspec.json.encode(head) + b"\n"


def block(records: Iterable[bytes]) -> bytes:
    """Return a block of records."""
    plain = b"".join(len(each).to_bytes(_SIZE_BYTES, "big") + each for each in records)
    packed = zlib.compress(plain, _LEVEL)
    return len(packed).to_bytes(_SIZE_BYTES, "big") + packed


def read_head(body: bytes) -> tuple[Head, int]:
    """Return what a file is, and where its blocks begin. Raises Unreadable."""
    line, end, _ = body[:_LONGEST_HEAD].partition(b"\n")
    if not line.startswith(_MAGIC):
        raise Unreadable("it is not a record of pie")
    if not end:
        raise Truncated("it ends in its first line")
    head = decode(line.removeprefix(_MAGIC), Head)
    if head.format != FORMAT:
        raise Unreadable(
            f"its format is {head.format}, written by pie {head.version}; this pie reads {FORMAT}"
        )
    return head, len(line) + 1


def read_records(body: bytes, start: int) -> Iterator[bytes]:
    """Yield the records of the blocks from `start` on. Raises Unreadable; Truncated at an incomplete end."""
    at = start
    while at < len(body):
        packed, at = _sized(body, at)
        yield from _unpacked(packed, at)


def only(body: bytes, target: Target) -> bytes:
    """Return a file with the records of one target, up to the last complete block. Raises Unreadable."""
    head, start = read_head(body)
    name = msgspec.msgpack.encode(target)
    found: list[bytes] = []
    with suppress(Truncated):
        found.extend(each for each in read_records(body, start) if name in each)
    return head_line(head) + block(found) if found else b""


def _unpacked(packed: bytes, at: int) -> Iterator[bytes]:
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(packed, _LARGEST_BLOCK)
    except zlib.error as error:
        raise Unreadable(f"the block that ends at byte {at} is damaged: {error}") from error
    if not unpacking.eof or unpacking.unused_data:
        raise Unreadable(f"the block that ends at byte {at} is damaged: it does not end where it should")
    inner = 0
    while inner < len(plain):
        try:
            record, inner = _sized(plain, inner)
        except Truncated as error:
            raise Unreadable(f"the block that ends at byte {at} is damaged") from error
        yield record


def _sized(body: bytes, at: int) -> tuple[bytes, int]:
    """Return the bytes that follow their own length, and where they end."""
    begin = at + _SIZE_BYTES
    end = begin + int.from_bytes(body[at:begin], "big")
    if begin > len(body) or end > len(body):
        raise Truncated(f"it ends in the middle of a block, at byte {len(body)}")
    return body[begin:end], end

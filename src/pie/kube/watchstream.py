"""A watch as typed events: splitting the stream into lines, and decoding each straight into its Struct."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from pie.core.wire import Metadata
from pie.kube.errors import Status, Undecodable

INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"
"""Annotation of the bookmark that ends the initial events of a WatchList (KEP-3157)."""

_LONGEST_LINE_BYTES: Final = 64 * 1024 * 1024
"""etcd takes objects of 1.5 MiB; a longer line than this is no event."""


class HasMetadata(Protocol):
    """Any of the wire Structs of `pie.core.wire`."""

    @property
    def metadata(self) -> Metadata:
        """Identity of the object."""


T = TypeVar("T", bound=HasMetadata)


class Added(msgspec.Struct, Generic[T], tag_field="type", tag="ADDED", frozen=True):
    """The object came to be, or came to match the selectors."""

    object: T


class Modified(msgspec.Struct, Generic[T], tag_field="type", tag="MODIFIED", frozen=True):
    """The object changed."""

    object: T


class Deleted(msgspec.Struct, Generic[T], tag_field="type", tag="DELETED", frozen=True):
    """The object is gone, or stopped matching the selectors; `object` is its last state."""

    object: T


class Marked(msgspec.Struct, frozen=True):
    """Any object, by its metadata alone."""

    metadata: Metadata = Metadata()


class Bookmark(msgspec.Struct, tag_field="type", tag="BOOKMARK", frozen=True):
    """Everything up to this resourceVersion has been sent."""

    object: Marked

    @property
    def ends_initial_events(self) -> bool:
        """Whether the initial events of a WatchList are complete."""
        return self.object.metadata.annotations.get(INITIAL_EVENTS_END) == "true"


class Failed(msgspec.Struct, tag_field="type", tag="ERROR", frozen=True):
    """The watch cannot go on; 410 means that its resourceVersion is too old."""

    object: Status


class Skipped(msgspec.Struct, frozen=True):
    """An event whose object does not fit its Struct; `reason` says why."""

    object: Marked
    reason: str = ""


Event = Added[T] | Modified[T] | Deleted[T] | Bookmark | Failed | Skipped


class EventDecoder(Generic[T]):
    """Decodes the lines of a watch on objects of one type."""

    def __init__(self, of: type[T]) -> None:
        union = Added[of] | Modified[of] | Deleted[of] | Bookmark | Failed  # type: ignore[valid-type]  # run time
        self._decoder: msgspec.json.Decoder[Event[T]] = msgspec.json.Decoder(union)

    def decode(self, line: bytes) -> Event[T]:
        """Decode one event. An object that does not fit is `Skipped`; what is no event raises Undecodable."""
        try:
            return self._decoder.decode(line)
        except (msgspec.ValidationError, UnicodeDecodeError) as error:
            try:
                bare = msgspec.json.decode(line, type=Skipped)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise Undecodable(f"a watch sent what is not an event: {error}") from error
            return Skipped(bare.object, str(error))
        except msgspec.DecodeError as error:
            raise Undecodable(f"a watch sent what is not JSON: {error}") from error


class LineSplitter:
    """Cuts a stream of chunks into lines: each byte is looked at once, however long the lines are."""

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._length = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that this chunk completes, without their line ends; empty lines are left out."""
        *complete, rest = chunk.split(b"\n")
        for end in complete:
            line = b"".join([*self._partial, end]) if self._partial else end
            self._partial.clear()
            self._length = 0
            if line.strip():
                yield line
        if rest:
            self._partial.append(rest)
            self._length += len(rest)
            if self._length > _LONGEST_LINE_BYTES:
                raise Undecodable(f"a watch sent a line of more than {_LONGEST_LINE_BYTES} bytes")


async def events(chunks: AsyncIterator[bytes], decoder: EventDecoder[T]) -> AsyncGenerator[Event[T], None]:
    """Yield the events of a watch. An event cut off by the end is dropped: it will be sent again."""
    splitter = LineSplitter()
    async for chunk in chunks:
        for line in splitter.feed(chunk):
            yield decoder.decode(line)

"""A watch as typed events: splitting the stream into lines, and decoding each straight into its Struct."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from pie.core.decode import Unreadable, convert, untyped
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
    """The object was created, or now matches the selectors."""

    object: T


class Modified(msgspec.Struct, Generic[T], tag_field="type", tag="MODIFIED", frozen=True):
    """The object changed."""

    object: T


class Deleted(msgspec.Struct, Generic[T], tag_field="type", tag="DELETED", frozen=True):
    """The object was deleted, or no longer matches the selectors; `object` is its last state."""

    object: T


class Marked(msgspec.Struct, frozen=True):
    """Any object, by its metadata alone."""

    metadata: Metadata = Metadata()


class Bookmark(msgspec.Struct, tag_field="type", tag="BOOKMARK", frozen=True):
    """Everything up to this resourceVersion has been sent."""

    object: Marked = Marked()

    @property
    def ends_initial_events(self) -> bool:
        """Whether the initial events of a WatchList are complete."""
        return self.object.metadata.annotations.get(INITIAL_EVENTS_END) == "true"


class Failed(msgspec.Struct, tag_field="type", tag="ERROR", frozen=True):
    """The watch cannot continue; 410 means that its resourceVersion is too old."""

    object: Status = Status()


class Skipped(msgspec.Struct, frozen=True):
    """An object that does not fit its Struct; `reason` says why. `gone`: it was deleted."""

    object: Marked
    reason: str
    gone: bool = False


Event = Added[T] | Modified[T] | Deleted[T] | Bookmark | Failed | Skipped


def skipped(found: Any, why: Unreadable, *, gone: bool = False) -> Skipped:
    """Return an object that cannot be read, with as much of its identity as can."""
    metadata = found.get("metadata") if isinstance(found, dict) else None
    known = metadata.items() if isinstance(metadata, dict) else ()
    identity = {name: value for name, value in known if name in _IDENTITY and isinstance(value, str)}
    return Skipped(Marked(convert(identity, Metadata)), str(why), gone)


_IDENTITY: Final = frozenset({"name", "namespace", "uid", "resourceVersion"})


class EventDecoder(Generic[T]):
    """Decodes the lines of a watch on objects of one type."""

    def __init__(self, of: type[T]) -> None:
        self._of = of
        union = Added[of] | Modified[of] | Deleted[of] | Bookmark | Failed  # type: ignore[valid-type]  # run time
        self._decoder: msgspec.json.Decoder[Event[T]] = msgspec.json.Decoder(union)

    def decode(self, line: bytes) -> Event[T]:
        """Decode one event. An object that does not fit is `Skipped`; what is no event raises Undecodable."""
        try:
            return self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return self._second_look(line, error)

    def _second_look(self, line: bytes, refusal: Exception) -> Event[T]:
        """Decode an event that is not clean: with nulls, most likely."""
        try:
            found = untyped(line, refusal)
            kind = found.get("type") if isinstance(found, dict) else None
            if kind == "BOOKMARK":
                return convert(found, Bookmark)
            if kind == "ERROR":
                return convert(found, Failed)
        except Unreadable as error:
            raise Undecodable(f"a watch sent what is not an event: {error}") from error
        if kind not in ("ADDED", "MODIFIED", "DELETED"):
            raise Undecodable(f"a watch sent what is not an event: its type is {kind!r}")
        try:
            item = convert(found.get("object"), self._of)
        except Unreadable as error:
            return skipped(found.get("object"), error, gone=kind == "DELETED")
        return Added(item) if kind == "ADDED" else Modified(item) if kind == "MODIFIED" else Deleted(item)


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

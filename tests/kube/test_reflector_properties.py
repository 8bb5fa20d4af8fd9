"""Whatever way a history of objects reaches the reflector, the copy ends as the history does."""

import itertools
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from hypothesis import given
from hypothesis import strategies as st

from pie.core.wire import Pod
from pie.kube.client import Client
from pie.kube.config import ClusterConfig
from pie.kube.errors import KubeError
from pie.kube.reflector import Reflector
from pie.kube.resources import PODS
from pie.kube.watchstream import EventDecoder, LineSplitter
from tests.kube.scripted import bookmark, error_event, event, pod

STEPS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["set", "delete"])), max_size=30)


@dataclass
class History:
    """What an API server went through: all events, in order, and the state after each."""

    events: list[bytes] = field(default_factory=list)
    states: list[dict[str, dict[str, Any]]] = field(default_factory=lambda: [{}])

    @staticmethod
    def of(steps: list[tuple[str, str]]) -> "History":
        history = History()
        for name, what in steps:
            version = len(history.events) + 1
            state = dict(history.states[-1])
            old = state.get(name)
            if what == "delete":
                if old is None:
                    continue
                last = pod(name, version, uid=old["metadata"]["uid"])
                del state[name]
                history.events.append(event("DELETED", last))
            else:
                new = pod(name, version, uid=old["metadata"]["uid"] if old else f"uid-{version}")
                state[name] = new
                history.events.append(event("MODIFIED" if old else "ADDED", new))
            history.states.append(state)
        return history


class Copy:
    """A reflector that is fed by hand, and a second copy made from nothing but what it told."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        client = Client(ClusterConfig(server="http://127.0.0.1:1"))
        self.metrics = client.metrics
        self.reflector = Reflector(client, PODS, Pod, on_change=self._changed)

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and new is None:
            del self.told[old.metadata.name]
        elif new is not None:
            assert (old is None) == (new.metadata.name not in self.told)
            self.told[new.metadata.name] = new.metadata.resource_version

    async def feed(self, client: "Pieces") -> None:
        self.reflector._client = client  # type: ignore[assignment]  # it has the one method that is used
        with suppress(KubeError):
            await self.reflector._watch()


class Pieces:
    """Stands where the client is, and hands out a stream in given pieces."""

    def __init__(self, stream: bytes, cuts: list[int]) -> None:
        bounds = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
        self._pieces = [stream[start:end] for start, end in itertools.pairwise(bounds)]

    def watch(self, *_: object, **__: object) -> "Pieces":
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pieces.clear()

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop(0)


@given(
    steps=STEPS,
    connections=st.lists(
        st.tuples(st.integers(0, 40), st.lists(st.integers(0, 10_000), max_size=20), st.booleans()),
        max_size=5,
    ),
)
async def test_any_cuts_drops_and_relists_give_the_store_of_the_full_history(
    steps: list[tuple[str, str]], connections: list[tuple[int, list[int], bool]]
) -> None:
    history = History.of(steps)
    copy = Copy()
    last: tuple[int, list[int], bool] = (len(history.events), [], False)
    for reach, cuts, expired in [*connections, last]:
        version = int(copy.reflector._version or 0)
        until = max(version, min(reach, len(history.events)))
        if copy.reflector._version:
            stream = b"".join(history.events[version:until])
        else:  # the server sends the state of some moment, then what came after it
            base = until // 2
            initial = [event("ADDED", item) for item in history.states[base].values()]
            stream = b"".join([*initial, bookmark(base, ends=True), *history.events[base:until]])
        if reach % 3 == 0 and (reach, cuts, expired) != last:
            stream = stream[: len(stream) * 2 // 3]  # the connection breaks, mostly inside an event
        if expired:
            stream += error_event(410, "Expired")
        await copy.feed(Pieces(stream, cuts))
    expected = {name: item["metadata"]["resourceVersion"] for name, item in history.states[-1].items()}
    store = copy.reflector.store
    assert {name: item.metadata.resource_version for (_, name), item in store.items()} == expected
    assert copy.told == expected
    assert copy.metrics.defects.labels("watch", "pods")._value.get() == 0, "no listener raised"


@given(
    lines=st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line and bool(line.strip()))),
    data=st.data(),
)
def test_lines_come_out_as_they_went_in_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    bounds = [0, *cuts, len(stream)]
    splitter = LineSplitter()
    pieces = (stream[start:end] for start, end in itertools.pairwise(bounds))
    assert [line for piece in pieces for line in splitter.feed(piece)] == lines


@given(
    line=st.binary()
    | st.text().map(str.encode)
    | st.sampled_from([b'{"type":"ADDED"}', b'{"object":{}}', b"[]"])
)
def test_a_line_is_an_event_or_an_error_of_ours(line: bytes) -> None:
    with suppress(KubeError):
        EventDecoder(Pod).decode(line)

"""The reflector against a scripted server that does everything API servers and networks do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from pie.core.wire import Pod
from pie.kube.backoff import Backoff
from pie.kube.client import Client
from pie.kube.clock import ServerClock
from pie.kube.metrics import KubeMetrics
from pie.kube.reflector import Reflector
from pie.kube.resources import PODS
from pie.kube.timing import Timing
from pie.kube.watchstream import Event
from tests.kube.scripted import (
    Drop,
    Hang,
    ScriptedServer,
    answer,
    bookmark,
    error_event,
    event,
    eventually,
    failure,
    page,
    pod,
)

QUICK = Timing(
    backoff=Backoff(base_seconds=0.01, cap_seconds=0.05),
    watch_seconds=(60, 60),
    inactivity_seconds=30,
    steady_seconds=10,
    page_size=2,
)
NO_WATCHLIST = failure(422, "Invalid", "sendInitialEvents is forbidden for watch")


class Watched:
    """A running reflector and the changes it told."""

    def __init__(self, client: Client, timing: Timing) -> None:
        self.changes: list[str] = []
        self.registry = CollectorRegistry()
        client.metrics = KubeMetrics(self.registry)
        self.reflector = Reflector(
            client, PODS, Pod, namespace="ns", label_selector="app=x", on_change=self._changed, timing=timing
        )

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        what = "+" if old is None else "-" if new is None else "~"
        item = new or old
        assert item is not None
        stored = self.reflector.store.get((item.metadata.namespace, item.metadata.name))
        assert old is None or stored is None or stored is new or stored.metadata.uid != old.metadata.uid
        self.changes.append(f"{what}{item.metadata.name}@{item.metadata.resource_version}")

    @property
    def defects(self) -> float | None:
        """How many defects were counted."""
        return self.registry.get_sample_value("pie_defects_total", {"part": "watch", "name": "pods"})

    @property
    def pods(self) -> dict[str, str]:
        """Name to resourceVersion."""
        return {name: item.metadata.resource_version for (_, name), item in self.reflector.store.items()}

    async def until(self, pods: dict[str, str]) -> None:
        await eventually(lambda: self.pods == pods, f"{pods} in the store")


@asynccontextmanager
async def reflecting(
    server: ScriptedServer, timing: Timing = QUICK, *, defects: int = 0
) -> AsyncIterator[Watched]:
    client = Client(server.config, attempts=3, backoff=Backoff(base_seconds=0.01, cap_seconds=0.02))
    async with client:
        watched = Watched(client, timing)
        task = asyncio.create_task(watched.reflector.run())
        try:
            yield watched
            assert not task.done(), "the reflector must never end by itself"
            assert watched.defects == defects
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_watchlist_fills_the_store_and_goes_on_as_a_watch() -> None:
    async with ScriptedServer() as server:
        server.then(
            server.stream(
                event("ADDED", pod("a", 5)),
                event("ADDED", pod("b", 3)),
                bookmark(7, ends=True),
                event("MODIFIED", pod("a", 8)),
                event("DELETED", pod("b", 9)),
                event("ADDED", pod("c", 10)),
                Hang,
            )
        )
        async with reflecting(server) as watched:
            await watched.until({"a": "8", "c": "10"})
            assert watched.changes == ["+a@5", "+b@3", "~a@8", "-b@9", "+c@10"]
            assert watched.reflector.synced.is_set()
            query = server.requests[0].query
            assert query["sendInitialEvents"] == "true"
            assert query["resourceVersionMatch"] == "NotOlderThan"
            assert query["allowWatchBookmarks"] == "true"
            assert query["labelSelector"] == "app=x"
            assert query["timeoutSeconds"] == "60"
            assert server.requests[0].path == "/api/v1/namespaces/ns/pods"
            assert len(server.requests) == 1


async def test_without_watchlist_it_lists_page_by_page_and_watches_from_there() -> None:
    async with ScriptedServer(
        NO_WATCHLIST,
        answer(page([pod("a", 1), pod("b", 2)], 10, "token")),
        answer(page([pod("c", 3)], 10)),
    ) as server:
        server.then(server.stream(event("MODIFIED", pod("c", 11)), Hang))
        async with reflecting(server) as watched:
            await watched.until({"a": "1", "b": "2", "c": "11"})
            queries = [seen.query for seen in server.requests]
            assert queries[1] == {"limit": "2", "labelSelector": "app=x"}
            assert queries[2]["continue"] == "token"
            assert queries[3]["resourceVersion"] == "10"
            assert "sendInitialEvents" not in queries[3]


async def test_410_as_a_status_of_the_watch_makes_a_new_list() -> None:
    async with ScriptedServer() as server:
        server.then(
            server.stream(event("ADDED", pod("a", 1)), bookmark(5, ends=True)),
            failure(410, "Expired", "too old resource version"),
            server.stream(
                event("ADDED", pod("a", 1)), event("ADDED", pod("b", 9)), bookmark(9, ends=True), Hang
            ),
        )
        async with reflecting(server) as watched:
            await watched.until({"a": "1", "b": "9"})
            assert server.requests[1].query["resourceVersion"] == "5"
            assert "resourceVersion" not in server.requests[2].query
            assert watched.changes == ["+a@1", "+b@9"]


async def test_410_as_an_error_event_makes_a_new_list() -> None:
    async with ScriptedServer() as server:
        server.then(
            server.stream(event("ADDED", pod("a", 1)), bookmark(5, ends=True)),
            server.stream(error_event(410, "Expired")),
            server.stream(event("ADDED", pod("a", 7)), bookmark(9, ends=True), Hang),
        )
        async with reflecting(server) as watched:
            await watched.until({"a": "7"})
            assert watched.reflector.last_error == ""
            assert watched.registry.get_sample_value(
                "pie_reflector_failures_total", {"resource": "pods", "reason": "Expired"}
            )


async def test_a_deletion_and_a_replacement_in_a_gap_are_told_by_the_next_list() -> None:
    async with ScriptedServer() as server:
        server.then(
            server.stream(
                *(event("ADDED", pod(name, version)) for version, name in enumerate("abc", 1)),
                bookmark(5, ends=True),
                error_event(410, "Expired"),
            ),
            server.stream(
                event("ADDED", pod("b", 2)),
                event("ADDED", pod("c", 8, uid="other")),
                bookmark(9, ends=True),
                Hang,
            ),
        )
        async with reflecting(server) as watched:
            await watched.until({"b": "2", "c": "8"})
            assert watched.changes == ["+a@1", "+b@2", "+c@3", "-a@1", "-c@3", "+c@8"]


async def test_an_expired_continue_token_makes_one_list_without_pages() -> None:
    async with (
        ScriptedServer(
            NO_WATCHLIST,
            answer(page([pod("gone", 1)], 10, "token")),
            failure(410, "Expired", "The provided continue parameter is too old"),
            answer(page([pod("a", 11), pod("b", 12), pod("c", 13)], 14)),
        ) as server,
        reflecting(server) as watched,
    ):
        await watched.until({"a": "11", "b": "12", "c": "13"})
        assert "gone@1" not in str(watched.changes)
        assert "limit" not in server.requests[3].query
        await eventually(lambda: len(server.requests) == 5, "a watch after the list")
        assert server.requests[4].query["resourceVersion"] == "14"


async def test_a_connection_that_falls_silent_is_cut_and_the_watch_goes_on_where_it_was() -> None:
    silent = Timing(backoff=QUICK.backoff, inactivity_seconds=0.1)
    async with ScriptedServer() as server:
        server.then(
            server.stream(
                event("ADDED", pod("a", 1)), bookmark(4, ends=True), event("MODIFIED", pod("a", 6)), Hang
            ),
            server.stream(event("MODIFIED", pod("a", 7)), bookmark(8), Hang),
            server.stream(event("MODIFIED", pod("a", 9)), Hang),
        )
        async with reflecting(server, silent) as watched:
            await watched.until({"a": "9"})
            assert server.requests[1].query["resourceVersion"] == "6"
            assert server.requests[2].query["resourceVersion"] == "8"


async def test_lines_split_anywhere_and_lines_of_megabytes_are_read() -> None:
    split = event("ADDED", pod("split", 2))
    huge = event("ADDED", pod("huge", 3, padding=3_000_000))
    many = b"".join(
        [bookmark(4, ends=True), event("MODIFIED", pod("huge", 5)), event("MODIFIED", pod("split", 6))]
    )
    async with ScriptedServer() as server:
        single_bytes = (split[index : index + 1] for index in range(len(split)))
        server.then(server.stream(*single_bytes, huge[:70_000], huge[70_000:], many, Hang))
        async with reflecting(server) as watched:
            await watched.until({"split": "6", "huge": "5"})
            assert len(server.requests) == 1


async def test_a_drop_in_the_initial_events_applies_nothing_and_the_next_attempt_lists() -> None:
    async with ScriptedServer() as server:
        server.then(
            server.stream(event("ADDED", pod("a", 1)), event("ADDED", pod("b", 2)), Drop),
            answer(page([pod("c", 3)], 4)),
        )
        async with reflecting(server) as watched:
            await watched.until({"c": "3"})
            assert watched.changes == ["+c@3"]
            assert server.requests[1].query == {"limit": "2", "labelSelector": "app=x"}


async def test_a_drop_between_pages_applies_nothing_until_the_list_is_whole() -> None:
    async with ScriptedServer() as server:
        server.then(
            NO_WATCHLIST,
            answer(page([pod("a", 1)], 4, "token")),
            server.stream(b'{"metadata":', Drop),
            answer(page([pod("b", 2)], 4)),
        )
        async with reflecting(server) as watched:
            await watched.until({"a": "1", "b": "2"})
            assert watched.changes == ["+a@1", "+b@2"]


async def test_429_is_waited_out_as_long_as_the_server_asks() -> None:
    async with ScriptedServer() as server:
        server.then(
            failure(429, "TooManyRequests", "try later", headers={"Retry-After": "1"}),
            answer(page([pod("a", 1)], 4)),
        )
        async with reflecting(server) as watched:
            await watched.until({"a": "1"})
            assert server.requests[1].at - server.requests[0].at >= 1.0


async def test_a_server_that_closes_at_once_is_not_asked_in_a_busy_loop() -> None:
    backoff = Timing(backoff=Backoff(base_seconds=0.02, cap_seconds=60))
    async with ScriptedServer() as server:
        server.then(server.stream(bookmark(1, ends=True)), *(server.stream() for _ in range(1000)))
        async with reflecting(server, backoff) as watched:
            await watched.reflector.synced.wait()
            await eventually(lambda: len(server.requests) == 6, "six requests")
            gaps = [
                later.at - earlier.at
                for earlier, later in zip(server.requests, server.requests[1:], strict=False)
            ]
            assert all(gap >= 0.01 * 2**failures for failures, gap in enumerate(gaps)), gaps


async def test_a_watch_that_lived_for_a_while_resets_the_backoff() -> None:
    timing = Timing(backoff=Backoff(base_seconds=0.01, cap_seconds=60), steady_seconds=0.02)

    async def a_while() -> None:
        await asyncio.sleep(0.05)  # the thing under test is time

    async with ScriptedServer() as server:
        server.then(server.stream(bookmark(1, ends=True), a_while))
        server.then(*(server.stream(a_while) for _ in range(20)))
        async with reflecting(server, timing):
            await eventually(
                lambda: len(server.requests) == 15, "fifteen watches, impossible with 2^15 times 10 ms"
            )


async def test_an_error_event_in_the_initial_events_falls_back_to_a_list() -> None:
    async with ScriptedServer() as server:
        server.then(
            server.stream(event("ADDED", pod("a", 1)), error_event(500, "InternalError")),
            answer(page([pod("a", 1)], 4)),
            server.stream(event("DELETED", pod("a", 5)), Hang),
        )
        async with reflecting(server) as watched:
            await watched.until({})
            await eventually(lambda: watched.changes == ["+a@1", "-a@5"], "deletion told with the last state")


async def test_a_server_that_ignores_the_watchlist_parameters_is_left_for_a_list() -> None:
    silent = Timing(backoff=QUICK.backoff, inactivity_seconds=0.1)
    async with ScriptedServer() as server:
        server.then(server.stream(event("ADDED", pod("a", 1)), Hang), answer(page([pod("a", 1)], 4)))
        async with reflecting(server, silent) as watched:
            await watched.until({"a": "1"})


async def test_forbidden_is_told_in_words_and_not_tried_in_two_ways() -> None:
    async with ScriptedServer() as server:
        server.then(failure(403, "Forbidden", 'pods is forbidden: User "u" cannot list'))
        async with reflecting(server) as watched:
            await eventually(lambda: watched.reflector.last_error != "", "an error")
            assert watched.reflector.last_error == (
                'cannot watch pods ns: 403 Forbidden: pods is forbidden: User "u" cannot list'
            )
            assert not watched.reflector.synced.is_set()


async def test_an_object_that_cannot_be_read_is_left_out_and_counted_and_the_others_stay() -> None:
    odd = {"metadata": {"name": "odd", "resourceVersion": "8"}, "spec": {"nodeName": 7}}
    async with ScriptedServer() as server:
        server.then(
            NO_WATCHLIST,
            *(answer(page([pod("a", 1), odd], 4)) for _ in range(2)),
            server.stream(event("ADDED", odd), event("ADDED", pod("b", 9)), error_event(410, "Expired")),
            server.stream(event("ADDED", odd), event("ADDED", pod("c", 9)), bookmark(9, ends=True), Hang),
        )
        async with reflecting(server) as watched:
            await watched.until({"c": "9"})
            assert watched.changes == ["+a@1", "+b@9", "-a@1", "-b@9", "+c@9"]
            assert (
                watched.registry.get_sample_value("pie_reflector_undecodable_total", {"resource": "pods"})
                == 3
            )


@pytest.mark.parametrize(
    ("how", "uid", "changes"),
    [
        ("MODIFIED", "uid-a", []),
        ("ADDED", "uid-a", []),
        ("DELETED", "uid-a", ["-a@1"]),
        ("MODIFIED", "another", ["-a@1"]),
    ],
)
async def test_an_object_that_cannot_be_read_any_more_stays_until_it_is_gone(
    how: str, uid: str, changes: list[str]
) -> None:
    odd = {**pod("a", 8, uid=uid), "spec": {"nodeName": 7}}
    async with ScriptedServer() as server:
        server.then(
            server.stream(
                event("ADDED", pod("a", 1)),
                event("ADDED", pod("b", 2)),
                bookmark(4, ends=True),
                event(how, odd),
                event("MODIFIED", pod("b", 9)),
                Hang,
            )
        )
        async with reflecting(server) as watched:
            await watched.until({"b": "9"} | ({} if changes else {"a": "1"}))
            assert watched.changes == ["+a@1", "+b@2", *changes, "~b@9"]


@pytest.mark.parametrize("watchlist", [True, False])
async def test_a_new_list_does_not_delete_what_it_cannot_read(watchlist: bool) -> None:
    odd = {"metadata": pod("a", 8)["metadata"] | {"labels": 3}}
    async with ScriptedServer() as server:
        server.then(
            server.stream(
                event("ADDED", pod("a", 1)),
                event("ADDED", pod("b", 2)),
                bookmark(4, ends=True),
                error_event(410, "Expired"),
            )
        )
        if watchlist:
            server.then(server.stream(event("ADDED", odd), bookmark(9, ends=True), Hang))
        else:
            server.then(NO_WATCHLIST, answer(page([odd, pod("c", 3)], 9)))
        async with reflecting(server) as watched:
            await watched.until({"a": "1"} if watchlist else {"a": "1", "c": "3"})


async def test_nulls_in_a_watch_and_in_a_list_are_nothing() -> None:
    null = {
        "metadata": {"name": "n", "namespace": "ns", "resourceVersion": "5", "labels": None},
        "spec": None,
    }
    mark = {"metadata": {"resourceVersion": "6", "annotations": None}}
    async with ScriptedServer() as server:
        server.then(
            NO_WATCHLIST,
            answer(page([pod("a", 1), null], 4)),
            server.stream(
                event("MODIFIED", null | {"status": None}),
                event("BOOKMARK", mark),
                event("ADDED", {"metadata": None}),
                event("MODIFIED", pod("a", 9) | {"status": {"containerStatuses": [None]}}),
                Hang,
            ),
        )
        async with reflecting(server) as watched:
            await watched.until({"a": "9", "n": "5"})
            assert len(server.requests) == 3


async def test_a_line_that_is_no_json_makes_a_new_list_lest_it_come_again() -> None:
    async with ScriptedServer() as server:
        server.then(
            server.stream(event("ADDED", pod("a", 1)), bookmark(4, ends=True), b'{"type": "ADD\x00\n'),
            server.stream(event("ADDED", pod("a", 5)), bookmark(6, ends=True), Hang),
        )
        async with reflecting(server) as watched:
            await watched.until({"a": "5"})
            assert "resourceVersion" not in server.requests[1].query


async def test_what_did_not_change_is_not_told_again_and_stays_the_same_object() -> None:
    async with ScriptedServer() as server:
        server.then(
            server.stream(event("ADDED", pod("a", 1)), bookmark(4, ends=True), error_event(410, "Expired")),
            server.stream(
                event("ADDED", pod("a", 1)), bookmark(8, ends=True), event("MODIFIED", pod("a", 1)), Hang
            ),
        )
        async with reflecting(server) as watched:
            await watched.until({"a": "1"})
            first = watched.reflector.store["ns", "a"]
            await eventually(
                lambda: (
                    watched.registry.get_sample_value(
                        "pie_reflector_events_total", {"resource": "pods", "change": "modified"}
                    )
                    == 1
                ),
                "the last event",
            )
            assert watched.reflector.store["ns", "a"] is first
            assert watched.changes == ["+a@1"]


async def test_heard_at_moves_with_bookmarks_and_confirm_lists_again() -> None:
    async with ScriptedServer() as server:
        server.then(
            server.stream(event("ADDED", pod("a", 1)), bookmark(4, ends=True), Hang),
            server.stream(event("ADDED", pod("b", 5)), bookmark(6, ends=True), bookmark(7), Hang),
        )
        async with reflecting(server) as watched:
            await watched.until({"a": "1"})
            listed = watched.reflector.heard_at
            watched.reflector.confirm()
            assert len(server.requests) == 1, "a list has just been made"
            watched.reflector._listed_at -= 10
            watched.reflector.confirm()
            await watched.until({"b": "5"})
            await eventually(lambda: watched.reflector.heard_at > listed, "a later proof")
            assert watched.changes == ["+a@1", "-a@1", "+b@5"]
            assert "resourceVersion" not in server.requests[1].query


async def test_an_unreachable_server_is_waited_for() -> None:
    async with ScriptedServer() as server:
        config = server.config
    async with Client(config, attempts=1) as client:
        watched = Watched(client, QUICK)
        task = asyncio.create_task(watched.reflector.run())
        await eventually(lambda: "cannot watch pods" in watched.reflector.last_error, "an error in words")
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_age_of_a_watch_is_since_it_was_last_known_complete() -> None:
    now = 100.0
    registry = CollectorRegistry()
    async with ScriptedServer() as server:
        server.then(server.stream(event("ADDED", pod("a", 1)), bookmark(4, ends=True), Hang))
        client = Client(server.config, clock=ServerClock(lambda: now), metrics=KubeMetrics(registry))
        async with client:
            reflector = Reflector(client, PODS, Pod)
            now = 130.0
            assert registry.get_sample_value("pie_reflector_age_seconds", {"resource": "pods"}) == 30
            task = asyncio.create_task(reflector.run())
            await eventually(reflector.synced.is_set, "the copy is complete")
            assert registry.get_sample_value("pie_reflector_age_seconds", {"resource": "pods"}) == 0
            now = 190.0
            assert registry.get_sample_value("pie_reflector_age_seconds", {"resource": "pods"}) == 60
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_failures_of_a_watch_are_counted_from_zero() -> None:
    async with ScriptedServer() as server, reflecting(server) as watched:
        for reason in ("Forbidden", "Unreachable", "Expired", "Undecodable", "ServerError"):
            labels = {"resource": "pods", "reason": reason}
            assert watched.registry.get_sample_value("pie_reflector_failures_total", labels) == 0


def a_listener_that_cannot_bear(name: str) -> Callable[[Pod | None, Pod | None], None]:
    def listener(old: Pod | None, new: Pod | None) -> None:
        for item in (old, new):
            if item is not None and item.metadata.name == name:
                raise KeyError("what an odd object lacks")

    return listener


@pytest.mark.parametrize("how", ["initial events", "list", "watch"])
async def test_an_odd_object_costs_neither_the_other_objects_nor_the_other_listeners(how: str) -> None:
    odd_and_good = [pod("odd", 1), pod("good", 2)]
    added = [event("ADDED", each) for each in odd_and_good]
    async with ScriptedServer() as server:
        match how:
            case "initial events":
                server.then(server.stream(*added, bookmark(3, ends=True), Hang))
            case "list":
                server.then(NO_WATCHLIST, answer(page(odd_and_good, 3)), server.stream(Hang))
            case _:
                server.then(server.stream(bookmark(0, ends=True), *added, Hang))
        with capture_logs() as lines:
            async with reflecting(server, defects=1) as watched:
                after: list[str] = []
                watched.reflector.listen(a_listener_that_cannot_bear("odd"))
                watched.reflector.listen(lambda _old, new: after.append(new.metadata.name if new else ""))
                await watched.until({"odd": "1", "good": "2"})
                assert watched.changes == ["+odd@1", "+good@2"]
                assert after == ["odd", "good"], "listeners behind the one that raised are called too"
    (line,) = (line for line in lines if line["log_level"] == "error")
    assert {key: line[key] for key in ("event", "kind", "namespace", "name")} == {
        "event": "defect in pie, please report it",
        "kind": "Pod",
        "namespace": "ns",
        "name": "odd",
    }
    assert isinstance(line["exc_info"], KeyError), "with its traceback"


async def test_a_defect_that_thousands_of_objects_meet_is_counted_each_time_and_logged_a_few_times() -> None:
    many = [event("ADDED", pod("odd", 1, uid=str(number))) for number in range(50)]
    async with ScriptedServer() as server:
        server.then(server.stream(bookmark(0, ends=True), *many, event("ADDED", pod("good", 2)), Hang))
        with capture_logs() as lines:
            async with reflecting(server, defects=99) as watched:  # each is a deletion and an addition
                watched.reflector.listen(a_listener_that_cannot_bear("odd"))
                await watched.until({"odd": "1", "good": "2"})
    assert 1 <= sum(line["log_level"] == "error" for line in lines) <= 10


async def test_a_defect_of_the_reflector_itself_makes_it_read_everything_anew() -> None:
    async with ScriptedServer() as server:
        server.then(
            server.stream(bookmark(1, ends=True), event("ADDED", pod("a", 2)), Hang),
            server.stream(event("ADDED", pod("a", 2)), bookmark(3, ends=True), Hang),
        )
        async with reflecting(server, defects=1) as watched:
            working, broken = watched.reflector._apply, iter([ZeroDivisionError("a defect")])

            def fail_once(each: Event[Pod]) -> None:
                for error in broken:
                    raise error
                working(each)

            watched.reflector._apply = fail_once  # type: ignore[method-assign]  # no defect is known
            await watched.until({"a": "2"})
            assert "sendInitialEvents" in server.requests[1].query

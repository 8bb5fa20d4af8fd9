"""Reading for many at once: what it costs the API server, and what each asker gets."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from pie.core.wire import Pod
from pie.kube.backoff import Backoff
from pie.kube.client import Client
from pie.kube.clock import ServerClock
from pie.kube.errors import ServiceUnavailable, TooManyRequests, Undecodable
from pie.kube.resources import PODS
from pie.kube.sharedlist import SharedList, Snapshot
from tests.kube.scripted import ScriptedServer, answer, eventually, failure, page, pod

QUICK = Backoff(base_seconds=0.01, cap_seconds=0.02)


class OneClock(ServerClock):
    """The server's clock is this machine's: nothing has to be learned of it."""

    def observe(self, date: str | None, sent_at: float) -> None:
        """Learn nothing."""


class Pods:
    """A server that has pods; `open` holds the answers back, `failing` is what it answers instead."""

    def __init__(self, count: int) -> None:
        self.pods = {f"p{number}": pod(f"p{number}", number + 1) for number in range(count)}
        self.asked: Counter[str] = Counter()
        self.open = asyncio.Event()
        self.open.set()
        self.failing: tuple[int, dict[str, str]] | None = None

    async def step(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        self.asked["list" if name == "pods" else "get"] += 1
        await self.open.wait()
        if self.failing is not None:
            status, headers = self.failing
            return await failure(status, "", headers=headers)(request)
        if name == "pods":
            first = int(request.query.get("continue") or 0)
            after = first + int(request.query["limit"])
            token = str(after) if after < len(self.pods) else ""
            return await answer(page(list(self.pods.values())[first:after], 1, token))(request)
        if name not in self.pods:
            return await failure(404, "NotFound")(request)
        return await answer(self.pods[name])(request)


class BusyClock(OneClock):
    """A clock that does something whenever it is read: `then`, which may read it, too."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self._then: Callable[[], None] | None = then

    def monotonic(self) -> float:
        """Return the time, after doing something."""
        then, self._then = self._then, None
        if then is not None:
            then()
            self._then = then
        return super().monotonic()


@asynccontextmanager
async def sharing(
    pods: Pods,
    *,
    every_seconds: float = 60.0,
    most_gets: int = 3,
    page_size: int = 500,
    clock: ServerClock | None = None,
) -> AsyncIterator[tuple[SharedList[Pod], Client]]:
    async with (
        ScriptedServer(*[pods.step] * 1000) as server,
        Client(server.config, attempts=1, clock=clock or OneClock()) as client,
    ):
        shared = SharedList(
            client,
            PODS,
            "ns",
            decode=Pod,
            every_seconds=every_seconds,
            most_gets=most_gets,
            page_size=page_size,
            after_failure=QUICK,
        )
        yield shared, client


async def test_a_few_objects_are_read_by_name_and_more_of_them_by_one_list_for_all() -> None:
    pods = Pods(100)
    async with sharing(pods) as (shared, client):
        asked_at = client.now()
        seen = await asyncio.gather(*(shared.one(name, asked_at) for name in pods.pods))
    assert [each.metadata.name for each in seen if each] == list(pods.pods)
    assert pods.asked == {"get": 3, "list": 1}


async def test_a_list_is_read_page_by_page() -> None:
    pods = Pods(100)
    async with sharing(pods, most_gets=0, page_size=30) as (shared, client):
        listed = await shared.all(client.now())
    assert len(listed.objects) == 100
    assert pods.asked == {"list": 4}


@pytest.mark.parametrize("most_gets", [0, 3], ids=["by the list", "by name"])
async def test_what_is_gone_is_none(most_gets: int) -> None:
    pods = Pods(1)
    async with sharing(pods, most_gets=most_gets) as (shared, client):
        asked_at = client.now()
        assert await shared.one("p0", asked_at) is not None
        assert await shared.one("another", asked_at) is None


async def test_an_answer_older_than_the_asker_needs_is_not_given() -> None:
    pods = Pods(1)
    async with sharing(pods, every_seconds=0.05, most_gets=0) as (shared, client):
        asked_at = client.now()
        first = await shared.one("p0", asked_at)
        pods.pods["p0"] = pod("p0", 9)
        assert await shared.one("p0", asked_at) is first, "good enough, so nothing is asked"
        assert pods.asked == {"list": 1}
        second = await shared.one("p0", client.now())
    assert second is not None
    assert second.metadata.resource_version == "9"
    assert pods.asked == {"list": 2}


async def test_who_asks_while_a_list_is_on_its_way_gets_the_next_one_together_with_all_others() -> None:
    pods = Pods(1)
    async with sharing(pods, every_seconds=0.05, most_gets=0) as (shared, client):
        pods.open.clear()
        first = asyncio.create_task(shared.all(client.now()))
        await eventually(lambda: pods.asked["list"] == 1, "a list is on its way")
        later = client.now()
        others = [asyncio.create_task(shared.all(later)) for _ in range(20)]
        await asyncio.sleep(0)
        assert pods.asked == {"list": 1}, "never two lists at a time"
        pods.pods["p0"] = pod("p0", 9)
        pods.open.set()
        await first
        found = await asyncio.gather(*others)
    assert {each.objects["ns", "p0"].metadata.resource_version for each in found} == {"9"}
    assert pods.asked == {"list": 2}


async def test_who_asks_in_the_moment_in_which_a_list_ends_gets_the_next_one() -> None:
    pods, askers = Pods(2), list[asyncio.Task[Snapshot[Pod]]]()

    def ask_again() -> None:
        if pods.asked["list"] == 1 and len(askers) < 50:
            askers.append(asyncio.create_task(shared.all(client.now())))

    async with sharing(pods, every_seconds=0.1, clock=BusyClock(ask_again)) as (shared, client):
        await shared.all(client.now())
        assert askers
        assert all(len(each.objects) == 2 for each in await asyncio.gather(*askers))
    assert pods.asked["list"] == 2


async def test_lists_are_spaced() -> None:
    pods = Pods(1)
    async with sharing(pods, every_seconds=0.2, most_gets=0) as (shared, client):
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(3):
            await shared.all(client.now())
        assert loop.time() - began >= 0.4
    assert pods.asked == {"list": 3}


async def test_a_failed_list_is_everybodys_and_is_tried_again_only_after_a_while() -> None:
    pods = Pods(1)
    async with sharing(pods, most_gets=0) as (shared, client):
        pods.failing = 503, {}
        results = await asyncio.gather(*(shared.all(client.now()) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(each, ServiceUnavailable) for each in results)
        assert pods.asked == {"list": 1}
        pods.failing = None

        async with asyncio.timeout(60):
            for _ in range(1000):
                try:
                    listed = await shared.all(client.now())
                except ServiceUnavailable:
                    await asyncio.sleep(0.002)
                else:
                    break
    assert len(listed.objects) == 1
    assert pods.asked == {"list": 2}, "nothing was sent while it was to wait"


async def test_a_server_that_asks_for_time_gets_it() -> None:
    pods = Pods(1)
    async with sharing(pods, most_gets=0) as (shared, client):
        pods.failing = 429, {"Retry-After": "30"}
        for _ in range(10):
            with pytest.raises(TooManyRequests) as caught:
                await shared.all(client.now())
            assert caught.value.retry_after_seconds == 30
    assert pods.asked == {"list": 1}


async def test_an_asker_who_is_cancelled_costs_the_others_nothing() -> None:
    pods = Pods(1)
    async with sharing(pods, most_gets=0) as (shared, client):
        pods.open.clear()
        asked_at = client.now()
        leaves, stays = (asyncio.create_task(shared.all(asked_at)) for _ in range(2))
        await eventually(lambda: pods.asked["list"] == 1, "a list is on its way")
        leaves.cancel()
        pods.open.set()
        assert len((await stays).objects) == 1
        assert leaves.cancelled()
    assert pods.asked == {"list": 1}


async def test_a_pod_whose_name_is_not_known_is_found_by_its_owner() -> None:
    pods = Pods(0)
    owner = {"kind": "Job", "name": "j", "uid": "job-1", "controller": True}
    item = pod("j-abc", 1)
    item["metadata"]["ownerReferences"] = [owner]
    pods.pods["j-abc"] = item
    pods.pods["other"] = pod("other", 2)
    async with sharing(pods) as (shared, client):
        listed = await shared.all(client.now())
    assert [found.metadata.name for found in listed.of_owner("job-1")] == ["j-abc"]
    assert not listed.of_owner("job-2")


async def test_an_odd_object_costs_itself_only_and_is_not_gone() -> None:
    pods = Pods(3)
    pods.pods["p1"]["spec"] = "odd"
    async with sharing(pods, most_gets=0) as (shared, client):
        asked_at = client.now()
        found = await shared.all(asked_at)
        with pytest.raises(Undecodable, match="cannot read pods ns/p1"):
            await shared.one("p1", asked_at)
    assert [name for _, name in found.objects] == ["p0", "p2"]
    assert [odd.object.metadata.name for odd in found.skipped] == ["p1"]

"""The JSON API: what it answers over a controller at work, and what it refuses."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from pie.core.apitypes import Heatmap, LatencyTrend, Overview, TargetDetail, TargetList
from pie.core.model import Kind, ProbeId, Target
from pie.serve.api import Api
from pie.serve.http import metrics_app, serving
from pie.serve.series import TargetSeries
from tests.controller.mounts import mounts, result
from tests.controller.provisions import follow_up_pod, provisions
from tests.controller.stage import Stage
from tests.harness import apply_probe, pieprobe, until
from tests.serve.source import PROBE, MadeUp

DOCUMENTED = (Path(__file__).parents[2] / "docs/api.md").read_text()

HEARTBEATS = 30


@asynccontextmanager
async def served(api: Api) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve an API; yields a session for it."""
    app = metrics_app(CollectorRegistry(), TargetSeries(), api)
    async with (
        serving(app, "127.0.0.1:0") as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


def made_up(nodes: int = 3) -> Api:
    api = Api()
    api.source = MadeUp(nodes)
    return api


async def get(session: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
    async with session.get(f"/api/v1/{path}") as answer:
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


async def test_it_tells_of_a_good_run_and_then_of_a_bad_one(stage: Stage) -> None:
    async with mounts(stage) as target, aiohttp.ClientSession(target.pie.address) as session:

        async def ask(path: str, kind: type) -> Any:
            async with session.get(f"/api/v1/{path}") as answer:
                assert answer.status == 200, await answer.text()
                return msgspec.json.decode(await answer.read(), type=kind)

        before: Overview = await ask("overview", Overview)
        assert (before.state, before.incidents, before.leading) == ("unknown", (), True)

        await stage.end(await target.start(due=time.time() - 60), result())
        await target.until_succeeded("true", 1)

        async def well() -> Overview | None:
            found: Overview = await ask("overview", Overview)
            return found if found.state == "fine" else None

        fine: Overview = await until(well, "all is fine")
        assert fine.summary == "Everything is fine: 1 target of 1 StorageClass works."
        assert fine.probes[0].targets.ok == 1
        assert [(each.node, each.read_p99_seconds) for each in fine.slowest] == [(target.node, 0.001)]

        await target.start()

        async def bad() -> TargetList | None:
            found: TargetList = await ask("targets?probe=p1", TargetList)
            return found if found.targets[0].verdict == "late" else None

        found: TargetList = await until(bad, "the late run shows", 60)
        assert found.targets[0].reason == "MountSlow"
        assert found.targets[0].since is not None

        detail: TargetDetail = await ask(f"targets/p1/mount?node={target.node}", TargetDetail)
        newest, oldest = detail.runs
        assert (newest.verdict, newest.stage, newest.ended) == ("late", "mount", False)
        assert "kubelet" in newest.next
        assert (oldest.verdict, oldest.next, oldest.cause) == ("ok", "", "schedule")
        assert oldest.io is not None
        assert oldest.io.write is not None
        assert oldest.io.write.p99_seconds == 0.002
        assert detail.target == found.targets[0]

        heat: Heatmap = await ask("heatmap?probe=p1&columns=2", Heatmap)
        (row,) = heat.rows
        assert (row.node, row.verdict) == (target.node, "late")
        assert "l" in row.cells  # of the last column, unless that has just begun
        assert heat.step_seconds == 59 * 60
        assert heat.start <= time.time() < heat.start + 2 * heat.step_seconds

        await stage.cordon(target.node)

        async def suppressed() -> TargetList | None:
            found: TargetList = await ask("targets", TargetList)
            return found if found.targets[0].verdict == "suppressed" else None

        found = await until(suppressed, "the cordoned node's target is suppressed", 60)
        assert found.targets[0].reason == "NodeCordoned"

        trend: LatencyTrend = await ask("latency?probe=p1&columns=2", LatencyTrend)
        assert [each for each in trend.write_median_seconds if each] == [pytest.approx(0.002, rel=0.1)]


async def test_a_late_run_that_another_one_speaks_for_is_shown_but_is_not_the_verdict(stage: Stage) -> None:
    async with (
        provisions(stage, nodes=2) as (pie, cronjob, nodes),
        aiohttp.ClientSession(pie.address) as session,
    ):
        await stage.bind(await stage.start_job(cronjob, time.time()), nodes[0])
        following = (await follow_up_pod(stage))["metadata"]["name"]
        await stage.bind(following, nodes[1])
        await stage.end(following, result())

        async def both() -> Any:
            _, found = await get(session, "targets/p1/provision")
            return found if len(found["runs"]) == 2 else None

        shown = await until(both, "both runs show")
        runs = {each["cause"]: (each["verdict"], each["node"]) for each in shown["runs"]}
        assert runs == {"schedule": ("late", nodes[0]), "followup": ("ok", nodes[1])}
        assert shown["target"]["verdict"] == "ok"
        _, heat = await get(session, "heatmap?probe=p1&columns=1")
        assert [row["cells"] for row in heat["rows"] if row["kind"] == "provision"] == ["o"]


@pytest.mark.parametrize(
    "path", ["overview", "targets", "targets/p/mount?node=n", "heatmap?probe=p", "events"]
)
async def test_a_replica_that_stands_by_says_who_leads(path: str) -> None:
    async with served(Api(leader=lambda: "pie-1_uuid")) as session:
        status, body = await get(session, path)
        assert status == 503
        assert body == {"error": "this replica is a standby; ask the leader", "leader": "pie-1_uuid"}


async def test_a_leader_that_has_not_read_the_cluster_says_so() -> None:
    async with served(Api()) as session:
        status, body = await get(session, "overview")
        assert (status, body["leader"]) == (503, None)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("targets/p/mount", 400, "a mount target needs a node"),
        ("targets/p/other?node=n", 400, "'other'"),
        ("heatmap", 400, "?probe=NAME"),
        ("heatmap?probe=p&columns=0", 400, "1 to 240"),
        ("heatmap?probe=p&columns=241", 400, "'241'"),
        ("heatmap?probe=p&columns=-1", 400, "'-1'"),
        (f"heatmap?probe=p&columns={'1' * 5000}", 400, "1 to 240"),
        ("heatmap?probe=p&columns=0120", 400, "'0120'"),
        ("latency?probe=p&columns=²", 400, "'²'"),
        ("targets?probe=nobody", 404, "no such PieProbe"),
        ("nothing", 404, "docs/api.md"),
    ],
)
async def test_what_cannot_be_answered_is_refused_in_words(path: str, status: int, said: str) -> None:
    async with served(made_up()) as session:
        got, body = await get(session, path)
        assert got == status
        assert said in body["error"]


async def test_who_cannot_unpack_gets_it_plain() -> None:
    async with served(made_up()) as session:
        for asked, given in (("gzip, deflate", "gzip"), ("identity", None)):
            async with session.get("/api/v1/overview", headers={"Accept-Encoding": asked}) as answer:
                assert answer.headers.get("Content-Encoding") == given
                assert (await answer.json())["namespace"] == "pie"


async def test_nothing_can_be_changed() -> None:
    async with served(made_up()) as session:
        for path in ("/", "/api/v1/overview", "/metrics"):
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                async with session.request(method, path) as answer:
                    assert answer.status == 405


async def test_events_come_at_once_and_then_with_each_change_but_not_in_a_flood() -> None:
    api = Api()
    source = api.source = MadeUp(1)
    async with served(api) as session, session.get("/api/v1/events") as stream:
        assert stream.content_type == "text/event-stream"
        loop = asyncio.get_running_loop()
        heard: list[tuple[float, bytes]] = []
        async with asyncio.timeout(60):
            async for line in stream.content:
                source.revision += 1
                if line.startswith(b"data:"):
                    heard.append((loop.time(), line.strip()))
                if len(heard) == 3:
                    break
        assert heard[0][1].startswith(b'data: {"revision":')
        assert heard[2][0] - heard[0][0] > 1.5


async def test_what_changes_without_a_run_is_an_event_and_a_heartbeat_is_none(stage: Stage) -> None:
    node = await stage.node()
    async with stage.pie() as pie, aiohttp.ClientSession(pie.address) as session:

        async def leads() -> bool:
            return (await get(session, "overview"))[0] == 200

        await until(leads, "it leads")
        async with session.get("/api/v1/events") as stream:

            async def shown(path: str, words: str) -> int:
                """Ask again with each event only; return the revision that shows these words."""
                async with asyncio.timeout(60):
                    async for line in stream.content:
                        if line.startswith(b"data:"):
                            async with session.get(f"/api/v1/{path}") as answer:
                                if words in await answer.text():
                                    return int(json.loads(line[5:])["revision"])
                raise AssertionError(f"the stream ended without {words}")

            async def now() -> int:
                async with session.get("/api/v1/events") as another:
                    async for line in another.content:
                        if line.startswith(b"data:"):
                            return int(json.loads(line[5:])["revision"])
                raise AssertionError("the stream ended at once")

            probe = pieprobe("p1", stage.storage_class, stage.label)
            await apply_probe(stage.api, stage.namespace, probe)
            await shown("overview", "StorageClassNotFound")

            before = await now()
            for _ in range(HEARTBEATS):
                await stage.node_status(node, since_seconds=-3600)
            labels = {"topology.kubernetes.io/zone": "zone-of-its-own"}
            await stage.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": labels}})
            # The status may be written meanwhile, once in ten seconds; the heartbeats would be more.
            assert before < await shown("heatmap?probe=p1", "zone-of-its-own") < before + HEARTBEATS


async def test_a_listener_is_let_go_when_the_server_ends() -> None:
    loop = asyncio.get_running_loop()
    async with served(made_up()) as session:
        stream = await session.get("/api/v1/events")
        await stream.content.readline()
        began = loop.time()
    assert loop.time() - began < 5


async def test_listeners_are_bounded_and_those_that_left_are_not_counted() -> None:
    api = Api(most_listeners=2)
    api.source = MadeUp(1)
    async with served(api) as session:
        streams = [await session.get("/api/v1/events") for _ in range(2)]
        assert (await get(session, "events"))[0] == 503
        for stream in streams:
            stream.close()

        async def room() -> bool:
            async with session.get("/api/v1/events") as answer:
                return answer.status == 200

        await until(room, "there is room for a listener again")


class Costly(MadeUp):
    """Counts what it is asked for, and takes its time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(1)
        self.seconds = seconds
        self.asked: list[tuple[ProbeId, int]] = []

    def heatmap(self, of: ProbeId, columns: int) -> Heatmap | None:
        """Answer after so many seconds in which nothing else is done."""
        self.asked.append((of, columns))
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            pass  # work
        return super().heatmap(of, columns)


async def test_an_answer_that_is_dear_is_given_again_for_a_while() -> None:
    api = Api()
    source = api.source = Costly(0.1)
    async with served(api) as session:
        _, first = await get(session, f"heatmap?probe={PROBE}")
        assert await get(session, f"heatmap?probe={PROBE}") == (200, first)
        assert len(source.asked) == 1

        async def new() -> bool:
            return (await get(session, f"heatmap?probe={PROBE}"))[1]["now"] > first["now"]

        await until(new, "the new answer comes")


def costly(seconds: float, **limits: int) -> tuple[Api, Costly]:
    api = Api(**limits)
    api.source = source = Costly(seconds)
    return api, source


async def test_the_same_asked_in_other_words_is_made_once() -> None:
    api, source = costly(0.5)
    async with served(api) as session:
        for more in ("", "&x=1", "&x=2", "&columns=120", "&node=n"):
            assert (await get(session, f"heatmap?probe=p{more}"))[0] == 200
    assert source.asked == [(ProbeId("", "p"), 120)]


async def test_many_different_things_are_made_in_turn_and_no_more_often_than_they_may_be() -> None:
    api, source = costly(0.01)
    async with served(api) as session, asyncio.timeout(30):
        began = time.monotonic()
        answers = await asyncio.gather(
            *(get(session, f"heatmap?probe=p&columns={columns}") for columns in range(3, 43))
        )
        took = time.monotonic() - began
    assert {status for status, _ in answers} == {200}
    assert [body["columns"] for _, body in answers] == list(range(3, 43))
    assert len(source.asked) == 40
    # The last eight are made after two others each were kept for twenty times as long as they took.
    assert took > 2 * 20 * 0.01


async def test_who_waits_while_others_do_already_is_told_to_come_back() -> None:
    api, _ = costly(0.05, most_waiting=2)
    async with served(api) as session, asyncio.timeout(30):
        answers = await asyncio.gather(
            *(get(session, f"heatmap?probe=p&columns={columns}") for columns in range(3, 33))
        )
    assert {status for status, _ in answers} == {200, 429}
    assert "try again later" in str([body for status, body in answers if status == 429])


@pytest.mark.parametrize("answer", [Overview, TargetList, TargetDetail, Heatmap, LatencyTrend])
def test_every_field_of_an_answer_is_documented(answer: type[msgspec.Struct]) -> None:
    missing = [field for field in answer.__struct_fields__ if f'"{field}"' not in DOCUMENTED]
    assert missing == []


class Recorded:
    """The records of one target."""

    def of(self, target: Target) -> bytes:
        return b"records" if target == Target("p", Kind.MOUNT, "c", "n") else b""


async def test_the_records_of_a_target_are_a_file() -> None:
    api = made_up()
    async with served(api) as session:
        assert (await get(session, "record?target=mount/p/c/n"))[0] == 404
        api.records = Recorded()
        async with session.get("/api/v1/record?target=mount/p/c/n") as answer:
            assert (answer.status, await answer.read()) == (200, b"records")
        assert (await get(session, "record?target=mount/p/c/other"))[0] == 404
        for wrong in ("", "mount/p/c", "provision/p/c/n/x", "x/p/c"):
            assert (await get(session, f"record?target={wrong}"))[0] == 400

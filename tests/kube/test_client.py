"""What the client sends, what it sends again, and what it says when something fails."""

import asyncio
from collections.abc import Callable, Coroutine

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from pie.core.wire import Pod
from pie.kube.backoff import Backoff
from pie.kube.client import Client
from pie.kube.config import ClusterConfig
from pie.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    ServerError,
    ServerTimeout,
    ServiceUnavailable,
    TooManyRequests,
    Undecodable,
    Unreachable,
    WriteRefused,
    api_error,
)
from pie.kube.metrics import KubeMetrics
from pie.kube.pacing import Pacer
from pie.kube.resources import JOBS, NODES, PIE_PROBES, PODS
from tests.kube.scripted import Drop, ScriptedServer, Step, answer, eventually, failure, page, pod

QUICK = Backoff(base_seconds=0.001, cap_seconds=0.002)


async def test_a_get_is_tried_again_when_the_server_drops_it_or_is_busy() -> None:
    async with ScriptedServer() as server:
        server.then(
            server.stream(b"{", Drop),
            failure(503, "ServiceUnavailable"),
            failure(500, "InternalError"),
            answer(pod("a", 1)),
        )
        async with Client(server.config, backoff=QUICK) as client:
            assert (await client.get(PODS, "a", "ns", decode=Pod)).metadata.name == "a"
        assert len(server.requests) == 4


async def test_a_get_gives_up_after_a_bounded_number_of_tries() -> None:
    async with ScriptedServer(*[failure(503, "ServiceUnavailable", "etcd is down")] * 9) as server:
        async with Client(server.config, backoff=QUICK, attempts=3) as client:
            with pytest.raises(
                ServiceUnavailable, match="cannot get pods ns/a: 503 ServiceUnavailable: etcd is down"
            ):
                await client.get(PODS, "a", "ns", decode=Pod)
        assert len(server.requests) == 3


async def test_retry_after_is_honoured() -> None:
    busy = failure(429, "TooManyRequests", headers={"Retry-After": "1"})
    async with ScriptedServer(busy, answer(pod("a", 1))) as server:
        async with Client(server.config, backoff=QUICK) as client:
            await client.get(PODS, "a", "ns", decode=Pod)
        assert server.requests[1].at - server.requests[0].at >= 1.0


WRITES: dict[str, Callable[[Client], Coroutine[None, None, object]]] = {
    "POST": lambda client: client.create(PODS, {"metadata": {"name": "a"}}, "ns", decode=Pod),
    "PATCH": lambda client: client.apply(PODS, "a", {}, "ns", decode=Pod),
    "DELETE": lambda client: client.delete(PODS, "a", "ns"),
}


@pytest.mark.parametrize("method", WRITES)
async def test_a_write_is_sent_once_whatever_becomes_of_it(method: str) -> None:
    for broken in (
        failure(503, "ServiceUnavailable"),
        failure(500, "InternalError"),
        failure(504, "Timeout"),
    ):
        async with ScriptedServer(broken, answer(pod("a", 1))) as server:
            async with Client(server.config, backoff=QUICK) as client:
                with pytest.raises(ServerError):
                    await WRITES[method](client)
            assert [seen.method for seen in server.requests] == [method]


async def test_a_post_whose_answer_is_lost_is_not_repeated() -> None:
    async with ScriptedServer() as server:
        server.then(server.stream(b"{", Drop), answer(pod("a", 1)))
        async with Client(server.config, backoff=QUICK) as client:
            with pytest.raises(Unreachable, match=r"cannot create pods ns/a: http://127\.0\.0\.1"):
                await WRITES["POST"](client)
        assert len(server.requests) == 1


@pytest.mark.parametrize("method", WRITES)
async def test_a_write_is_sent_again_after_429_since_nothing_was_done(method: str) -> None:
    async with ScriptedServer(failure(429, "TooManyRequests"), answer(pod("a", 1))) as server:
        async with Client(server.config, backoff=QUICK) as client:
            await WRITES[method](client)
        assert [seen.method for seen in server.requests] == [method, method]


async def test_writes_say_who_and_how() -> None:
    async with ScriptedServer(*[answer(pod("a", 1))] * 5) as server:
        async with Client(server.config) as client:
            await client.apply(PIE_PROBES, "p", {"x": 1}, "ns", decode=Pod, subresource="status")
            await client.merge_patch(JOBS, "j", {"x": None}, "ns", decode=Pod)
            await client.delete(PODS, "a", "ns", uid="u", resource_version="7", grace_period_seconds=0)
            await client.create(NODES, {"kind": "Node"}, decode=Pod)
        applied, patched, deleted, created = server.requests
        assert applied.path == "/apis/pie.topolvm.io/v1alpha1/namespaces/ns/pieprobes/p/status"
        assert applied.query == {"fieldManager": "pie", "force": "true"}
        assert applied.headers["Content-Type"] == "application/apply-patch+yaml"
        assert applied.headers["User-Agent"].startswith("pie/")
        assert (applied.method, applied.body) == ("PATCH", b'{"x":1}')
        assert patched.path == "/apis/batch/v1/namespaces/ns/jobs/j"
        assert patched.headers["Content-Type"] == "application/merge-patch+json"
        assert patched.body == b'{"x":null}'
        options = msgspec.json.decode(deleted.body)
        assert options["preconditions"] == {"uid": "u", "resourceVersion": "7"}
        assert options["propagationPolicy"] == "Background"
        assert options["gracePeriodSeconds"] == 0
        assert (created.method, created.path) == ("POST", "/api/v1/nodes")


async def test_a_refused_write_never_reaches_the_server_and_reads_are_free() -> None:
    def refuse() -> None:
        raise WriteRefused("not leading")

    async with ScriptedServer(answer(pod("a", 1))) as server:
        async with Client(server.config, before_write=refuse) as client:
            for write in WRITES.values():
                with pytest.raises(WriteRefused, match="not leading"):
                    await write(client)
            await client.get(PODS, "a", "ns", decode=Pod)
        assert [seen.method for seen in server.requests] == ["GET"]


async def test_the_right_to_write_is_asked_after_every_wait_right_before_sending() -> None:
    """Between the decision and the socket lie pacing, connecting and a 429; the fence comes after all."""
    allowed = True

    def check() -> None:
        if not allowed:
            raise WriteRefused("deposed")

    async def depose(_request: web.Request) -> web.StreamResponse:
        nonlocal allowed
        allowed = False
        return web.Response(status=429)

    steps: list[Step] = [depose, answer(pod("a", 1))]
    async with ScriptedServer(*steps) as server:
        async with Client(server.config, before_write=check, backoff=QUICK) as client:
            with pytest.raises(WriteRefused):
                await WRITES["POST"](client)
        assert len(server.requests) == 1


async def test_a_list_page_says_where_it_ends() -> None:
    pages = (answer(page([pod("a", 1)], 7, "more")), answer({"metadata": {}, "items": None}))
    async with ScriptedServer(*pages) as server:
        async with Client(server.config) as client:
            first = await client.list_page(PODS, "ns", decode=Pod, limit=1, label_selector="a in (b,c)")
            last = await client.list_page(PODS, "ns", decode=Pod, continue_=first.continue_)
        assert ([item.metadata.name for item in first.items], first.resource_version) == (["a"], "7")
        assert (last.items, last.continue_) == ([], "")
        assert server.requests[0].query == {"limit": "1", "labelSelector": "a in (b,c)"}
        assert server.requests[1].query["continue"] == "more"


async def test_one_object_that_cannot_be_read_does_not_lose_the_others_of_a_list() -> None:
    odd = {"metadata": {"name": "odd", "uid": "u", "labels": 3}, "spec": {"nodeName": 7}}
    null = {"metadata": {"name": "b", "labels": None}, "spec": None, "status": {"conditions": None}}
    listed = [pod("a", 1), odd, {"metadata": None}, None, "x", null]
    async with ScriptedServer(answer({"metadata": {"continue": None}, "items": listed})) as server:
        client = Client(server.config)
        async with client:
            found = await client.list_page(PODS, "ns", decode=Pod)
            counted = client.metrics.undecodable.labels("pods")._value.get()
    assert [item.metadata.name for item in found.items] == ["a", "b"]
    assert [each.object.metadata.name for each in found.skipped] == ["odd", "", "", ""]
    assert [each.reason for each in found.skipped] == [
        "Expected `object`, got `int` - at `$.metadata.labels`",
        "Object missing required field `metadata`",
        "Expected `object`, got `null`",
        "Expected `object`, got `str`",
    ]
    assert counted == 4


async def test_an_error_with_nulls_is_told_as_far_as_it_says_something() -> None:
    said = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": None, "details": None}
    async with ScriptedServer(answer(said, status=403)) as server, Client(server.config) as client:
        with pytest.raises(Forbidden, match="cannot get pods ns/a: 403 Forbidden: no message"):
            await client.get(PODS, "a", "ns", decode=Pod)


async def test_an_answer_that_is_no_json_is_told_with_the_request() -> None:
    async with ScriptedServer(answer(b"<html>")) as server, Client(server.config) as client:
        with pytest.raises(Undecodable, match="cannot read the answer to get pods ns/a: JSON is malformed"):
            await client.get(PODS, "a", "ns", decode=Pod)


async def test_a_server_that_does_not_answer_is_given_up_in_time() -> None:
    async with ScriptedServer() as server, Client(server.config, timeout_seconds=0.05, attempts=1) as client:
        with pytest.raises(Unreachable, match=r"cannot get pods ns/a: http.*timed out"):
            await client.get(PODS, "a", "ns", decode=Pod)


async def test_a_refused_connection_names_the_server() -> None:
    async with ScriptedServer() as server:
        config = server.config
    async with Client(config, attempts=1) as client:
        with pytest.raises(Unreachable, match=f"cannot delete pods ns/a: {config.server}: .*onnect"):
            await client.delete(PODS, "a", "ns")


async def test_a_proxy_is_used_where_the_config_names_one() -> None:
    async with ScriptedServer(answer(pod("a", 1))) as proxy:
        config = ClusterConfig(server="http://api.test:8080", proxy_url=proxy.url)
        async with Client(config) as client:
            await client.get(PODS, "a", "ns", decode=Pod)
        assert proxy.requests[0].headers["Host"] == "api.test:8080"


async def test_requests_are_counted_by_verb_resource_and_code() -> None:
    registry = CollectorRegistry()
    async with (
        ScriptedServer(answer(pod("a", 1)), failure(404, "NotFound")) as server,
        Client(server.config, metrics=KubeMetrics(registry)) as client,
    ):
        await client.get(PODS, "a", "ns", decode=Pod)
        assert await client.get_or_none(PODS, "b", "ns", decode=Pod) is None
    text = generate_latest(registry).decode()
    assert 'pie_client_requests_total{code="200",resource="pods",verb="get"} 1.0' in text
    assert 'pie_client_requests_total{code="404",resource="pods",verb="get"} 1.0' in text
    assert 'pie_client_request_duration_seconds_count{resource="pods",verb="get"} 1.0' in text
    host = server.url.removeprefix("http://")
    assert f'rest_client_requests_total{{code="200",host="{host}",method="GET"}} 1.0' in text
    assert f'rest_client_requests_total{{code="404",host="{host}",method="GET"}} 1.0' in text


async def test_a_failure_is_counted_from_zero() -> None:
    registry = CollectorRegistry()
    async with (
        ScriptedServer(answer(pod("a", 1))) as server,
        Client(server.config, metrics=KubeMetrics(registry)) as client,
    ):
        await client.get(PODS, "a", "ns", decode=Pod)
    for code in ("403", "404", "429", "503", "error"):
        labels = {"verb": "get", "resource": "pods", "code": code}
        assert registry.get_sample_value("pie_client_requests_total", labels) == 0


async def test_credentials_in_the_address_of_the_server_are_no_label() -> None:
    registry = CollectorRegistry()
    config = ClusterConfig(server="http://me:secret@127.0.0.1:1")
    async with Client(config, metrics=KubeMetrics(registry), attempts=1) as client:
        with pytest.raises(Unreachable):
            await client.get(PODS, "a", "ns", decode=Pod)
    labels = {"code": "<error>", "method": "GET", "host": "127.0.0.1:1"}
    assert registry.get_sample_value("rest_client_requests_total", labels) == 1


async def test_the_pacer_holds_writes_back_and_learns_from_429() -> None:
    pacer = Pacer(qps=50, burst=1)
    async with ScriptedServer(failure(429, "TooManyRequests"), *[answer(pod("a", 1))] * 9) as server:
        async with Client(server.config, pacer=pacer, backoff=QUICK) as client:
            await WRITES["POST"](client)
            assert pacer.rate < 50
            await asyncio.gather(*(WRITES["POST"](client) for _ in range(4)))
        assert server.requests[-1].at - server.requests[0].at >= 4 / 50
        await eventually(lambda: pacer.waiting == 0, "nobody waits")


READS: dict[str, Callable[[Client], Coroutine[None, None, object]]] = {
    "get": lambda client: client.get(PODS, "a", "ns", decode=Pod),
    "list": lambda client: client.list_page(PODS, "ns", decode=Pod),
}


@pytest.mark.parametrize("verb", READS)
async def test_reads_have_a_rate_of_their_own_and_slow_down_with_the_server(verb: str) -> None:
    reads, writes = Pacer(qps=50, burst=1), Pacer(qps=50, burst=1)
    good = answer(pod("a", 1) | {"items": []})
    async with ScriptedServer(failure(503, "ServiceUnavailable"), *[good] * 9) as server:
        async with Client(server.config, pacer=writes, read_pacer=reads, backoff=QUICK) as client:
            await READS[verb](client)
            assert reads.rate < 50
            assert writes.rate == 50
            await asyncio.gather(*(READS[verb](client) for _ in range(4)))
        assert server.requests[-1].at - server.requests[0].at >= 4 / 50


@pytest.mark.parametrize("verb", READS)
async def test_one_429_holds_back_the_other_reads_too(verb: str) -> None:
    reads = Pacer(qps=1000, burst=10)
    good = answer(pod("a", 1) | {"items": []})
    busy = failure(429, "TooManyRequests", headers={"Retry-After": "1"})
    async with ScriptedServer(busy, *[good] * 9) as server:
        async with Client(server.config, read_pacer=reads, backoff=QUICK) as client:
            first = asyncio.create_task(READS[verb](client))
            await eventually(lambda: reads.rate < 1000, "the server said no")
            await asyncio.gather(first, *(READS[verb](client) for _ in range(4)))
        assert server.requests[1].at - server.requests[0].at >= 1.0
        assert len(server.requests) == 6


@pytest.mark.parametrize("status", [500, 503, 504, None])
async def test_the_pacer_learns_from_a_server_that_fails_or_hangs(status: int | None) -> None:
    pacer = Pacer(qps=50, burst=1)
    async with ScriptedServer() as server:
        if status is not None:
            server.then(failure(status, "", headers={"Retry-After": "7"}))
        async with Client(server.config, pacer=pacer, timeout_seconds=0.2) as client:
            with pytest.raises(ServerError if status is not None else Unreachable) as caught:
                await WRITES["POST"](client)
        assert pacer.rate == 25
        assert len(server.requests) == 1
    assert status is None or getattr(caught.value, "retry_after_seconds", None) == 7


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Expired),
        (410, "Gone", Expired),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", TooManyRequests),
        (500, "InternalError", ServerError),
        (500, "ServerTimeout", ServerTimeout),
        (503, "", ServiceUnavailable),
        (504, "Timeout", ServerTimeout),
        (418, "", ApiError),
    ],
)
def test_every_answer_has_its_error(status: int, reason: str, kind: type[ApiError]) -> None:
    error = api_error(
        "get x", status, msgspec.json.encode({"reason": reason, "message": "why", "code": status})
    )
    assert type(error) is kind
    assert (error.status, error.reason) == (status, reason)
    assert str(error) == f"cannot get x: {status} {reason}".strip() + ": why"


@given(body=st.binary() | st.text().map(str.encode), status=st.integers(400, 599))
def test_an_error_with_any_body_is_bounded_and_on_one_line(body: bytes, status: int) -> None:
    error = api_error("get pods a", status, body)
    assert len(str(error)) <= 512
    assert "\n" not in str(error)
    assert str(error).startswith(f"cannot get pods a: {status}")


async def test_what_is_read_carries_the_time_of_the_server_that_answered() -> None:
    dated = {"Date": "Tue, 14 Nov 2023 22:13:20 GMT"}
    odd = {"Date": "about noon"}
    async with ScriptedServer() as server:
        server.then(
            answer(pod("a", 1), headers=dated),
            answer(page([pod("a", 1)], 1), headers=dated),
            answer(pod("a", 1), headers=odd),
        )
        async with Client(server.config, backoff=QUICK) as client:
            found = await client.get_dated(PODS, "a", "ns", decode=Pod)
            assert (found.item.metadata.name, found.answered_seconds) == ("a", 1_700_000_000)
            assert (await client.list_page(PODS, "ns", decode=Pod)).answered_seconds == 1_700_000_000
            by_our_clock = (await client.get_dated(PODS, "a", "ns", decode=Pod)).answered_seconds
            assert by_our_clock == pytest.approx(client.now(), abs=5)

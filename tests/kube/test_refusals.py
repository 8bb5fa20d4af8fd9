"""A permission that pie lacks: known as a fact, and logged once."""

import asyncio
from contextlib import suppress
from typing import Any

from structlog.testing import capture_logs

from pie.core.wire import Pod
from pie.kube.backoff import Backoff
from pie.kube.client import Client
from pie.kube.errors import Forbidden
from pie.kube.reflector import Reflector
from pie.kube.resources import PODS
from pie.kube.timing import Timing
from tests.kube.scripted import Hang, ScriptedServer, answer, bookmark, eventually, failure, pod

NO_PERMISSION = failure(403, "Forbidden", 'pods "a" is forbidden: User "pie" cannot get resource "pods"')
OVER_QUOTA = failure(403, "Forbidden", 'pods "a" is forbidden: exceeded quota: q')
QUICK = Timing(backoff=Backoff(base_seconds=0.001, cap_seconds=0.002))


async def get(client: Client) -> None:
    with suppress(Forbidden):
        await client.get(PODS, "a", "ns", decode=Pod)


def said(lines: list[Any]) -> list[str]:
    return [line["event"] for line in lines if line["log_level"] in {"warning", "info", "error"}]


async def test_a_forbidden_read_is_one_log_line_and_one_fact_until_it_is_allowed() -> None:
    changes: list[int] = []
    async with ScriptedServer(*[NO_PERMISSION] * 5, answer(pod("a", 1))) as server:
        with capture_logs() as lines:
            async with Client(server.config) as client:
                client.refusals.listen(lambda: changes.append(len(client.refusals.current())))
                for _ in range(5):
                    await get(client)
                (missing,) = client.refusals.current()
                assert str(missing) == "get pods in namespace ns"
                assert 'User "pie" cannot get resource "pods"' in missing.words
                await get(client)
                assert client.refusals.current() == ()
    assert said(lines) == ["permission missing", "permission no longer missing"]
    assert changes == [1, 0]


async def test_a_quota_is_no_missing_permission() -> None:
    async with ScriptedServer(OVER_QUOTA) as server, Client(server.config) as client:
        await get(client)
        assert client.refusals.current() == ()


async def test_a_watch_that_is_not_allowed_logs_once_and_goes_on_when_it_is() -> None:
    async with ScriptedServer(*[NO_PERMISSION] * 30) as server:
        server.then(server.stream(bookmark(1, ends=True), Hang))
        with capture_logs() as lines:
            async with Client(server.config) as client:
                reflector = Reflector(client, PODS, Pod, namespace="ns", timing=QUICK)
                task = asyncio.create_task(reflector.run())
                await eventually(lambda: len(server.requests) > 20, "it is tried again and again")
                assert [str(each) for each in client.refusals.current()] == ["watch pods in namespace ns"]
                await eventually(reflector.synced.is_set, "it goes on by itself")
                assert client.refusals.current() == ()
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
    assert said(lines) == ["permission missing", "permission no longer missing"]


async def test_a_refusal_that_nobody_met_again_is_forgotten() -> None:
    now = 0.0
    async with ScriptedServer(NO_PERMISSION) as server, Client(server.config) as client:
        client.refusals._clock = lambda: now
        await get(client)
        now = 3599.0
        assert len(client.refusals.current()) == 1
        now = 3600.0
        assert client.refusals.current() == ()

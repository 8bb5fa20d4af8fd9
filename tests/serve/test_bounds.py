"""A listener holds a bounded number of connections, for a bounded time, with bounded requests."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from pie.serve.api import Api
from pie.serve.bounds import Bounds
from pie.serve.http import health_app, metrics_app, serving
from pie.serve.series import TargetSeries
from tests.harness import until
from tests.serve.halfopen import half_open, possible
from tests.serve.source import MadeUp

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HALF = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
WHOLE = HALF + b"\r\n"
OFTEN = 60.0


def health() -> web.Application:
    return health_app(lambda: "")


@asynccontextmanager
async def clients(port: int, number: int, said: bytes) -> AsyncIterator[list[Client]]:
    """Open connections, one after the other, and say something on each."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(number):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(said)
            opened.append((reader, writer))
        yield opened


async def ended(client: Client) -> bool:
    """Tell whether the server has closed a connection; waits until it has."""
    try:
        return await client[0].read() == b""
    except ConnectionResetError:
        return True


async def status_of(client: Client) -> int:
    """Return the status of the next answer, and read its body."""
    head = await client[0].readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.splitlines() if b"content-length" in line.lower())
    await client[0].readexactly(length)
    return int(head.split()[1])


async def get(port: int, path: str, **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}", headers=headers) as answer,
    ):
        await answer.read()
        return answer.status


@pytest.mark.parametrize("said", [b"", HALF], ids=["nothing", "half a request"])
async def test_of_too_many_connections_without_a_request_the_oldest_are_closed(said: bytes) -> None:
    async with (
        serving(health(), "127.0.0.1:0", Bounds(connections=8, header_seconds=OFTEN)) as port,
        clients(port, 20, said) as opened,
    ):
        assert all([await ended(client) for client in opened[:12]])
        assert await get(port, "/healthz") == 200
        assert await ended(opened[12]), "the next one in turn"
        newest = opened[-1]
        newest[1].write(WHOLE.removeprefix(said))
        assert await status_of(newest) == 200


async def test_headers_that_do_not_end_are_waited_for_so_long_only() -> None:
    async with (
        serving(health(), "127.0.0.1:0", Bounds(header_seconds=0.5)) as port,
        clients(port, 2, WHOLE) as kept,
    ):
        assert [await status_of(client) for client in kept] == [200, 200]
        async with clients(port, 1, HALF) as (slow,), clients(port, 1, b"") as (silent,):
            kept[0][1].write(HALF)
            assert await ended(slow)
            assert await ended(silent)
            assert await ended(kept[0]), "half a request after a whole one"
        kept[1][1].write(WHOLE)
        assert await status_of(kept[1]) == 200, "a connection that is kept for the next request is not slow"


@pytest.mark.parametrize(
    "request_",
    [
        HALF + b"X: " + b"x" * 100_000,
        b"".join([HALF, *(b"X-%d: 1\r\n" % number for number in range(20_000))]),
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 9_000_000,
    ],
    ids=["a long header", "many headers", "a body"],
)
async def test_a_request_that_is_too_big_ends_its_connection(request_: bytes) -> None:
    async with serving(health(), "127.0.0.1:0") as port, clients(port, 1, request_) as (big,):
        while not await ended(big):
            pass  # it may be refused in words first
        assert await get(port, "/healthz") == 200


async def test_requests_that_are_being_answered_are_not_closed_for_new_connections() -> None:
    answering, release = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        answering.set()
        await release.wait()
        return web.Response(text="done")

    app = health()
    app.router.add_get("/slow", slow)
    async with serving(app, "127.0.0.1:0", Bounds(connections=4, header_seconds=OFTEN)) as port:
        asked = asyncio.create_task(get(port, "/slow"))
        await answering.wait()
        async with clients(port, 12, b"") as opened:
            assert await ended(opened[0])
            assert await get(port, "/healthz") == 200
        release.set()
        assert await asked == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1234", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("10.0.0.1", 200),
        ("evil.example", 421),
        ("evil.example:8080", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("pie.pie.svc", 421),
    ],
)
async def test_a_dns_name_does_not_lead_to_a_listener_on_loopback(host: str, status: int) -> None:
    metrics = metrics_app(CollectorRegistry(), TargetSeries(), Api())
    for app, paths in ((metrics, ("/metrics", "/")), (health(), ("/healthz",))):
        async with serving(app, "127.0.0.1:0") as port:
            for path in paths:
                assert await get(port, path, Host=host) == status


async def test_event_streams_are_bounded_for_each_peer() -> None:
    api = Api(most_listeners_of_peer=2)
    api.source = MadeUp(1)
    app = metrics_app(CollectorRegistry(), TargetSeries(), api)
    async with serving(app, "127.0.0.1:0") as port, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/api/v1/events"
        streams = [await session.get(url) for _ in range(2)]
        assert [stream.status for stream in streams] == [200, 200]
        assert await get(port, "/api/v1/events") == 429
        streams[0].close()

        async def room() -> bool:
            async with session.get(url) as answer:
                return answer.status == 200

        await until(room, "there is room for a listener of this peer again")


def connections_of_this_process() -> int:
    """Return how many sockets this process has open."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        try:
            found += str(each.readlink()).startswith("socket:")
        except OSError:
            continue
    return found


@pytest.mark.timeout(120)
async def test_thousands_of_half_open_connections_keep_nobody_from_an_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    number, bounds = possible(10_000), Bounds(connections=64, header_seconds=OFTEN)
    metrics: Any = metrics_app(CollectorRegistry(), TargetSeries(), Api())
    async with (
        serving(metrics, "127.0.0.1:0", bounds) as metrics_port,
        serving(health(), "127.0.0.1:0", bounds) as health_port,
    ):
        before = connections_of_this_process()
        async with half_open(health_port, number // 2), half_open(metrics_port, number // 2):
            for port, path in ((health_port, "/healthz"), (metrics_port, "/metrics")):
                began = time.monotonic()
                assert await get(port, path) == 200
                with capsys.disabled():
                    took = f"{path}: {time.monotonic() - began:.3f} s, {number} connections are half open"
                    sys.stdout.write(f"{took}\n")
            assert connections_of_this_process() <= before + 2 * bounds.connections

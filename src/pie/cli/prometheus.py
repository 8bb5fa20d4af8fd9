"""Queries a Prometheus through its HTTP API, with clear errors."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from yarl import URL

from pie.cli.output import first
from pie.core.prometheus import PrometheusError, Sample, Series, matrix, vector
from pie.core.report import observed, report
from pie.core.reportmodel import Report
from pie.core.reportqueries import INSTANT, PRESENCE, RANGE, SCRAPES, Window, in_words

_TIMEOUT_SECONDS = 120.0
# An answer about 5,000 nodes has some 2 MB.
_MOST_BYTES = 128 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
_REFUSED = {401, 403}
# Prometheus refuses a range of more than 11,000 moments.
_PRESENCE_MOMENTS = 500
# Prometheus looks back this far for a sample.
_LOOK_BACK_SECONDS = 300.0


class ReportError(Exception):
    """No report can be written; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a Prometheus, or a proxy in front of it, needs: a bearer token, and the CA of its certificate."""

    token: str = ""
    ca_file: Path | None = None


class Prometheus:
    """One server. `url` may carry a user and a password, and the path that a proxy puts before the API.

    An answer of more than `most_bytes` is refused.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, most_bytes: int = _MOST_BYTES) -> None:
        self._session = session
        self._most_bytes = most_bytes
        self._url = _address(url)
        self.shown = str(self._url.with_user(None))

    async def vector(self, query: str, at: float) -> list[Sample]:
        """Ask an instant query."""
        return vector(await self._ask("query", query, time=f"{at:.3f}"))

    async def matrix(self, query: str, window: Window, step: int) -> list[Series]:
        """Ask a range query over a window: at its end, and every `step` before."""
        first = window.end - (window.seconds // step - 1) * step
        return matrix(
            await self._ask(
                "query_range", query, start=f"{first:.3f}", end=f"{window.end:.3f}", step=str(step)
            )
        )

    async def _ask(self, what: str, query: str, **parameters: str) -> bytes:
        address = self._url / "api/v1" / what
        try:
            async with self._session.get(address, params={"query": query, **parameters}) as answer:
                if answer.status in _REFUSED:
                    raise ReportError(
                        f"{self.shown} refuses the request (HTTP {answer.status}): give --token-file,"
                        " PROMETHEUS_TOKEN, or a user and a password in the address"
                    )
                if answer.content_type != "application/json":
                    raise ReportError(
                        f"{self.shown} does not answer as Prometheus does"
                        f" (HTTP {answer.status}, {answer.content_type})"
                    )
                return await self._whole(answer)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = str(error) or f"no answer within {_TIMEOUT_SECONDS:.0f} s"
            raise ReportError(f"cannot reach Prometheus at {self.shown}: {why}") from error

    async def _whole(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > self._most_bytes:
                raise ReportError(
                    f"Prometheus at {self.shown} answers with more than {self._most_bytes >> 20} MiB:"
                    " too many nodes were added and removed; give a shorter --since, which includes fewer"
                )
        return bytes(body)


def _address(text: str) -> URL:
    """Return the address of a server. Raises ReportError, without the password."""
    try:
        url = URL(text)
        (url.host or "").encode("idna")  # as the resolver will
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise ReportError(
            f"{text.rpartition('@')[2][:100]!r} is not the address of a Prometheus;"
            " write for example http://localhost:9090"
        )
    return url


def session(access: Access, url: str) -> aiohttp.ClientSession:
    """Return a session with the credentials for a Prometheus. Raises ReportError."""
    headers = {}
    if access.token:
        if not access.token.isprintable() or not access.token.isascii():
            raise ReportError("the token is not one line of ASCII; is it the right file?")
        if _address(url).user is not None:
            raise ReportError("there is a token, and a user in the address: give only one of them")
        headers["Authorization"] = f"Bearer {access.token}"
    try:
        tls = ssl.create_default_context(cafile=access.ca_file) if access.ca_file is not None else True
    except (OSError, ssl.SSLError) as error:
        raise ReportError(f"cannot use the CA file {access.ca_file}: {error.strerror or error}") from error
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS),
        headers=headers,
        connector=aiohttp.TCPConnector(ssl=tls),
    )


async def fetch(url: str, seconds: int, end: float, access: Access = Access()) -> Report:
    """Ask everything that a report about the last `seconds` needs. Raises ReportError."""
    async with session(access, url) as opened:
        server = Prometheus(opened, url)
        try:
            return await _fetch(server, seconds, end)
        except* (ReportError, PrometheusError) as group:
            error = first(group)
    if isinstance(error, ReportError):
        raise error
    raise ReportError(f"Prometheus at {server.shown} says: {error}") from error


async def _fetch(server: Prometheus, seconds: int, end: float) -> Report:
    window = Window(end, seconds)
    scrapes = await server.vector(window.written(SCRAPES), end)
    if not scrapes or scrapes[0].value < 1:
        raise ReportError(
            f"Prometheus at {server.shown} has no metrics of pie in the last {in_words(seconds)};"
            " does it scrape the controller's metrics address?"
        )
    window = Window(end, seconds, seconds / scrapes[0].value)
    step = max(1, -(-seconds // _PRESENCE_MOMENTS))
    presence = await server.matrix(PRESENCE, window, step)
    points = [point for each in presence for point in each.points]
    share, first = observed(points, window, step)
    if first is None:
        raise ReportError(
            f"Prometheus at {server.shown} has metrics of pie, but of no leader with a PieProbe,"
            f" in the last {in_words(seconds)}"
        )
    look_back_seconds = _LOOK_BACK_SECONDS if seconds > _LOOK_BACK_SECONDS else 0.0
    slack_seconds = step + max(2 * window.interval_seconds, look_back_seconds)
    if first > window.start + slack_seconds:
        finer = Window(first, step, window.interval_seconds)
        again = await server.matrix(PRESENCE, finer, max(1, step // _PRESENCE_MOMENTS))
        first = min((time for each in again for time, _ in each.points), default=first)
        known = in_words(max(1, end - first))
        raise ReportError(
            f"Prometheus at {server.shown} has metrics of pie's probes for the last {known} only;"
            f" give --since {known.replace(' ', '')}"
        )
    # If pie was down for a part of the time, the real interval was shorter by that share.
    window = Window(end, seconds, window.interval_seconds * share)
    instant, ranges = await _all(server, window)
    return report(window, share, instant, ranges)


async def _all(
    server: Prometheus, window: Window
) -> tuple[Mapping[str, list[Sample]], Mapping[str, list[Series]]]:
    """Ask all queries, two at a time: a report must not delay the evaluation of alerts."""
    gate = asyncio.Semaphore(2)

    async def instant(name: str, query: str) -> list[Sample]:
        found: list[Sample] = []
        for end, seconds in window.parts(name):
            async with gate:
                found += await server.vector(window.written(query, seconds), end)
        return found

    async def over_time(query: str, step: int) -> list[Series]:
        async with gate:
            return await server.matrix(window.written(query), window, step)

    async with asyncio.TaskGroup() as group:
        vectors = {name: group.create_task(instant(name, query)) for name, query in INSTANT.items()}
        matrices = {
            name: group.create_task(over_time(query, window.fine if name == "incidents" else window.column))
            for name, query in RANGE.items()
        }
    return (
        {name: task.result() for name, task in vectors.items()},
        {name: task.result() for name, task in matrices.items()},
    )

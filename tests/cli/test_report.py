"""`pie report`: what it says of a real Prometheus that scraped the demo, and what it looks like."""

import asyncio
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from pie.cli.prometheus import Prometheus, ReportError
from pie.cli.reporttext import duration, markdown_escaped, share, written
from pie.core.prometheus import Sample, Series, vector
from pie.core.reportmodel import Report
from pie.core.reportqueries import INSTANT, Window
from pie.embedded.panel import HEADER
from tests import forked
from tests.alerting.conftest import ROOT, RULES
from tests.alerting.queries import queries
from tests.cli.conftest import within
from tests.core.reports import WINDOW, made, mount
from tests.harness import until
from tests.ports import free_port
from tests.probe.conftest import demand, lack

DAY = 86_400
DASHBOARD = ROOT / "charts/pie/files/dashboard.json"
EVIL = '<script>alert("x")</script> | `a` [b](http://c)'


async def report(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *forked.command("report", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "200"},
    )
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    return process.returncode or 0, out.decode(), errors.decode()


# How it looks.


@pytest.fixture
def example() -> Report:
    """Give a report in which every name is an attack."""
    labels = {"storage_class": EVIL, "scope": EVIL, "stage": EVIL, "reason": EVIL, "pie_probe_name": EVIL}
    series = Series(labels, tuple((9000.0 + i, 1.0) for i in range(1000)))
    stage = {"storage_class": EVIL, "probe": EVIL, "stage": EVIL}
    latency = Series({"storage_class": EVIL, "direction": "read"}, ((WINDOW.end, 0.5),))
    return made(
        {
            "mount": mount(EVIL, 9, 1, EVIL),
            "suppressed_runs": [Sample({"storage_class": EVIL, "reason": EVIL}, 3)],
            "stage_0.5": [Sample(stage, 3.0)],
            "canaries": [Sample({"storage_class": EVIL, "probe": EVIL, "on_time": "true"}, 3)],
        },
        {"incidents": [series], "latency_trend": [latency]},
    )


class Page(HTMLParser):
    """Notes the elements of a page, and what would be loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.loaded += [str(value) for name, value in attrs if name in {"src", "href", "srcset", "data"}]


def test_html_is_one_file_that_loads_nothing_and_takes_no_name_for_markup(example: Report) -> None:
    page = Page()
    text = written(example, "html")
    page.feed(text)
    assert "script" not in page.elements
    assert page.loaded == []
    assert "svg" in page.elements
    assert "url(" not in text
    assert "&lt;script&gt;" in text
    assert "@media print" in text
    for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ET.fromstring(drawing)  # noqa: S314  our own, and this is whether it can be read


def test_markdown_keeps_its_tables_whatever_a_name_holds(example: Report) -> None:
    text = written(example, "markdown")
    widths: list[set[int]] = [set()]
    for line in text.splitlines():
        if line.startswith("|"):
            widths[-1].add(len(re.findall(r"(?<!\\)\|", line)))
        elif widths[-1]:
            widths.append(set())
    assert [len(width) for width in widths if width] == [1, 1, 1, 1]
    assert EVIL not in text


def test_json_has_every_number(example: Report) -> None:
    found = json.loads(written(example, "json"))
    assert found["classes"][0]["mount"] == {"total": 10, "late": 1, "bad": 0, "availability": 0.9}
    assert found["incidents"][0]["closed"] is None


def test_people_read_the_worst_nodes_and_the_newest_incidents_and_programs_get_all() -> None:
    points = tuple((9000.0 + i, float(i % 2)) for i in range(241))
    series = Series({"storage_class": "c", "scope": "node", "stage": "io", "reason": "Hung"}, points)
    samples = [each for i in range(60) for each in mount(f"n{i}", 100, i)]
    found = made({"mount": samples}, {"incidents": [series]})
    for form in ("json", "yaml"):
        whole = yaml.safe_load(written(found, form))
        assert (len(whole["nodes"]), len(whole["incidents"])) == (60, 120)
        assert whole["nodes"][0]["node"] == "n59"
    text = written(found, "markdown")
    assert "50 of 60; the totals above include the others." in text
    assert "20 older incidents are not shown." in text
    assert ("| n10 |" in text, "| n9 |" in text) == (True, False)


def test_numbers_are_readable_and_never_better_than_they_are() -> None:
    assert [share(value) for value in (None, 1.0, 0.99999, 0.5)] == ["-", "100 %", "99.99 %", "50.00 %"]
    shown = [duration(value) for value in (None, 0.0, 0.00082, 0.0123, 12, 123)]
    assert shown == ["-", "0 s", "820 µs", "12.3 ms", "12.0 s", "123 s"]
    assert markdown_escaped("a|b\nc") == "a\\|b c"


# What cannot be reported.


@asynccontextmanager
async def answering(text: str, content_type: str = "application/json") -> AsyncIterator[str]:
    """Serve one answer to whatever is asked."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def refused(url: str, *arguments: str) -> str:
    """Return the one line that a report ends with."""
    ended = await within("report", "--prometheus", url, *arguments)
    assert (ended.status, ended.said) == (2, "")
    (line,) = ended.complained.splitlines()
    return line


async def test_what_is_in_the_way_is_said_in_one_line() -> None:
    port = free_port()
    assert f"cannot reach Prometheus at http://127.0.0.1:{port}" in await refused(
        f"http://secret:word@127.0.0.1:{port}"
    )
    for nonsense in (
        "localhost:9090",
        "http://localhost:abc",
        "http://x:99999",
        "http://[::1",
        "http://a..b",
    ):
        assert f"{nonsense!r} is not the address of a Prometheus" in await refused(nonsense)
    assert "secret" not in await refused("http://me:secret@localhost:abc")
    empty = '{"status": "success", "data": {"resultType": "vector", "result": []}}'
    async with answering(empty) as url:
        assert "has no metrics of pie in the last 7d" in await refused(url)
    async with answering("<html>", "text/html") as url:
        assert "does not answer as Prometheus does" in await refused(url)
    async with answering('{"status": "error", "error": "query timed out"}') as url:
        assert "says: query timed out" in await refused(url)


# Who asks.


@asynccontextmanager
async def guarded(tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve a Prometheus without metrics to whoever has the token."""

    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer s3cret":
            return web.Response(status=401, text="who are you?")
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": []}})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_bearer_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("s3cret\n")
    wrong.write_text("two\nlines")
    async with guarded() as url:
        assert f"{url} refuses the request (HTTP 401): give --token-file" in await refused(url)
        assert "has no metrics of pie" in await refused(url, "--token-file", str(right))
        assert "the token is not one line" in await refused(url, "--token-file", str(wrong))
        missing = tmp_path / "none"
        assert f"cannot read the token file {missing}: No such file" in await refused(
            url, "--token-file", str(missing)
        )
        monkeypatch.setenv("PROMETHEUS_TOKEN", "s3cret")
        assert "has no metrics of pie" in await refused(url)
        named = await refused(url.replace("//", "//me:word@"))
        assert "a token, and a user in the address" in named
        assert "word" not in named


async def test_a_prometheus_with_a_ca_of_its_own_is_believed_by_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        lack("openssl: apt-get install openssl")
    key, certificate = str(tmp_path / "key"), str(tmp_path / "certificate")
    command = (
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", "/CN=prometheus", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"),
        *("-keyout", key, "-out", certificate),
    )
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    monkeypatch.setenv("PROMETHEUS_TOKEN", "s3cret")
    async with guarded(tls) as url:
        assert "certificate verify failed" in await refused(url)
        assert "has no metrics of pie" in await refused(url, "--ca-file", certificate)
        assert f"cannot use the CA file {key}" in await refused(url, "--ca-file", key)
        nowhere = str(tmp_path / "none")
        assert f"cannot use the CA file {nowhere}: No such file" in await refused(url, "--ca-file", nowhere)


# As large as a cluster can be.


def many_nodes(count: int) -> str:
    """Return what Prometheus answers of so many nodes, two samples each."""
    result = [
        {
            "metric": {"storage_class": "c", "node": f"ip-10-0-{n}.compute.internal", "on_time": on_time},
            "value": [1.0, "100.25"],
        }
        for n in range(count)
        for on_time in ("true", "false")
    ]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


async def test_an_answer_of_several_megabytes_is_read_whole() -> None:
    text = many_nodes(20_000)
    assert len(text) > 4 * 1024 * 1024
    async with answering(text) as url, aiohttp.ClientSession() as session:
        found = await Prometheus(session, url).vector("x", 1.0)
    assert len(found) == 40_000


async def test_an_answer_without_an_end_is_refused_with_what_to_do() -> None:
    async with answering(many_nodes(20_000)) as url, aiohttp.ClientSession() as session:
        with pytest.raises(ReportError, match=r"more than 1 MiB: .* give a shorter --since"):
            await Prometheus(session, url, most_bytes=1024 * 1024).vector("x", 1.0)


# Defaults of Prometheus: --query.max-samples, and what it refuses without a flag.
MOST_SAMPLES = 50_000_000
MOST_POINTS = 11_000


@pytest.mark.parametrize("seconds", [3600, 7 * DAY, 30 * DAY, 366 * DAY])
def test_what_is_asked_of_5000_nodes_stays_within_prometheus_limits(seconds: int) -> None:
    window = Window(0.0, seconds, interval_seconds=15.0)
    nodes, directions, verdicts = 5000, 2, 2
    assert max(seconds // window.fine, seconds // window.column) <= MOST_POINTS
    longest = {name: max(part for _, part in window.parts(name)) for name in INSTANT}
    # What a query holds at once: its selector's series and what it makes of them, at each moment it looks at.
    # Of a range (`increase(x[7d])`) it holds one series at a time. A real Prometheus says the same: its
    # `peakSamples` of 5,000 nodes were 21.5 million for 2,148 moments of `pie_target_suppressed`.
    held = {
        "suppressed_moments": 2 * nodes * longest["suppressed_moments"] // window.fine,
        "p50": 2 * nodes * directions * longest["p50"] // window.coarse,
        "mount_trend": nodes * verdicts * seconds // window.column,
        "latency_trend": nodes * directions * seconds // window.column,
        "presence": nodes * verdicts * 500,
    }
    assert max(held.values()) <= MOST_SAMPLES / 5, held
    assert longest["mount"] <= 7 * DAY


def test_the_parts_of_a_window_are_the_window() -> None:
    window = Window(1000.0 * DAY, 30 * DAY + 1)
    for name in INSTANT:
        parts = window.parts(name)
        assert sum(seconds for _, seconds in parts) == window.seconds
        assert parts[0][0] == window.end
        for (end, seconds), (older, _) in pairwise(parts):
            assert end - seconds == older


# The real thing.


@asynccontextmanager
async def running(*command: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


@asynccontextmanager
async def prometheus(directory: Path, target: int) -> AsyncIterator[str]:
    """Run a real Prometheus that scrapes a port every second; yields its address."""
    port = free_port()
    config = directory / "prometheus.json"  # JSON is YAML
    jobs = [{"job_name": "pie", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}]
    often = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config.write_text(json.dumps({"global": often, "scrape_configs": jobs, "rule_files": [str(RULES)]}))
    async with running(
        *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}"),
        f"--web.listen-address=127.0.0.1:{port}",
        log=directory / "prometheus.log",
    ):
        yield f"http://127.0.0.1:{port}"


async def scraped(url: str, query: str, least: float) -> bool:
    """Tell whether a query answers with so much or more."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/v1/query", params={"query": query}) as answer,
    ):
        return any(each.value >= least for each in vector(await answer.read()))


async def unanswered(url: str) -> list[str]:
    """Return the queries of the dashboard that have no answer."""
    async with aiohttp.ClientSession() as session:
        found = Prometheus(session, url)
        return [query for query in queries(DASHBOARD) if not await found.vector(query, time.time())]


@pytest.mark.real
@pytest.mark.timeout(500)
async def test_a_real_prometheus_that_scraped_the_demo_is_reported(tmp_path: Path) -> None:
    demand("fio", "prometheus")
    port, log = free_port(), tmp_path / "demo.log"
    demo = (
        *(sys.executable, "-m", "pie", "demo", "--scenario", "crash"),
        *("--nodes", "4", "--minute-seconds", "4", "--port", str(port)),
    )

    async def says(words: str, timeout_seconds: float) -> str:
        async def said() -> str:
            text = log.read_text()
            return text if words in text else ""

        return str(await until(said, f"the demo says {words!r}", timeout_seconds))

    async with prometheus(tmp_path, port) as url, running(*demo, log=log):
        panel = re.findall(r"Faults: +(http://\S+)", await says("Faults:", 90))[0]
        ended = await says("Now inject faults yourself", 200)
        counted = re.findall(r"runs: \d+ on time, (\d+) late", ended)[0]
        async with aiohttp.ClientSession() as session:
            await session.post(f"{panel}faults/cordoned?node=node-1", headers={HEADER: "1"})
        await until(lambda: scraped(url, "count_over_time(pie_target_suppressed[1m])", 5), "suppressed time")
        known = re.findall(r"give --since (\w+)", await refused(url))[0]
        status, text, errors = await report("--prometheus", url, "--since", known, "--output", "json")
        html = await report("--prometheus", url, "--since", known, "--output", "html")
        without_answer = await unanswered(url)
    assert status == 0, errors
    found = json.loads(text)
    (only,) = found["classes"]
    assert 0 < only["mount"]["availability"] < 1
    assert abs(only["mount"]["late"] - int(counted)) <= 2
    (incident,) = found["incidents"]
    assert (incident["area"], incident["stage"], incident["reason"]) == ("storage", "mount", "MountFailed")
    assert incident["scope"] == "class"
    assert incident["closed"] > incident["opened"]
    assert found["nodes"][0]["node"] != "node-1"
    cordoned = next(each for each in found["nodes"] if each["node"] == "node-1")
    assert cordoned["suppressed_seconds"] >= 3
    assert only["latency"]["write_p99_seconds"] > 0
    assert "MountFailed" in html[1]
    # What did not happen: no run was inconclusive, no volume was left behind. The incident is closed, and its
    # series may have gone. The demo has no canaries and no resident pods.
    of_features = ("pie_canary_runs_total", 'probe="resident"', 'probe!~"mount|provision|resident"')
    expected = (*of_features, "> 0", "pie_incident_open", "pie_inconclusive_runs_total", "pie_leaked_volumes")
    assert [query for query in without_answer if not any(each in query for each in expected)] == []

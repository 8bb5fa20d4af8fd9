"""/metrics, /healthz and /readyz over real sockets."""

import re
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

import pie.serve
from pie.core.model import Kind, Target
from pie.serve.api import Api
from pie.serve.http import RENDER_SECONDS, Exposition, health_app, metrics_app, parse_address, serving
from pie.serve.series import TargetSeries

PAGE_FILES = Path(pie.serve.__file__).with_name("page_files")


@pytest.mark.parametrize(
    ("address", "parsed"),
    [(":8080", (None, 8080)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:9", ("::1", 9))],
)
def test_go_style_addresses_are_read(address: str, parsed: tuple[str | None, int]) -> None:
    assert parse_address(address) == parsed


@pytest.mark.parametrize("address", ["", "8080", "x:", "x:http", ":70000"])
def test_a_bad_address_gets_a_clear_error(address: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        parse_address(address)


async def fetch(port: int, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, answer.content_type, await answer.text()


async def test_metrics_are_served_with_the_targets_series() -> None:
    series = TargetSeries()
    series.add(Target("p1", Kind.PROVISION, "fast"))
    async with serving(metrics_app(CollectorRegistry(), series, Api()), "127.0.0.1:0") as port:
        status, content_type, text = await fetch(port, "/metrics")
    assert (status, content_type) == (200, "text/plain")
    assert 'pie_provision_probe_total{pie_probe_name="p1",storage_class="fast",on_time="true"} 0' in text


def test_many_scrapers_cost_no_more_than_one() -> None:
    now, registry = 100.0, CollectorRegistry()
    runs = Counter("runs", "Runs.", registry=registry)
    exposition = Exposition(registry, TargetSeries(), lambda: now)
    first, seconds = exposition.read()
    assert seconds is not None
    runs.inc()
    now += 0.9 * RENDER_SECONDS
    assert exposition.read() == (first, None)
    now += 0.1 * RENDER_SECONDS
    second, seconds = exposition.read()
    assert b"runs_total 1.0" in second
    assert seconds is not None


async def test_readiness_says_what_is_missing() -> None:
    missing = "waiting for the first list"
    async with serving(health_app(lambda: missing), "127.0.0.1:0") as port:
        assert (await fetch(port, "/healthz"))[0] == 200
        assert (await fetch(port, "/readyz"))[::2] == (503, "waiting for the first list\n")
        missing = ""
        assert (await fetch(port, "/readyz"))[0] == 200


async def test_the_page_is_its_own_files_only_and_no_other_host_is_let_in() -> None:
    app = metrics_app(CollectorRegistry(), TargetSeries(), Api())
    async with serving(app, "127.0.0.1:0") as port:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/") as answer,
        ):
            policy, page = answer.headers["Content-Security-Policy"], await answer.text()
        named = re.findall(r'(?:src|href)="([^"#]+)"', page)
        assert {"app.js", "style.css", "icon.svg"} <= set(named)
        scripts = [path.name for path in PAGE_FILES.glob("*.js")]
        for name in {*named, *scripts}:
            status, content_type, text = await fetch(port, f"/{name}")
            assert (status, content_type.partition("/")[0] in {"text", "image"}) == (200, True), name
            assert "://" not in text.replace("http://www.w3.org/2000/svg", ""), name
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_nothing_but_those_files_is_served() -> None:
    async with serving(metrics_app(CollectorRegistry(), TargetSeries(), Api()), "127.0.0.1:0") as port:
        for path in ("/page.py", "/..%2fapi.py", "/page_files/app.js", "/index.html"):
            assert (await fetch(port, path))[0] == 404

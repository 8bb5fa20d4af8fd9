"""The panel of faults: who may press its buttons, and what they do."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.faults import FAULTS
from pie.embedded.kinds import NODES
from pie.embedded.panel import HEADER, panel_app
from pie.serve.http import serving
from tests.embedded.conftest import Start
from tests.serve.browser import browser

SAFE = ("Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options", "Cache-Control")
ALLOWED = {HEADER: "1"}


@pytest.fixture
async def cluster(start_embedded: Start) -> EmbeddedCluster:
    """Give a cluster with two nodes."""
    return await start_embedded(nodes=2)


@pytest.fixture
async def session(cluster: EmbeddedCluster) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session with the cluster's panel."""
    async with (
        serving(panel_app(cluster), "127.0.0.1:0") as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


async def test_a_fault_is_made_and_mended_and_shown(
    session: aiohttp.ClientSession, cluster: EmbeddedCluster
) -> None:
    async with session.post("/faults/cordoned?node=node-2", headers=ALLOWED) as answer:
        shown = await answer.json()
    assert shown["active"] == [{"fault": "cordoned", "node": "node-2"}]
    assert shown["nodes"] == ["node-1", "node-2"]
    assert [each["name"] for each in shown["faults"]] == list(FAULTS)
    async with session.delete("/faults/cordoned", headers=ALLOWED) as answer:
        assert (await answer.json())["active"] == []
    assert cluster.faults.active == set()


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_nothing_changes_for_who_cannot_set_the_header_as_a_form_of_another_site(
    session: aiohttp.ClientSession, cluster: EmbeddedCluster, method: str
) -> None:
    async with session.request(method, "/faults/cordoned", data={"node": "node-1"}) as answer:
        assert answer.status == 403
    async with session.options("/faults/cordoned", headers={"Origin": "http://evil.example"}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert cluster.faults.active == set()


async def test_a_name_that_was_made_to_point_here_gets_no_answer(session: aiohttp.ClientSession) -> None:
    for path in ("/", "/faults"):
        async with session.get(path, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 421


async def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(
    session: aiohttp.ClientSession,
) -> None:
    async with session.get("/") as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        page = await answer.text()
    for path in re.findall(r'(?:src|href)="([^"]+)"', page):
        if not path.startswith("data:"):
            async with session.get(path) as answer:
                assert answer.status == 200
    assert not re.search(r"<script(?! src)|style=|\son\w+=|https?://", page)


async def test_what_cannot_be_done_is_refused_in_words(session: aiohttp.ClientSession) -> None:
    async with session.post("/faults/flood", headers=ALLOWED) as answer:
        assert answer.status == 400
        assert "there is no fault 'flood'" in (await answer.json())["error"]


async def test_a_node_that_is_gone_is_a_refusal_in_words_and_no_crash(
    session: aiohttp.ClientSession, cluster: EmbeddedCluster
) -> None:
    cluster.registry.delete(NODES, "", "node-1")
    async with session.post("/faults/cordoned", headers=ALLOWED) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"] == 'cordoned on node-1: nodes "node-1" not found'
    assert cluster.faults.active == {("cordoned", "node-2")}


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("PUT", "/faults", 405)])
async def test_what_is_not_there_is_answered_with_the_same_headers(
    session: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with session.get("/") as answer:
        usual = {name: answer.headers[name] for name in SAFE}
    async with session.request(method, path, headers=ALLOWED) as answer:
        assert answer.status == status
        assert {name: answer.headers.get(name) for name in SAFE} == usual


@pytest.mark.real
async def test_the_buttons_work_by_keyboard_and_show_what_is_broken(
    cluster: EmbeddedCluster, tmp_path: Path
) -> None:
    button = "document.querySelector('[aria-label=\"cordoned, node-2\"]')"
    async with serving(panel_app(cluster), "127.0.0.1:0") as port, browser(tmp_path) as tab:
        await tab.open(f"http://127.0.0.1:{port}/")
        await tab.until(f"!!{button}")
        await tab.see(f"{button}.focus()")
        await tab.press("Enter")
        await tab.until(f"{button}.getAttribute('aria-pressed') === 'true'")
        assert cluster.faults.active == {("cordoned", "node-2")}
        assert await tab.text("[aria-label='cordoned, node-2']") == "active"
        await tab.until("document.querySelector('#said').innerText === 'cordoned, node-2: injected.'")
        await tab.press("Enter")
        await tab.until(f"{button}.getAttribute('aria-pressed') === 'false'")
        assert cluster.faults.active == set()
        await tab.see("document.querySelector('[aria-label=\"corrupted, node-1\"]').click()")
        await tab.until("document.querySelector('#said').textContent.includes('nothing to corrupt')")
        await cluster.faults.inject("new-node")
        await tab.until("!!document.querySelector('[aria-label=\"cordoned, node-3\"]')")
        assert [each for each in tab.complaints if "400" not in each] == []

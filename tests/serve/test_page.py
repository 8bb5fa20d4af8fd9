"""The page in a real Chromium: on an embedded cluster under faults, and on answers that are made up.

PIE_PICTURES=docs/images has the pictures of the documentation taken anew.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from pie.controller.app import run
from pie.controller.settings import Settings
from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.kinds import NODES, PIE_PROBES
from pie.embedded.machines import STORAGE_CLASS
from pie.serve.api import Api
from pie.serve.http import metrics_app, serving
from pie.serve.series import TargetSeries
from tests.embedded.conftest import Start
from tests.harness import pieprobe, until
from tests.ports import free_port
from tests.probe.conftest import demand
from tests.serve.browser import Tab, browser
from tests.serve.source import MadeUp

PICTURES = os.environ.get("PIE_PICTURES", "")
pytestmark = [pytest.mark.real, pytest.mark.timeout(900 if PICTURES else 400)]

MINUTE_SECONDS = 10.0
THRESHOLD_SECONDS = 9
"""Almost a period: on a busy machine a good run takes seconds, and one node must stay well."""
WITHIN_SECONDS = MINUTE_SECONDS + THRESHOLD_SECONDS + 60
"""A fault shows within a period and the threshold; the rest is for a busy machine."""
EVIL = "<img src=x onerror=\"document.title='evil'\">"
ZONE = "topology.kubernetes.io/zone"


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    """Give a tab of a new Chromium, as wide as a laptop's."""
    async with browser(tmp_path / "chromium") as tab:
        await tab.resize(1180, 1230)
        yield tab


async def picture(tab: Tab, name: str) -> None:
    """Take a picture for the documentation, if pictures are wanted."""
    if PICTURES:
        await tab.picture(Path(PICTURES) / name)


@asynccontextmanager
async def controlled(cluster: EmbeddedCluster) -> AsyncIterator[str]:
    """Run a controller that probes a cluster; yields the address of its page."""
    for number, node in enumerate(cluster.store.all(NODES)):
        zone = {ZONE: "zone-a" if number < 3 else "zone-b"}
        cluster.registry.edit(node, lambda copy, zone=zone: copy["metadata"]["labels"].update(zone))
    spec: dict[str, Any] = {"probeThreshold": f"{THRESHOLD_SECONDS}s", "deadline": "20s"}
    probe = pieprobe("local", STORAGE_CLASS, "kubernetes.io/os", **spec)
    cluster.registry.create(PIE_PROBES, probe, "pie")
    port = free_port()
    settings = Settings(
        container_image="pie",
        kubeconfig=str(cluster.kubeconfig),
        metrics_bind_address=f"127.0.0.1:{port}",
        health_probe_bind_address="127.0.0.1:0",
        minute_seconds=MINUTE_SECONDS,
    )
    controller = asyncio.create_task(run(settings))
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        controller.cancel()
        await asyncio.wait([controller])


@asynccontextmanager
async def served(source: MadeUp | None, port: int = 0, leader: str = "") -> AsyncIterator[str]:
    """Serve the page over answers that are made up; yields its address."""
    api = Api(leader=lambda: leader)
    api.source = source
    app = metrics_app(CollectorRegistry(), TargetSeries(), api)
    async with serving(app, f"127.0.0.1:{port}") as bound:
        yield f"http://127.0.0.1:{bound}/"


def painted(node: str, verdict: str) -> str:
    """Return a script: how many pixels of a node's cells have the colour of a verdict."""
    return f"""(() => {{
      const row = [...document.querySelectorAll('.row')].find((each) => each.innerText.startsWith('{node}'));
      const canvas = row?.querySelector('canvas');
      if (!canvas?.width) return 0;
      const pen = document.createElement('canvas').getContext('2d');
      pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--{verdict}');
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
      const found = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      let count = 0;
      for (let at = 0; at < found.length; at += 4) {{
        count += found[at] === r && found[at + 1] === g && found[at + 2] === b;
      }}
      return count;
    }})()"""


def known_columns(count: int) -> str:
    """Return a script: whether so many cells of the first row say something."""
    return f"""fetch('api/v1/heatmap?probe=local').then((answer) => answer.json())
      .then(({{rows}}) => rows[0].cells.replaceAll('.', '').length >= {count})"""


H1 = "document.querySelector('h1').innerText"
NO_WIDER = "document.documentElement.scrollWidth <= innerWidth"


async def test_a_fault_shows_in_words_and_colours_and_its_target_opens_by_keyboard(
    start_embedded: Start, tab: Tab
) -> None:
    demand("fio")
    cluster = await start_embedded(nodes=5, minute_seconds=MINUTE_SECONDS, probe_options=("--size", "1M"))
    async with controlled(cluster) as page:
        await tab.open(page)
        await tab.until(f"{H1}.startsWith('Everything is fine: 6 targets')", 120)
        await tab.until("document.querySelector('#live').innerText === 'live'")
        assert await tab.see("document.querySelectorAll('.incident').length") == 0
        await tab.until(painted("node-2", "ok"))
        if PICTURES:
            await tab.until(known_columns(18), 300)

        await cluster.faults.inject("cordoned", "node-5")
        for node in ("node-1", "node-2", "node-3"):
            await cluster.faults.inject("node-plugin-gone", node)
        # The first node is told of by itself, until the others are known to be bad too.
        zone = "volumes are not mounted in zone zone-a"
        await tab.until(f"document.querySelector('.incident')?.innerText.includes('{zone}')", WITHIN_SECONDS)
        assert await tab.see("document.querySelectorAll('#incidents .incident').length") == 1
        incident = await tab.text(".incident")
        for words in ("stage: mount", "MountFailed", "area: storage", "connection refused", "Next:"):
            assert words in incident
        assert (await tab.text("h1")).startswith("Not everything is fine: 1 incident")
        await tab.until(painted("node-2", "late"))
        assert await tab.see(painted("node-2", "ok")) > 0
        assert await tab.see(painted("node-4", "late")) == 0
        await tab.until(
            "document.querySelector('.row[data-verdict=suppressed]')?.innerText.includes('node-5')"
        )
        if PICTURES:
            await tab.until(known_columns(24), 300)
        await picture(tab, "page-light.png")
        await tab.colours("dark")
        await tab.until("getComputedStyle(document.body).backgroundColor === 'rgb(20, 24, 26)'")
        await picture(tab, "page-dark.png")
        await tab.colours("light")

        await tab.see("document.querySelector('.card').focus()")
        for _ in range(4):
            if await tab.see("document.activeElement.id === 'heat'"):
                break
            await tab.press("Tab")
        await tab.press("Home", "ArrowDown", "Enter")
        await tab.until(
            "document.activeElement.id === 'target-title' && location.hash.startsWith('#/local/mount/node-')"
        )
        for words in ("mount probe local", "zone-a", "late in mount", "✓ ok", "io ", "read p99", "Next:"):
            await tab.until(f"document.querySelector('#one').innerText.includes({words!r})")
        await tab.until("!!document.querySelector('.stuck.late') && !!document.querySelector('.part.io')")
        await picture(tab, "page-target.png")

        await tab.resize(390, 844, mobile=True)
        await tab.until(NO_WIDER)
        await tab.see("document.querySelector('#back').focus()")
        await tab.press("Enter")
        await tab.until("!document.querySelector('#all').hidden && document.activeElement.id === 'heat'")
        await tab.until(NO_WIDER)

        for fault, node in sorted(cluster.faults.active):
            await cluster.faults.clear(fault, node)
        await tab.until(f"{H1}.startsWith('Everything is fine')", 120)
        await tab.until("Number(document.querySelector('#closed-count').innerText) >= 1")
        assert tab.complaints == []


async def test_what_names_and_texts_of_a_cluster_say_is_text(tab: Tab) -> None:
    source = MadeUp(3, EVIL)
    source.panel_url = "javascript:alert(1)"
    async with served(source) as page:
        await tab.open(page)
        await tab.until("document.querySelector('.row .name')?.title.includes('onerror')")
        for selector in (".incident", ".card", "#features tbody"):
            assert EVIL in await tab.text(selector)
        assert EVIL in await tab.see("document.querySelector('.row').ariaLabel")
        await tab.see("document.querySelector('.row').click()")
        await tab.until("!!document.querySelector('.run')")
        assert EVIL in await tab.text(".run")
        assert EVIL in await tab.text("#one h2")
        assert await tab.see("document.querySelectorAll('main img').length") == 0
        assert await tab.see("document.querySelector('#panel').hidden") is True
        assert await tab.see("document.title") == "✕ pie: bad"
        await tab.see("""(() => {
          const script = document.createElement('script');
          script.textContent = 'window.ran = 1';
          document.body.append(script);
        })()""")
        assert await tab.see("window.ran ?? 0") == 0
        assert [each for each in tab.complaints if "Content Security Policy" not in each] == []
        assert len(tab.complaints) == 1


async def test_what_canaries_found_out_is_a_table(tab: Tab) -> None:
    async with served(MadeUp(3)) as page:
        await tab.open(page)
        await tab.until("!document.querySelector('#features').hidden")
        rows = await tab.see(
            "[...document.querySelectorAll('#features tbody tr')].map((row) => row.innerText)"
        )
        found = [row.split("\t") for row in rows]
        assert [[*row[:4], row[5]] for row in found] == [
            ["block", "fast", "✓ yes", "✓ yes", "3 s"],
            ["clone", "fast", "✓ yes", "✕ no", "12 s"],
            ["expand", "slow", "✕ no", "? not known", "\N{EN DASH}"],
        ]
        await tab.resize(390, 844, mobile=True)
        await tab.until(NO_WIDER)
        await tab.see("document.querySelector('#features a').click()")
        await tab.until("location.hash === '#/synthetic/block//fast'")


async def test_five_thousand_nodes_scroll_smoothly_failing_first_and_by_zone(tab: Tab) -> None:
    async with served(MadeUp(5000)) as page:
        await tab.open(page)
        await tab.until("document.querySelector('.row')?.dataset.verdict === 'failed'")
        assert await tab.text(".row .name") == "node-00000"
        most_drawn = await tab.see("""(async () => {
          const { Heatmap } = await import('./heatmap.js');
          const { draw, drawRow } = Heatmap.prototype;
          let drawn = 0;
          let most = 0;
          Heatmap.prototype.drawRow = function (...row) {
            drawn += 1;
            drawRow.apply(this, row);
          };
          Heatmap.prototype.draw = function () {
            drawn = 0;
            draw.call(this);
            most = Math.max(most, drawn);
          };
          for (let step = 1; step <= 60; step += 1) {
            document.querySelector('#heat').scrollTop = step * 2000;
            await new Promise(requestAnimationFrame);
          }
          return most;
        })()""")
        # A frame draws the rows on the screen, each once, however many nodes there are.
        assert 0 < most_drawn < 60
        assert await tab.see("document.querySelectorAll('.row').length") < 60
        await tab.see("document.querySelector('#zones').click()")
        await tab.see("document.querySelector('#heat').scrollTop = 0")
        await tab.until("document.querySelector('.row.header')?.innerText.includes('bad')")
        await tab.see("document.querySelector('#heat').focus()")
        await tab.press("End")
        await tab.until("document.querySelector('.row.active .name')?.innerText.startsWith('node-049')")
        for key in ("Home", "ArrowDown", "PageUp"):  # above the first target is the header of its zone
            await tab.press(key)
            at = 2 if key == "ArrowDown" else 1
            await tab.until(f"document.querySelector('.row.active:not(.header)')?.dataset.index === '{at}'")
        assert await tab.see("document.querySelector('#heat').scrollTop") == 0
        await tab.resize(390, 844, mobile=True)
        assert await tab.see(NO_WIDER)
        assert tab.complaints == []


async def test_it_says_when_the_controller_is_gone_and_is_live_again_when_it_is_back(tab: Tab) -> None:
    port = free_port()
    async with served(MadeUp(3), port) as page:
        await tab.open(page)
        await tab.until("document.querySelector('#live').innerText === 'live'")
    await tab.until("document.querySelector('#live').innerText === 'reconnecting'")
    await tab.until("document.title === '… pie: no answer'")
    assert await tab.text("#sentence") == "The controller does not answer."
    assert "The information below is from" in await tab.text("#detail")
    assert await tab.see("document.querySelector('#hero').className") == "hero unknown old"
    source = MadeUp(4)
    source.panel_url = "http://127.0.0.1:1/"
    async with served(source, port):
        await tab.until("document.querySelector('#live').innerText === 'live'")
        await tab.until("document.title === '✕ pie: bad' && document.querySelectorAll('.row').length === 4")
        assert await tab.see("document.querySelector('.old')") is None
        await tab.until("document.querySelector('#panel:not([hidden])')?.href === 'http://127.0.0.1:1/'")


async def test_a_controller_that_hangs_is_no_answer_and_what_only_ages_is_not_announced(tab: Tab) -> None:
    async with served(MadeUp(3)) as page:
        await tab.hurry()
        await tab.open(page)
        await tab.until(
            "document.title === '✕ pie: bad' && document.querySelector('#live').className === 'live'"
        )
        await tab.see("""(() => {
          window.announced = 0;
          const watch = new MutationObserver((changes) => (window.announced += changes.length));
          for (const each of document.querySelectorAll('[aria-live], [role=status], [role=alert]')) {
            watch.observe(each, { childList: true, characterData: true, subtree: true });
          }
          window.before = document.querySelector('#detail').innerText;
        })()""")
        await tab.until("document.querySelector('#detail').innerText !== before")
        assert await tab.see("announced") == 0
        await tab.command(
            "Fetch.enable", patterns=[{"urlPattern": "*overview"}]
        )  # and let none of them go on
        await tab.until("document.title === '… pie: no answer'")
        assert await tab.see("announced") > 0
        await tab.command("Fetch.disable")
        await tab.until("document.title === '✕ pie: bad'")


async def test_nine_tabs_load_and_one_in_the_background_tells_by_its_title(tab: Tab) -> None:
    source = MadeUp(3)
    async with served(source) as page:
        await tab.hurry()
        await tab.open(page)
        await tab.until("document.querySelector('#live').className === 'live'")
        for _ in range(8):
            await tab.command("Target.createTarget", url=page)

        async def titles() -> bool:
            targets = (await tab.command("Target.getTargets"))["targetInfos"]
            return [each["title"] for each in targets if each["url"] == page] == ["✕ pie: bad"] * 9

        await until(titles, "nine tabs are loaded")
        await tab.until("document.hidden")
        source.state = "fine"
        await tab.until("document.title === '✓ pie: fine'")
    await tab.until("document.title === '… pie: no answer'")


async def test_long_names_that_begin_alike_are_told_apart_on_a_phone(tab: Tab) -> None:
    async with served(MadeUp(12, before="gke-production-europe-pool-1-a1b2c3d4-")) as page:
        await tab.resize(390, 844, mobile=True)
        await tab.open(page)
        await tab.until("document.querySelectorAll('.row').length === 12")
        told = """[...document.querySelectorAll('.row .name')].map((name) =>
          [name.innerText, name.title, name.scrollWidth <= name.clientWidth])"""
        rows = {name: (title, fits) for name, title, fits in await tab.see(told)}
        assert rows["…00000"] == ("gke-production-europe-pool-1-a1b2c3d4-00000 (zone zone-0)", True)
        assert len(rows) == 12
        assert all(fits for _, fits in rows.values())
        await tab.see("""(() => {
          document.querySelector('#filter').value = 'nobody';
          document.querySelector('#filter').dispatchEvent(new Event('input'));
        })()""")
        assert await tab.text("#no-rows") == "No node or zone has “nobody” in its name."
        assert await tab.see("document.querySelector('#heat').hidden")


async def test_a_replica_that_stands_by_says_where_to_look(tab: Tab) -> None:
    async with served(None, leader="pie-7c9-x2_5e3a") as page:
        await tab.open(page)
        await tab.until(
            "document.querySelector('#hero').innerText.includes('kubectl port-forward pod/pie-7c9-x2 8080')"
        )

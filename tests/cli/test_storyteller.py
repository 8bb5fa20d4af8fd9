"""A story's end is good only if pie said what it has to, and nothing that is not so."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from rich.console import Console

from pie.cli.narrator import Narrator
from pie.cli.stories import Step, Story
from pie.cli.storyteller import Storyteller
from pie.core.model import Stage
from pie.core.reasons import Reason
from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.kinds import PIE_PROBES
from pie.serve.http import serving
from tests.specs import SMALLEST

CLOSED = {"closedAt": "2026-01-01T00:01:00Z"}
LATE = 'pie_mount_probe_total{node="n",on_time="false"} 1.0\n'
MOUNT_FAILED = Step("wait", until=frozenset({(Stage.MOUNT, Reason.MOUNT_FAILED)}))
PASS = Step("pass")


def incident(reason: Reason, **more: Any) -> dict[str, Any]:
    """Return an incident as pie writes it."""
    return {
        "id": reason,
        "scope": "node",
        "stage": "mount",
        "reason": reason,
        "openedAt": "2026-01-01T00:00:00Z",
        **more,
    }


@pytest.mark.parametrize(
    ("story", "written", "metrics", "good"),
    [
        (Story("s", "m", 1, (PASS,)), [], "", True),
        (Story("s", "m", 1, (PASS,)), [[incident(Reason.HUNG)]], "", False),
        (Story("s", "m", 1, (PASS,)), [[incident(Reason.HUNG, **CLOSED)]], "", False),
        (Story("s", "m", 1, (PASS,)), [[incident(Reason.HUNG, **CLOSED)], []], "", False),
        (Story("s", "m", 1, (PASS,), allowed=frozenset({Reason.HUNG})), [[incident(Reason.HUNG)]], "", True),
        (Story("s", "m", 1, (MOUNT_FAILED,)), [[incident(Reason.MOUNT_FAILED)]], "", True),
        (
            Story("s", "m", 1, (MOUNT_FAILED,)),
            [[incident(Reason.MOUNT_FAILED), incident(Reason.HUNG, **CLOSED)]],
            "",
            False,
        ),
        (Story("s", "m", 1, (PASS,)), [], LATE, True),
        (Story("s", "m", 1, (PASS,), none_bad=True), [], LATE, False),
    ],
    ids=[
        "nothing",
        "an open one",
        "one that closed",
        "one that is forgotten",
        "one that may be",
        "the one",
        "one more",
        "a late run",
        "a late run where none may be",
    ],
)
async def test_incidents_and_runs_that_have_no_place_in_a_story_make_it_fail(
    tmp_path: Path, story: Story, written: list[list[dict[str, Any]]], metrics: str, good: bool
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=metrics)

    app = web.Application()
    app.router.add_get("/metrics", answer)
    narrator = Narrator(Console(quiet=True))
    async with EmbeddedCluster(nodes=0, directory=tmp_path) as cluster, serving(app, "127.0.0.1:0") as port:
        narrator.port = port
        probe = cluster.registry.create(PIE_PROBES, {"metadata": {"name": "p"}, "spec": SMALLEST}, "pie")
        teller = Storyteller(narrator, cluster, ("pie", "p"), minute_seconds=2)
        for incidents in written:
            cluster.registry.set_status(probe, incidents=incidents)
        assert await teller.play(story) is good

"""The health check for Argo CD on the page, run by the real Lua on statuses that pie writes.

Argo CD runs Lua 5.1 (gopher-lua).
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, Script, at_once, storage
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import World

PAGE = (Path(__file__).parents[2] / "docs/gitops.md").read_text()
((CHECK),) = re.findall(r"```lua\n(.*?)```", PAGE, re.DOTALL)
PROGRAM = "lua5.1"
Json = dict[str, Any]


@pytest.fixture
def lua() -> None:
    """Skip the test when there is no Lua; in CI, fail."""
    if shutil.which(PROGRAM) is None:
        reason = f"{PROGRAM} is missing: apt-get install {PROGRAM}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def literal(value: Any) -> str:
    """Return JSON as Lua has it."""
    match value:
        case None:
            return "nil"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str():
            return '"' + "".join(f"\\{each:03}" for each in value.encode()) + '"'
        case dict():
            return "{" + ",".join(f"[{literal(key)}]={literal(each)}" for key, each in value.items()) + "}"
        case _:
            return "{" + ",".join(literal(each) for each in value) + "}"


def health(obj: Json) -> tuple[str, str]:
    """Return status and message of an object, as Argo CD would show them."""
    program = (
        f"local obj = {literal(obj)}\nlocal function check()\n{CHECK}\nend\n"
        "local found = check()\nio.write(found.status, '\\n', found.message)"
    )
    done = subprocess.run([PROGRAM, "-"], input=program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status, _, message = done.stdout.partition("\n")
    return status, message


def pieprobe_after(seconds: int, script: Script, spec: Json) -> Json:
    """Return a PieProbe as a controller left it in a simulation."""

    async def live() -> Json:
        simulation = Simulation(at_once)
        simulation.world.begin(spec)
        await simulation.run(seconds, script)
        found: Json = simulation.world.objects["pieprobes"]["p"]
        return found

    return in_virtual_time(live())


@pytest.mark.usefixtures("lua")
@pytest.mark.parametrize(
    ("seconds", "script", "spec", "status", "words"),
    [
        (150, [], SPEC, "Healthy", "fine"),
        (30, [], SPEC, "Progressing", "no run has ended yet"),
        (260, [(70, storage("fails"))], SPEC, "Degraded", "I/O fails or is wrong"),
        (260, [(65, World.cordon)], SPEC, "Healthy", "all matching nodes are under maintenance"),
        (150, [], {**SPEC, "paused": True}, "Suspended", "spec.paused is true"),
        (60, [], {**SPEC, "probeThreshold": "2h"}, "Degraded", "Ready (InvalidSpec): spec.probeThreshold"),
        (
            60,
            [(0, lambda world: world.objects["storageclasses"].clear())],
            SPEC,
            "Degraded",
            "Ready (StorageClassNotFound)",
        ),
    ],
)
def test_argo_cd_shows_the_health_of_a_pieprobe(
    seconds: int, script: Script, spec: Json, status: str, words: str
) -> None:
    found = health(pieprobe_after(seconds, script, spec))
    assert found[0] == status
    assert words in found[1]


METADATA = {"metadata": {"generation": 2}, "spec": {}}


@pytest.mark.usefixtures("lua")
@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (None, "Progressing"),
        ({}, "Progressing"),
        ({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}, "Progressing"),
        ({"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True"}]}, "Healthy"),
        ({"observedGeneration": 2, "incidents": [{"closedAt": "2026-01-01T00:00:00Z"}]}, "Progressing"),
        ({"observedGeneration": 2, "incidents": [{"reason": "MountFailed"}]}, "Degraded"),
    ],
)
def test_a_status_that_says_little_is_no_error(status: Json | None, shown: str) -> None:
    assert health({**METADATA, "status": status})[0] == shown

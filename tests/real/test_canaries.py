"""Canaries on real nodes: each is proved, or called bad, or not offered, and nothing of it is left."""

import asyncio
from typing import Any

import pytest

from testbed import faults
from testbed.api import Json
from testbed.faults import Options
from tests.duesoon import due_soon
from tests.harness import until
from tests.real.conftest import STORAGE_CLASS, Probed

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

NODES = ["node-1", "node-2"]
BLOCK: dict[str, Any] = {
    "disableProvisionProbe": True,
    "disableMountProbes": True,
    "canaries": {"block": {"period": "1m"}},
}
RUNS = "pie_canary_runs_total"
UNSUPPORTED = "block volumes are not supported"
CLONE: dict[str, Any] = {
    "disableProvisionProbe": True,
    "disableMountProbes": True,
    "canaries": {"clone": {"period": "1m"}},
}
GROWING = "local-xfs"
EXPAND: dict[str, Any] = {
    "disableProvisionProbe": True,
    "disableMountProbes": True,
    "canaries": {"expand": {"period": "10m"}},
    "pvcCapacity": "300Mi",
}
OFFLINE = "the pool is offline"


async def condition(probed: Probed, name: str, kind: str = "BlockHealthy") -> Json | None:
    """Return the condition of the canary once a run has said something."""
    status = (await probed.api.get(probed.path("pieprobes", name))).get("status") or {}
    found = [each for each in status.get("conditions") or [] if each["type"] == kind]
    return next((each for each in found if each["reason"] != "Pending"), None)


async def reported(probed: Probed, name: str, kind: str, wanted: tuple[str, str, str]) -> None:
    """Wait until a run has said something; expect this status, this reason, and these words."""
    status, reason, words = wanted
    said = await until(lambda: condition(probed, name, kind), f"a run of {name}", 180)
    assert (said["status"], said["reason"]) == (status, reason), said
    stored = await probed.api.get(probed.path("pieprobes", name))
    assert words in str(stored["status"]), name


async def nothing_left(probed: Probed, name: str) -> bool:
    """Tell whether no pod, no PVC and no volume of a PieProbe is there."""
    of_probe = f"pie-probe={name}"
    pods = await probed.api.items(probed.path("pods"), selector=of_probe)
    claims = await probed.api.items(probed.path("persistentvolumeclaims"), selector=of_probe)
    volumes = await probed.api.items("/api/v1/persistentvolumes")
    pods_of_canaries = tuple(f"{canary}-{name}-" for canary in ("block", "clone", "expand"))
    mine = [each for each in volumes if each["spec"]["claimRef"]["name"].startswith(pods_of_canaries)]
    return not [*pods, *claims, *mine]


async def test_each_canary_is_proved_or_called_bad_or_not_offered_and_nothing_is_left(probed: Probed) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(block(probed))
        group.create_task(clone(probed))
        group.create_task(expand(probed))


async def clone(probed: Probed) -> None:
    """Clone volumes: one is well, of each filesystem; one is empty; one is refused."""
    classes = {"same": STORAGE_CLASS, "xfs": GROWING, "other": STORAGE_CLASS, "none": STORAGE_CLASS}
    names = {
        each: due_soon(each, storage_class, probed.namespace, canary="clone")
        for each, storage_class in classes.items()
    }
    injected = {"clones-other": names["other"], "clones-refused": names["none"]}
    expected = {
        "same": ("True", "OK", ""),
        "xfs": ("True", "OK", ""),
        "none": ("Unknown", "NotOffered", "volumes are not cloned"),
        "other": ("False", "CloneDiffers", "the clone has no record, its source has record 3 of "),
    }
    try:
        for fault, name in injected.items():
            for node in NODES:
                options = Options(claims=f"clone-{name}-*")
                await faults.inflict(probed.cluster, fault, node=node, options=options)
        for each, storage_class in classes.items():
            await probed.probe(names[each], NODES, storage_class, **CLONE)
        for each, wanted in expected.items():
            await reported(probed, names[each], "CloneHealthy", wanted)
    finally:
        for fault in injected:
            for node in NODES:
                await faults.undo(probed.cluster, fault, node=node)
        for name in names.values():
            await probed.api.delete(probed.path("pieprobes", name))
    for name in names.values():
        await until(lambda name=name: nothing_left(probed, name), "nothing is left", 120)


async def expand(probed: Probed) -> None:
    """Expand volumes: one grows; one is said to have grown; one is refused; one class does not allow it."""
    classes = {"grows": GROWING, "lies": GROWING, "stuck": GROWING, "fixed": STORAGE_CLASS}
    names = {
        each: due_soon(each, storage_class, probed.namespace, canary="expand", period_seconds=600)
        for each, storage_class in classes.items()
    }
    refused = Options(claims=f"expand-{names['stuck']}-*", code="INVALID_ARGUMENT", message=OFFLINE)
    lies = Options(claims=f"expand-{names['lies']}-*")
    expected = {
        "fixed": ("Unknown", "NotOffered", "allowVolumeExpansion"),
        "stuck": ("False", "ExpandFailed", OFFLINE),
        "lies": ("False", "NotExpanded", "the filesystem had not grown"),
        "grows": ("True", "OK", ""),
    }
    try:
        await faults.inflict(probed.cluster, "expand-refused", node="central", options=refused)
        await faults.inflict(probed.cluster, "expands-nothing", node="central", options=lies)
        for each, storage_class in classes.items():
            await probed.probe(names[each], NODES, storage_class, **EXPAND)
        for each, wanted in expected.items():
            await reported(probed, names[each], "ExpandHealthy", wanted)
            if wanted[0] != "False":  # a bad canary is tried again early
                await until(lambda name=names[each]: nothing_left(probed, name), "nothing is left", 120)
    finally:
        for fault in ("expand-refused", "expands-nothing"):
            await faults.undo(probed.cluster, fault, node="central")
        for name in names.values():
            await probed.api.delete(probed.path("pieprobes", name))
    for name in names.values():
        await until(lambda name=name: nothing_left(probed, name), "nothing is left", 120)


async def block(probed: Probed) -> None:
    """Use raw block volumes: one works; one is refused; one is read-only."""
    works, refused, read_only = (
        due_soon(prefix, STORAGE_CLASS, probed.namespace) for prefix in ("well", "no", "ro")
    )
    injected = {"create-refused": f"block-{refused}-*", "read-only": f"block-{read_only}-*"}
    try:
        for fault, claims in injected.items():
            options = Options(claims=claims, code="INVALID_ARGUMENT", message=UNSUPPORTED)
            for node in NODES:
                await faults.inflict(probed.cluster, fault, node=node, options=options)
        await probed.probe(works, NODES, **BLOCK)
        await probed.probe(refused, NODES, **BLOCK, probeThreshold="30s", deadline="30s")
        await probed.probe(read_only, NODES, **BLOCK)

        good = await until(lambda: condition(probed, works), "a run of the canary", 120)
        assert (good["status"], good["reason"]) == ("True", "OK")
        assert (await probed.pie.value(RUNS, pie_probe_name=works, probe="block", on_time="true") or 0) >= 1
        await until(lambda: nothing_left(probed, works), "nothing is left of the run", 120)

        said = await until(lambda: condition(probed, refused), "a run that is refused", 120)
        assert (said["status"], said["reason"]) == ("Unknown", "NotOffered")
        assert UNSUPPORTED in said["message"]
        await until(lambda: nothing_left(probed, refused), "nothing is left of the refused run", 120)

        bad = await until(lambda: condition(probed, read_only), "a run that fails on both nodes", 120)
        assert (bad["status"], bad["reason"]) == ("False", "ReadOnly")
    finally:
        for fault in injected:
            for node in NODES:
                await faults.undo(probed.cluster, fault, node=node)
        for name in (works, refused, read_only):
            await probed.api.delete(probed.path("pieprobes", name))
    for name in (works, refused, read_only):
        await until(lambda name=name: nothing_left(probed, name), "nothing is left", 120)

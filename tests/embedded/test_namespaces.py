"""One controller for all namespaces, on the embedded cluster: PieProbes of one name are kept apart."""

import copy
import json

from tests.cli.conftest import within
from tests.controller.mounts import Mounts, result
from tests.controller.stage import HOURLY_MINUTES, Stage
from tests.harness import ON_TIME, Pie, apply_probe, gone, pieprobe, until, until_condition

KINDS = ("cronjobs", "persistentvolumeclaims")


async def beside(stage: Stage, name: str) -> Stage:
    """Return the same stage in another namespace."""
    await stage.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    other = copy.copy(stage)
    other.namespace = name
    return other


async def they_are_told_apart(pie: Pie, namespace: str, node: str) -> None:
    """Check what `pie status` and `pie explain` say of both."""
    told = json.loads((await within("status", "--server", pie.address, "-o", "json")).said)
    assert told["namespace"] == ""
    assert {each["name"]: each["targets"]["ok"] for each in told["probes"]} == {
        f"{namespace}/p1": 0,
        "other/p1": 1,
    }
    explained = await within("explain", "other/p1", "--node", node, "--server", pie.address)
    assert (explained.status, explained.said.count(": ok")) == (0, 1)
    waiting = await within("explain", f"{namespace}/p1", "--node", node, "--server", pie.address)
    assert ": pending" in waiting.said
    unclear = await within("explain", "p1", "--server", pie.address)
    assert unclear.status == 2
    assert f"several PieProbes have the name p1; there are: other/p1, {namespace}/p1" in unclear.complained


async def test_a_run_counts_and_an_end_ends_in_its_own_namespace_only(stage: Stage) -> None:
    other, node = await beside(stage, "other"), await stage.node()
    both = (stage, other)
    await stage.make_class()
    async with Pie(stage.kubeconfig, "") as pie:
        for each in both:
            manifest = pieprobe("p1", stage.storage_class, stage.label, probePeriod=HOURLY_MINUTES)
            await apply_probe(each.api, each.namespace, manifest)
        for each in both:
            await until_condition(each.api, each.namespace, "p1", "Ready", "True")
        for kind in KINDS:
            assert await stage.names(kind) == await other.names(kind) != set()

        target = Mounts(other, pie, node)
        await other.end(await target.start(), result())
        of = {"pie_probe_name": "p1", "node": node, "on_time": "true"}
        await pie.until_value(ON_TIME["mount"], lambda count: count == 1, **of, namespace="other")
        assert await pie.value(ON_TIME["mount"], **of, namespace=stage.namespace) == 0
        await until_condition(other.api, other.namespace, "p1", "MountHealthy", "True")

        await they_are_told_apart(pie, stage.namespace, node)

        await other.api.delete(other.path("pieprobes", "p1"))
        for kind in KINDS:
            await until(lambda kind=kind: gone(other.api, other.path(kind)), f"{kind} are gone")
            assert await stage.names(kind) != set()
        await pie.until_no_samples(namespace="other")
        assert await pie.value(ON_TIME["mount"], **of, namespace=stage.namespace) == 0

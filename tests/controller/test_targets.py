"""Objects follow nodes, classes and specs, on a real control plane."""

import json
from typing import Any

import pytest

from pie.core.batch.naming import cronjob_names
from pie.core.model import Kind, Target
from pie.core.naming import claim_names
from tests.controller.stage import Stage
from tests.harness import (
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    apply_probe,
    gone,
    pieprobe,
    until,
    until_condition,
)


def mount_names(stage: Stage, node: str, probe: str = "p1") -> tuple[str, str]:
    target = Target(probe, Kind.MOUNT, stage.storage_class, node)
    return cronjob_names(target)[0], claim_names(target)[0]


async def apply(stage: Stage, **spec: Any) -> dict[str, Any]:
    return await apply_probe(
        stage.api, stage.namespace, pieprobe("p1", stage.storage_class, stage.label, **spec)
    )


async def until_names(stage: Stage, plural: str, wanted: set[str]) -> None:
    async def equal() -> bool:
        return await stage.names(plural) == wanted

    await until(equal, f"{plural} are {wanted}")


async def test_every_matching_node_gets_a_claim_and_a_cronjob_and_the_class_one(stage: Stage) -> None:
    await stage.make_class()
    nodes = [await stage.node() for _ in range(3)]
    async with stage.pie() as pie:
        await apply(stage)
        provision = cronjob_names(Target("p1", Kind.PROVISION, stage.storage_class))[0]
        await until_names(stage, "cronjobs", {provision, *(mount_names(stage, node)[0] for node in nodes)})
        await until_names(stage, "persistentvolumeclaims", {mount_names(stage, node)[1] for node in nodes})
        samples = await pie.samples()
        for node in nodes:
            assert samples.names(node=node) == {
                "pie_mount_probe_total",
                "pie_performance_on_mount_probe_total",
                "pie_io_write_latency_on_mount_probe_seconds",
                "pie_io_read_latency_on_mount_probe_seconds",
            }
            assert samples.value("pie_mount_probe_total", node=node, on_time="true") == 0
        assert samples.value("pie_provision_probe_total", pie_probe_name="p1", on_time="false") == 0


async def test_nodes_are_followed_as_they_come_go_and_change_their_labels(stage: Stage) -> None:
    await stage.make_class()
    first = await stage.node()
    async with stage.pie("--kube-api-qps", "50") as pie:
        await apply(stage, disableProvisionProbe=True)
        await until_names(stage, "cronjobs", {mount_names(stage, first)[0]})
        second = await stage.node()
        await until_names(stage, "cronjobs", {mount_names(stage, first)[0], mount_names(stage, second)[0]})
        await stage.api.patch(f"/api/v1/nodes/{first}", {"metadata": {"labels": {stage.label: None}}})
        await until_names(stage, "cronjobs", {mount_names(stage, second)[0]})
        await until_names(stage, "persistentvolumeclaims", {mount_names(stage, second)[1]})
        await pie.until_no_samples(node=first)
        await stage.api.delete(f"/api/v1/nodes/{second}")
        await until_names(stage, "cronjobs", set())
        await pie.until_no_samples(node=second)


async def test_a_changed_spec_is_applied_and_what_others_change_is_put_back(stage: Stage) -> None:
    await stage.make_class()
    node = await stage.node()
    path = stage.path("cronjobs", mount_names(stage, node)[0])
    async with stage.pie() as pie:
        await apply(stage, probePeriod=2)
        await until_names(stage, "persistentvolumeclaims", {mount_names(stage, node)[1]})

        async def schedule(wanted: str) -> bool:
            found = await stage.api.find(path)
            return found is not None and found["spec"]["schedule"].endswith(wanted)

        await until(lambda: schedule("-59/2 * * * *"), "a CronJob every second minute")
        await apply(stage, probePeriod=3)
        await until(lambda: schedule("-59/3 * * * *"), "a CronJob every third minute")
        await stage.api.patch(path, {"spec": {"schedule": "0 0 1 1 *"}})
        await until(lambda: schedule("-59/3 * * * *"), "the schedule is put back")
        await pie.stop()
        await stage.api.patch(path, {"spec": {"schedule": "0 0 1 1 *"}})
        await pie.start()
        await until(lambda: schedule("-59/3 * * * *"), "what was changed meanwhile is put back too")


async def test_a_controller_that_starts_again_writes_nothing(stage: Stage, control_plane: Any) -> None:
    await stage.make_class()
    node = await stage.node()
    async with stage.pie() as pie:
        await apply(stage)
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")
        provision = cronjob_names(Target("p1", Kind.PROVISION, stage.storage_class))[0]
        await until_names(stage, "cronjobs", {provision, mount_names(stage, node)[0]})
        await until_names(stage, "persistentvolumeclaims", {mount_names(stage, node)[1]})
        await pie.stop()
    since = control_plane.audit.now()
    async with stage.pie() as pie:
        await pie.leads()
        await pie.until_value("pie_mount_probe_total", lambda value: value == 0, node=node, on_time="true")
    writes = control_plane.audit.count_writes(since, control_plane.audit.now(), namespace=stage.namespace)
    assert {write: count for write, count in writes.items() if write.agent.startswith("pie")} == {}


async def test_deleting_the_pieprobe_leaves_nothing(stage: Stage) -> None:
    await stage.make_class()
    await stage.node()
    async with stage.pie() as pie:
        await apply(stage)
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")
        await stage.api.delete(stage.path("pieprobes", "p1"))
        for plural in ("cronjobs", "jobs", "pods", "persistentvolumeclaims"):
            await until(lambda plural=plural: gone(stage.api, stage.path(plural)), f"{plural} are gone")
        await pie.until_no_samples(pie_probe_name="p1")


def go_pies_cronjob(metadata: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """Return a CronJob as Go pie creates it; it is never due. Its namespace is of the restricted level."""
    pod_spec = {
        "restartPolicy": "Never",
        **RESTRICTED_POD,
        "containers": [
            {"name": "probe", "image": "old", "env": [{"name": "OLD", "value": "1"}], **RESTRICTED_CONTAINER}
        ],
    }
    template = {"metadata": {"labels": labels, "finalizers": ["pie.topolvm.io/pod"]}, "spec": pod_spec}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata,
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}},
    }


@pytest.mark.parametrize("named", ["as now", "as before"])
async def test_what_go_pie_left_is_taken_over(stage: Stage, named: str) -> None:
    await stage.make_class()
    node = await stage.node()
    created = await apply(stage, disableProvisionProbe=True)
    cronjob, claim = mount_names(stage, node)
    if named == "as before":
        cronjob = "mount-probe-old"
    owner = {
        "apiVersion": "pie.topolvm.io/v1alpha1",
        "kind": "PieProbe",
        "name": "p1",
        "uid": created["metadata"]["uid"],
        "controller": True,
    }
    labels = {"storage-class": stage.storage_class, "pie-probe": "p1", "node": node}
    metadata = {"labels": labels, "ownerReferences": [owner]}
    old_cronjob = go_pies_cronjob({"name": cronjob, **metadata}, labels)
    await stage.api.create(stage.path("cronjobs"), old_cronjob)
    old_claim = await stage.api.create(
        stage.path("persistentvolumeclaims"),
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, **metadata},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": stage.storage_class,
                "resources": {"requests": {"storage": "100Mi"}},
            },
        },
    )
    await stage.api.create(
        stage.path("pods"),
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "left-behind", "labels": labels, "finalizers": ["pie.topolvm.io/pod"]},
            "spec": old_cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"],
        },
    )
    await stage.api.delete(stage.path("pods", "left-behind"))
    async with stage.pie():

        async def replaced() -> bool:
            found = await stage.api.find(stage.path("cronjobs", cronjob))
            spec = found["spec"]["jobTemplate"]["spec"]["template"]["spec"] if found else {}
            containers = spec.get("containers", [{}])
            return bool(found) and "env" not in containers[0] and containers[0]["image"] == "pie.test/pie:dev"

        await until(replaced, "the CronJob is replaced")
        assert await stage.names("cronjobs") == {cronjob}
        await until(lambda: gone(stage.api, stage.path("pods", "left-behind")), "the pod is freed")
        kept = await stage.api.get(stage.path("persistentvolumeclaims", claim))
        assert kept["metadata"]["uid"] == old_claim["metadata"]["uid"]


async def test_a_cronjob_that_go_pie_took_back_is_replaced_at_the_next_migration(stage: Stage) -> None:
    await stage.make_class()
    node = await stage.node()
    cronjob, _ = mount_names(stage, node)
    path = stage.path("cronjobs", cronjob)
    async with stage.pie():
        await apply(stage, disableProvisionProbe=True)
        await until(lambda: stage.api.find(path), "pie creates its CronJob")
    # Go pie keeps the annotations of what it updates, so it looks like pie's own.
    template = go_pies_cronjob({}, {})["spec"]["jobTemplate"]["spec"]["template"]
    change = {"metadata": template["metadata"], "spec": {"containers": template["spec"]["containers"]}}
    await stage.api.patch(path, {"spec": {"jobTemplate": {"spec": {"template": change}}}})
    async with stage.pie():

        async def replaced() -> bool:
            found = await stage.api.find(path)
            template = found["spec"]["jobTemplate"]["spec"]["template"] if found else {}
            return bool(found) and template["spec"]["containers"][0]["image"] == "pie.test/pie:dev"

        await until(replaced, "the CronJob is pie's again")
        found = await stage.api.get(path)
        template = found["spec"]["jobTemplate"]["spec"]["template"]
        assert "finalizers" not in template["metadata"]
        assert "env" not in template["spec"]["containers"][0]


async def test_what_go_pie_without_pieprobes_left_is_reported_and_not_touched(stage: Stage) -> None:
    await stage.make_class()
    node = await stage.node()
    await stage.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"finalizers": ["pie.topolvm.io/node"]}})
    labels = {"storage-class": stage.storage_class, "node": node}
    name = f"pie-probe-{node}-x"[:52]
    cronjob = go_pies_cronjob({"name": name, "labels": labels}, labels)
    before = await stage.api.create(stage.path("cronjobs"), cronjob)
    try:
        async with stage.pie() as pie:
            await apply(stage, disableProvisionProbe=True)

            async def reported() -> bool:
                kinds = [json.loads(line)["kind"] for line in pie.lines if "are not taken over" in line]
                return kinds == ["CronJob", "Node"] and any(name in line for line in pie.lines)

            await until(reported, "the CronJob and the node with a finalizer are reported once")
            await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")
        found = await stage.api.get(stage.path("cronjobs", name))
        assert found["metadata"]["uid"] == before["metadata"]["uid"]
    finally:
        await stage.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"finalizers": None}})


async def test_a_missing_class_is_a_condition_that_heals(stage: Stage) -> None:
    node = await stage.node()
    async with stage.pie():
        await apply(stage)
        found = await until_condition(
            stage.api, stage.namespace, "p1", "Ready", "False", "StorageClassNotFound"
        )
        assert stage.storage_class in found["message"]
        assert await stage.names("cronjobs") == set()
        await stage.make_class()
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")
        await until_names(stage, "persistentvolumeclaims", {mount_names(stage, node)[1]})


async def test_no_matching_node_is_a_condition_that_heals(stage: Stage) -> None:
    await stage.make_class()
    async with stage.pie():
        await apply(stage)
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "False", "NoMatchingNode")
        await stage.node()
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")


async def test_retain_rests_the_provision_probe_and_heals(stage: Stage) -> None:
    await stage.make_class(reclaimPolicy="Retain")
    node = await stage.node()
    async with stage.pie():
        await apply(stage)
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "False", "ReclaimPolicyRetain")
        await until_names(stage, "cronjobs", {mount_names(stage, node)[0]})
        await stage.delete_class()
        await stage.make_class()
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")
        await until_names(
            stage,
            "cronjobs",
            {
                mount_names(stage, node)[0],
                cronjob_names(Target("p1", Kind.PROVISION, stage.storage_class))[0],
            },
        )


async def test_immediate_binding_with_local_topology_rests_the_mount_probes_and_heals(stage: Stage) -> None:
    await stage.make_class(volumeBindingMode="Immediate")
    nodes = [await stage.node(**{"topology.test/host": str(i)}) for i in range(2)]
    for node in nodes:
        uid = (await stage.api.get(f"/api/v1/nodes/{node}"))["metadata"]["uid"]
        owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}
        driver = {"name": "test.pie", "nodeID": node, "topologyKeys": ["topology.test/host"]}
        await stage.api.create(
            "/apis/storage.k8s.io/v1/csinodes",
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "CSINode",
                "metadata": {"name": node, "ownerReferences": [owner]},
                "spec": {"drivers": [driver]},
            },
        )
    provision = cronjob_names(Target("p1", Kind.PROVISION, stage.storage_class))[0]
    async with stage.pie():
        await apply(stage)
        await until_condition(
            stage.api, stage.namespace, "p1", "Ready", "False", "ImmediateBindingWithTopology"
        )
        await until_names(stage, "cronjobs", {provision})
        assert await stage.names("persistentvolumeclaims") == set()
        await stage.delete_class()
        await stage.make_class()
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")
        await until_names(stage, "cronjobs", {provision, *(mount_names(stage, node)[0] for node in nodes)})


async def test_two_nodes_whose_compatible_names_clash_get_two_cronjobs(stage: Stage) -> None:
    await stage.make_class()
    first, second = await _clashing(stage)
    await stage.node(first)
    await stage.node(second)
    async with stage.pie():
        await apply(stage, disableProvisionProbe=True)

        async def both() -> bool:
            found = await stage.api.items(stage.path("cronjobs"))
            return {item["metadata"]["labels"]["node"] for item in found} == {first, second}

        await until(both, "a CronJob each")


async def _clashing(stage: Stage) -> tuple[str, str]:
    """Find two node names that Go pie gives one CronJob name: 24 bits are soon exhausted."""
    seen: dict[str, str] = {}
    for number in range(100_000):
        node = f"node-{stage.unique}-{number:06d}"
        name = cronjob_names(Target("p1", Kind.MOUNT, stage.storage_class, node))[0]
        if name in seen:
            return seen[name], node
        seen[name] = node
    pytest.fail("no clash found")


async def test_probe_pods_pass_the_restricted_level(stage: Stage) -> None:
    await stage.make_class()
    await stage.node()
    async with stage.pie():
        await apply(stage)
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")
        await until(lambda: _two(stage), "both CronJobs")
    for cronjob in await stage.api.items(stage.path("cronjobs")):
        template = cronjob["spec"]["jobTemplate"]["spec"]["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "x-", **template["metadata"]},
            "spec": template["spec"],
        }
        created = await stage.api.create(stage.path("pods"), pod)
        assert "serviceAccountToken" not in str(created["spec"]["volumes"])


async def _two(stage: Stage) -> bool:
    return len(await stage.names("cronjobs")) == 2


async def test_a_restored_pvc_is_adopted_and_a_cronjob_of_somebody_else_is_reported(stage: Stage) -> None:
    await stage.make_class()
    restored, taken = [await stage.node() for _ in range(2)]
    labels = {"storage-class": stage.storage_class, "pie-probe": "p1"}
    _, claim = mount_names(stage, restored)
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": stage.storage_class,
        "resources": {"requests": {"storage": "100Mi"}},
    }
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": spec}
    for name in (claim, "theirs"):
        metadata = {"name": name, "labels": {**labels, "node": restored}}
        await stage.api.create(stage.path("persistentvolumeclaims"), {**body, "metadata": metadata})
    before = await stage.api.get(stage.path("persistentvolumeclaims", claim))
    cronjob, _ = mount_names(stage, taken)
    container = {"name": "backup", "image": "backup"}
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    theirs = await stage.api.create(
        stage.path("cronjobs"),
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": cronjob},
            "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": pod}}},
        },
    )
    async with stage.pie():
        probe = await apply(stage, disableProvisionProbe=True)

        async def adopted() -> bool:
            found = await stage.api.get(stage.path("persistentvolumeclaims", claim))
            owners = [each["uid"] for each in found["metadata"].get("ownerReferences", [])]
            assert found["metadata"]["uid"] == before["metadata"]["uid"]
            return owners == [probe["metadata"]["uid"]]

        await until(adopted, "the PVC is adopted")
        found = await until_condition(stage.api, stage.namespace, "p1", "Ready", "False", "NameTaken")
        assert f"CronJob {cronjob}" in found["message"]
        kept = await stage.api.get(stage.path("cronjobs", cronjob))
        assert kept["metadata"]["uid"] == theirs["metadata"]["uid"]
        assert kept["spec"] == theirs["spec"]
        await stage.api.delete(stage.path("pieprobes", "p1"))
        await until(lambda: gone(stage.api, stage.path("persistentvolumeclaims", claim)), "the PVC is gone")
        assert await stage.names("persistentvolumeclaims") == {"theirs"}


async def test_a_paused_pieprobe_keeps_its_pvcs_and_has_its_cronjobs_suspended(stage: Stage) -> None:
    await stage.make_class()
    node = await stage.node()
    path = stage.path("cronjobs", mount_names(stage, node)[0])

    async def suspended() -> bool:
        found = await stage.api.find(path)
        return found is not None and found["spec"]["suspend"] is True

    async with stage.pie() as pie:
        await apply(stage)
        await until_names(stage, "persistentvolumeclaims", {mount_names(stage, node)[1]})
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")
        (before,) = await stage.api.items(stage.path("persistentvolumeclaims"))
        await apply(stage, paused=True)
        await until(suspended, "the CronJob is suspended")
        await until_condition(stage.api, stage.namespace, "p1", "Paused", "True", "Paused")
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "False", "Paused")
        await pie.until_value("pie_probe_paused", lambda value: value == 1, pie_probe_name="p1")
        await stage.api.patch(path, {"spec": {"suspend": False}})
        await until(suspended, "the CronJob that somebody resumed is suspended again")
        late = await stage.node()
        await apply(stage, paused=False)
        await until_condition(stage.api, stage.namespace, "p1", "Paused", "False")
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")
        # What a paused PieProbe did not create for a new node is there when it is resumed.
        await until_names(
            stage, "persistentvolumeclaims", {mount_names(stage, each)[1] for each in (node, late)}
        )
        after = await stage.api.items(stage.path("persistentvolumeclaims"))
        assert before["metadata"]["uid"] in {each["metadata"]["uid"] for each in after}

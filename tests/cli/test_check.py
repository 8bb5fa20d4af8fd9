"""`pie check` as a user runs it, on the embedded cluster."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pie.embedded import childprocess
from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.kinds import (
    CRONJOBS,
    CSI_NODES,
    LEASES,
    NODES,
    PIE_PROBES,
    PODS,
    PVCS,
    PVS,
    STORAGE_CLASSES,
    Kind,
)
from pie.embedded.machines import DRIVER, STORAGE_CLASS
from tests.cli.conftest import Ended, run, started
from tests.embedded.conftest import Start
from tests.harness import until
from tests.hostile import HOSTILE, unfit
from tests.probe.conftest import lack

pytestmark = pytest.mark.usefixtures("fio")


async def cluster_of(start_embedded: Start, nodes: int) -> EmbeddedCluster:
    cluster = await start_embedded(nodes=nodes, probe_options=("--size", "4M"))
    await until(lambda: nodes_are_ready_for_long(cluster), "the nodes have been Ready for a while")
    return cluster


async def nodes_are_ready_for_long(cluster: EmbeddedCluster) -> bool:
    """Tell whether a bad run that begins now is not excused because its node has just become Ready."""
    ready = [
        datetime.fromisoformat(condition["lastTransitionTime"])
        for node in cluster.store.all(NODES)
        for condition in node.get("status", {}).get("conditions", [])
        if condition["type"] == "Ready"
    ]
    a_while_ago = datetime.now(UTC) - timedelta(seconds=2)
    return len(ready) == len(cluster.store.all(NODES)) and max(ready) < a_while_ago


def options(cluster: EmbeddedCluster) -> tuple[str, ...]:
    return ("--image", "pie", "--kubeconfig", str(cluster.kubeconfig))


async def check(cluster: EmbeddedCluster, *arguments: str) -> tuple[Ended, dict[str, Any]]:
    ended = await run("check", *arguments, "--output", "json", *options(cluster))
    return ended, json.loads(ended.said) if ended.said else {}


def there(cluster: EmbeddedCluster, *kinds: Kind) -> list[str]:
    return [
        item["metadata"]["name"]
        for kind in kinds or (PODS, PVCS, PVS, LEASES)
        for item in cluster.store.all(kind)
        if item["metadata"].get("namespace", "pie") == "pie"
    ]


def verdicts(report: dict[str, Any]) -> dict[str, tuple[str, str, str | None]]:
    return {
        f"{each['kind']} {each['node']}": (each["verdict"], each["reason"], each["stage"])
        for each in report["targets"]
    }


async def test_a_cluster_that_is_well_passes_and_nothing_stays(start_embedded: Start) -> None:
    cluster = await cluster_of(start_embedded, 2)
    ended, report = await check(cluster, STORAGE_CLASS)
    assert ended.status == 0, ended.complained
    assert report["ok"]
    assert [each["kind"] for each in report["targets"]] == ["provision", "mount", "mount"]
    assert {each["verdict"] for each in report["targets"]} == {"ok"}
    assert report["targets"][1]["io"]["write"]["iops"] > 0
    assert {"schedule", "mount", "start", "io", "teardown"} <= report["targets"][1]["stages"].keys()
    assert "mount node-1: io" in ended.complained
    assert there(cluster) == []


async def test_features_of_the_class_are_checked_if_asked_for_and_nothing_stays(
    start_embedded: Start,
) -> None:
    cluster = await cluster_of(start_embedded, 2)
    ended, report = await check(
        cluster, STORAGE_CLASS, "--provision", "--features", "block,clone,expand,snapshot"
    )
    assert ended.status == 0, ended.complained
    assert [(each["kind"], each["verdict"]) for each in report["targets"]] == [
        ("provision", "ok"),
        ("block", "ok"),
        ("clone", "ok"),
        ("expand", "ok"),
        ("snapshot", "inconclusive"),  # the embedded cluster has no VolumeSnapshots
    ]
    assert report["targets"][4]["reason"] == "NotOffered"
    assert "their CRDs are not installed" in report["targets"][4]["message"]
    assert there(cluster) == []
    await cluster.faults.inject("expand-refused")
    only = ("--provision", "--features", "expand,shared", "--nodes", "node-1")
    ended, report = await check(cluster, STORAGE_CLASS, *only)
    assert ended.status == 1, ended.complained
    (bad,) = (each for each in report["targets"] if each["kind"] == "expand")
    assert (bad["verdict"], bad["reason"], bad["stage"]) == ("failed", "ExpandFailed", "io")
    assert "the pool is offline" in bad["message"]
    assert report["notes"] == ["no shared check: a shared run needs 2 nodes, but only 1 can be used"]
    assert there(cluster) == []


async def test_an_unknown_feature_is_a_usage_error() -> None:
    ended = await run("check", "x", "--features", "block,teleport")
    assert ended.status == 2
    assert "there is no feature teleport; there are: block" in " ".join(ended.complained.split())


@pytest.mark.skipif(not childprocess.supported(), reason="this machine cannot make system calls fail")
async def test_each_fault_is_named_with_stage_and_reason_and_a_cordoned_node_is_skipped(
    start_embedded: Start,
) -> None:
    cluster = await cluster_of(start_embedded, 6)
    for fault, node in (
        ("node-plugin-gone", "node-2"),
        ("io-error", "node-3"),
        ("full-pool", "node-4"),
        ("provisioner-gone", "node-5"),
        ("cordoned", "node-6"),
    ):
        await cluster.faults.inject(fault, node)
    ended, report = await check(cluster, STORAGE_CLASS, "--mount", "--timeout", "6s")
    assert ended.status == 1, ended.complained
    assert verdicts(report) == {
        "mount node-1": ("ok", "OK", None),
        "mount node-2": ("late", "ProvisioningFailed", "provision"),
        "mount node-3": ("failed", "IOError", "io"),
        "mount node-4": ("late", "NoCapacity", "provision"),
        "mount node-5": ("late", "ProvisionerSilent", "provision"),
    }
    assert [(each["node"], each["reason"]) for each in report["skipped"]] == [("node-6", "NodeCordoned")]
    assert "csi.sock" in report["targets"][1]["message"]
    assert there(cluster) == []


async def test_nodes_without_a_csi_driver_or_that_cannot_be_read_keep_nothing_else_from_being_checked(
    start_embedded: Start,
) -> None:
    cluster = await cluster_of(start_embedded, 3)
    without, odd = (cluster.store.get(CSI_NODES, "", name) for name in ("node-2", "node-3"))
    assert without is not None
    assert odd is not None
    cluster.store.write(CSI_NODES, {**without, "spec": {"drivers": None}})
    cluster.store.write(CSI_NODES, {**odd, "spec": {"drivers": 3}})
    ended, report = await check(cluster, STORAGE_CLASS, "--mount")
    assert ended.status == 0, ended.complained
    assert verdicts(report) == {"mount node-1": ("ok", "OK", None)}
    assert any("csinodes node-3 is left out" in note for note in report["notes"])


@pytest.mark.parametrize("output", ["table", "junit", "json"])
async def test_what_a_node_says_of_itself_reaches_people_plain_and_bounded(
    start_embedded: Start, output: str
) -> None:
    cluster = await cluster_of(start_embedded, 1)
    node = cluster.store.get(NODES, "", "node-1")
    assert node is not None
    ready = {"type": "Ready", "status": "False", "reason": "Bad", "message": HOSTILE}
    for name in ("node-8", "node-9"):
        metadata = {**node["metadata"], "name": name, "uid": name}
        cluster.store.write(NODES, {**node, "metadata": metadata, "status": {"conditions": [ready]}})
    ended = await run("check", STORAGE_CLASS, "--mount", "--output", output, *options(cluster))
    assert ended.status == 0, ended.complained
    assert "Bad red txt" in re.sub(r"\s+", " ", ended.said)
    assert not unfit(ended.said + ended.complained, allowed="\n")
    assert len(ended.said) < 8_192
    if output == "junit":
        ET.fromstring(ended.said)  # noqa: S314  it is our own


async def test_a_bad_provision_run_is_not_the_class_verdict_before_another_node_was_tried(
    start_embedded: Start,
) -> None:
    cluster = await cluster_of(start_embedded, 2)
    await cluster.faults.inject("full-pool", "node-1")
    ended, report = await check(cluster, STORAGE_CLASS, "--provision", "--timeout", "4s")
    assert ended.status == 0, ended.complained
    assert verdicts(report) == {"provision node-2": ("ok", "OK", None)}
    first = "the first provision run, on node node-1, was late in provision: NoCapacity"
    assert report["notes"][0].startswith(first)
    assert "once more, not on node-1" in ended.complained
    assert there(cluster) == []


async def test_ctrl_c_takes_everything_away(start_embedded: Start) -> None:
    cluster = await cluster_of(start_embedded, 1)
    await cluster.faults.inject("provisioner-gone")
    async with started("check", STORAGE_CLASS, *options(cluster)) as command:
        await command.says("mount node-1: provision")
        await until(lambda: two_pods_there(cluster), "pods of both probes")
        assert len(there(cluster, LEASES)) == 1
        command.process.send_signal(signal.SIGINT)
        ended = await command.ended()
    assert ended.status == 130
    assert "cleaning up" in ended.complained
    assert "ended early (interrupted)" in ended.said
    assert there(cluster) == []


async def test_an_interrupted_clean_up_says_what_takes_the_rest_away(
    start_embedded: Start,
) -> None:
    cluster = await cluster_of(start_embedded, 1)
    await cluster.faults.inject("hang")
    async with started("check", STORAGE_CLASS, "--mount", "--timeout", "4s", *options(cluster)) as command:
        await command.says("hung in io: Hung")
        await command.says("cleaning up")
        await until(lambda: deleted(cluster), "the pod is being deleted")
        command.process.send_signal(signal.SIGTERM)
        ended = await command.ended()
    assert ended.status == 1
    assert "left behind: Lease pie-check-" in ended.said
    assert "kubectl delete lease pie-check-" in ended.said
    await cluster.faults.clear("hang")
    await until(lambda: nothing_there(cluster, PODS, PVCS, PVS), "what was left goes when its I/O returns")


async def deleted(cluster: EmbeddedCluster) -> bool:
    return any("deletionTimestamp" in pod["metadata"] for pod in cluster.store.all(PODS))


async def two_pods_there(cluster: EmbeddedCluster) -> bool:
    return len(there(cluster, PODS)) == 2


async def nothing_there(cluster: EmbeddedCluster, *kinds: Kind) -> bool:
    return not there(cluster, *kinds)


@pytest.mark.skipif(not childprocess.supported(), reason="this machine cannot make system calls fail")
async def test_what_failed_can_be_kept_and_goes_with_its_lease(start_embedded: Start) -> None:
    cluster = await cluster_of(start_embedded, 2)
    await cluster.faults.inject("read-only", "node-2")
    ended, report = await check(cluster, STORAGE_CLASS, "--mount", "--keep-on-failure")
    assert ended.status == 1
    assert report["left"] == []
    (pod,) = there(cluster, PODS)
    assert pod in report["kept"]
    assert len(there(cluster, PVCS)) == 1
    cluster.registry.delete(LEASES, "pie", report["check"])
    await until(lambda: nothing_there(cluster), "all that was kept goes with its Lease")


async def test_retained_volumes_are_taken_away_too(start_embedded: Start) -> None:
    cluster = await cluster_of(start_embedded, 1)
    retaining = {
        "metadata": {"name": "retaining"},
        "provisioner": DRIVER,
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    cluster.registry.create(STORAGE_CLASSES, retaining)
    ended, _ = await check(cluster, "retaining", "--nodes", "node-1", "--each-node")
    assert ended.status == 0, ended.complained
    assert there(cluster) == []


async def foreign(cluster: EmbeddedCluster, check: str) -> dict[Kind, str]:
    """Create what others might: a pod, and a PVC with a retained volume, with the label of a check."""
    metadata = {"name": "theirs", "labels": {"pie.topolvm.io/check": check}}
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}},
        "storageClassName": "retaining",
        "volumeName": "their-volume",
    }
    claim = cluster.registry.create(PVCS, {"metadata": metadata, "spec": spec}, "pie")
    reference = {"namespace": "pie", "name": "theirs", "uid": claim["metadata"]["uid"]}
    volume = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Mi"},
        "claimRef": reference,
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "retaining",
        "hostPath": {"path": "/nowhere"},
    }
    cluster.registry.create(PVS, {"metadata": {"name": "their-volume"}, "spec": volume})
    pod = {"nodeSelector": {"no": "node"}, "containers": [{"name": "probe", "image": "x"}]}
    cluster.registry.create(PODS, {"metadata": metadata, "spec": pod}, "pie")
    return {PODS: "theirs", PVCS: "theirs", PVS: "their-volume"}


async def test_what_somebody_else_labelled_is_neither_deleted_nor_changed(start_embedded: Start) -> None:
    cluster = await cluster_of(start_embedded, 1)
    retaining = {"provisioner": DRIVER, "reclaimPolicy": "Retain"}
    retaining["volumeBindingMode"] = "WaitForFirstConsumer"
    cluster.registry.create(STORAGE_CLASSES, {"metadata": {"name": "retaining"}, **retaining})
    await cluster.faults.inject("provisioner-gone")
    async with started("check", "retaining", *options(cluster)) as command:
        await command.says("mount node-1: provision")
        theirs = await foreign(cluster, there(cluster, LEASES)[0])
        command.process.send_signal(signal.SIGINT)
        ended = await command.ended()
    assert ended.status == 130
    assert there(cluster, PODS, PVCS, PVS) == list(theirs.values()), ended.said
    volume = cluster.store.get(PVS, "", "their-volume")
    assert volume is not None
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert "left behind" not in ended.said


async def test_the_image_is_that_of_a_pie_whose_namespace_is_named(start_embedded: Start) -> None:
    cluster = await cluster_of(start_embedded, 1)
    probe = {
        "monitoringStorageClass": STORAGE_CLASS,
        "nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]},
    }
    owner = cluster.registry.create(PIE_PROBES, {"metadata": {"name": "p"}, "spec": probe}, "pie")
    reference = {"apiVersion": "pie.topolvm.io/v1alpha1", "kind": "PieProbe", "name": "p", "controller": True}
    for name, uid in (("forged", "another"), ("owned", owner["metadata"]["uid"])):
        container = {"name": "probe", "image": name}
        template = {"metadata": {}, "spec": {"containers": [container], "restartPolicy": "Never"}}
        metadata = {
            "name": name,
            "labels": {"pie-probe": "p"},
            "ownerReferences": [reference | {"uid": uid}],
        }
        spec = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": template}}}
        cluster.registry.create(CRONJOBS, {"metadata": metadata, "spec": spec}, "pie")
    cluster_options = ("--kubeconfig", str(cluster.kubeconfig), "--output", "json", "--mount")
    for name in ("default", "no-such"):
        ended = await run("check", STORAGE_CLASS, "--pie-namespace", name, *cluster_options)
        assert ended.status == 2
        assert f"no PieProbe in namespace {name} owns a CronJob" in ended.complained
    ended = await run("check", STORAGE_CLASS, "--pie-namespace", "pie", *cluster_options)
    assert ended.status == 0, ended.complained
    assert json.loads(ended.said)["image"] == "owned"


async def test_a_check_of_nothing_proves_nothing(start_embedded: Start) -> None:
    cluster = await cluster_of(start_embedded, 1)
    await cluster.faults.inject("cordoned")
    ended, report = await check(cluster, STORAGE_CLASS)
    assert ended.status == 1
    assert not report["ok"]
    assert [each["node"] for each in report["skipped"]] == ["node-1"]


async def test_what_cannot_be_checked_is_said_in_one_line(start_embedded: Start, nowhere: Path) -> None:
    cluster = await cluster_of(start_embedded, 1)
    for arguments, words in (
        (("no-such", *options(cluster)), f"there is no StorageClass no-such; there are: {STORAGE_CLASS}"),
        ((STORAGE_CLASS, "--nodes", "node-1,node-9", *options(cluster)), "there is no node node-9"),
        ((STORAGE_CLASS, "--nodes", "zone=x", *options(cluster)), "no node has the name or the labels"),
        ((STORAGE_CLASS, "--kubeconfig", str(cluster.kubeconfig)), "no image: give --image"),
        ((STORAGE_CLASS, "--namespace", "no-such", *options(cluster)), "no-such"),
        ((STORAGE_CLASS, "--kubeconfig", str(nowhere)), "http://127.0.0.1:1"),
    ):
        ended = await run("check", *arguments)
        assert ended.status == 2, arguments
        assert words in ended.complained
        assert len(ended.complained.splitlines()) <= 3
        assert "Traceback" not in ended.complained
    assert there(cluster) == []


async def test_a_bad_duration_is_a_usage_error() -> None:
    ended = await run("check", "x", "--timeout", "soon")
    assert ended.status == 2
    assert "not a positive duration" in ended.complained


@pytest.mark.skipif(not childprocess.supported(), reason="this machine cannot make system calls fail")
async def test_junit_and_table_say_the_same(start_embedded: Start) -> None:
    cluster = await cluster_of(start_embedded, 2)
    await cluster.faults.inject("full-volume", "node-2")
    ended = await run("check", STORAGE_CLASS, "--mount", "--output", "junit", *options(cluster))
    assert ended.status == 1
    suite = ET.fromstring(ended.said)  # noqa: S314  our own
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    failure = suite.find("testcase[@name='node-2']/failure")
    assert failure is not None
    assert failure.get("message") == "failed in io: NoSpace"
    ended = await run("check", STORAGE_CLASS, "--mount", *options(cluster))
    assert "is not healthy: 1 ok, 1 failed" in ended.said
    assert "NoSpace" in ended.said


def test_a_user_without_a_name_as_in_a_container_is_a_number() -> None:
    if os.geteuid() != 0:
        lack("root, to become a user without a name: run the tests as root")
    become = (
        "import os, pwd; from pie.controller.oneshot.perform import user; os.setuid(54321); print(user())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", become], env={}, capture_output=True, text=True, check=False
    )
    assert answer.stdout == "54321\n", answer.stderr

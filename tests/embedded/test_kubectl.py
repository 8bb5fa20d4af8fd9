"""The real kubectl on the embedded cluster."""

import asyncio
import json
from typing import Any

import pytest
import yaml

from pie.embedded.schema import pieprobe_version
from tests.embedded.conftest import Kubectl, Start
from tests.embedded.server import pieprobe

PROBE = "pieprobe/p"
CLASS = "monitoringStorageClass"


@pytest.fixture
async def kubectl(start_embedded: Start) -> Kubectl:
    """Give a kubectl of a cluster with two nodes; no controller runs there."""
    cluster = await start_embedded(nodes=2)
    return Kubectl(cluster.kubeconfig)


def manifest(**spec: object) -> str:
    return str(yaml.safe_dump(pieprobe(**spec)))


async def test_get_shows_the_columns_of_the_crd(kubectl: Kubectl) -> None:
    await kubectl.must("create", "-f", "-", manifest=manifest())
    ready = {"type": "Ready", "status": "True", "reason": "OK", "message": ""}
    status = {
        "conditions": [{**ready, "lastTransitionTime": "2026-01-02T03:04:05Z"}],
        "targets": {"total": 5, "bad": 2, "suppressed": 1},
    }
    patch = json.dumps({"status": status})
    await kubectl.must("patch", PROBE, "--subresource=status", "--type=merge", "-p", patch)
    header, row = (await kubectl.must("get", "pieprobe", "p")).splitlines()
    columns = pieprobe_version()["additionalPrinterColumns"]
    assert header.split() == ["NAME", *(each["name"].upper() for each in columns if not each.get("priority"))]
    shown = dict(zip(header.split(), row.split(), strict=False))
    assert (shown["NAME"], shown["CLASS"], shown["READY"]) == ("p", "topolvm-provisioner", "True")
    assert "REASON" in await kubectl.must("get", "pieprobes", "-o", "wide")


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ({"monitoringStorageClasses": ["fast", "slow"]}, '["fast","slow"]'),
        (
            {"monitoringStorageClassSelector": {"matchLabels": {"probe": "yes"}}},
            '{"matchLabels":{"probe":"yes"}}',
        ),
    ],
    ids=["list", "labels"],
)
async def test_get_shows_what_chooses_several_classes(
    kubectl: Kubectl, spec: dict[str, Any], shown: str
) -> None:
    several = pieprobe()
    several["spec"] = {key: value for key, value in several["spec"].items() if key != CLASS} | spec
    await kubectl.must("create", "-f", "-", manifest=yaml.safe_dump(several))
    assert shown in (await kubectl.must("get", "pieprobe", "p")).split()


async def test_get_knows_short_names_several_kinds_and_selectors(kubectl: Kubectl) -> None:
    listed = await kubectl.must("get", "no,sc,crd")
    assert "node/node-1" in listed
    assert "storageclass.storage.k8s.io/embedded" in listed
    selected = await kubectl.must("get", "nodes", "-l", "kubernetes.io/hostname=node-2", "-o", "name")
    assert selected == "node/node-2\n"


async def test_apply_server_side_creates_changes_and_conflicts(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    assert "serverside-applied" in await kubectl.must(*apply, manifest=manifest(probePeriod=5))
    await kubectl.must(*apply, manifest=manifest(probePeriod=6))
    assert await kubectl.must("get", PROBE, "-o", "jsonpath={.spec.probePeriod}") == "6"
    status, _, errors = await kubectl(*apply, "--field-manager=other", manifest=manifest(probePeriod=7))
    assert status != 0
    assert ".spec.probePeriod" in errors
    await kubectl.must(*apply, "--field-manager=other", "--force-conflicts", manifest=manifest(probePeriod=7))


async def test_apply_on_the_client_side_works_as_well(kubectl: Kubectl) -> None:
    assert "created" in await kubectl.must("apply", "-f", "-", manifest=manifest())
    assert "configured" in await kubectl.must("apply", "-f", "-", manifest=manifest(probePeriod=5))
    assert "unchanged" in await kubectl.must("apply", "-f", "-", manifest=manifest(probePeriod=5))


async def test_a_bad_spec_is_refused_in_words(kubectl: Kubectl) -> None:
    for bad, words in (
        ({"probePeriod": 0}, "probePeriod is in minutes and must be from 1 to 59"),
        ({"probeTreshold": "1m"}, 'unknown field "spec.probeTreshold"'),
    ):
        status, _, errors = await kubectl("create", "-f", "-", manifest=manifest(**bad))
        assert status != 0
        assert words in errors


async def test_describe_shows_the_object_and_its_events(kubectl: Kubectl) -> None:
    await kubectl.must("create", "-f", "-", manifest=manifest())
    assert "Probe Period:" in await kubectl.must("describe", PROBE)
    shown = await kubectl.must("describe", "node", "node-1")
    assert "KubeletReady" in shown


async def test_a_watch_shows_each_change(kubectl: Kubectl) -> None:
    await kubectl.must("create", "-f", "-", manifest=manifest())
    watching = await kubectl.start("get", "pieprobe", "--watch", "-o", "jsonpath={.spec.probePeriod}{'\\n'}")
    assert watching.stdout is not None
    async with asyncio.timeout(60):
        assert await watching.stdout.readline() == b"1\n"
        await kubectl.must("patch", PROBE, "--type=merge", "-p", '{"spec": {"probePeriod": 5}}')
        assert await watching.stdout.readline() == b"5\n"
    watching.kill()
    await watching.wait()


async def test_delete_waits_until_the_object_is_gone(kubectl: Kubectl) -> None:
    await kubectl.must("create", "-f", "-", manifest=manifest())
    assert "deleted" in await kubectl.must("delete", PROBE)
    status, _, errors = await kubectl("get", PROBE)
    assert status != 0
    assert 'pieprobes.pie.topolvm.io "p" not found' in errors


async def test_cordon_taint_and_label_change_a_node(kubectl: Kubectl) -> None:
    await kubectl.must("cordon", "node-1")
    header, row = (await kubectl.must("get", "node", "node-1")).splitlines()
    assert dict(zip(header.split(), row.split(), strict=True))["UNSCHEDULABLE"] == "True"
    await kubectl.must("taint", "node", "node-1", "a=b:NoSchedule")
    await kubectl.must("label", "node", "node-1", "zone=z")
    await kubectl.must("uncordon", "node-1")
    node = json.loads(await kubectl.must("get", "node", "node-1", "-o", "json"))
    assert node["metadata"]["labels"]["zone"] == "z"
    assert [taint["key"] for taint in node["spec"]["taints"]] == ["a"]

"""`pie status` and `pie explain` as a user runs them: a controller on the embedded cluster, and a fault."""

import json
import signal
from pathlib import Path

import pytest
import yaml

from pie.core.answers import Overview
from pie.core.objects import Metadata, PieProbe
from pie.core.stored_overview import stored_overview
from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.kinds import LEASES
from pie.embedded.machines import STORAGE_CLASS
from tests.cli.conftest import point, started, within
from tests.embedded.conftest import PlainApi, Start
from tests.harness import Pie, apply_probe, pieprobe, until

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("fio")]

SPEC = {
    "probePeriod": 2,
    "probeThreshold": "4s",
    "deadline": "20s",
    "suppression": {"newNodeGrace": "0s"},
}


async def test_they_tell_what_the_controller_knows_and_status_what_the_pieprobes_say_without_it(
    start_embedded: Start,
) -> None:
    cluster = await start_embedded(nodes=2, minute_seconds=4, probe_options=("--size", "4M"))
    async with PlainApi(cluster.front.address) as api, Pie(cluster.kubeconfig, "pie") as pie:
        await apply_probe(api, "pie", pieprobe("local", STORAGE_CLASS, "kubernetes.io/os", **SPEC))
        await until(lambda: all_are_well(pie), "all is well", 60)
        async with started("status", "--watch", "--server", pie.address, "-o", "json") as watching:
            await what_is_well_is_explained_too(pie)
            await cluster.faults.inject("plugin-crash", "node-2")
            await watching.prints('"state": "bad"', 90)
            watching.process.send_signal(signal.SIGINT)
            assert (await watching.ended()).status == 130
        await the_incident_is_told_and_explained(pie)
        await what_is_not_there_is_said(pie)
        await without_a_leader_the_pieprobes_tell(cluster)


async def all_are_well(pie: Pie) -> bool:
    said = await within("status", "--server", pie.address, "-o", "json")
    overview = json.loads(said.said)
    return said.status == 0 and [each["targets"]["ok"] for each in overview["probes"]] == [3]


async def what_is_well_is_explained_too(pie: Pie) -> None:
    explained = await within("explain", "local", "--server", pie.address, "-o", "yaml")
    assert explained.status == 0
    (provision,) = yaml.safe_load(explained.said)["targets"]
    assert provision["target"]["kind"] == "provision"
    assert {run["verdict"] for run in provision["runs"]} == {"ok"}


async def the_incident_is_told_and_explained(pie: Pie) -> None:
    told = await within("status", "--server", pie.address)
    assert told.status == 1
    assert "volumes are not mounted on node node-2" in told.said
    assert "next: The evidence has the error" in told.said
    assert "node-1" in told.said  # among the slowest
    explained = await within("explain", "local", "--server", pie.address, "--runs", "2")
    assert explained.status == 1
    assert "mount of embedded on node node-2: late" in explained.said
    assert "MountFailed in mount: MountVolume" in explained.said
    assert "✗ mount" in explained.said
    healthy = await within("explain", "local", "--node", "node-1", "--server", pie.address)
    assert healthy.status == 0
    assert "mount of embedded on node node-1: ok" in healthy.said


async def what_is_not_there_is_said(pie: Pie) -> None:
    for arguments, words in (
        (("explain", "other"), "there is no PieProbe other; there are: local"),
        (("explain", "local", "--node", "n9"), "has no target on node n9; nodes: node-1, node-2"),
    ):
        refused = await within(*arguments, "--server", pie.address)
        assert refused.status == 2
        assert words in refused.complained
        assert len(refused.complained.splitlines()) == 1


async def without_a_leader_the_pieprobes_tell(cluster: EmbeddedCluster) -> None:
    # The controller runs without leader election.
    where = ("--kubeconfig", str(cluster.kubeconfig))
    stored = await within("status", *where)
    assert stored.status == 1
    assert "nobody holds the Lease pie/pie.topolvm.io" in stored.complained
    assert len(stored.complained.splitlines()) == 1
    assert "volumes are not mounted on node node-2" in stored.said
    metadata = {"name": "pie.topolvm.io", "namespace": "pie"}
    cluster.registry.create(LEASES, {"metadata": metadata, "spec": {"holderIdentity": "gone_1"}}, "pie")
    stored = await within("status", *where)
    assert 'pods "gone" not found' in stored.complained
    refused = await within("explain", "local", *where)
    assert refused.status == 2
    assert "kubectl describe pieprobe local" in refused.complained
    elsewhere = await within("status", *where, "-n", "default")
    assert elsewhere.status == 2
    assert "no PieProbe is in the namespace default; there are in: pie" in elsewhere.complained


async def test_without_a_cluster_it_is_one_line_and_no_traceback(nowhere: Path) -> None:
    for command in (("status",), ("explain", "p"), ("status", "--watch")):
        for where in (("--kubeconfig", str(nowhere)), ("--server", "http://127.0.0.1:1")):
            ended = await within(*command, *where)
            assert ended.status == 2
            assert "127.0.0.1:1" in ended.complained
            assert len(ended.complained.splitlines()) == 1, ended.complained


async def test_nonsense_for_an_address_is_one_line_and_never_taken_for_an_incident(nowhere: Path) -> None:
    for address in ("http://host:99999", "https://[::1", "http://a..b", "host:8080"):
        point(nowhere, address)
        for command in (("status",), ("explain", "p"), ("check", "c", "--image", "i")):
            wheres = [("--kubeconfig", str(nowhere))]
            wheres += [("--server", address)] if command[0] != "check" else []
            for where in wheres:
                ended = await within(*command, *where)
                assert ended.status == 2, (command, where)
                assert address in ended.complained
                assert len(ended.complained.splitlines()) == 1, ended.complained


async def test_a_server_that_is_no_controller_is_called_so(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=0)
    ended = await within("status", "--server", cluster.front.address)
    assert ended.status == 2
    assert len(ended.complained.splitlines()) == 1


def overview(status: dict[str, object]) -> Overview:
    metadata = Metadata(name="p", namespace="pie")
    stored = PieProbe(metadata=metadata, spec={"monitoringStorageClass": "c"}, status=status)
    return stored_overview([stored], "pie", 1000.0)


def test_a_status_that_says_nothing_makes_no_state_up() -> None:
    for nothing in ({}, {"targets": 7, "conditions": "x", "incidents": [{}], "summary": None}):
        view = overview(nothing)
        assert view.state == "unknown"
        assert view.probes[0].summary == "no controller has seen it yet"


def test_a_pieprobe_that_cannot_be_probed_is_a_warning() -> None:
    ready = {"type": "Ready", "status": "False", "reason": "StorageClassNotFound", "message": "no class"}
    assert overview({"conditions": [ready], "summary": "not probed"}).state == "warning"

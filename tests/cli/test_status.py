"""`pie status` and `pie explain` as a user runs them: a controller on the embedded cluster, and a fault."""

import json
import re
import shlex
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace
from rich.console import Console

from pie.cli.ask import Whom
from pie.cli.statustable import table
from pie.core.apitypes import ConditionView, Counts, IncidentView, Overview, ProbeView
from pie.core.conditions import explained
from pie.core.model import Stage
from pie.core.reasons import Reason
from pie.core.stored_overview import last_change, stored_overview
from pie.core.wire import Metadata, PieProbe
from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.kinds import LEASES, PIE_PROBES, PODS
from pie.embedded.machines import STORAGE_CLASS
from pie.kube.lease import micro_time
from tests.cli.conftest import point, started, within
from tests.embedded.conftest import PlainApi, Start
from tests.harness import Pie, apply_probe, pieprobe, until

pytestmark = pytest.mark.usefixtures("fio")

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
            await cluster.faults.inject("node-plugin-gone", "node-2")
            await watching.prints('"state": "bad"', 90)
            watching.process.send_signal(signal.SIGINT)
            assert (await watching.ended()).status == 130
        await the_incident_is_told_and_explained(pie)
        await what_is_not_there_is_said(pie)
        await without_a_leader_the_pieprobes_tell(cluster)


async def all_are_well(pie: Pie) -> bool:
    said = await within("status", "--server", pie.address, "-o", "json")
    if said.status != 0:  # the controller may have nothing to say yet
        return False
    return [each["targets"]["ok"] for each in json.loads(said.said)["probes"]] == [3]


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
    more = re.findall(r"more: pie (.*)", told.said)[0]
    assert more == f"explain local --node node-2 --server {pie.address}"
    assert (await within(*shlex.split(more))).status == 1
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
        (("explain", "other"), "there is no PieProbe other; there are: local\n"),
        (("explain", "local", "--node", "n9"), "has no target on node n9; nodes: node-1, node-2\n"),
    ):
        refused = await within(*arguments, "--server", pie.address)
        assert refused.status == 2
        assert refused.complained.endswith(words)
        assert len(refused.complained.splitlines()) == 1


async def without_a_leader_the_pieprobes_tell(cluster: EmbeddedCluster) -> None:
    # The controller runs without leader election.
    where = ("--kubeconfig", str(cluster.kubeconfig))
    stored = await within("status", *where)
    assert stored.status == 1
    assert "no replica holds the Lease pie/pie.topolvm.io" in stored.complained
    assert "(as of less than 1 min ago)" in stored.said
    assert len(stored.complained.splitlines()) == 1
    assert "volumes are not mounted on node node-2" in stored.said
    metadata = {"name": "pie.topolvm.io", "namespace": "pie"}
    cluster.registry.create(LEASES, {"metadata": metadata, "spec": {"holderIdentity": "gone_1"}}, "pie")
    stored = await within("status", *where)
    assert 'pods "gone" not found' in stored.complained
    refused = await within("explain", "local", *where, "-n", "pie")
    assert refused.status == 2
    assert f"kubectl describe pieprobe local -n pie --kubeconfig {cluster.kubeconfig}" in refused.complained
    elsewhere = await within("status", *where, "-n", "default")
    assert elsewhere.status == 2
    assert "there is no PieProbe in the namespace default; there are some in: pie" in elsewhere.complained


async def test_without_a_controller_that_leads_nothing_is_called_fine(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=0)
    probe = cluster.registry.create(PIE_PROBES, pieprobe("local", STORAGE_CLASS, "kubernetes.io/os"), "pie")
    cluster.registry.set_status(probe, summary="fine", targets={"total": 1, "ok": 1})
    where = ("--kubeconfig", str(cluster.kubeconfig), "-n", "pie")
    unknown = await within("status", *where)
    assert unknown.status == 2
    assert unknown.said.startswith("unknown: The controller cannot be reached; it has written no status yet")

    hours_ago, now = (micro_time(time.time() - seconds) for seconds in (3 * 3600 + 330, 0))
    lease = cluster.registry.create(
        LEASES,
        {
            "metadata": {"name": "pie.topolvm.io", "namespace": "pie"},
            "spec": {"holderIdentity": "gone_1", "renewTime": hours_ago},
        },
        "pie",
    )
    unknown = await within("status", *where)
    assert unknown.status == 2
    assert "unknown: The controller cannot be reached; its last status is 3 h 5 min old: " in unknown.said
    assert "fine (as of 3 h 5 min ago)" in unknown.said
    assert f"kubectl get pods -l app.kubernetes.io/name=pie -n pie --kubeconfig {where[1]}" in (
        unknown.complained
    )
    assert len(unknown.complained.splitlines()) == 1
    structured = await within("status", *where, "-o", "json")
    assert structured.status == 2
    assert (
        json.loads(structured.said)["state"] == json.loads(structured.said)["probes"][0]["state"] == "unknown"
    )

    cluster.registry.edit(lease, lambda copy: copy["spec"].update(renewTime=now))
    gone = await within("status", *where)  # its pod is not there, so that it may have died just now
    assert gone.status == 2
    pod = {"metadata": {"name": "gone"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    cluster.registry.create(PODS, pod, "pie")
    led = await within("status", *where)  # the embedded API server does not pass on what is asked of pods
    assert led.status == 0, led.complained
    assert led.said.startswith("fine: Everything is fine")
    assert "it leads, and this is the status that it wrote" in led.complained


async def test_without_a_cluster_it_is_one_line_and_no_traceback(nowhere: Path) -> None:
    for command in (("status",), ("explain", "p"), ("status", "--watch")):
        for where in (("--kubeconfig", str(nowhere)), ("--server", "http://127.0.0.1:1")):
            ended = await within(*command, *where)
            assert ended.status == 2
            assert "127.0.0.1:1" in ended.complained
            assert "kubectl" not in ended.complained  # it could not ask either
            assert len(ended.complained.splitlines()) == 1, ended.complained


async def test_nonsense_for_an_address_is_one_line_and_never_taken_for_an_incident(nowhere: Path) -> None:
    for address in ("http://host:99999", "https://[::1", "http://a..b", "host:8080/path"):
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


def test_the_last_change_is_the_newest_time_in_the_statuses() -> None:
    stamp = "1970-01-01T00:16:{:02}Z".format
    incident = {"id": "i", "scope": "node", "nodes": ["n"], "targets": 1, "stage": "mount"}
    incident |= {"reason": "MountFailed", "openedAt": stamp(1), "closedAt": stamp(30)}
    statuses: list[tuple[dict[str, Any], float | None]] = [
        ({}, None),
        ({"conditions": 7, "lastProvisionTime": "soon", "incidents": "x"}, None),
        ({"conditions": [{"lastTransitionTime": stamp(10)}, "x", {"lastTransitionTime": 7}]}, 970),
        ({"conditions": [{"lastTransitionTime": stamp(10)}], "lastProvisionTime": stamp(20)}, 980),
        ({"lastProvisionTime": stamp(20), "incidents": [incident]}, 990),
    ]
    for status, newest in statuses:
        assert last_change([PieProbe(metadata=Metadata(name="p"), spec={}, status=status)]) == newest


def test_a_pieprobe_that_cannot_be_probed_is_a_warning() -> None:
    ready = {"type": "Ready", "status": "False", "reason": "StorageClassNotFound", "message": "no class"}
    assert overview({"conditions": [ready], "summary": "not probed"}).state == "warning"


# How it looks.

LATE = "volumes are not mounted on node node-2 (MountFailed)"


def view(name: str, storage_class: str, counts: Counts, summary: str = LATE) -> ProbeView:
    """Return a PieProbe as the controller tells of it."""
    return ProbeView(name, "pie", storage_class, "bad", summary, 60, counts, ())


def shown(*probes: ProbeView, incidents: tuple[IncidentView, ...] = (), options: str = "") -> list[str]:
    """Return what a terminal of 80 columns shows, from the table of PieProbes on if there are any."""
    told = replace(overview({}), probes=probes, incidents=incidents)
    console = Console(width=80, highlight=False)
    with console.capture() as captured:
        console.print(table(told, options), crop=False)
    above, _, below = captured.get().partition("PIEPROBE")
    return [line.rstrip() for line in f"PIEPROBE{below}".splitlines()] if below else above.splitlines()


def test_on_80_columns_what_is_zero_is_left_out_and_what_explains_has_room() -> None:
    lines = shown(view("local", "embedded", Counts(total=3, ok=2, late=1)))
    assert lines == [
        "PIEPROBE  CLASS     TARGETS  OK  LATE  STORAGE",
        "local     embedded        3   2     1  volumes are not mounted on node node-2",
        "                                       (MountFailed)",
    ]


def test_a_canary_that_the_class_does_not_offer_is_paused_in_the_words_of_the_driver() -> None:
    message = explained("canary block is paused: block volumes are not supported", Reason.NOT_OFFERED)
    said = ConditionView("BlockHealthy", "Unknown", "NotOffered", message)
    probe = replace(view("local", "embedded", Counts(total=3, ok=3), "fine"), conditions=(said,))
    *_, last = shown(probe)
    assert last == "local: canary block is paused: block volumes are not supported (NotOffered)"


def test_why_targets_are_probed_less_often_stands_below_the_table() -> None:
    why = ConditionView("OverBudget", "True", "RunsThinned", "")
    slowed = replace(view("local", "c", Counts(total=1)), effective_period_seconds=180, conditions=(why,))
    said = "local: each target is probed every 3 min 0 s instead of every 1 min 0 s (RunsThinned)"
    assert " ".join(shown(slowed)[-2:]) == said
    assert shown(replace(slowed, effective_period_seconds=60)) == shown(view("local", "c", Counts(total=1)))


def test_the_effective_period_is_known_without_the_controller() -> None:
    (probe,) = overview({"effectivePeriodSeconds": 180}).probes
    assert probe.effective_period_seconds == 180
    (probe,) = overview({"effectivePeriodSeconds": "soon"}).probes
    assert probe.effective_period_seconds is None


def test_on_80_columns_nothing_is_cut_and_what_explains_stands_below_where_there_is_no_room() -> None:
    every = Counts(total=5021, ok=5000, late=1, failed=2, hung=3, suppressed=10, pending=5)
    lines = shown(view("local", "topolvm-provisioner", every), view("ceph", "ceph-block", Counts(), "fine"))
    assert lines[0].split() == (
        ["PIEPROBE", "CLASS", "TARGETS", "OK", "LATE", "FAILED", "HUNG", "SUPPRESSED", "PENDING"]
    )
    assert "…" not in "".join(lines)
    assert lines[-2:] == [f"local: {LATE}", "ceph: fine"]
    assert max(map(len, lines)) <= 80


def test_what_to_type_next_works_when_it_is_pasted() -> None:
    incident = IncidentView(
        *("i", "local", "c", "node", "on node node-2", "", ("node-2",), 1, Stage.MOUNT, "MountFailed"),
        *("words", "", "", "next", 1.0, None),
    )
    whom = Whom(namespace="pie", kubeconfig="/my files/config", context="production-eu-1")
    for provision, node in ((False, " --node node-2"), (True, "")):
        lines = shown(incidents=(replace(incident, provision=provision),), options=whom.options)
        said = f"pie explain local{node} -n pie --kubeconfig '/my files/config' --context production-eu-1"
        assert f"  more: {said}" in lines


@pytest.mark.parametrize(
    ("area", "line"),
    [("storage", "  area: storage"), ("node", "  area: node, not a storage problem"), ("", None)],
)
def test_an_incident_says_whose_problem_it_is(area: str, line: str | None) -> None:
    incident = IncidentView(
        *("i", "local", "c", "node", "on node node-2", "", ("node-2",), 1, Stage.MOUNT, "MountFailed"),
        *("words", "", "", "next", 1.0, None),
        area=area,
    )
    found = [each for each in shown(incidents=(incident,)) if "area:" in each]
    assert found == ([line] if line else [])


def test_a_closed_incident_says_how_it_ended() -> None:
    status = {
        "id": "i",
        "scope": "node",
        "nodes": ["n1"],
        "targets": 1,
        "stage": "mount",
        "reason": "MountFailed",
    }
    times = {"openedAt": "1970-01-01T00:10:00Z", "closedAt": "1970-01-01T00:15:00Z"}
    why = {"closedBecause": "Suppressed", "closedMessage": "node n1 is under maintenance (NodeCordoned)"}

    def told(**incident: object) -> str:
        return " ".join(" ".join(shown(incidents=overview({"incidents": [incident]}).incidents)).split())

    ended = "(recovery not confirmed: node n1 is under maintenance (NodeCordoned))"
    words = "StorageClass c: volumes are not mounted on node n1."
    assert f"closed 1 min 40 s ago {ended}: {words}" in told(**status, **times, **why)
    assert f"closed 1 min 40 s ago: {words}" in told(**status, **times)

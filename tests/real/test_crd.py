"""What the API server makes of PieProbes, by the rules in the CRD, seen through the real kubectl."""

import asyncio
import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.cluster import Cluster

pytestmark = pytest.mark.real

Json = dict[str, Any]
CRD = Path(__file__).parents[2] / "charts/pie/crds/pieprobe.yaml"
KUBECTL = Path(sys.executable).with_name("kubectl")
RESOURCE = "pieprobes.pie.topolvm.io"

# The smallest spec that users of the Go implementation have.
SMALLEST: Json = {
    "monitoringStorageClass": "topolvm-provisioner",
    "nodeSelector": {
        "nodeSelectorTerms": [
            {
                "matchExpressions": [
                    {"key": "node-role.kubernetes.io/role", "operator": "In", "values": ["compute"]}
                ]
            }
        ]
    },
}
# The schema of the Go implementation, as far as it matters here: no rules but immutability.
GO_SPEC_SCHEMA: Json = {
    "type": "object",
    "required": ["monitoringStorageClass", "nodeSelector", "probePeriod", "probeThreshold"],
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {
        "probePeriod": {"type": "integer", "default": 1, "minimum": 1, "maximum": 59},
        "probeThreshold": {"type": "string", "default": "1m"},
    },
}


class Kubectl:
    """The real kubectl, as cluster administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    def __call__(self, *arguments: str, manifest: Json | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command; the manifest goes to its standard input."""
        return subprocess.run(
            [KUBECTL, "--kubeconfig", self._kubeconfig, *arguments],
            input=None if manifest is None else json.dumps(manifest),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def must(self, *arguments: str, manifest: Json | None = None) -> str:
        """Run a command that has to succeed; return what it printed."""
        result = self(*arguments, manifest=manifest)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def apply(self, manifest: Json) -> str:
        """Apply a manifest that has to be accepted."""
        return self.must("apply", "-f", "-", manifest=manifest)

    def refusal(self, manifest: Json, *, dry_run: bool = True) -> str:
        """Apply a manifest that has to be refused; return the API server's words."""
        result = self("apply", *(["--dry-run=server"] if dry_run else []), "-f", "-", manifest=manifest)
        assert result.returncode != 0, result.stdout
        return result.stderr


@pytest.fixture(scope="module", params=["shared_control_plane", "shared_oldest_api_server"])
def kubectl(request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """Give a kubectl for an API server of today, and for one of the oldest version, each with the CRD."""
    kubectl = Kubectl(Cluster.attach(request.getfixturevalue(request.param)).kubeconfig)
    install_crd(kubectl)
    yield kubectl
    kubectl.must("delete", "crd", RESOURCE, "--ignore-not-found", "--wait")


@pytest.fixture
def storing(kubectl: Kubectl) -> Iterator[Kubectl]:
    """Give the kubectl to a test that stores PieProbes; they go again afterwards."""
    yield kubectl
    kubectl.must("delete", "pieprobe", "--all", "-n", "default", "--wait")


def install_crd(kubectl: Kubectl) -> None:
    """Apply the CRD of the chart; return when the API server holds PieProbes to its rules."""
    kubectl.must("apply", "-f", str(CRD))
    asyncio.run(_until(kubectl, pieprobe("p", runner="Pod"), "not available yet"))


async def _until(kubectl: Kubectl, manifest: Json, words: str) -> None:
    """Try to create an object until the answer has these words: a new resource is served a moment later."""
    async with asyncio.timeout(30):
        while True:
            result = kubectl("create", "-f", "-", manifest=manifest)
            if words in result.stdout + result.stderr:
                return
            await asyncio.sleep(0.2)


def pieprobe(name: str = "p", **spec: Any) -> Json:
    """Return a PieProbe with the smallest spec and these fields."""
    return {
        "apiVersion": "pie.topolvm.io/v1alpha1",
        "kind": "PieProbe",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {**copy.deepcopy(SMALLEST), **spec},
    }


def without(field: str) -> Json:
    """Return a PieProbe whose spec lacks a field."""
    manifest = pieprobe()
    del manifest["spec"][field]
    return manifest


def selecting(**term: Any) -> Json:
    """Return a PieProbe with one node selector term."""
    return pieprobe(nodeSelector={"nodeSelectorTerms": [term]})


def expression(operator: str, *values: str, key: str = "zone") -> Json:
    """Return a PieProbe that selects nodes by one label."""
    return selecting(matchExpressions=[{"key": key, "operator": operator, "values": list(values)}])


# What is wrong, and the words the user must see.
REFUSED: dict[str, tuple[Json, str]] = {
    "no class": (without("monitoringStorageClass"), r"spec\.monitoringStorageClass: Required"),
    "empty class": (pieprobe(monitoringStorageClass=""), r"must be the name of a StorageClass"),
    "class that no class can be": (
        pieprobe(monitoringStorageClass="Fast_SSD"),
        r"must be the name of a StorageClass",
    ),
    "no selector": (without("nodeSelector"), r"spec\.nodeSelector: Required"),
    "selector without terms": (pieprobe(nodeSelector={}), r"nodeSelectorTerms: Required"),
    "empty selector": (
        pieprobe(nodeSelector={"nodeSelectorTerms": []}),
        r"nodeSelectorTerms is empty, which matches no node; to probe every node, give the term",
    ),
    "empty term": (selecting(), r"matches no node; fill it in or remove it"),
    "term with empty lists": (selecting(matchExpressions=[], matchFields=[]), r"matches no node"),
    "unknown operator": (expression("Equals", "a"), r'"Equals": supported values: "In", "NotIn"'),
    "In without values": (expression("In"), r"operator In needs at least one value"),
    "NotIn without values": (expression("NotIn"), r"operator NotIn needs at least one value"),
    "Exists with values": (expression("Exists", "a"), r"operator Exists takes no values"),
    "DoesNotExist with values": (expression("DoesNotExist", "a"), r"operator DoesNotExist takes no values"),
    "Gt without a number": (expression("Gt", "many"), r"operator Gt needs exactly one value, a whole number"),
    "Lt with two numbers": (expression("Lt", "1", "2"), r"operator Lt needs exactly one value"),
    "label key that cannot be": (expression("In", "a", key="a/b/c"), r"this is not a label key"),
    "label value that cannot be": (expression("In", "a b"), r'values\[0\]: Invalid value: "a b"'),
    "field other than the name": (
        selecting(matchFields=[{"key": "spec.unschedulable", "operator": "In", "values": ["true"]}]),
        r'supported values: "metadata.name"',
    ),
    "two names in one field": (
        selecting(matchFields=[{"key": "metadata.name", "operator": "In", "values": ["a", "b"]}]),
        r"exactly one node name; use one term for each node",
    ),
    "period of zero": (pieprobe(probePeriod=0), r"probePeriod is in minutes and must be from 1 to 59"),
    "period of an hour": (pieprobe(probePeriod=60), r"probePeriod is in minutes and must be from 1 to 59"),
    "period with a unit": (pieprobe(probePeriod="1m"), r"spec\.probePeriod in body must be of type integer"),
    "threshold without a unit": (pieprobe(probeThreshold="30"), r'"30" is not a duration .* such as 30s'),
    "empty threshold": (pieprobe(probeThreshold=""), r'"" is not a duration'),
    "threshold in words": (pieprobe(probeThreshold="a minute"), r'"a minute" is not a duration'),
    "threshold of zero": (pieprobe(probeThreshold="0s"), r'"0s" is not a duration longer than nothing'),
    "negative threshold": (pieprobe(probeThreshold="-1m"), r'"-1m" is not a duration'),
    "threshold above the period": (
        pieprobe(probeThreshold="61s"),
        r"probeThreshold 61s is longer than probePeriod: the next run would be due",
    ),
    "threshold above the period by a millisecond": (
        pieprobe(probePeriod=2, probeThreshold="2m0.001s"),
        r"probeThreshold 2m0\.001s is longer than probePeriod",
    ),
    "threshold of centuries": (pieprobe(probeThreshold="999999h999999h"), r"is longer than probePeriod"),
    "deadline in words": (pieprobe(deadline="soon"), r'deadline "soon" is not a duration'),
    "deadline below a second": (pieprobe(deadline="900ms"), r'"900ms" is not a duration of at least 1s'),
    "deadline above the period": (
        pieprobe(deadline="2m"),
        r"deadline 2m is longer than probePeriod: a run must end before the next one is due",
    ),
    "deadline below the threshold": (
        pieprobe(probeThreshold="30s", deadline="29s"),
        r"deadline 29s is shorter than probeThreshold 30s: a run would be ended before it could be called",
    ),
    "bad quantity": (pieprobe(pvcCapacity="100 MB"), r'pvcCapacity "100 MB" is not a quantity greater'),
    "capacity of zero": (pieprobe(pvcCapacity=0), r'pvcCapacity "0" is not a quantity greater than zero'),
    "negative capacity": (pieprobe(pvcCapacity="-1Gi"), r'"-1Gi" is not a quantity greater than zero'),
    "runner Pod": (pieprobe(runner="Pod"), r"runner Pod is not available yet; use CronJob, the default"),
    "unknown runner": (pieprobe(runner="Job"), r'Unsupported value: "Job"'),
    "toleration without key": (
        pieprobe(tolerations=[{"value": "a"}]),
        r"tolerates every taint, and then its operator must be Exists",
    ),
    "toleration that exists with a value": (
        pieprobe(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
        r"operator Exists takes no value",
    ),
    "toleration for seconds of nothing": (
        pieprobe(tolerations=[{"key": "a", "operator": "Exists", "tolerationSeconds": 5}]),
        r"only with the effect NoExecute",
    ),
    "unknown effect": (
        pieprobe(tolerations=[{"operator": "Exists", "effect": "Evict"}]),
        r'Unsupported value: "Evict"',
    ),
    "priority class that cannot be": (
        pieprobe(priorityClassName="Very High"),
        r"must be the name of a PriorityClass",
    ),
    "limit that is no quantity": (
        pieprobe(resources={"limits": {"memory": "lots"}}),
        r"not a quantity of at least zero",
    ),
    "limit below zero": (pieprobe(resources={"limits": {"cpu": -1}}), r"not a quantity of at least zero"),
    "request below zero": (
        pieprobe(resources={"requests": {"memory": "-1Mi"}}),
        r"not a quantity of at least zero",
    ),
    "limit that is no resource's": (
        pieprobe(resources={"limits": {"memory": True}}),
        r"must be of type integer,string",
    ),
    "more resources than there are": (
        pieprobe(resources={"limits": {f"example.com/{i}": 1 for i in range(11)}}),
        r"resources\.limits: Too many",
    ),
    **{
        f"request of {request!r} above its limit of {limit!r}": (
            pieprobe(resources={"requests": {"cpu": request}, "limits": {"memory": "1Gi", "cpu": limit}}),
            r"a request must not be greater than the limit of the same resource",
        )
        for request, limit in [(1, "900m"), (2, 1), ("1500m", 1), ("2", "1")]
    },
    "misspelt field": (pieprobe(probeTreshold="1m"), r'unknown field "spec\.probeTreshold"'),
    "a mark without a key": (pieprobe(suppression={"taints": [{"value": "x"}]}), "key: Required value"),
    "a mark that is no key": (
        pieprobe(suppression={"labels": [{"key": "not a key"}]}),
        "this is not the key of a label",
    ),
    "a mark that keeps no pod away": (
        pieprobe(suppression={"taints": [{"key": "a", "effect": "PreferNoSchedule"}]}),
        'supported values: "NoSchedule", "NoExecute"',
    ),
    "a condition that is maybe": (
        pieprobe(suppression={"conditions": [{"type": "A", "status": "Maybe"}]}),
        'supported values: "True", "False", "Unknown"',
    ),
    "a grace that is no duration": (
        pieprobe(suppression={"rebootGrace": "5 minutes"}),
        'rebootGrace "5 minutes" is not a duration such as 0s, 90s or 5m',
    ),
    "a suppression that is long at once": (
        pieprobe(suppression={"maxDuration": "10s"}),
        'maxDuration "10s" is not a duration of at least 1m',
    ),
}


@pytest.mark.parametrize(("manifest", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_spec_is_refused_in_words(kubectl: Kubectl, manifest: Json, words: str) -> None:
    refusal = kubectl.refusal(manifest)
    assert re.search(words, refusal), refusal


ACCEPTED: dict[str, Json] = {
    "longest name": pieprobe("a" * 253),
    "defaults of the Go implementation, spelled out": pieprobe(probePeriod=1, probeThreshold="1m"),
    "threshold in Go's spelling": pieprobe(probePeriod=59, probeThreshold="58m59.5s", deadline="59m"),
    "threshold below a second": pieprobe(probeThreshold=".5s"),
    "capacity in bytes": pieprobe(pvcCapacity=104857600),
    "capacity with a fraction": pieprobe(pvcCapacity="1.5Gi"),
    "every operator": selecting(
        matchExpressions=[
            {"key": "a", "operator": "In", "values": ["x", ""]},
            {"key": "example.com/b", "operator": "NotIn", "values": ["y"]},
            {"key": "c", "operator": "Exists"},
            {"key": "d", "operator": "DoesNotExist", "values": []},
            {"key": "e", "operator": "Gt", "values": ["5"]},
            {"key": "f", "operator": "Lt", "values": ["17"]},
        ],
        matchFields=[{"key": "metadata.name", "operator": "NotIn", "values": ["node-1.example.com"]}],
    ),
    "a thousand nodes by name": expression(
        "In", *(f"node-{i}" for i in range(1000)), key="kubernetes.io/hostname"
    ),
    "everything": pieprobe(
        probeThreshold="45s",
        deadline="45s",
        disableProvisionProbe=True,
        disableMountProbes=False,
        provisionOnRetain=True,
        runner="CronJob",
        priorityClassName="system-node-critical",
        tolerations=[
            {"operator": "Exists"},
            {"key": "dedicated", "value": "storage", "effect": "NoSchedule"},
            {"key": "slow", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
        ],
        resources={
            "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": 0, "example.com/a": 2},
            "limits": {"cpu": 1, "memory": "128Mi", "hugepages-2Mi": "4Mi", "example.com/a": 2},
        },
        suppression={
            "wellKnownMarks": False,
            "taints": [{"key": "example.com/firmware", "value": "update", "effect": "NoExecute"}],
            "labels": [{"key": "example.com/state", "value": "repair"}],
            "annotations": [{"key": "example.com/ticket"}],
            "conditions": [{"type": "DiskReplacement", "status": "Unknown"}],
            "rebootGrace": "0s",
            "newNodeGrace": "2m30s",
            "maxDuration": "72h",
        },
    ),
}


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_good_spec_is_accepted(kubectl: Kubectl, manifest: Json) -> None:
    kubectl.must("apply", "--dry-run=server", "-f", "-", manifest=manifest)


def test_the_smallest_spec_gets_the_defaults(storing: Kubectl) -> None:
    storing.apply(pieprobe())
    stored = json.loads(storing.must("get", "pieprobe", "p", "-o", "json"))
    assert stored["spec"] == {
        **SMALLEST,
        "probePeriod": 1,
        "probeThreshold": "1m",
        "pvcCapacity": "100Mi",
        "disableProvisionProbe": False,
        "disableMountProbes": False,
        "provisionOnRetain": False,
        "runner": "CronJob",
    }


IMMUTABLE: dict[str, tuple[Json, Json]] = {
    "monitoringStorageClass": ({}, {"monitoringStorageClass": "another"}),
    "pvcCapacity": ({}, {"pvcCapacity": "200Mi"}),
    "pvcCapacity taken away": ({"pvcCapacity": "1Gi"}, {"pvcCapacity": None}),
    "disableProvisionProbe": ({}, {"disableProvisionProbe": True}),
    "disableProvisionProbe taken away": ({"disableProvisionProbe": True}, {"disableProvisionProbe": None}),
    "disableMountProbes": ({"disableMountProbes": True}, {"disableMountProbes": False}),
    "disableMountProbes taken away": ({"disableMountProbes": True}, {"disableMountProbes": None}),
}


@pytest.mark.parametrize(("before", "change"), IMMUTABLE.values(), ids=IMMUTABLE.keys())
def test_an_immutable_field_cannot_be_changed(storing: Kubectl, before: Json, change: Json) -> None:
    storing.apply(pieprobe(**before))
    patch = json.dumps({"spec": change})
    result = storing("patch", "pieprobe", "p", "--type=merge", "-p", patch)
    (field,) = change
    assert result.returncode != 0
    assert f"{field} cannot be changed" in result.stderr


def test_the_same_capacity_may_be_written_in_another_way(storing: Kubectl) -> None:
    storing.apply(pieprobe(pvcCapacity="1Gi"))
    storing.apply(pieprobe(pvcCapacity=1073741824))


def test_the_other_fields_can_be_changed(storing: Kubectl) -> None:
    storing.apply(pieprobe())
    changed = selecting(matchExpressions=[{"key": "zone", "operator": "Exists"}])
    changed["spec"] |= {"probePeriod": 10, "probeThreshold": "2m", "deadline": "5m"}
    storing.apply(changed)
    storing.apply(pieprobe())  # and all of it taken back


def test_a_probe_stored_by_the_go_implementation_stays_usable(kubectl: Kubectl) -> None:
    """Go pie stored what is refused today; it must be readable, and changeable where it is right."""
    kubectl.must("delete", "crd", RESOURCE, "--wait")
    kubectl.apply(_crd_of_the_go_implementation())
    asyncio.run(_until(kubectl, pieprobe("old", probeThreshold="90s"), "created"))
    install_crd(kubectl)

    stored = json.loads(kubectl.must("get", "pieprobe", "old", "-o", "json"))
    assert stored["spec"]["probeThreshold"] == "90s"
    assert stored["spec"]["pvcCapacity"] == "100Mi"
    kubectl.must("label", "pieprobe", "old", "team=storage")
    status = {"status": {"observedGeneration": 1}}
    kubectl.must("patch", "pieprobe", "old", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    repaired = {"spec": {"probeThreshold": "1m"}}
    kubectl.must("patch", "pieprobe", "old", "--type=merge", "-p", json.dumps(repaired))
    kubectl.must("delete", "pieprobe", "old", "--wait")


def _crd_of_the_go_implementation() -> Json:
    schema = {
        "type": "object",
        "properties": {"spec": GO_SPEC_SCHEMA, "status": {"type": "object"}},
    }
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": RESOURCE},
        "spec": {
            "group": "pie.topolvm.io",
            "names": {"kind": "PieProbe", "listKind": "PieProbeList", "plural": "pieprobes"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def test_the_columns_answer_whether_storage_is_fine(storing: Kubectl) -> None:
    storing.apply(pieprobe())
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "OK",
        "message": "all probes that the spec asks for are set up",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    status = {
        "observedGeneration": 1,
        "conditions": [condition],
        "targets": {
            "total": 5,
            "bad": 2,
            "ok": 2,
            "late": 1,
            "failed": 1,
            "hung": 0,
            "suppressed": 1,
            "pending": 0,
        },
        "lastProvisionTime": "2026-01-02T03:04:05Z",
        "summary": "2 of 5 targets are bad",
    }
    patch = json.dumps({"status": status})
    storing.must("patch", "pieprobe", "p", "--subresource=status", "--type=merge", "-p", patch)
    header, row = storing.must("get", "pieprobe", "p").splitlines()
    assert header.split() == ["NAME", "CLASS", "READY", "TARGETS", "BAD", "SUPPRESSED", "AGE", "STORAGE"]
    assert row.split()[:6] == ["p", "topolvm-provisioner", "True", "5", "2", "1"]
    assert row.endswith("2 of 5 targets are bad")
    stored = json.loads(storing.must("get", "pieprobe", "p", "-o", "json"))
    assert stored["status"] == status, "the schema must drop nothing that the controller writes"


@pytest.mark.parametrize("field", ["type", "status", "reason", "message", "lastTransitionTime"])
def test_a_condition_needs_all_its_parts(storing: Kubectl, field: str) -> None:
    storing.apply(pieprobe())
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "OK",
        "message": "",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    del condition[field]
    patch = json.dumps({"status": {"conditions": [condition]}})
    result = storing("patch", "pieprobe", "p", "--subresource=status", "--type=merge", "-p", patch)
    assert result.returncode != 0
    assert field in result.stderr

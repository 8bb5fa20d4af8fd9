"""What the API server makes of PieProbes and of the chart's manifests, seen through the real kubectl."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.cluster import Cluster
from tests.chart.golden import CASES
from tests.chart.helm import rendered
from tests.harness import LIMIT_SECONDS
from tests.specs import ACCEPTED, IMMUTABLE, REFUSED, SMALLEST, Json, pieprobe, selecting
from website.runbooks.entry import commands

pytestmark = pytest.mark.real

CRD = Path(__file__).parents[2] / "charts/pie/files/pieprobe.yaml"
KUBECTL = Path(sys.executable).with_name("kubectl")
RESOURCE = "pieprobes.pie.topolvm.io"

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
            timeout=LIMIT_SECONDS,
        )

    def typed(self, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a line of a shell in which `kubectl` is this one."""
        path = f"{KUBECTL.parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-c", line],
            env={**os.environ, "PATH": path, "KUBECONFIG": str(self._kubeconfig), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
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
    asyncio.run(_until(kubectl, pieprobe("p", runner="Job"), "Unsupported value"))


async def _until(kubectl: Kubectl, manifest: Json, words: str) -> None:
    """Try to create an object until the answer has these words: a new resource is served a moment later."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            result = kubectl("create", "-f", "-", manifest=manifest)
            if words in result.stdout + result.stderr:
                return
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(("manifest", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_spec_is_refused_in_words(kubectl: Kubectl, manifest: Json, words: str) -> None:
    refusal = kubectl.refusal(manifest)
    assert re.search(words, refusal), refusal


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_good_spec_is_accepted(kubectl: Kubectl, manifest: Json) -> None:
    kubectl.must("apply", "--dry-run=server", "-f", "-", manifest=manifest)


def test_the_column_of_the_class_shows_what_chooses_several_classes(storing: Kubectl) -> None:
    storing.apply(pieprobe("one"))
    several = pieprobe("two", monitoringStorageClasses=["fast", "slow"])
    del several["spec"]["monitoringStorageClass"]
    storing.apply(several)
    shown = [line.split()[:2] for line in storing.must("get", "pieprobe", "--no-headers").splitlines()]
    assert shown == [["one", SMALLEST["monitoringStorageClass"]], ["two", '["fast","slow"]']]


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
        "paused": False,
        "residentProbe": False,
        "residentThreshold": "10s",
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
        "message": "all probes are set up",
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


def test_every_command_of_the_runbooks_that_only_reads_is_understood(kubectl: Kubectl) -> None:
    checks, variables = commands().checks.values(), commands().variables
    values = {name: each.example for name, each in variables.items()} | {"NS": "default"}
    lines = {line for check in checks for line in check.commands.splitlines() if "kubectl" in line}
    reading = sorted(line for line in lines if "kubectl debug" not in line)  # it would create a pod
    with ThreadPoolExecutor(4) as pool:
        complaints = pool.map(lambda line: kubectl.typed(line, **values).stderr, reading)
    # The objects of the examples are not there.
    expected = re.compile(r"NotFound|not found|No resources found|^Warning: |resource name may not be empty")
    unexpected = {
        line: wrong
        for line, said in zip(reading, complaints, strict=True)
        if (wrong := [each for each in said.splitlines() if each.strip() and not expected.search(each)])
    }
    assert unexpected == {}


def test_every_manifest_of_the_chart_is_valid(kubectl: Kubectl) -> None:
    served = ("--api-versions", "pie.topolvm.io/v1alpha1/PieProbe")
    every = [
        manifest
        for values in CASES
        for manifest in rendered("--values", str(values), *served, namespace="default")
        # Without what the Prometheus operator serves, and the pod of `helm test`: its account must exist.
        if manifest["kind"] not in {"ServiceMonitor", "PodMonitor", "PrometheusRule", "Pod"}
    ]
    kinds = {manifest["kind"] for manifest in every}
    assert {"CustomResourceDefinition", "PieProbe", "Job", "ValidatingAdmissionPolicy"} <= kinds
    together = {"apiVersion": "v1", "kind": "List", "items": every}
    printed = kubectl.must("apply", "--dry-run=server", "--validate=strict", "-f", "-", manifest=together)
    assert printed.count("(server dry run)") == len(every)

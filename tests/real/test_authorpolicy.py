"""The ValidatingAdmissionPolicy for authors of PieProbes, on the newest and the oldest API server."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from pie.core.authorbounds import AuthorBounds, check_spec, names, taint_rules
from pie.core.decode import convert
from pie.core.parse import SpecError, parse_probe
from pie.core.wire import PieProbe
from testbed.api import Api, ApiError
from testbed.cluster import Cluster
from tests.chart.helm import rendered
from tests.conftest import demand_machine
from tests.harness import GROUP, pieprobe, until
from tests.real.conftest import install_crd

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

Json = dict[str, Any]
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
KINDS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
MOST = "2Gi"
TOO_MUCH: Json = {"pvcCapacity": "1Ti"}

EXISTS = {"operator": "Exists"}
GPU = {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}
TEAM = {"key": "team", "value": "a", "effect": "NoExecute"}
TOLERATIONS: tuple[Json, ...] = (
    EXISTS,
    GPU,
    TEAM,
    {"key": "gpu", "value": "x"},
    {"key": "gpu", "operator": "Exists"},
    {"key": "gpu-2", "operator": "Exists"},
    {"key": "team", "operator": "Exists"},
    {"key": "team", "operator": "Equal", "value": "a"},
    {"key": "team", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 3},
    {"key": "example.com/a", "operator": "Exists"},
    {"key": "example.org/a", "operator": "Exists"},
)
SPECS: tuple[Json, ...] = (
    {},
    TOO_MUCH,
    {"pvcCapacity": "2Gi"},
    {"pvcCapacity": "2048Mi"},
    {"pvcCapacity": "2.1Gi"},
    {"pvcCapacity": 2147483648},
    {"pvcCapacity": 2147483649},
    {"pvcCapacity": "3e9"},
    {"priorityClassName": "low"},
    {"priorityClassName": "high"},
    {"tolerations": []},
    {"tolerations": [GPU, TEAM]},
    {"resources": {}},
    {"resources": {"requests": {"cpu": 1}}},
    {"resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "500m"}}},
    {"resources": {"limits": {"cpu": "501m"}}},
    {"resources": {"limits": {"example.com/gpu": 1}}},
    {"resources": {"limits": {"example.com/gpu": 2}}},
    *({"tolerations": [each]} for each in TOLERATIONS),
)
"""What authors ask for; every bound is put to every one of them."""

Bounds = tuple[str | None, str | None, dict[str, str]]
BOUNDS: tuple[Bounds, ...] = (
    (None, None, {}),
    ("low,lower", "gpu", {"cpu": "500m", "example.com/gpu": "1"}),
    ("", "", {"memory": "64Mi"}),
    (None, "*", {}),
    (None, "*:NoSchedule", {}),
    (None, "example.com/*", {}),
    (None, "gpu:NoSchedule", {}),
    (None, "gpu:NoExecute", {}),
    (None, "team=a", {}),
    (None, "team=b", {}),
    (None, "team=a:NoExecute,gpu", {}),
)
"""Priority classes, tolerations, resources."""


def values(bounds: Bounds) -> list[str]:
    """Return bounds as values of the chart."""
    classes, taints, resources = bounds
    settings = {
        "admissionPolicy": True,
        "maxPvcCapacity": MOST,
        "maxResources": resources,
        "priorityClasses": names(classes) if classes is not None else None,
        "tolerations": names(taints) if taints is not None else None,
    }
    return ["--set-json", f"authorBounds={json.dumps(settings)}"]


def refused_by_the_controller(spec: Json, bounds: Bounds) -> bool:
    """Tell whether the controller refuses a spec with the same bounds as flags."""
    classes, taints, resources = bounds
    found = parse_probe(convert(pieprobe("p", "c", "n", **spec), PieProbe))
    flags = AuthorBounds(
        priority_classes=names(classes) if classes is not None else None,
        tolerations=taint_rules(taints) if taints is not None else None,
        pvc_capacity=MOST,
        resources=resources,
    )
    try:
        check_spec(found, flags)
    except SpecError:
        return True
    return False


class Bounded:
    """A namespace whose authors are bounded."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self.probes = f"{GROUP}/namespaces/{namespace}/pieprobes"

    async def refusal(self, spec: Json) -> str:
        """Return why the API server refuses a PieProbe, which it does not store; empty: it does not."""
        try:
            await self._api.create(f"{self.probes}?dryRun=All", pieprobe("new", "c", "n", **spec))
        except ApiError as error:
            return str(error)
        return ""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["", "oldest"], ids=["usual", "oldest"])
async def api(request: Any) -> AsyncIterator[Api]:
    """Give an API server with a namespace and a release for each of the bounds, and one of others."""
    demand_machine(nodes=False)
    parts: Any = {"kube_controller_manager": False, "kube_scheduler": False}
    async with Cluster(kubernetes=request.param, **parts) as cluster:
        await install_crd(cluster.api)
        await cluster.create_namespace("others")
        for number, bounds in enumerate(BOUNDS):
            await install_policy(cluster, f"storage-{number}", bounds)
        yield cluster.api


async def install_policy(cluster: Cluster, namespace: str, bounds: Bounds) -> None:
    """Create a namespace and the chart's policy for it; return when the API server obeys it."""
    await cluster.create_namespace(namespace)
    manifests = await asyncio.to_thread(rendered, *values(bounds), namespace=namespace)
    policies = [each for each in manifests if each["kind"] in KINDS]
    assert len(policies) == len(KINDS)
    for manifest in policies:
        name = manifest["metadata"]["name"]
        await cluster.api.apply(f"{ADMISSION}/{KINDS[manifest['kind']]}/{name}", manifest)
    bounded = Bounded(cluster.api, namespace)

    async def obeyed() -> bool:
        return MOST in await bounded.refusal(TOO_MUCH)

    await until(obeyed, f"the policy of {namespace} is obeyed")


async def test_the_api_server_refuses_what_the_controller_would_refuse_and_nothing_else(api: Api) -> None:
    for number, bounds in enumerate(BOUNDS):
        bounded = Bounded(api, f"storage-{number}")
        for spec in SPECS:
            refusal = await bounded.refusal(spec)
            assert bool(refusal) is refused_by_the_controller(spec, bounds), (bounds, spec, refusal)
            assert "allowed" in refusal or not refusal


async def test_a_refusal_names_the_field_and_what_is_allowed(api: Api) -> None:
    bounded = Bounded(api, "storage-1")
    for spec, words in (
        (TOO_MUCH, "spec.pvcCapacity is more than 2Gi, the most that is allowed"),
        ({"priorityClassName": "high"}, "spec.priorityClassName is not allowed; allowed are: low, lower"),
        ({"tolerations": [TEAM]}, "a toleration in spec.tolerations is not allowed; allowed are: gpu"),
        (
            {"resources": {"limits": {"cpu": 1}}},
            "spec.resources.limits.cpu is more than 500m, the most that is allowed",
        ),
    ):
        assert words in await bounded.refusal(spec)
    assert "allowed are: none" in await Bounded(api, "storage-2").refusal({"priorityClassName": "low"})


async def test_authors_of_other_namespaces_are_not_bounded(api: Api) -> None:
    assert not await Bounded(api, "others").refusal({**TOO_MUCH, "tolerations": [EXISTS]})


async def test_nobody_exceeds_a_bound_by_an_update_and_what_was_there_before_can_be_deleted(
    api: Api,
) -> None:
    probes = Bounded(api, "storage-1").probes
    path = f"{probes}/p"
    await api.apply(path, pieprobe("p", "c", "n", pvcCapacity="1Gi"))
    with pytest.raises(ApiError, match="allowed are: low, lower"):
        await api.patch(path, {"spec": {"priorityClassName": "high"}})
    # The policy changes: now the PieProbe is from before its bounds.
    policy = f"{ADMISSION}/validatingadmissionpolicies/storage-1-pie"
    validations = (await api.get(policy))["spec"]["validations"]
    for each in validations:
        each["expression"] = each["expression"].replace(MOST, "100Mi")
    await api.patch(policy, {"spec": {"validations": validations}})
    bounded = Bounded(api, "storage-1")
    await until(lambda: bounded.refusal({"pvcCapacity": "1Gi"}), "the new bound is obeyed")
    await api.patch(path, {"metadata": {"finalizers": ["example.com/a"]}})
    await api.patch(f"{path}/status", {"status": {"observedGeneration": 1}})
    with pytest.raises(ApiError, match=r"spec\.pvcCapacity is more than"):
        await api.patch(path, {"spec": {"probePeriod": 2}})
    await api.delete(path)
    await api.patch(path, {"metadata": {"finalizers": None}})
    assert await api.find(path) is None

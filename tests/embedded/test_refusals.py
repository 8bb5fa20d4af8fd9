"""What nobody should send: it is refused in words, and the cluster lives on."""

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pie.embedded.actors.cronjobs import run_cronjobs
from pie.embedded.actors.garbage import collect_garbage
from pie.embedded.actors.jobs import run_jobs
from pie.embedded.actors.kubelet import Kubelets
from pie.embedded.actors.nodes import join, watch_nodes
from pie.embedded.actors.scheduler import schedule
from pie.embedded.actors.volumes import make_ephemeral_claims, protect_claims, provision
from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.errors import Refused
from pie.embedded.kinds import (
    CRONJOBS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    PVCS,
    PVS,
    STORAGE_CLASSES,
    Json,
    Kind,
    find,
)
from pie.embedded.machines import DRIVER, STORAGE_CLASS, Machine
from pie.embedded.registry import Registry
from pie.embedded.store import Store
from tests.embedded.conftest import PlainApi, Start
from tests.embedded.server import Server, claim
from tests.embedded.volumes import standing_volume
from tests.examples import examples

POD: Json = {
    "metadata": {"name": "x", "labels": {"a": "b"}, "annotations": {"a": "b"}},
    "spec": {
        "containers": [
            {"name": "c", "command": ["sleep"], "args": ["1"], "volumeMounts": [{"mountPath": "/v"}]}
        ],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "activeDeadlineSeconds": 60,
        "volumes": [
            {"name": "v", "persistentVolumeClaim": {"claimName": "x"}},
            {"name": "e", "ephemeral": {"volumeClaimTemplate": {"metadata": {}, "spec": claim("x")["spec"]}}},
        ],
    },
}
BAD: dict[str, tuple[str, str, Any, int, str]] = {
    "no metadata": ("PATCH", "pods/x", {"metadata": None}, 422, "metadata: Required value"),
    "metadata that is none": ("POST", "pods", {"metadata": "x"}, 400, "not an object, or its metadata"),
    "labels that are none": ("PATCH", "pods/x", {"metadata": {"labels": ["a"]}}, 422, "metadata.labels"),
    "a pod of no containers": ("POST", "pods", {"metadata": {"name": "y"}}, 422, "spec.containers: Required"),
    "another kind": ("POST", "pods", {**POD, "kind": "Job"}, 400, "the object is Job of v1, not Pod"),
    "no target": ("POST", "pods/x/binding", {}, 400, "target.name: Required value"),
    "a node that is no name": ("POST", "pods/x/binding", {"target": {"name": [1]}}, 400, "target.name"),
    "a number that is none": ("GET", "pods?limit=²", None, 400, "limit: Invalid value: '²'"),
    "a number without end": ("GET", f"pods?limit={'9' * 5000}", None, 400, "limit: Invalid value"),
    "a condition of no type": ("PATCH", "pods/x/status", {"status": {"conditions": [{}]}}, 422, "type: Req"),
    "a time that is none": (
        "PATCH",
        "pods/x/status",
        {"status": {"startTime": "now"}},
        422,
        "of type date-time",
    ),
    "a subresource": ("DELETE", "pods/x/status", None, 405, "delete is not supported here"),
    "a whole kind": ("DELETE", "pods", None, 405, "delete is not supported here"),
    "a grace that is none": ("DELETE", "pods/x", {"gracePeriodSeconds": "x"}, 400, "must be of type integer"),
    "an endless grace": ("DELETE", "pods/x", {"gracePeriodSeconds": 10**18}, 400, "less than or equal"),
    "preconditions of nothing": ("DELETE", "pods/x", {"preconditions": []}, 400, "must be of type object"),
    "a way out": (
        *("PATCH", "persistentvolumeclaims/x", {"spec": {"volumeName": "../../x"}}),
        *(422, "spec.volumeName: Invalid value"),
    ),
}


@pytest.mark.parametrize(("method", "path", "body", "code", "words"), BAD.values(), ids=BAD)
async def test_what_makes_no_sense_is_refused_in_words_and_changes_nothing(  # noqa: PLR0917  a table's row
    embedded: EmbeddedCluster, method: str, path: str, body: Any, code: int, words: str
) -> None:
    embedded.registry.create(PODS, POD, "pie")
    embedded.registry.create(PVCS, claim("x"), "pie")
    await asyncio.sleep(0)
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    async with PlainApi(embedded.front.address) as api:
        status, answer = await Server(api, "pie").send(
            method, f"/api/v1/namespaces/pie/{path}", body, kind=kind
        )
    assert (status, words in answer["message"]) == (code, True), answer
    assert find(embedded.registry.get(PODS, "pie", "x"), "metadata.deletionTimestamp") is None
    assert find(embedded.registry.get(PODS, "pie", "x"), "status.conditions") in (None, [])


async def test_what_is_nested_without_end_or_like_nothing_in_json_is_refused(
    embedded: EmbeddedCluster,
) -> None:
    url, kind = f"{embedded.front.address}/api/v1/namespaces/pie/pods/x", "application/apply-patch+yaml"
    deep = '{"a":' * 400 + "1" + "}" * 400
    async with aiohttp.ClientSession(headers={"Content-Type": kind}) as session:
        for text in (deep, "[" * 5000, "a: &a [*a]", "? [1, 2]\n: 3"):
            async with session.patch(url, data=text) as answer:
                assert answer.status == 400, (text, await answer.text())
                assert (await answer.json())["message"]
        date = "metadata: {annotations: {at: 2026-01-01}}\nspec: {containers: [{name: c}]}"
        async with session.patch(url, data=date) as answer:
            assert (await answer.json())["metadata"]["annotations"] == {"at": "2026-01-01"}


async def test_a_status_that_would_kill_an_actor_is_refused_and_the_cluster_lives_on(
    start_embedded: Start,
) -> None:
    cluster = await start_embedded(nodes=1)
    async with PlainApi(cluster.front.address) as api:
        server = Server(api, "pie")
        answers = [
            await server.patch("/api/v1/nodes/node-1/status", {"status": {"conditions": [{}]}}),
            await server.patch("/api/v1/nodes/node-1", {"spec": {"taints": [{"effect": "NoSchedule"}]}}),
            await server.send("POST", "/api/v1/nodes", {"metadata": {"name": "y"}, "spec": {"taints": [{}]}}),
        ]
        assert [status for status, _ in answers] == [422, 422, 422]
        command = {"name": "c", "command": ["pie", "probe", "mount", "\0"]}
        await api.create(
            "/api/v1/namespaces/pie/pods",
            {"metadata": {"name": "z"}, "spec": {"nodeName": "node-1", "containers": [command]}},
        )
        await standing_volume(cluster, "node-1")  # which takes all the actors
        (said,) = cluster.registry.get(PODS, "pie", "z")["status"]["containerStatuses"]
    assert said["state"]["waiting"] == {"reason": "CreateContainerError", "message": "embedded null byte"}
    assert not cluster.running.done()


@pytest.mark.parametrize("escape", ["{outside}", "../../../../outside", "..", "a/../../node-1"])
async def test_a_claim_cannot_name_a_volume_outside_of_its_directory(
    start_embedded: Start, tmp_path: Path, escape: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    cluster = await start_embedded(nodes=1)
    name = escape.format(outside=outside)
    async with PlainApi(cluster.front.address) as api:
        body = claim("c")
        body["spec"]["volumeName"] = name
        path = "/api/v1/namespaces/pie/persistentvolumeclaims"
        status, answer = await Server(api, "pie").send("POST", path, body)
    assert (status, answer["reason"]) == (422, "Invalid")
    assert "spec.volumeName: Invalid value" in answer["message"]
    await cluster.faults.inject("emptied", "node-1")
    await cluster.faults.clear("emptied", "node-1")
    assert outside.is_dir()


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Origin": "https://page.example", "Content-Type": "text/plain"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "page.example"}, 421),
        ({"Host": "127.0.0.1.page.example:80"}, 421),
        ({"Host": "["}, 421),
        ({"Host": "localhost:x"}, 421),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_web_page_neither_reads_nor_writes_also_under_a_name_made_to_point_here(
    embedded: EmbeddedCluster, method: str, headers: dict[str, str], code: int
) -> None:
    async with aiohttp.ClientSession() as session:
        url, body = f"{embedded.front.address}/api/v1/namespaces", json.dumps({"metadata": {"name": "taken"}})
        async with session.request(method, url, data=body, headers=headers) as answer:
            assert answer.status in {code, 400}
            assert "taken" not in await answer.text()
        assert embedded.registry.find(NAMESPACES, "", "taken") is None
        for host in ("localhost", "[::1]", "127.0.0.1"):
            async with session.get(url, headers={"Host": f"{host}:1"}) as answer:
                assert answer.status == 200


CRONJOB: Json = {
    "metadata": {"name": "x"},
    "spec": {
        "schedule": "* * * * *",
        "startingDeadlineSeconds": 9,
        "jobTemplate": {"metadata": {"annotations": {}}, "spec": {"template": {"spec": POD["spec"]}}},
    },
}
PV: Json = {
    "metadata": {"name": "x", "ownerReferences": [{"kind": "Node", "name": "x", "uid": "x"}]},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "claimRef": {"namespace": "pie", "name": "x", "uid": "x"},
        "csi": {"driver": DRIVER, "volumeAttributes": {"machine": "node-1"}},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a"}]}]}},
    },
}
GOOD: dict[Kind, Json] = {
    PODS: {**POD, "status": {"phase": "Pending", "startTime": "2026-01-01T00:00:00Z"}},
    CRONJOBS: {
        **CRONJOB,
        "status": {"lastScheduleTime": "2026-01-01T00:00:00Z", "active": [{"uid": "u", "name": "n"}]},
    },
    JOBS: {
        "metadata": {"name": "x"},
        "spec": CRONJOB["spec"]["jobTemplate"]["spec"],
        "status": {"conditions": [{"type": "Complete", "status": "False"}], "startTime": None},
    },
    PVCS: {
        **claim("x", annotations={"volume.kubernetes.io/selected-node": "node-1"}),
        "status": {"phase": "Pending"},
    },
    PVS: PV,
    NODES: {
        "metadata": {"name": "x", "labels": {"kubernetes.io/os": "linux"}},
        "spec": {"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}], "unschedulable": False},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"bootID": "x"}},
    },
    STORAGE_CLASSES: {"metadata": {"name": "x"}, "provisioner": DRIVER, "volumeBindingMode": "Immediate"},
}
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 10**30, 1.5, "", "x", "../x", "\0", "9" * 5000, [], [{}], {}, {"a": 1}]
)


def places(thing: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all that is in an object."""
    keys = thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ()
    return [path for key, below in keys for path in ((*above, key), *places(below, (*above, key)))]


def with_odd(thing: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """Return an object with something odd at one place."""
    changed = copy.deepcopy(thing)
    below = changed
    for key in path[:-1]:
        below = below[key]
    below[path[-1]] = odd
    return changed


@examples(4)
@given(st.sampled_from(list(GOOD)).flatmap(lambda kind: st.tuples(*_mutation(kind))))
def test_whatever_is_odd_in_an_object_no_actor_dies_of_it(
    mutation: tuple[Kind, tuple[Any, ...], Any],
) -> None:
    kind, path, odd = mutation
    registry = Registry(Store())
    machines = {"node-1": Machine("node-1", Path("/nonexistent"), 0)}
    registry.create(NAMESPACES, {"metadata": {"name": "pie"}})
    registry.create(STORAGE_CLASSES, {"metadata": {"name": STORAGE_CLASS}, "provisioner": DRIVER})
    join(registry, "node-1", [])
    namespace = "pie" if kind.namespaced else ""
    wanted = with_odd(GOOD[kind], path, odd)
    with_refusal(lambda: registry.create(kind, wanted, namespace))
    for each in (kind, PVCS, PODS):
        if registry.find(each, "pie" if each.namespaced else "", "x") is None:
            registry.create(each, GOOD[each], "pie" if each.namespaced else "")
    for change in (
        lambda: registry.change(kind, namespace, "x", lambda _: copy.deepcopy(wanted)),
        lambda: registry.change(kind, namespace, "x", lambda _: copy.deepcopy(wanted), door="status"),
    ):
        with_refusal(change)
    for act in (
        lambda: watch_nodes(registry, machines, 40.0),
        lambda: run_cronjobs(registry, 60.0),
        lambda: run_jobs(registry),
        lambda: make_ephemeral_claims(registry),
        lambda: schedule(registry),
        lambda: provision(registry, machines),
        Kubelets(registry, machines, ()).run_pods,
        lambda: protect_claims(registry),
        lambda: collect_garbage(registry),
    ):
        with_refusal(act)


def _mutation(kind: Kind) -> tuple[st.SearchStrategy[Any], ...]:
    return st.just(kind), st.sampled_from(places(GOOD[kind])), ODD


def with_refusal(act: Any) -> None:
    """Do something that may be refused, and must not fail otherwise."""
    try:
        act()
    except Refused as refused:
        assert refused.code < 500


async def test_without_the_token_of_the_kubeconfig_nothing_is_answered(embedded: EmbeddedCluster) -> None:
    config = yaml.safe_load(embedded.kubeconfig.read_text())
    token = config["users"][0]["user"]["token"]
    bare = f"http://127.0.0.1:{embedded.front.address.rpartition(':')[2]}"
    assert embedded.kubeconfig.stat().st_mode & 0o077 == 0
    async with aiohttp.ClientSession() as session:
        for path in ("/api", "/version", "/api/v1/namespaces", "/api/v1/namespaces?watch=true", "/nowhere"):
            for given in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {token}"}):
                async with session.get(f"{bare}{path}", headers=given) as answer:
                    assert (answer.status, (await answer.json())["reason"]) == (401, "Unauthorized")
        body = {"metadata": {"name": "taken"}}
        async with session.post(f"{bare}/api/v1/namespaces", json=body) as answer:
            assert answer.status == 401
        assert embedded.registry.find(NAMESPACES, "", "taken") is None
        given = {"Authorization": f"Bearer {token}"}
        async with session.get(f"{bare}/api/v1/namespaces", headers=given) as answer:
            assert answer.status == 200

"""What an API server does: the same scenarios on the embedded one and on the real control plane."""

import json
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from pie.core.yamltext import read_yaml
from pie.embedded.cluster import EmbeddedCluster
from testbed.cluster import Cluster
from tests.embedded.conftest import PlainApi, Start
from tests.embedded.server import CRDS, PROBES, Json, Server, claim, pieprobe
from tests.harness import CRD, gone, until
from tests.specs import ACCEPTED, IMMUTABLE, REFUSED


def lease(name: str, **metadata: Any) -> Json:
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    return {**body, "metadata": {"name": name, **metadata}, "spec": {"holderIdentity": "a"}}


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def real_name(request: pytest.FixtureRequest) -> str:
    """Name the real control plane, in the real tier; empty stands for the embedded cluster."""
    return "" if request.param == "embedded" else str(request.getfixturevalue("shared_control_plane"))


@pytest.fixture
async def server(real_name: str) -> AsyncIterator[Server]:
    """Give an API server: the embedded one, and in the real tier the real one as well."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    if not real_name:
        async with (
            EmbeddedCluster(nodes=0, scheduler=False) as cluster,
            PlainApi(cluster.front.address) as api,
        ):
            await api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
            yield Server(api, namespace)
        return
    async with Cluster.attach(real_name) as real:
        await real.create_namespace(namespace, level="privileged")  # the embedded cluster has no levels
        crd = read_yaml(CRD.read_text())
        await real.api.apply(f"{CRDS}/{crd['metadata']['name']}", crd)
        found = Server(real.api, namespace)

        async def served() -> bool:
            status, answer = await found.send("POST", found.probe(), pieprobe(runner="Job"))
            return status == 422 and "Unsupported value" in answer["message"]

        await until(served, "the CRD is served")
        yield found
        await real.api.delete(f"/api/v1/namespaces/{namespace}")


async def test_refusals_have_their_codes_reasons_and_words(server: Server) -> None:
    await server.make()
    taken = await server.send("POST", server.probe(), pieprobe())
    missing = await server.send("GET", server.probe("q"))
    assert (taken[0], taken[1]["reason"]) == (409, "AlreadyExists")
    assert taken[1]["message"] == 'pieprobes.pie.topolvm.io "p" already exists'
    assert (missing[0], missing[1]["reason"]) == (404, "NotFound")
    assert missing[1]["message"] == 'pieprobes.pie.topolvm.io "q" not found'
    assert missing[1]["details"] == {"name": "q", "group": "pie.topolvm.io", "kind": "pieprobes"}
    assert (await server.send("POST", server.probe(), pieprobe("No_Name")))[0] == 422
    assert (await server.send("GET", f"{PROBES}/nothings"))[0] == 404


async def test_preconditions_in_a_patch_are_kept(server: Server) -> None:
    metadata = (await server.make())["metadata"]
    change = {"spec": {"probePeriod": 5}}
    status, answer = await server.patch(server.probe("p"), {**change, "metadata": {"resourceVersion": "1"}})
    assert (status, answer["reason"]) == (409, "Conflict")
    assert answer["message"].startswith('Operation cannot be fulfilled on pieprobes.pie.topolvm.io "p"')
    status, answer = await server.patch(server.probe("p"), {**change, "metadata": {"uid": str(uuid.uuid4())}})
    assert (status, answer["reason"]) == (422, "Invalid")
    assert "metadata.uid: Invalid value" in answer["message"]
    assert "field is immutable" in answer["message"]
    right = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    assert (await server.patch(server.probe("p"), {**change, "metadata": right}))[0] == 200


async def test_a_patch_that_changes_nothing_makes_no_new_version(server: Server) -> None:
    before = await server.make()
    _, after = await server.patch(server.probe("p"), {"spec": {"probePeriod": 1}})
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_the_generation_counts_changes_of_the_spec_alone(server: Server) -> None:
    await server.make()
    _, labelled = await server.patch(server.probe("p"), {"metadata": {"labels": {"a": "b"}}})
    _, reported = await server.patch(server.probe("p") + "/status", {"status": {"observedGeneration": 1}})
    _, changed = await server.patch(server.probe("p"), {"spec": {"probePeriod": 5}})
    found = [each["metadata"]["generation"] for each in (labelled, reported, changed)]
    assert found == [1, 1, 2]


async def test_spec_and_status_have_each_their_own_door(server: Server) -> None:
    created = await server.api.create(server.probe(), {**pieprobe(), "status": {"observedGeneration": 7}})
    assert "status" not in created
    both = {"spec": {"probePeriod": 5}, "status": {"observedGeneration": 1}}
    _, found = await server.patch(server.probe("p"), both)
    assert (found["spec"]["probePeriod"], "status" in found) == (5, False)
    both = {"spec": {"probePeriod": 9}, "status": {"observedGeneration": 2}}
    _, found = await server.patch(server.probe("p") + "/status", both)
    assert (found["spec"]["probePeriod"], found["status"]) == (5, {"observedGeneration": 2})


async def test_a_dry_run_validates_and_stores_nothing(server: Server) -> None:
    assert (await server.send("POST", server.probe(), pieprobe(), dryRun="All"))[0] == 201
    assert (await server.send("POST", server.probe(), pieprobe(probePeriod=0), dryRun="All"))[0] == 422
    assert (await server.send("GET", server.probe("p")))[0] == 404


async def test_a_deletion_keeps_its_preconditions(server: Server) -> None:
    metadata = (await server.make())["metadata"]
    for wrong in ({"uid": str(uuid.uuid4())}, {"resourceVersion": "1"}):
        status, answer = await server.send("DELETE", server.probe("p"), {"preconditions": wrong})
        assert (status, answer["reason"]) == (409, "Conflict")
    right = {"preconditions": {"uid": metadata["uid"]}}
    status, answer = await server.send("DELETE", server.probe("p"), right)
    assert (status, answer["status"], answer["details"]["uid"]) == (200, "Success", metadata["uid"])
    assert (await server.send("DELETE", server.probe("p")))[0] == 404


async def test_a_finalizer_keeps_an_object_until_it_is_taken_away(server: Server) -> None:
    path = server.path("leases", group="/apis/coordination.k8s.io/v1")
    await server.api.create(path, lease("kept", finalizers=["test.pie/keep"]))
    _, leaving = await server.send("DELETE", f"{path}/kept")
    assert "deletionTimestamp" in leaving["metadata"]
    assert (await server.send("GET", f"{path}/kept"))[0] == 200
    await server.patch(f"{path}/kept", {"metadata": {"finalizers": None}})
    assert (await server.send("GET", f"{path}/kept"))[0] == 404


async def test_a_list_comes_in_pages_that_show_one_moment(server: Server) -> None:
    for name in "abcde":
        await server.make(name)
    _, first = await server.send("GET", server.probe(), limit="2")
    assert first["metadata"]["remainingItemCount"] == 3
    await server.api.delete(server.probe("d"))
    await server.make("f")
    _, second = await server.send(
        "GET", server.probe(), **{"limit": "9", "continue": first["metadata"]["continue"]}
    )
    names = [item["metadata"]["name"] for page in (first, second) for item in page["items"]]
    assert names == list("abcde")
    assert not second["metadata"].get("continue")
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("color=red", "a"),
        ("color!=red", "bc"),
        ("color in (red, blue)", "ab"),
        ("color notin (red)", "bc"),
        ("color", "ab"),
        ("!color", "c"),
        ("color=red,size", ""),
    ],
)
async def test_label_selectors(server: Server, selector: str, wanted: str) -> None:
    path = server.path("leases", group="/apis/coordination.k8s.io/v1")
    for name, labels in (("a", {"color": "red"}), ("b", {"color": "blue"}), ("c", {})):
        await server.api.create(path, lease(name, labels=labels))
    found = await server.api.items(path, selector=selector)
    assert "".join(item["metadata"]["name"] for item in found) == wanted
    status, _ = await server.send("GET", path, labelSelector="a in b")
    assert status == 400


async def test_field_selectors(server: Server) -> None:
    path = server.path("leases", group="/apis/coordination.k8s.io/v1")
    for name in "ab":
        await server.api.create(path, lease(name))
    _, found = await server.send("GET", path, fieldSelector="metadata.name=b")
    assert [item["metadata"]["name"] for item in found["items"]] == ["b"]
    _, found = await server.send("GET", path, fieldSelector="metadata.name!=b")
    assert [item["metadata"]["name"] for item in found["items"]] == ["a"]


async def test_a_watch_goes_on_from_where_a_list_was(server: Server) -> None:
    await server.make("a")
    _, listed = await server.send("GET", server.probe())
    await server.make("b")
    version = listed["metadata"]["resourceVersion"]
    async with server.watch(server.probe(), resourceVersion=version) as watch:
        assert await watch() == ("ADDED", "b")
        await server.patch(server.probe("a"), {"spec": {"probePeriod": 5}})
        assert await watch() == ("MODIFIED", "a")
        await server.api.delete(server.probe("b"))
        assert await watch() == ("DELETED", "b")


async def test_objects_enter_and_leave_a_watch_by_its_selector(server: Server) -> None:
    await server.make("a")
    async with server.watch(server.probe(), labelSelector="seen=yes") as watch:
        await server.patch(server.probe("a"), {"metadata": {"labels": {"seen": "yes"}}})
        assert await watch() == ("ADDED", "a")
        await server.patch(server.probe("a"), {"metadata": {"labels": {"seen": "no"}}})
        assert await watch() == ("DELETED", "a")


async def test_a_watchlist_begins_with_all_there_is_and_says_when_that_was_all(server: Server) -> None:
    for name in "ab":
        await server.make(name)
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    async with server.watch(server.probe(), **query) as watch:
        assert sorted([await watch(), await watch()]) == [("ADDED", "a"), ("ADDED", "b")]
        mark = await watch.event()
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert int(mark["object"]["metadata"]["resourceVersion"]) > 0
        await server.make("c")
        assert await watch() == ("ADDED", "c")


async def test_an_apply_creates_changes_and_takes_back(server: Server) -> None:
    status, _ = await server.apply(server.probe("p"), pieprobe(probePeriod=5, deadline="90s"), "one")
    assert status == 201
    status, found = await server.apply(server.probe("p"), pieprobe(probePeriod=6), "one")
    assert status == 200
    assert (found["spec"]["probePeriod"], "deadline" in found["spec"]) == (6, False)
    _, again = await server.apply(server.probe("p"), pieprobe(probePeriod=6), "one")
    assert again["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]


async def test_two_who_apply_one_field_conflict_unless_forced(server: Server) -> None:
    await server.apply(server.probe("p"), pieprobe(probePeriod=5), "one")
    status, answer = await server.apply(server.probe("p"), pieprobe(probePeriod=6), "two")
    assert (status, answer["reason"]) == (409, "Conflict")
    assert '"one"' in answer["message"]
    assert ".spec.probePeriod" in answer["message"]
    status, found = await server.apply(server.probe("p"), pieprobe(probePeriod=6), "two", force="true")
    assert (status, found["spec"]["probePeriod"]) == (200, 6)
    status, _ = await server.apply(server.probe("p"), pieprobe(probePeriod=5), "one")
    assert status == 409


def owned(owner: Json, kind: str, **more: Any) -> Json:
    metadata = owner["metadata"]
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        **more,
    }


async def test_dependents_follow_their_owner(server: Server) -> None:
    path = server.path("leases", group="/apis/coordination.k8s.io/v1")
    owner = await server.api.create(path, lease("owner"))
    await server.api.create(path, lease("below", ownerReferences=[owned(owner, "Lease")]))
    await server.api.delete(f"{path}/owner")
    await until(lambda: gone(server.api, f"{path}/below"), "the dependent is gone")


async def test_a_namespace_takes_its_contents_along(server: Server) -> None:
    name = f"{server.namespace}-b"
    await server.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    path = f"/apis/coordination.k8s.io/v1/namespaces/{name}/leases"
    await server.api.create(path, lease("inside", finalizers=["test.pie/keep"]))
    await server.api.delete(f"/api/v1/namespaces/{name}")

    async def leaving() -> bool:
        return "deletionTimestamp" in (await server.api.get(f"{path}/inside"))["metadata"]

    await until(leaving, "what is inside is being deleted")
    found = await server.api.get(f"/api/v1/namespaces/{name}")
    assert found["status"]["phase"] == "Terminating"
    await server.patch(f"{path}/inside", {"metadata": {"finalizers": None}})
    await until(lambda: gone(server.api, f"/api/v1/namespaces/{name}"), "the namespace is gone", 60)


async def test_a_claim_without_users_goes_at_once(server: Server) -> None:
    path = server.path("persistentvolumeclaims")
    created = await server.api.create(path, claim("c"))
    assert created["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert created["status"]["phase"] == "Pending"
    await server.api.delete(f"{path}/c")
    await until(lambda: gone(server.api, f"{path}/c"), "the claim is gone")


@pytest.mark.parametrize("ends", ["Succeeded", "Failed"])
async def test_a_job_ends_as_its_pod_does(server: Server, ends: str) -> None:
    jobs = server.path("jobs", group="/apis/batch/v1")
    container = {"name": "probe", "image": "x"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    body = {"metadata": {"name": "j"}, "spec": {"backoffLimit": 0, "template": template}}
    job = await server.api.create(jobs, {"apiVersion": "batch/v1", "kind": "Job", **body})
    uid = job["metadata"]["uid"]

    async def pods() -> list[Json]:
        return await server.api.items(
            server.path("pods"), selector=f"batch.kubernetes.io/controller-uid={uid}"
        )

    (pod,) = await until(pods, "the pod")
    assert pod["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    assert pod["metadata"]["name"].startswith("j-")
    assert pod["metadata"]["labels"]["job-name"] == "j"
    assert pod["status"]["phase"] == "Pending"
    (owner,) = pod["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Job", uid, True)
    code = int(ends == "Failed")
    state = {"terminated": {"exitCode": code, "startedAt": job["metadata"]["creationTimestamp"]}}
    status = {"name": "probe", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    path = server.path("pods", pod["metadata"]["name"]) + "/status"
    await server.patch(path, {"status": {"phase": ends, "containerStatuses": [status]}})

    async def over() -> list[str]:
        found = (await server.api.get(f"{jobs}/j"))["status"].get("conditions") or []
        types = [each["type"] for each in found if each["status"] == "True"]
        return types if len(types) == 2 else []

    wanted = ["SuccessCriteriaMet", "Complete"] if ends == "Succeeded" else ["FailureTarget", "Failed"]
    assert await until(over, "the Job is over") == wanted
    (pod,) = await pods()
    assert "finalizers" not in pod["metadata"]
    await server.send("DELETE", f"{jobs}/j", {"propagationPolicy": "Background"})
    await until(lambda: gone(server.api, server.path("pods")), "the pod follows")


@pytest.mark.parametrize(("manifest", "words"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_bad_spec_is_refused_in_the_same_words(server: Server, manifest: Json, words: str) -> None:
    body = {**manifest, "metadata": {"name": "p"}}
    status, answer = await server.send("POST", server.probe(), body, fieldValidation="Strict")
    assert status in {400, 422}
    assert re.search(words, answer["message"]), answer["message"]


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_a_good_spec_is_accepted(server: Server, manifest: Json) -> None:
    body = {**manifest, "metadata": {"name": manifest["metadata"]["name"]}}
    status, answer = await server.send("POST", server.probe(), body, fieldValidation="Strict")
    assert status == 201, answer


@pytest.mark.parametrize(("before", "change"), IMMUTABLE.values(), ids=IMMUTABLE.keys())
async def test_an_immutable_field_cannot_be_changed(server: Server, before: Json, change: Json) -> None:
    await server.make(**before)
    status, answer = await server.patch(server.probe("p"), {"spec": change})
    (field,) = change
    assert status == 422
    assert f"{field} cannot be changed" in answer["message"]


async def test_a_version_older_than_the_history_is_expired(start_embedded: Start) -> None:
    """Only here: a real API server forgets after five minutes."""
    cluster = await start_embedded(history=8)
    async with PlainApi(cluster.front.address) as api:
        server = Server(api, "pie")
        for name in "abc":
            await server.make(name)
        _, page = await server.send("GET", server.probe(), limit="1")
        for name in "defghijklm":
            await server.make(name)
        async with server.watch(server.probe(), resourceVersion=page["metadata"]["resourceVersion"]) as watch:
            event = await watch.event()
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == (
            "ERROR",
            410,
            "Expired",
        )
        status, answer = await server.send(
            "GET", server.probe(), **{"continue": page["metadata"]["continue"]}
        )
        assert (status, answer["reason"]) == (410, "Expired")


async def test_quiet_watches_get_bookmarks(start_embedded: Start) -> None:
    cluster = await start_embedded(bookmark_seconds=0.1)
    async with PlainApi(cluster.front.address) as api:
        server = Server(api, "pie")
        async with server.watch(server.probe(), allowWatchBookmarks="true") as watch:
            event = await watch.event()
        assert event["type"] == "BOOKMARK"
        assert int(event["object"]["metadata"]["resourceVersion"]) > 0


async def test_a_watch_breaks_off_when_the_server_goes_and_it_comes_back_at_the_same_place(
    start_embedded: Start,
) -> None:
    cluster = await start_embedded(nodes=1)
    async with PlainApi(cluster.front.address) as api:
        server = Server(api, "pie")
        async with server.watch(server.probe()) as watch:
            await cluster.faults.inject("api-gone")
            with pytest.raises((aiohttp.ClientError, json.JSONDecodeError)):
                await watch.event()
        with pytest.raises(aiohttp.ClientError):
            await server.send("GET", server.probe())
        await cluster.faults.clear("api-gone")
        assert (await server.send("GET", server.probe()))[0] == 200


@pytest.mark.parametrize("policy", ["Orphan", "Foreground"])
async def test_a_deletion_that_is_not_in_the_background_is_refused(
    embedded: EmbeddedCluster, policy: str
) -> None:
    async with PlainApi(embedded.front.address) as api:
        server = Server(api, "pie")
        path = server.path("leases", group="/apis/coordination.k8s.io/v1")
        await api.create(path, lease("owner"))
        status, answer = await server.send("DELETE", f"{path}/owner", {"propagationPolicy": policy})
        assert (status, answer["message"]) == (400, "this server deletes dependents in the background only")
        assert "deletionTimestamp" not in (await api.get(f"{path}/owner"))["metadata"]

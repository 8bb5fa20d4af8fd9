"""The webhook of the testbed: what it adds to a pod of pie, and that it answers as the API server wants."""

import asyncio
import base64
import copy
import json
import ssl
import sys
from asyncio.subprocess import create_subprocess_exec
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from testbed.errors import TestbedError
from testbed.janitor import ROOT
from testbed.pod_faults import POD_FAULTS, Pods
from testbed.webhook import CHANGES, Address, answer
from tests.testbed.waiting import until

NAME = {"key": "metadata.name", "operator": "In", "values": ["node-1"]}
TERMS = {"nodeSelectorTerms": [{"matchFields": [NAME]}]}
SPEC = {
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": TERMS}},
    "containers": [{"name": "probe", "image": "pie.test/pie:dev"}],
}


def review(spec: dict[str, Any]) -> dict[str, Any]:
    return {"request": {"uid": "u1", "object": {"spec": copy.deepcopy(spec)}}}


def changed(name: str, spec: dict[str, Any]) -> Any:
    """Return the spec that a pod has after a change."""
    patch = json.loads(base64.b64decode(answer(review(spec), CHANGES[name])["response"]["patch"]))
    assert [(each["op"], each["path"]) for each in patch] == [("replace", "/spec")]
    return patch[0]["value"]


@pytest.mark.parametrize(
    ("change", "containers"),
    [
        ("lingers", ["probe", "testbed-lingers"]),
        ("lingers-first", ["a-testbed-lingers", "probe"]),
        ("ends", ["a-testbed-ends", "probe", "testbed-fails"]),
        ("native", ["probe"]),
    ],
)
def test_a_sidecar_is_added_and_the_probe_is_as_it_was(change: str, containers: list[str]) -> None:
    spec = changed(change, SPEC)
    assert [each["name"] for each in spec["containers"]] == containers
    assert SPEC["containers"][0] in spec["containers"]
    assert [each["restartPolicy"] for each in spec.get("initContainers", ())] == ["Always"] * (
        change == "native"
    )


@pytest.mark.parametrize("change", ["overcommit", "misplace"])
def test_a_pinned_pod_is_bound_past_the_scheduler_and_one_that_is_not_pinned_stays(change: str) -> None:
    assert changed(change, SPEC)["nodeName"] == "node-1"
    free = {"containers": SPEC["containers"]}
    assert changed(change, free) == free


def test_every_change_that_a_fault_names_exists() -> None:
    assert {each.change for each in POD_FAULTS.values()} - {""} == set(CHANGES)


def test_pods_are_named_by_namespace_and_labels() -> None:
    pods = Pods.parse("pie/a=b,c=d")
    assert (pods.namespace, pods.labels, pods.selector) == ("pie", {"a": "b", "c": "d"}, "a=b,c=d")
    with pytest.raises(TestbedError, match="say whose pods"):
        Pods.parse("")


async def test_it_answers_with_tls_by_the_certificate_that_it_wrote(tmp_path: Path) -> None:
    directory = tmp_path / "webhook"
    process = await create_subprocess_exec(sys.executable, "-m", "testbed.webhook", str(directory), cwd=ROOT)
    try:
        await until(lambda: asyncio.to_thread((directory / "url").exists), bool)
        address = Address.read(directory)
        tls = ssl.create_default_context(cadata=address.certificate.decode())
        client = address.client("lingers")
        assert base64.b64decode(client["caBundle"]) == address.certificate
        async with aiohttp.ClientSession() as session:
            async with session.post(client["url"], json=review(SPEC), ssl=tls) as response:
                found = await response.json()
            async with session.post(f"{address.url}/unknown", json=review(SPEC), ssl=tls) as response:
                assert response.status == 404
        assert (found["kind"], found["response"]["uid"], found["response"]["allowed"]) == (
            "AdmissionReview",
            "u1",
            True,
        )
    finally:
        process.terminate()
        await process.wait()

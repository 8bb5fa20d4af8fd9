"""`pie check` judges a run as soon as its container `probe` has ended, whatever else is in the pod."""

import asyncio
from typing import Any

import msgspec
import pytest

from pie.controller.oneshot.follow import Follower
from pie.core.judge import Judgement
from pie.core.model import Kind, Target, Verdict
from pie.core.reasons import Reason
from pie.core.result import Outcome, Result, encode
from pie.core.wire import Metadata, Pod, StorageClass
from pie.kube.client import Client
from pie.kube.clock import ServerClock
from pie.kube.config import ClusterConfig
from tests.controller.sidecars import rfc3339
from tests.controller.virtualtime import in_virtual_time
from tests.controller.wire import Wire
from tests.controller.world import T0, World
from tests.core.build import probe

TARGET = Target("pie-check-1", Kind.MOUNT, "c", "n1")
BESIDE: dict[str, dict[str, Any]] = {
    "runs on": {"running": {"startedAt": rfc3339(T0 + 2)}},
    "failed": {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": rfc3339(T0 + 2)}},
    "cannot be pulled": {"waiting": {"reason": "ImagePullBackOff"}},
}


def pod(version: int, *containers: tuple[str, dict[str, Any]]) -> Pod:
    """Return a version of a pod that runs, with these containers."""
    bound = {"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(T0)}
    status = {
        "phase": "Running",
        "startTime": rfc3339(T0),
        "conditions": [bound],
        "containerStatuses": [{"name": name, "state": state} for name, state in containers],
    }
    metadata = {"name": "pod", "namespace": "pie", "uid": "pod-uid", "creationTimestamp": rfc3339(T0)}
    metadata["resourceVersion"] = str(version)
    return msgspec.convert({"metadata": metadata, "spec": {"nodeName": "n1"}, "status": status}, Pod)


@pytest.mark.parametrize("name", ["istio-proxy", "vault-agent"])
@pytest.mark.parametrize("state", BESIDE.values(), ids=BESIDE.keys())
@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.OK, (Verdict.OK, Reason.OK)),
        (Outcome.DATA_CORRUPTED, (Verdict.FAILED, Reason.DATA_CORRUPTED)),
    ],
)
def test_a_run_is_judged_when_its_probe_has_ended(
    name: str, state: dict[str, Any], outcome: Outcome, expected: tuple[Verdict, Reason]
) -> None:
    message = encode(Result(probe="mount", outcome=outcome)).decode()
    times = {"startedAt": rfc3339(T0 + 3), "finishedAt": rfc3339(T0 + 5)}
    ended = {"terminated": {"exitCode": 0, "message": message, **times}}
    running = {"running": {"startedAt": rfc3339(T0 + 3)}}

    async def follow() -> tuple[Judgement, float]:
        loop = asyncio.get_running_loop()
        clock = ServerClock(loop.time, lambda: T0 + loop.time())
        client = Client(ClusterConfig(server="https://simulation"), clock=clock)
        client._transport = Wire(World(lambda: T0 + loop.time()))  # type: ignore[assignment]  # as in Simulation
        follower = Follower(
            client, "pie", "pie-check-1", storage_class=StorageClass(metadata=Metadata(name="c"))
        )

        def show(version: int, own: dict[str, Any]) -> None:
            shown = pod(version, *sorted([("probe", own), (name, state)]))
            follower.pods._replace({("pie", "pod"): shown}, str(version), loop.time(), how="list")

        loop.call_later(4, show, 2, running)
        loop.call_later(6, show, 3, ended)
        began = pod(1, ("probe", {"waiting": {"reason": "PodInitializing"}}), (name, state))
        judgement, _ = await follower.follow(TARGET, probe(), began, "claim", lambda _stage: None)
        return judgement, loop.time()

    judgement, after_seconds = in_virtual_time(follow())
    assert (judgement.verdict, judgement.reason) == expected
    assert after_seconds < 7

"""`pie check` suppresses what the node of a run explains, as the controller does, and nothing else."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pie.controller.oneshot.follow import Follower
from pie.core.judge import Judgement
from pie.core.model import Kind, Probe, Target, Verdict
from pie.core.oneshot import Order, probe_of
from pie.core.reasons import Reason
from pie.core.result import Outcome, Result, encode
from pie.core.wire import Metadata, Node, Pod, StorageClass
from pie.kube.client import Client
from pie.kube.clock import ServerClock
from pie.kube.config import ClusterConfig
from tests.controller.sidecars import rfc3339
from tests.controller.virtualtime import in_virtual_time
from tests.controller.wire import Wire
from tests.controller.world import NODE, T0, World

CHECK: Probe = probe_of(Order("c", "pie", timeout_seconds=20.0), "pie-check-1", [NODE])
MOUNT = Target("pie-check-1", Kind.MOUNT, "c", NODE)
PROVISION = Target("pie-check-1", Kind.PROVISION, "c")


def node(
    *, cordoned: bool = False, ready: bool = True, ready_since: float = T0 - 3600, boot: str = "b1"
) -> dict[str, Any]:
    """Return a node as its kubelet and people describe it."""
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "lastTransitionTime": rfc3339(ready_since),
    }
    return {
        "metadata": {"name": NODE, "uid": "node-uid", "creationTimestamp": rfc3339(T0 - 7200)},
        "spec": {"unschedulable": cordoned},
        "status": {"conditions": [condition], "nodeInfo": {"bootID": boot}},
    }


def pod(version: int, state: dict[str, Any] | None, *, on: str = NODE) -> Pod:
    """Return a version of the run's pod; without a state its container has not started."""
    bound = {"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(T0)}
    status: dict[str, Any] = {"phase": "Pending", "conditions": [bound] if on else []}
    if state is not None:
        containers = [{"name": "probe", "state": state}]
        status |= {"phase": "Running", "startTime": rfc3339(T0), "containerStatuses": containers}
    metadata = {"name": "pod", "namespace": "pie", "uid": "pod-uid", "creationTimestamp": rfc3339(T0)}
    metadata["resourceVersion"] = str(version)
    return msgspec.convert({"metadata": metadata, "spec": {"nodeName": on}, "status": status}, Pod)


def ended(outcome: Outcome) -> dict[str, Any]:
    """Return the state of a container that ended 6 s after the pod was created."""
    message = encode(Result(probe="mount", outcome=outcome)).decode()
    times = {"startedAt": rfc3339(T0 + 3), "finishedAt": rfc3339(T0 + 6)}
    return {"terminated": {"exitCode": 0, "message": message, **times}}


STARTS_NEVER: dict[int, Pod | None] = {}
FAILS: dict[int, Pod | None] = {6: pod(2, ended(Outcome.IO_ERROR))}
CORRUPTS: dict[int, Pod | None] = {6: pod(2, ended(Outcome.DATA_CORRUPTED))}
DELETED: dict[int, Pod | None] = {6: None}


def judged(
    shown: dict[int, Pod | None], happens: Callable[[World], object], target: Target = MOUNT, on: str = NODE
) -> tuple[Judgement, float]:
    """Return how a check judges a run whose pod is shown so, by second, and after how many seconds.

    Three seconds after it began something happens to its node.
    """

    async def follow() -> tuple[Judgement, float]:
        loop = asyncio.get_running_loop()
        clock = ServerClock(loop.time, lambda: T0 + loop.time())
        client = Client(ClusterConfig(server="https://simulation"), clock=clock)
        world = World(lambda: T0 + loop.time())
        world.put("nodes", node())
        began = pod(1, None, on=on)
        client._transport = Wire(world)  # type: ignore[assignment]  # as in Simulation
        seen = msgspec.convert(node(), Node)
        follower = Follower(
            client,
            "pie",
            "pie-check-1",
            storage_class=StorageClass(metadata=Metadata(name="c"), provisioner="driver"),
            nodes=[seen],
        )

        def show(version: Pod | None) -> None:
            pods = {("pie", "pod"): version} if version is not None else {}
            follower.pods._replace(pods, str(loop.time()), loop.time(), how="list")
            world.objects["pods"] = {"pod": msgspec.to_builtins(version)} if version is not None else {}

        show(began)
        for second, version in shown.items():
            loop.call_later(second, show, version)
        loop.call_later(3, happens, world)
        judgement, _ = await follower.follow(target, CHECK, began, "claim", lambda _stage: None)
        return judgement, loop.time()

    return in_virtual_time(follow())


def nothing(_world: World) -> None:
    """Leave the node as it is."""


def cordoned(world: World) -> None:
    """Cordon the node."""
    world.put("nodes", node(cordoned=True))


def not_ready(world: World) -> None:
    """Call the node NotReady, as the node controller does."""
    world.put("nodes", node(ready=False, ready_since=T0 + 2))


def rebooted(world: World) -> None:
    """Boot the node, so fast that it is Ready all the time."""
    world.put("nodes", node(boot="b2"))


def deleted(world: World) -> None:
    """Delete the node."""
    del world.objects["nodes"][NODE]


def silent(world: World) -> None:
    """Turn the power of the node off, which Kubernetes does not notice."""
    world.powered, world._since_power = False, world.now()


@pytest.mark.parametrize(
    ("shown", "happens", "expected"),
    [
        (STARTS_NEVER, nothing, (Verdict.INCONCLUSIVE, Reason.NOT_STARTED)),
        (STARTS_NEVER, cordoned, (Verdict.SUPPRESSED, Reason.NODE_CORDONED)),
        (STARTS_NEVER, not_ready, (Verdict.SUPPRESSED, Reason.NODE_NOT_READY)),
        (STARTS_NEVER, rebooted, (Verdict.SUPPRESSED, Reason.NODE_REBOOTED)),
        (STARTS_NEVER, deleted, (Verdict.SUPPRESSED, Reason.NODE_DELETED)),
        (STARTS_NEVER, silent, (Verdict.SUPPRESSED, Reason.NODE_NOT_READY)),
        (FAILS, nothing, (Verdict.FAILED, Reason.IO_ERROR)),
        (FAILS, cordoned, (Verdict.FAILED, Reason.IO_ERROR)),
        (CORRUPTS, not_ready, (Verdict.FAILED, Reason.DATA_CORRUPTED)),
        (DELETED, nothing, (Verdict.INCONCLUSIVE, Reason.POD_DELETED)),
        (DELETED, cordoned, (Verdict.SUPPRESSED, Reason.NODE_CORDONED)),
        (DELETED, deleted, (Verdict.SUPPRESSED, Reason.NODE_DELETED)),
    ],
)
def test_a_bad_run_is_suppressed_where_its_node_explains_it(
    shown: dict[int, Pod | None], happens: Callable[[World], None], expected: tuple[Verdict, Reason]
) -> None:
    judgement, _ = judged(shown, happens)
    assert (judgement.verdict, judgement.reason) == expected


@pytest.mark.parametrize(
    ("happens", "verdict"),
    [(nothing, Verdict.LATE), (cordoned, Verdict.SUPPRESSED), (not_ready, Verdict.SUPPRESSED)],
)
def test_a_provision_run_that_no_node_took_is_suppressed_if_no_node_could(
    happens: Callable[[World], None], verdict: Verdict
) -> None:
    judgement, _ = judged(STARTS_NEVER, happens, PROVISION, on="")
    assert judgement.verdict is verdict
    assert (judgement.reason is Reason.NO_USABLE_NODE) is (verdict is Verdict.SUPPRESSED)


def test_what_no_maintenance_explains_is_reported_at_once() -> None:
    _, after_seconds = judged(CORRUPTS, nothing)
    assert after_seconds < 7

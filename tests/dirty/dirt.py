"""What makes a cluster dirty: each kind of dirt by name, how it comes and how it goes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from zlib import crc32

from hypothesis import strategies as st

from tests.controller.sidecars import Sidecar
from tests.controller.world import NODE, World, as_it_is
from tests.dirty import kubelets
from tests.dirty.nulls import with_nulls
from tests.dirty.volumes import follow_pods

Action = Callable[[World], None]
OTHER: Final = "n2"
"""The name of the node that some kinds of dirt add."""


@dataclass(frozen=True)
class Dirt:
    """One kind of dirt.

    `told`: pie says something bad of it, which stands in `expected.py`. `deletes`: it deletes Jobs or pods.
    """

    name: str
    comes: Action
    goes: Action
    told: bool = False
    deletes: bool = False

    def __repr__(self) -> str:
        return self.name


def _field(name: str, field: str, value: Any, clean: Any, **kind: bool) -> Dirt:
    """Return the dirt that is the value of a field of the world."""
    comes, goes = (partial(_set, field=field, value=each) for each in (value, clean))
    return Dirt(name, comes, goes, **kind)


def _set(world: World, field: str, value: Any) -> None:
    setattr(world, field, value)


def _actor(name: str, field: str, actor: Callable[..., Any], **kind: bool) -> Dirt:
    """Return the dirt that is one more actor of the world."""
    return Dirt(
        name,
        lambda world: getattr(world, field).update({name: actor}),
        lambda world: getattr(world, field).pop(name, None),
        **kind,
    )


def _kubelet(name: str, kubelet: kubelets.Kubelet) -> Dirt:
    return _actor(name, "kubelets", kubelet, told=True)


def _odd_node(name: str, field: str, actor: Callable[..., Any]) -> Dirt:
    """Return the dirt that is a second node on which something is odd; it stays, and gets well."""

    def comes(world: World) -> None:
        if OTHER not in world.objects["nodes"]:
            world.add_node(OTHER)
        getattr(world, field)[name] = actor

    return Dirt(name, comes, lambda world: getattr(world, field).pop(name, None), told=True)


def _unsuitable_node(name: str, node: str, **labels: str) -> Dirt:
    """Return the dirt that is a node that matches and on which no pod of pie can run."""

    def comes(world: World) -> None:
        world.add_node(node, a="", **labels)
        world.waits[name] = kubelets.pulls_nothing(node)

    return Dirt(name, comes, lambda world: world.waits.pop(name, None))


def _by_chance(world: World, item: dict[str, Any], one_in: int) -> bool:
    """Tell by what is no pattern, and always the same, whether an object is hit in this second."""
    seed = f"{item['metadata']['name']} {world.now():.0f}"
    return crc32(seed.encode()) % one_in == 0


def _deletes_jobs(world: World) -> None:
    for name, job in list(world.objects["jobs"].items()):
        if _by_chance(world, job, 8):
            world.delete_job(name)


def _deletes_pods(world: World) -> None:
    for name, pod in list(world.objects["pods"].items()):
        if _by_chance(world, pod, 12):
            world.delete_pod(name)


def _preempts(world: World) -> None:
    """Delete pods for others that matter more, as the scheduler does: first with a condition."""
    for name, pod in list(world.objects["pods"].items()):
        disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
        conditions = pod["status"].get("conditions") or []
        if disrupted in conditions:
            world.delete_pod(name)
        elif pod["status"]["phase"] == "Running" and _by_chance(world, pod, 4):
            status = {**pod["status"], "conditions": [*conditions, disrupted]}
            world.put("pods", {**pod, "status": status})


def _bare_node(world: World) -> None:
    world.add_node("n0", x="")
    node = world.objects["nodes"]["n0"]
    world.put("nodes", {**node, "metadata": {**node["metadata"], "labels": None}})


QUOTA: Final = "forbidden: exceeded quota: q, requested: pods=1, used: pods=10, limited: pods=10"

ALL: Final = (
    # Containers that a webhook adds.
    _field("a sidecar that runs on, sorted first", "sidecars", (Sidecar("istio-proxy"),), ()),
    _field("a sidecar that runs on, sorted last", "sidecars", (Sidecar("vault-agent"),), ()),
    _field("a sidecar that ends", "sidecars", (Sidecar("a", 1, exit_code=1), Sidecar("z", 12)), ()),
    # Clocks and fields.
    _field("node clocks minutes apart", "node_clocks", {NODE: -180, OTHER: 420}, {}),
    _field("nulls", "written", with_nulls, as_it_is),
    # Janitors.
    _field("a TTL of 2 s", "job_ttl_seconds", 2, None, deletes=True),
    _actor("a janitor that deletes Jobs", "each_second", _deletes_jobs, deletes=True),
    _actor("a janitor that deletes pods", "each_second", _deletes_pods, deletes=True),
    _actor("a scheduler that preempts", "each_second", _preempts, deletes=True),
    # Odd nodes.
    Dirt("a node without labels", _bare_node, lambda _world: None),
    _odd_node("a node without the driver", "waits", kubelets.has_no_driver(OTHER)),
    _unsuitable_node("an s390x node", "n3", **{"kubernetes.io/arch": "s390x"}),
    _unsuitable_node("a Windows node", "n4", **{"kubernetes.io/os": "windows"}),
    _unsuitable_node("a virtual node", "n5", **{"eks.amazonaws.com/compute-type": "fargate"}),
    # Kubelets that refuse pods, end them, or cannot start them.
    *(_kubelet(f"a kubelet that says {reason}", kubelets.refuses(reason)) for reason in kubelets.REFUSALS),
    _kubelet("evictions of old kubelets", kubelets.ends("Evicted", kubelets.NO_MEMORY)),
    _kubelet("evictions", kubelets.evicts),
    _kubelet("a kubelet that preempts", kubelets.ends("Preempting", kubelets.FOR_CRITICAL)),
    _kubelet("a LimitRange with too little memory", kubelets.kills_for_memory),
    _kubelet("a container that cannot start", kubelets.cannot_start),
    # Admission.
    _actor("an image that no node can pull", "waits", kubelets.pulls_nothing(), told=True),
    _field("a ResourceQuota that is used up", "pods_are_refused", QUOTA, "", told=True),
)
BY_NAME: Final = {each.name: each for each in ALL}
UNTOLD: Final = tuple(each for each in ALL if not each.told)
"""Dirt that is never a reason for a bad verdict."""

HARMLESS: Final = tuple(each for each in UNTOLD if not each.deletes)
"""Dirt that changes nothing at all."""


def dirts(of: tuple[Dirt, ...], at_most: int = 3) -> st.SearchStrategy[list[Dirt]]:
    """Return some kinds of dirt, each once."""
    return st.lists(st.sampled_from(of), max_size=at_most, unique=True)


def soiled(found: Sequence[Dirt], since: int, until: int) -> list[tuple[int, Action]]:
    """Return the script in which the dirt comes and goes; pods have PVCs of their own all the time."""

    def has_volumes(world: World) -> None:
        world.each_second["volumes"] = follow_pods

    turns = ((second, act) for each in found for second, act in ((since, each.comes), (until, each.goes)))
    return [(0, has_volumes), *turns]

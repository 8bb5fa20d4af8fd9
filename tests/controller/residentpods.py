"""What kubelets do to resident pods in a simulation: they ask, and write what they hear."""

from typing import Any, Final

from tests.controller.actors import report
from tests.controller.sidecars import probe_state
from tests.controller.world import World

OTHER: Final = "n2"
REFUSED: Final = "dial tcp 10.0.0.1:8111: connect: connection refused"
SPEC_FIELDS: Final[dict[str, Any]] = {"residentProbe": True}


class ResidentPods:
    """The resident pods of a world.

    `codes`: what the probe answers, by node; 200 if it has none, and 0 is no answer. `events`: whether the
    kubelet's Event is written. `dead`: the pods (by uid) whose mount is stale. `most`: how many of them each
    node had at a time.
    """

    def __init__(self, world: World) -> None:
        self.codes: dict[str, int] = {}
        self.events = True
        self.dead: frozenset[str] = frozenset()
        self.most: dict[str, int] = {}
        self.seen: dict[str, dict[str, Any]] = {}
        self._world = world
        self._answered: dict[str, int] = {}
        world.kubelets["resident"] = self._kubelet
        world.each_second["resident"] = self._count

    def _kubelet(self, world: World, pod: dict[str, Any]) -> bool:
        if not is_resident(pod) or pod["status"]["phase"] != "Running":
            return False
        uid = pod["metadata"]["uid"]
        code = 410 if uid in self.dead else self.codes.get(pod["spec"]["nodeName"], 200)
        if self._answered.get(uid) != code:
            self._answered[uid] = code
            if code != 200 and self.events:
                why = f"HTTP probe failed with statuscode: {code}" if code else REFUSED
                world.warn("Pod", pod, "Unhealthy", f"Readiness probe failed: {why}")
            write_ready(world, pod, ready=code == 200)
        return True

    def of(self) -> list[dict[str, Any]]:
        """Return the resident pods that there are."""
        return of(self._world)

    def _count(self, world: World) -> None:
        self.seen |= {name: pod for name, pod in world.objects["pods"].items() if is_resident(pod)}
        nodes = [pod["spec"].get("nodeName", "") for pod in of(world)]
        for node in filter(None, nodes):
            self.most[node] = max(self.most.get(node, 0), nodes.count(node))


def write_ready(world: World, pod: dict[str, Any], *, ready: bool) -> None:
    """Write whether a container is ready."""
    report(world, pod, "Running", probe_state(pod))
    now = world.objects["pods"][pod["metadata"]["name"]]
    containers = [{**each, "ready": ready} for each in now["status"]["containerStatuses"]]
    world.put("pods", {**now, "status": {**now["status"], "containerStatuses": containers}})


def is_resident(pod: dict[str, Any]) -> bool:
    """Tell whether a pod is one of a resident probe."""
    return str(pod["metadata"]["name"]).startswith("resident-")


def of(world: World) -> list[dict[str, Any]]:
    """Return the resident pods that there are."""
    return [pod for pod in world.objects["pods"].values() if is_resident(pod)]

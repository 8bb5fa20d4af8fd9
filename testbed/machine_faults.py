"""Faults of other parts of a node, each with its undo: images, network, CPU, registration of drivers.

Only a CSI driver that the kubelet does not know any more is a fault of the storage.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed import images
from testbed.api import Json
from testbed.node_faults import NodeFault, NodesCluster
from testbed.spec import IMAGES_DIRECTORY
from testbed.storage import DRIVER

_ABSENT_PLUGIN = "testbed-absent"
_FILLER = "/api/v1/namespaces/default/pods/testbed-filler-{}"


async def _remove_image(cluster: NodesCluster, node: str, _: str) -> None:
    await images.remove(_socket(cluster, node), images.PIE)


async def _load_image(cluster: NodesCluster, node: str, _: str) -> None:
    await images.load(cluster.directory / IMAGES_DIRECTORY, _socket(cluster, node))


async def _unregister(cluster: NodesCluster, node: str, _: str) -> None:
    for process in (f"csi-provisioner-{node}", f"csi-{node}"):
        await cluster.kill(process)
    registry = cluster.directory / node / "kubelet" / "plugins_registry"
    (registry / f"{DRIVER}-reg.sock").unlink(missing_ok=True)  # as node-driver-registrar does when it ends


async def _register(cluster: NodesCluster, node: str, _: str) -> None:
    running = await cluster.processes()
    for process in (f"csi-{node}", f"csi-provisioner-{node}"):
        if not running[process]:
            await cluster.start(process)


async def _break_network(cluster: NodesCluster, node: str, _: str) -> None:
    _set_plugin(cluster, node, _ABSENT_PLUGIN)


async def _mend_network(cluster: NodesCluster, node: str, _: str) -> None:
    _set_plugin(cluster, node, "ptp")


def _set_plugin(cluster: NodesCluster, node: str, name: str) -> None:
    file = cluster.directory / node / "cni" / "10-testbed.conflist"
    (plugin,) = json.loads(file.read_text())["plugins"]
    _rewrite(file, {"plugins": [{**plugin, "type": name}]})


def _rewrite(file: Path, changed: Mapping[str, Any]) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}, indent=2))


async def _take_cpu(cluster: NodesCluster, node: str, _: str) -> None:
    found = await cluster.api.get(f"/api/v1/nodes/{node}")
    free = 1000 * int(found["status"]["allocatable"]["cpu"]) - await _requested(cluster, node)
    path = _FILLER.format(node)
    container = {
        "name": "filler",
        "image": images.PAUSE,
        "resources": {"requests": {"cpu": f"{free}m"}},
    }
    metadata = {"name": path.rsplit("/", 1)[1]}
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    await cluster.api.create(path.rsplit("/", 1)[0], {"metadata": metadata, "spec": spec})


async def _requested(cluster: NodesCluster, node: str) -> int:
    """Return the CPU requests of a node's pods, in thousandths of a CPU."""
    selector = {"fieldSelector": f"spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed"}
    pods: list[Json] = (await cluster.api.get("/api/v1/pods", parameters=selector))["items"]
    asked = [
        (each.get("resources") or {}).get("requests", {}).get("cpu", "0m")
        for pod in pods
        for each in pod["spec"]["containers"]
    ]
    return sum(int(each.removesuffix("m")) if each.endswith("m") else 1000 * int(each) for each in asked)


async def _free_cpu(cluster: NodesCluster, node: str, _: str) -> None:
    await cluster.api.delete(_FILLER.format(node))


def _socket(cluster: NodesCluster, node: str) -> Path:
    return cluster.directory / node / "containerd.sock"


MACHINE_FAULTS: Mapping[str, NodeFault] = {
    "image-missing": NodeFault(
        "pie's image is not on the node, and cannot be pulled", _remove_image, _load_image
    ),
    "driver-unregistered": NodeFault(
        "the CSI driver has gone in good order: kubelet and CSINode do not list it any more",
        _unregister,
        _register,
        boots=True,
    ),
    "network-broken": NodeFault("the node's CNI plugin is missing", _break_network, _mend_network),
    "cpu-taken": NodeFault("another pod asks for all the CPU that is left", _take_cpu, _free_cpu),
}
"""Every fault of a node's machine by name."""

"""Volumes on the embedded cluster."""

from pathlib import Path
from typing import Any

from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.kinds import PVCS, find
from pie.embedded.machines import STORAGE_CLASS
from tests.harness import until


async def standing_volume(cluster: EmbeddedCluster, node: str) -> Path:
    """Make a claim as a mount probe's, with something in its volume; return the volume's records."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": STORAGE_CLASS,
        "resources": {"requests": {"storage": "1Mi"}},
    }
    about = {"name": node, "annotations": {"volume.kubernetes.io/selected-node": node}}
    cluster.registry.create(PVCS, {"metadata": about, "spec": spec}, "pie")

    async def bound() -> Any:
        return find(cluster.registry.get(PVCS, "pie", node), "spec.volumeName")

    volume: str = await until(bound, "the claim is bound")
    records = cluster.machines[node].volumes / volume / ".pie/records"
    records.parent.mkdir()
    records.write_bytes(bytes(200))
    return records

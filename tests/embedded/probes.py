"""Probe pods on the embedded cluster."""

from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.kinds import PODS, PVCS


def start_probe(cluster: EmbeddedCluster, *options: str) -> None:
    """Make a claim and a pod that probes its volume."""
    requests = {"requests": {"storage": "1Gi"}}
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "embedded", "resources": requests}
    cluster.registry.create(PVCS, {"metadata": {"name": "v"}, "spec": claim}, "pie")
    container = {
        "name": "probe",
        "command": ["pie", "probe", "mount"],
        "args": ["--path", "/mounted", *options],
        "volumeMounts": [{"name": "v", "mountPath": "/mounted"}],
    }
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "v"}}
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
    cluster.registry.create(PODS, {"metadata": {"name": "p"}, "spec": spec}, "pie")

"""The PVCs of ephemeral volumes, which Kubernetes makes for pods and deletes with them."""

from tests.controller.world import NAMESPACE, World


def follow_pods(world: World) -> None:
    """Make the PVC of each pod that has an ephemeral volume; delete those of pods that are gone."""
    claims, pods = world.objects["persistentvolumeclaims"], world.objects["pods"]
    for name, claim in list(claims.items()):
        owner = (claim["metadata"].get("ownerReferences") or [{}])[0]
        if owner.get("kind") == "Pod" and owner["name"] not in pods:
            del claims[name]
    for pod in list(pods.values()):
        for volume in pod["spec"].get("volumes", []):
            name = f"{pod['metadata']['name']}-{volume['name']}"
            if "ephemeral" not in volume or name in claims:
                continue
            template = volume["ephemeral"]["volumeClaimTemplate"]
            by = {
                "kind": "Pod",
                "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"],
                "controller": True,
            }
            metadata = {**template["metadata"], "name": name, "namespace": NAMESPACE, "ownerReferences": [by]}
            claim = {"metadata": metadata, "spec": template["spec"], "status": {"phase": "Bound"}}
            world.put("persistentvolumeclaims", claim)

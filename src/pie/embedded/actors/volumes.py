"""PVCs and volumes: ephemeral PVCs, the provisioner of each machine, and the protection of PVCs in use.

A volume is a directory on its machine; a raw one is the file `device` in it. Else the size of the file `size`
in it is that of its filesystem. The sizes of a machine's volumes
are summed against its pool.
https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#generic-ephemeral-volumes
"""

import os
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Final

from pie.core.quantity import quantity
from pie.embedded.admission import CLAIM_PROTECTION
from pie.embedded.kinds import PODS, PVCS, PVS, STORAGE_CLASSES, Json, find, is_leaving, is_over, reference
from pie.embedded.machines import DRIVER, TOPOLOGY_KEY, UNAVAILABLE, Machine, Machines
from pie.embedded.registry import Registry

_SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
_RETRY_SECONDS: Final = 2.0


def claims_of(pod: Json) -> dict[str, str]:
    """Return the names of the PVCs that a pod uses, by the names of its volumes."""
    volumes, name = find(pod, "spec.volumes") or [], pod["metadata"]["name"]
    ephemeral = {each["name"]: f"{name}-{each['name']}" for each in volumes if "ephemeral" in each}
    named = {each["name"]: find(each, "persistentVolumeClaim.claimName") or "" for each in volumes}
    return {key: claim for key, claim in (named | ephemeral).items() if claim}


def selected_node(claim: Json) -> str:
    """Return the node that the scheduler chose for a PVC; empty if it chose none."""
    return (claim["metadata"].get("annotations") or {}).get(_SELECTED_NODE) or ""


def select_node(registry: Registry, claim: Json, node: str) -> None:
    """Choose the node for a PVC's volume; empty removes the choice."""
    marks = {**(claim["metadata"].get("annotations") or {}), _SELECTED_NODE: node}
    registry.edit(claim, lambda copy: copy["metadata"].update(annotations=marks))


def make_ephemeral_claims(registry: Registry) -> None:
    """Create the PVC of each generic ephemeral volume."""
    for pod in registry.store.all(PODS):
        about, wanted = pod["metadata"], not is_leaving(pod) and not is_over(pod)
        for volume in find(pod, "spec.volumes") or [] if wanted else []:
            name = f"{about['name']}-{volume['name']}"
            template = find(volume, "ephemeral.volumeClaimTemplate")
            if template is not None and registry.find(PVCS, about["namespace"], name) is None:
                owner = reference(pod, controller=True, blockOwnerDeletion=True)
                metadata = {**(template.get("metadata") or {}), "name": name, "ownerReferences": [owner]}
                registry.create(PVCS, {"metadata": metadata, "spec": template["spec"]}, about["namespace"])


def protect_claims(registry: Registry) -> None:
    """Remove a PVC that is being deleted as soon as no unfinished pod uses it."""
    pods = [pod for pod in registry.store.all(PODS) if not is_over(pod)]
    used = {(pod["metadata"]["namespace"], name) for pod in pods for name in claims_of(pod).values()}
    for claim in filter(is_leaving, registry.store.all(PVCS)):
        if (claim["metadata"]["namespace"], claim["metadata"]["name"]) not in used:
            registry.drop_finalizer(claim, CLAIM_PROTECTION)


def provision(registry: Registry, machines: Machines) -> float | None:
    """Look at every PVC without a volume and every volume without a PVC; return when to try again."""
    for volume in registry.store.all(PVS):
        # A volume that somebody created by hand was never bound to a PVC here.
        if find(volume, "spec.csi.driver") == DRIVER and find(volume, "spec.claimRef.uid"):
            _reclaim(registry, machines, volume)
    again = None
    for claim in registry.store.all(PVCS):
        if find(claim, "spec.volumeName") or is_leaving(claim):
            continue
        if problem := _settle(registry, machines, claim):
            again = _RETRY_SECONDS
            told = registry.event(claim, "ProvisioningFailed", problem, DRIVER)
            if told and "ResourceExhausted" in problem:
                # Let the scheduler choose again, as the external provisioner does when a node has no space.
                select_node(registry, claim, "")
    return again


def _settle(registry: Registry, machines: Machines, claim: Json) -> str:
    """Provision a PVC's volume if it is time for that; return a text about what prevents it."""
    name, machine = find(claim, "spec.storageClassName") or "", machines.get(selected_node(claim))
    storage_class = registry.find(STORAGE_CLASSES, "", name)
    if storage_class is None:
        return f'storageclass.storage.k8s.io "{name}" not found'
    if storage_class["provisioner"] != DRIVER or machine is None or not machine.runs("provisioner-gone"):
        return ""
    wanted, free, problem = _bytes(claim["spec"]["resources"]["requests"]), _free_bytes(registry, machine), ""
    if not machine.runs("node-plugin-gone"):
        problem = UNAVAILABLE
    elif find(claim, "spec.dataSource") and "clones-refused" in machine.faults:
        problem = "code = Unimplemented desc = volumes are not cloned"
    elif claim["spec"]["accessModes"] == ["ReadWriteMany"]:
        problem = "code = InvalidArgument desc = unsupported access mode: MULTI_NODE_MULTI_WRITER"
    elif wanted > free:
        problem = f"code = ResourceExhausted desc = {int(wanted)} bytes wanted, {int(free)} are free"
    if problem:
        return f'failed to provision volume with StorageClass "{name}": rpc error: {problem}'
    volume = registry.create(PVS, _volume(claim, storage_class, machine))
    directory = machine.volumes / volume["metadata"]["name"]
    directory.mkdir(parents=True, exist_ok=True)
    _clone(registry, machine, claim, directory)
    file = directory / ("device" if volume["spec"]["volumeMode"] == "Block" else "size")
    file.touch()
    os.truncate(file, int(wanted))
    registry.set_status(volume, phase="Bound")
    registry.edit(claim, lambda copy: copy["spec"].update(volumeName=volume["metadata"]["name"]))
    capacity, modes = volume["spec"]["capacity"], volume["spec"]["accessModes"]
    registry.set_status(claim, phase="Bound", capacity=capacity, accessModes=modes)
    return ""


def _clone(registry: Registry, machine: Machine, claim: Json, directory: Path) -> None:
    """Copy the volume that a new one is a clone of, if it is one."""
    name = find(claim, "spec.dataSource.name") or ""
    source = find(registry.find(PVCS, claim["metadata"]["namespace"], name), "spec.volumeName")
    if source and "clones-other" not in machine.faults:
        shutil.copytree(machine.volumes / source, directory, dirs_exist_ok=True)


def _bytes(resources: Json) -> Fraction:
    return quantity(str(resources["storage"])) or Fraction(0)


def _free_bytes(registry: Registry, machine: Machine) -> Fraction:
    if "full-pool" in machine.faults:
        return Fraction(0)
    at = "spec.csi.volumeAttributes.machine"
    mine = [volume for volume in registry.store.all(PVS) if find(volume, at) == machine.name]
    return machine.pool_bytes - sum((_bytes(volume["spec"]["capacity"]) for volume in mine), Fraction(0))


def _reclaim(registry: Registry, machines: Machines, volume: Json) -> None:
    """Delete a volume whose PVC is deleted."""
    spec, owner = volume["spec"], volume["spec"]["claimRef"]
    claim = registry.find(PVCS, owner["namespace"], owner["name"])
    machine = machines.get(find(spec, "csi.volumeAttributes.machine") or "")
    if machine is None or find(claim, "metadata.uid") == owner["uid"]:
        return
    registry.set_status(volume, phase="Released")
    goes = find(spec, "persistentVolumeReclaimPolicy") == "Delete"
    if goes and machine.runs("provisioner-gone", "node-plugin-gone"):
        shutil.rmtree(machine.volumes / volume["metadata"]["name"], ignore_errors=True)
        registry.remove(volume)


def _volume(claim: Json, storage_class: Json, machine: Machine) -> Json:
    name = f"pvc-{claim['metadata']['uid']}"
    rule = {"key": TOPOLOGY_KEY, "operator": "In", "values": [machine.name]}
    spec = {
        "capacity": claim["spec"]["resources"]["requests"],
        "accessModes": claim["spec"]["accessModes"],
        "claimRef": reference(claim, namespace=claim["metadata"]["namespace"]),
        "persistentVolumeReclaimPolicy": storage_class["reclaimPolicy"],
        "storageClassName": storage_class["metadata"]["name"],
        "volumeMode": claim["spec"].get("volumeMode") or "Filesystem",
        "csi": {"driver": DRIVER, "volumeHandle": name, "volumeAttributes": {"machine": machine.name}},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}},
    }
    return {"metadata": {"name": name}, "spec": spec}

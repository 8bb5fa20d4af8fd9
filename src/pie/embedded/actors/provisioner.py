"""The external provisioner of every machine, and the binding of claims to what it makes.

A volume is a directory on its machine; the sizes of a machine's volumes are summed against its pool.
"""

from fractions import Fraction
from typing import Any, Final

from pie.embedded.actors.scheduler import SELECTED_NODE
from pie.embedded.admission import VOLUME_PROTECTION
from pie.embedded.kinds import PVCS, PVS, STORAGE_CLASSES, find
from pie.embedded.machines import DRIVER, TOPOLOGY_KEY, UNAVAILABLE, Machine, Machines
from pie.embedded.quantity import quantity
from pie.embedded.registry import Registry

Json = dict[str, Any]

_FIRST_RETRY_SECONDS: Final = 1.0
_LONGEST_RETRY_SECONDS: Final = 30.0
_CONTROLLER: Final = "persistentvolume-controller"


class Provisioner:
    """One pass over all claims and volumes."""

    kinds = frozenset({PVCS, PVS, STORAGE_CLASSES})

    def __init__(self, registry: Registry, machines: Machines) -> None:
        self._registry = registry
        self._machines = machines
        self._failures: dict[str, tuple[int, float]] = {}
        self._told: set[tuple[str, str]] = set()

    def reconcile(self) -> float | None:
        """Look at every claim without a volume and every volume without a claim; say when to retry."""
        waiting = [
            claim
            for claim in self._registry.store.all(PVCS)
            if not find(claim, "spec", "volumeName") and "deletionTimestamp" not in claim["metadata"]
        ]
        uids = {claim["metadata"]["uid"] for claim in waiting}
        self._failures = {uid: failed for uid, failed in self._failures.items() if uid in uids}
        self._told = {(uid, reason) for uid, reason in self._told if uid in uids}
        for claim in waiting:
            self._settle(claim)
        for volume in self._registry.store.all(PVS):
            if find(volume, "spec", "csi", "driver") == DRIVER:
                self._reclaim(volume)
        now = self._registry.now()
        return max(0.05, min(at for _, at in self._failures.values()) - now) if self._failures else None

    def _settle(self, claim: Json) -> None:
        known = self._registry.find(STORAGE_CLASSES, "", find(claim, "spec", "storageClassName") or "")
        if known is None:
            message = f'storageclass.storage.k8s.io "{find(claim, "spec", "storageClassName")}" not found'
            self._tell(claim, "ProvisioningFailed", message, source=_CONTROLLER, warning=True)
            return
        if known["provisioner"] != DRIVER:
            return
        machine = self._machine_for(claim, known)
        if machine is None:
            message = "waiting for first consumer to be created before binding"
            self._tell(claim, "WaitForFirstConsumer", message, source=_CONTROLLER)
            return
        message = (
            f"Waiting for a volume to be created either by the external provisioner '{DRIVER}' or manually "
            "by the system administrator. If volume creation is delayed, please verify that the provisioner "
            "is running and correctly registered."
        )
        self._tell(claim, "ExternalProvisioning", message, source=_CONTROLLER)
        if machine.provisioner_up and machine.kubelet_up:
            self._provision(claim, known, machine)

    def _machine_for(self, claim: Json, storage_class: Json) -> Machine | None:
        if storage_class["volumeBindingMode"] == "Immediate":
            return next(iter(self._machines.by_name.values()), None)
        selected = (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE)
        return self._machines.by_name.get(selected) if selected else None

    def _provision(self, claim: Json, storage_class: Json, machine: Machine) -> None:
        uid = claim["metadata"]["uid"]
        tries, retry_at = self._failures.get(uid, (0, 0.0))
        if self._registry.now() < retry_at:
            return
        name, source = f"pvc-{uid}", f"{DRIVER}_{machine.name}"
        asked = claim["spec"]["resources"]["requests"]["storage"]
        wanted, free = quantity(str(asked)) or Fraction(0), self._free_bytes(machine)
        why = ""
        if not machine.plugin_up:
            why = UNAVAILABLE
        elif wanted > free:
            why = f"code = ResourceExhausted desc = {int(wanted)} bytes wanted, {int(free)} are free"
        if why:
            class_name = storage_class["metadata"]["name"]
            message = f'failed to provision volume with StorageClass "{class_name}": rpc error: {why}'
            self._tell(claim, "ProvisioningFailed", message, source=source, warning=True)
            delay = min(_FIRST_RETRY_SECONDS * 2**tries, _LONGEST_RETRY_SECONDS)
            self._failures[uid] = (tries + 1, self._registry.now() + delay)
            if "ResourceExhausted" in why and storage_class["volumeBindingMode"] != "Immediate":
                self._reschedule(claim)
            return
        machine.create_volume(name)
        self._bind(
            claim, self._registry.create(PVS, _volume(claim, storage_class, machine, name, str(asked)))
        )
        self._tell(claim, "ProvisioningSucceeded", f"Successfully provisioned volume {name}", source=source)

    def _reschedule(self, claim: Json) -> None:
        """Let the scheduler choose again, as the external provisioner does when a node has no room."""

        def edit(copy: Json) -> None:
            copy["metadata"].get("annotations", {}).pop(SELECTED_NODE, None)

        self._registry.edit(PVCS, claim, edit)

    def _free_bytes(self, machine: Machine) -> Fraction:
        if machine.pool_full:
            return Fraction(0)
        used = sum(
            (quantity(volume["spec"]["capacity"]["storage"]) or Fraction(0))
            for volume in self._registry.store.all(PVS)
            if machine_of(volume) == machine.name
        )
        return Fraction(machine.pool_bytes) - used

    def _bind(self, claim: Json, volume: Json) -> None:
        name = volume["metadata"]["name"]
        self._registry.edit(PVCS, claim, lambda copy: copy["spec"].update(volumeName=name))
        self._registry.set_status(PVS, volume, phase="Bound")
        spec = volume["spec"]
        self._registry.set_status(
            PVCS, claim, phase="Bound", capacity=spec["capacity"], accessModes=spec["accessModes"]
        )

    def _reclaim(self, volume: Json) -> None:
        reference = volume["spec"]["claimRef"]
        claim = self._registry.find(PVCS, reference["namespace"], reference["name"])
        if claim is not None and claim["metadata"]["uid"] == reference["uid"]:
            return
        if find(volume, "status", "phase") != "Released":
            volume = self._registry.set_status(PVS, volume, phase="Released")
        if volume["spec"]["persistentVolumeReclaimPolicy"] != "Delete":
            return
        machine = self._machines.by_name.get(machine_of(volume))
        if machine is None or not (machine.provisioner_up and machine.plugin_up and machine.kubelet_up):
            return
        machine.delete_volume(volume["metadata"]["name"])
        self._registry.remove(PVS, volume)
        self._registry.drop_finalizer(PVS, volume, VOLUME_PROTECTION)

    def _tell(self, claim: Json, reason: str, message: str, *, source: str, warning: bool = False) -> None:
        """Record an Event about a claim; what merely goes on is told once, since passes come often."""
        marks = claim["metadata"]["uid"], reason
        if reason == "ProvisioningFailed" or marks not in self._told:
            self._told.add(marks)
            self._registry.event(PVCS, claim, reason, message, source=source, warning=warning)


def machine_of(volume: Json) -> str:
    """Return the name of the machine that a volume lies on."""
    return str(find(volume, "spec", "csi", "volumeAttributes", "machine") or "")


def _volume(claim: Json, storage_class: Json, machine: Machine, name: str, size: str) -> Json:
    metadata = claim["metadata"]
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    rule = {"key": TOPOLOGY_KEY, "operator": "In", "values": [machine.name]}
    return {
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER}},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": claim["spec"]["accessModes"],
            "claimRef": reference,
            "persistentVolumeReclaimPolicy": storage_class["reclaimPolicy"],
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": "Filesystem",
            "csi": {"driver": DRIVER, "volumeHandle": name, "volumeAttributes": {"machine": machine.name}},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}},
        },
    }

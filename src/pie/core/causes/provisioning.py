"""A PVC that has no volume, or has lost it, as its state and its provisioner report it."""

from pie.core.causes.drivererrors import no_answer, no_capacity
from pie.core.causes.symptoms import Cause, Symptoms, cause
from pie.core.model import Stage
from pie.core.naming import ANNOTATION_SELECTED_NODE
from pie.core.reasons import Reason
from pie.core.timeline import ANNOTATION_PROVISIONER, being_provisioned

_STATIC = "kubernetes.io/no-provisioner"


def volume_lost(symptoms: Symptoms) -> Cause | None:
    """Return the cause if the PersistentVolume of the PVC is gone, or belongs to another PVC."""
    claim = symptoms.run.claim
    if claim is None or claim.status.phase != "Lost":
        return None
    texts = symptoms.texts("ClaimLost", "ClaimMisbound")
    what = texts[0] if texts else f"its PersistentVolume {symptoms.run.volume_name} is gone"
    return cause(Stage.PROVISION, Reason.VOLUME_MISSING, f"PVC {claim.metadata.name} is Lost: {what}")


def pvc_deleted(symptoms: Symptoms) -> Cause | None:
    """Return the cause if somebody deleted the PVC: no pod can use it any more."""
    claim = symptoms.run.claim
    if symptoms.scheduled or claim is None or not claim.metadata.being_deleted:
        return None
    pod = symptoms.run.pod
    ended = pod.metadata.deleted_seconds if pod is not None else None
    if ended is not None and (claim.metadata.deleted_seconds or 0.0) >= ended:
        return None  # the PVC of an ephemeral volume is deleted after its pod
    message = f"PVC {claim.metadata.name} is being deleted"
    return cause(Stage.PROVISION, Reason.CLAIM_DELETED, message)


def provisioning_failed(symptoms: Symptoms) -> Cause | None:
    claim = symptoms.run.claim
    text = symptoms.warning("ProvisioningFailed") or symptoms.warning("VolumeMismatch")
    text = text or symptoms.warning("FailedBinding", r"^(?!ephemeral volume )")
    if symptoms.scheduled or text is None or (claim is not None and claim.status.phase == "Bound"):
        return None
    if no_capacity(text):
        return cause(Stage.PROVISION, Reason.NO_CAPACITY, text)
    reason = Reason.PROVISION_SLOW if no_answer(text) else Reason.PROVISIONING_FAILED
    return cause(Stage.PROVISION, reason, text)


def provisioner_silent(symptoms: Symptoms) -> Cause | None:
    claim = symptoms.run.claim
    if symptoms.scheduled or claim is None or not being_provisioned(claim):
        return None
    marks = claim.metadata.annotations
    if marks.get(ANNOTATION_PROVISIONER) == _STATIC:
        message = f"no PersistentVolume of the StorageClass is free for PVC {claim.metadata.name}"
        return cause(Stage.PROVISION, Reason.NO_CAPACITY, message)
    node = marks.get(ANNOTATION_SELECTED_NODE)
    where = f" on node {node}" if node else ""
    message = f"PVC {claim.metadata.name} waits for a volume{where}, and the provisioner reported nothing"
    return cause(Stage.PROVISION, Reason.PROVISIONER_SILENT, message)


def provisioned_late(symptoms: Symptoms) -> Cause | None:
    """Return the cause if the PVC got its volume late, so that its pod was ended or is not bound yet."""
    took = symptoms.times.seconds.get(Stage.PROVISION, 0.0)
    if symptoms.scheduled or took < symptoms.threshold_seconds / 2:
        return None
    said = symptoms.warning("ProvisioningFailed")
    what = f"the volume was created after {took:.0f} s"
    return cause(Stage.PROVISION, Reason.PROVISION_SLOW, f"{what}; {said}" if said else what)

"""A pod on its node whose volume, or another volume, is not attached or not mounted."""

import re

from pie.core.causes.drivererrors import no_answer, too_many_attached
from pie.core.causes.symptoms import Cause, Symptoms, cause, first_cause
from pie.core.model import Stage
from pie.core.naming import VOLUME
from pie.core.reasons import Reason

_ABOUT_ATTACHING = r"WaitForAttach|AttachVolume|not yet attached|VolumeAttachment|Multi-Attach"
# The kubelet reports this about any missing volume, after it reported the cause.
_GENERIC = r"^Unable to (attach or )?mount volumes"

_OF_VOLUME = re.compile(r"\bfor volume \"([^\"]+)\"")
_UNMOUNTED = re.compile(r"\bunmounted volumes=\[([^\]]*)\]")
_MOUNT = re.compile(
    r"/volumes/kubernetes\.io~(?!projected|secret|configmap|empty-dir|downward)[\w-]+/([^/\s\"']+)"
)
# Messages about volumes that no driver provides.
_NO_DRIVERS = re.compile(
    r"\b(configmap|secret)s? (\"|cache)|not registered|failed to fetch token"
    r"|references non-existent (secret|config) key|ClusterTrustBundle"
)


def about(symptoms: Symptoms, text: str) -> bool:
    """Tell whether a text is about the probed volume, and not about one that admission added."""
    named, unmounted = _OF_VOLUME.search(text), _UNMOUNTED.search(text)
    if unmounted is not None:
        return VOLUME in re.split(r"[\s,]+", unmounted[1])
    if named is not None and symptoms.run.volume_name:
        return named[1] == symptoms.run.volume_name
    return not _NO_DRIVERS.search(text)


def mount_texts(symptoms: Symptoms, *, ours: bool = True) -> list[str]:
    """Return the mount errors of the probed volume, or those of other volumes, newest first."""
    return _texts(symptoms, "FailedMount", "FailedAttachVolume", ours=ours)


def _texts(symptoms: Symptoms, *reasons: str, ours: bool = True) -> list[str]:
    return [text for text in symptoms.texts(*reasons) if about(symptoms, text) is ours]


def _said(symptoms: Symptoms, pattern: str = "") -> str | None:
    return first_cause(text for text in _texts(symptoms, "FailedMount") if re.search(pattern, text))


def mount_broken(symptoms: Symptoms) -> Cause | None:
    """Return the cause if the volume is mounted, but the container runtime cannot use the mount."""
    if symptoms.times.started is not None:
        return None
    over = symptoms.container.terminated
    said = [symptoms.waiting.message, over.message if over is not None else ""]
    texts = [*filter(None, said), *symptoms.texts("Failed")]
    found = first_cause(text for text in texts if _names_mount(symptoms, text))
    return cause(Stage.MOUNT, Reason.MOUNT_FAILED, found) if found is not None else None


def _names_mount(symptoms: Symptoms, text: str) -> bool:
    # The path where the kubelet mounts a volume: …/volumes/kubernetes.io~csi/<volume>/mount.
    named = _MOUNT.search(text)
    return named is not None and symptoms.run.volume_name in {"", named[1]}


def mount_failed(symptoms: Symptoms) -> Cause | None:
    text = _said(symptoms, rf"^(?!.*({_ABOUT_ATTACHING}))(?!{_GENERIC})")
    if text is None or symptoms.mounted:
        return None
    if "ReadWriteOncePod" in text:
        return cause(Stage.MOUNT, Reason.LOCKED, text)
    return cause(Stage.MOUNT, Reason.MOUNT_SLOW if no_answer(text) else Reason.MOUNT_FAILED, text)


def attach_failed(symptoms: Symptoms) -> Cause | None:
    seen = symptoms.run.seen
    if symptoms.mounted or seen.attached:
        return None
    text = first_cause([*filter(None, [seen.attach_error]), *_texts(symptoms, "FailedAttachVolume")])
    text = text or _said(symptoms, _ABOUT_ATTACHING)
    if not text:
        return None
    if too_many_attached(text):
        return cause(Stage.ATTACH, Reason.VOLUME_LIMIT, text)
    return cause(Stage.ATTACH, Reason.ATTACH_SLOW if no_answer(text) else Reason.ATTACH_FAILED, text)


def attach_slow(symptoms: Symptoms) -> Cause | None:
    seen = symptoms.run.seen
    if symptoms.mounted or not seen.attaching or seen.attached:
        return None
    return cause(Stage.ATTACH, Reason.ATTACH_SLOW)


def not_mounted(symptoms: Symptoms) -> Cause | None:
    """Return the cause if the volume is not mounted, and only the general message says so."""
    if symptoms.mounted or symptoms.times.acknowledged is None:
        return None
    text = _said(symptoms)
    if text is None:
        return None
    deleted = re.search(r"PVC is being deleted|persistentvolumeclaims? \"[^\"]*\" not found", text)
    if deleted:
        return cause(Stage.MOUNT, Reason.CLAIM_DELETED, text)
    return cause(Stage.MOUNT, Reason.MOUNT_FAILED, text)


def other_volume(symptoms: Symptoms) -> Cause | None:
    """Return the cause if the pod waits for a volume that admission added to it."""
    texts = mount_texts(symptoms, ours=False)
    if symptoms.mounted or not texts:
        return None
    text = first_cause(texts) or ""
    return cause(Stage.START, Reason.START_SLOW, f"another volume of the pod is not mounted: {text}")


def mount_slow(symptoms: Symptoms) -> Cause | None:
    if symptoms.mounted or symptoms.times.acknowledged is None:
        return None
    return cause(Stage.MOUNT, Reason.MOUNT_SLOW, symptoms.on_node("the volume is not mounted"))

"""A node that cannot pull the image of the probe."""

import re

from pie.core.causes.symptoms import Cause, Symptoms, cause, first_cause
from pie.core.model import Stage
from pie.core.reasons import Reason

# k8s.io/kubernetes pkg/kubelet/images/types.go, k8s.io/cri-api pkg/errors: ErrImagePull, ImagePullBackOff,
# ErrImageNeverPull, InvalidImageName, ImageInspectError, and two without the word "image".
_WAITS = re.compile(r"Image|^RegistryUnavailable$|^SignatureValidationFailed$")

_EVENTS = ("Failed", "InspectFailed", "ErrImageNeverPull", "BackOff")
"""Reasons of the kubelet's Events about images; Failed can also be about containers."""


def image_pull(symptoms: Symptoms) -> Cause | None:
    waiting, said = symptoms.waiting, image_texts(symptoms)
    # If the pod was ended, the container's state does not show it any more.
    over = not waiting.reason
    if not _WAITS.search(waiting.reason) and not (over and said):
        return None
    # Only new kubelets repeat the registry's error in the container's state.
    text = first_cause([*said, *filter(None, [waiting.message])]) or waiting.message
    return cause(Stage.START, Reason.IMAGE_PULL, text or waiting.reason)


def image_texts(symptoms: Symptoms) -> list[str]:
    """Return the messages of the kubelet about images, newest first."""
    return [text for text in symptoms.texts(*_EVENTS) if re.search(r"[Ii]mage", text)]

"""Builds the manifests of the pod of a run and of the PVC of a target.

Probe pods satisfy the `restricted` Pod Security level, carry no service-account token and have a deadline.
https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

import hashlib
import math
from typing import Any, Final

import msgspec

from pie.core import meshes
from pie.core.driver import STARTUP_TAINTS, with_tolerations
from pie.core.kinds import kind_of
from pie.core.model import FIRST, AtStep, Image, Probe, Target
from pie.core.naming import ANNOTATION_CLASS, ANNOTATION_OPTIONS, ANNOTATION_TARGET, CONTAINER, VOLUME, labels
from pie.core.quantity import quantity
from pie.core.resident.codes import PORT, QUESTION
from pie.core.selector import FIELD_NAME
from pie.core.suitable import avoided
from pie.core.wire import Metadata

Manifest = dict[str, Any]

API_VERSION = "pie.topolvm.io/v1alpha1"
KIND = "PieProbe"
MOUNT_PATH = "/pie"
DEVICE_PATH = "/dev/pie"
SOURCE_VOLUME: Final = "source"
SOURCE_PATH: Final = "/source"
"""Where a pod has the volume of the first step."""
SNAPSHOT_GROUP: Final = "snapshot.storage.k8s.io"
SNAPSHOT_KIND: Final = "VolumeSnapshot"
DISK_GROUP: Final = 6
"""The group `disk` of the device files of most distributions."""
# The user of the image; fsGroup makes a fresh volume's root writable for it.
USER_ID = 1001
SECURITY_CONTEXT: Final[Manifest] = {
    "runAsNonRoot": True,
    "runAsUser": USER_ID,
    "runAsGroup": USER_ID,
    "fsGroup": USER_ID,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
TERMINATION_GRACE_SECONDS = 5
POD_ANNOTATIONS: Final = {
    **meshes.ANNOTATIONS,
    # A probe pod need not keep its node from being removed. Only cluster-autoscaler reads this:
    # https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
}


def pod_template(
    probe: Probe, target: Target, *, claim: str, image: Image, without: str = "", step: AtStep = FIRST
) -> Manifest:
    """Return the pod of a run; it runs on any matching node but `without`."""
    spec = pod_spec(probe, target, claim=claim, image=image, step=step)
    if without:
        _keep_off(spec, without)
    options = " ".join(kind_of(target).options(probe))
    marks = {
        "labels": meshes.LABELS | image.pods.labels | labels(target),
        "annotations": POD_ANNOTATIONS
        | image.pods.annotations
        | ({ANNOTATION_OPTIONS: options} if options else {}),
    }
    return {"metadata": marks, "spec": spec}


def _keep_off(spec: Manifest, *nodes: str) -> None:
    """Have a pod stay off these nodes. A rule of matchFields may have one value only."""
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    rules: list[Manifest] = [{"key": FIELD_NAME, "operator": "NotIn", "values": [node]} for node in nodes]
    required["nodeSelectorTerms"] = _with_rules(required, "matchFields", rules)


def _with_rules(selector: Manifest, where: str, rules: list[Manifest]) -> list[Manifest]:
    """Return the terms of a NodeSelector with more rules; empty terms, which match no node, are left out."""
    return [
        {**term, where: [*(term.get(where) or []), *rules]}
        for term in selector["nodeSelectorTerms"]
        if term.get("matchExpressions") or term.get("matchFields")
    ]


def _any_node(probe: Probe) -> Manifest:
    """Return the NodeSelector of a provision pod: the matching nodes that can run it."""
    rules = avoided(probe.architectures)
    return {"nodeSelectorTerms": _with_rules(probe.node_selector_json, "matchExpressions", rules)}


def claim(probe: Probe, target: Target, *, name: str, made_for: str = "") -> Manifest:
    """Return the PVC that a target keeps; `made_for` is the hash of its class, if it is known."""
    metadata = metadata_of(probe, target, name)
    metadata["annotations"] |= {ANNOTATION_CLASS: made_for} if made_for else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": _claim_spec(probe, target),
    }


def pod_spec(probe: Probe, target: Target, *, claim: str, image: Image, step: AtStep = FIRST) -> Manifest:
    """Return the pod spec of a step of a run; `claim` is the name of the PVC that the target keeps."""
    node = step.node or target.node
    spec: Manifest = {
        **_life(probe, target),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "securityContext": image.pods.secured(SECURITY_CONTEXT | _groups(target)),
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": (
                    _this_node(node) if node else _any_node(probe)
                )
            }
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": image.reference,
                "command": [
                    *kind_of(target).command,
                    "--path",
                    _path(target),
                    *_how(target, step),
                    *_capacity(probe),
                    *kind_of(target).steps[step.number].options,
                    *kind_of(target).options(probe),
                ],
                "resources": probe.resources or image.pods.resources,
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                **_use_of_volume(target),
                **_readiness(target),
            }
        ],
        "volumes": [{"name": VOLUME, **_volume(probe, target, claim, step)}],
    }
    if _is_beside(target, step):
        _keep_off(spec, *step.apart)
    elif step.after:
        _add_source(spec, target, step)
    if kind_of(target).per_node:
        # pie has to see a driver that never gets ready. Other pods stay off the node, as applications do.
        probe = with_tolerations(probe, STARTUP_TAINTS)
    if image.pull_policy:
        spec["containers"][0]["imagePullPolicy"] = image.pull_policy
    if image.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in image.pull_secrets]
    if probe.tolerations:
        spec["tolerations"] = list(probe.tolerations)
    if probe.priority_class_name:
        spec["priorityClassName"] = probe.priority_class_name
    return spec


def spec_hash(manifest: Manifest) -> str:
    """Return what is the same for equal manifests only, to see later whether an object is still as wanted."""
    content = msgspec.json.encode(manifest, order="sorted")
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()[:16]


def _life(probe: Probe, target: Target) -> Manifest:
    if kind_of(target).resident:
        return {"restartPolicy": "Always"}
    # Not on the Job: the deadline of a Job deletes the pod, and with it the result.
    return {"restartPolicy": "Never", "activeDeadlineSeconds": max(1, math.ceil(probe.deadline_seconds))}


def _readiness(target: Target) -> Manifest:
    """Return how the kubelet asks a resident probe, which may hold its answer for a while."""
    if not kind_of(target).resident:
        return {}
    return {
        "ports": [{"name": "metrics", "containerPort": PORT}],
        "readinessProbe": {
            "httpGet": {"path": QUESTION, "port": PORT, "scheme": "HTTP"},
            # The program starts meanwhile: a refused connection would cost an Event.
            "initialDelaySeconds": 2,
            "periodSeconds": 2,
            "failureThreshold": 1,
            "successThreshold": 1,
            "timeoutSeconds": 60,
        },
    }


def _groups(target: Target) -> Manifest:
    """Return what lets the probe use a raw device; a kubelet applies fsGroup to filesystems only."""
    return {"supplementalGroups": [DISK_GROUP]} if kind_of(target).block else {}


def _path(target: Target) -> str:
    return DEVICE_PATH if kind_of(target).block else MOUNT_PATH


def _use_of_volume(target: Target) -> Manifest:
    if kind_of(target).block:
        return {"volumeDevices": [{"name": VOLUME, "devicePath": DEVICE_PATH}]}
    return {"volumeMounts": [{"name": VOLUME, "mountPath": MOUNT_PATH}]}


def _capacity(probe: Probe) -> list[str]:
    """Return the arguments with the size that the volume should have."""
    capacity = quantity(probe.pvc_capacity)
    return ["--capacity", str(math.floor(capacity))] if capacity is not None else []


def _this_node(node: str) -> Manifest:
    # Not by the hostname label: it need not be the node's name, and anybody may change it.
    rule = {"key": FIELD_NAME, "operator": "In", "values": [node]}
    return {"nodeSelectorTerms": [{"matchFields": [rule]}]}


def _is_beside(target: Target, step: AtStep) -> bool:
    return kind_of(target).steps[step.number].beside if step.after else False


def _how(target: Target, step: AtStep) -> list[str]:
    """Return the options of the command of a later step of a run."""
    if not step.after:
        return []
    return ["--second"] if _is_beside(target, step) else ["--source", SOURCE_PATH]


def _volume(probe: Probe, target: Target, claim: str, step: AtStep) -> Manifest:
    if _is_beside(target, step):
        return {"persistentVolumeClaim": {"claimName": ephemeral_claim(step.after)}}
    if kind_of(target).pvc:
        return {"persistentVolumeClaim": {"claimName": claim}}
    template = {"metadata": {"labels": labels(target)}, "spec": _claim_spec(probe, target)}
    return {"ephemeral": {"volumeClaimTemplate": template}}


def _add_source(spec: Manifest, target: Target, step: AtStep) -> None:
    """Mount the volume of the first step, too, and have the new one made from it or from its snapshot."""
    before = ephemeral_claim(step.after)
    if kind := kind_of(target).steps[step.number].source:
        group = {"apiGroup": SNAPSHOT_GROUP} if kind == SNAPSHOT_KIND else {}
        source = {**group, "kind": kind, "name": before}
        spec["volumes"][0]["ephemeral"]["volumeClaimTemplate"]["spec"]["dataSource"] = source
    spec["volumes"].append({"name": SOURCE_VOLUME, "persistentVolumeClaim": {"claimName": before}})
    spec["containers"][0]["volumeMounts"].append({"name": SOURCE_VOLUME, "mountPath": SOURCE_PATH})


def ephemeral_claim(pod: str) -> str:
    """Return the name of the PVC of a pod's ephemeral volume, and of the snapshot of it."""
    return f"{pod}-{VOLUME}"


def snapshot_of(target: Target, pod: Metadata, snapshot_class: str) -> Manifest:
    """Return a VolumeSnapshot of the volume of a pod. It is deleted with the pod, its owner."""
    name = ephemeral_claim(pod.name)
    return {
        "apiVersion": f"{SNAPSHOT_GROUP}/v1",
        "kind": SNAPSHOT_KIND,
        "metadata": {
            "name": name,
            "namespace": pod.namespace,
            "labels": labels(target),
            "annotations": {ANNOTATION_TARGET: str(target)},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}],
        },
        "spec": {
            "volumeSnapshotClassName": snapshot_class,
            "source": {"persistentVolumeClaimName": name},
        },
    }


def _claim_spec(probe: Probe, target: Target) -> Manifest:
    mode = {"volumeMode": "Block"} if kind_of(target).block else {}
    return {
        "accessModes": [kind_of(target).access_mode],
        "storageClassName": probe.storage_class,
        "resources": {"requests": {"storage": probe.pvc_capacity}},
        **mode,
    }


def metadata_of(probe: Probe, target: Target, name: str) -> Manifest:
    return {
        "name": name,
        "namespace": probe.namespace,
        "labels": labels(target),
        "annotations": {ANNOTATION_TARGET: str(target)},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": probe.name,
                "uid": probe.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }

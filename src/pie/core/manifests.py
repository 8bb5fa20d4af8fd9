"""The model to Kubernetes manifests: CronJob and PersistentVolumeClaim of a target.

Probe pods satisfy the `restricted` Pod Security level, carry no service-account token and have a deadline.
https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

import hashlib
import math
from typing import Any

import msgspec

from pie.core.model import Kind, Probe, Target
from pie.core.naming import (
    ANNOTATION_FOLLOWS,
    ANNOTATION_RETRY,
    ANNOTATION_SCHEDULED,
    ANNOTATION_SPEC_HASH,
    ANNOTATION_SUPPRESSED_SINCE,
    ANNOTATION_TARGET,
    labels,
)
from pie.core.schedule import cron_schedule
from pie.core.selector import FIELD_NAME
from pie.core.wire import rfc3339

Manifest = dict[str, Any]

API_VERSION = "pie.topolvm.io/v1alpha1"
CONTAINER = "probe"
MOUNT_PATH = "/pie"
# The user of the image; fsGroup makes a fresh volume's root writable for it.
USER_ID = 1001
# Finished pods wait here to be read when the controller is away. A finished provision pod keeps its volume.
HISTORY_LIMIT = {Kind.MOUNT: 10, Kind.PROVISION: 2}
TERMINATION_GRACE_SECONDS = 5


def cronjob(
    probe: Probe,
    target: Target,
    *,
    name: str,
    claim: str,
    image: str,
    suppressed_since: float | None = None,
) -> Manifest:
    """Return the CronJob of a target; `claim` is the name of a mount target's claim.

    It is suspended if it is suppressed since some time (epoch seconds). The time is no part of the hash: it
    alone is worth no write.
    """
    template = _pod_template(probe, target, claim=claim, image=image)
    spec: Manifest = {
        "schedule": cron_schedule(target, probe.period_seconds),
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "suspend": suppressed_since is not None,
        # A schedule missed by more than a period is superseded; without this, every CronJob of the fleet
        # would run one at once when the CronJob controller comes back.
        "startingDeadlineSeconds": probe.period_seconds,
        "successfulJobsHistoryLimit": HISTORY_LIMIT[target.kind],
        "failedJobsHistoryLimit": HISTORY_LIMIT[target.kind],
        "jobTemplate": {
            "metadata": {"labels": labels(target)},
            "spec": {"backoffLimit": 0, "template": template},
        },
    }
    digest = hashlib.sha1(msgspec.json.encode(spec, order="sorted"), usedforsecurity=False).hexdigest()[:16]
    metadata = _metadata(probe, target, name)
    metadata["annotations"][ANNOTATION_SPEC_HASH] = digest
    if suppressed_since is not None:
        metadata["annotations"][ANNOTATION_SUPPRESSED_SINCE] = rfc3339(suppressed_since)
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}


def follow_up_job(
    probe: Probe,
    target: Target,
    *,
    cronjob: str,
    due_seconds: float,
    without: str,
    follows: str,
    image: str,
) -> Manifest:
    """Return the Job of a provision run for a due time on any node but `without`.

    `follows` is the uid of the Job that did not work there, and `cronjob` the name of the target's CronJob.
    """
    template = _pod_template(probe, target, claim="", image=image)
    required = {"nodeSelectorTerms": _terms_without(probe.node_selector_json, without)}
    template["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = required
    # The CronJob controller appends the minutes in decimal; these are told apart by their letter.
    metadata = _metadata(probe, target, f"{cronjob}-x{round(due_seconds / probe.minute_seconds):x}")
    metadata["annotations"] |= {
        ANNOTATION_FOLLOWS: follows,
        ANNOTATION_SCHEDULED: rfc3339(due_seconds),
    }
    spec = {"backoffLimit": 0, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def retry_job(
    probe: Probe, target: Target, *, cronjob: str, claim: str, at_seconds: float, image: str
) -> Manifest:
    """Return the Job of a run between two due times; `cronjob` is the name of the target's CronJob.

    `claim` is the name of a mount target's claim, empty for a provision run.
    """
    metadata = _metadata(probe, target, f"{cronjob}-r{int(at_seconds):x}")
    metadata["annotations"][ANNOTATION_RETRY] = "true"
    spec = {"backoffLimit": 0, "template": _pod_template(probe, target, claim=claim, image=image)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _terms_without(selector: Manifest, node: str) -> list[Manifest]:
    """Return the terms of a NodeSelector, less one node; an empty term matches nothing, and is left out."""
    but_for = {"key": FIELD_NAME, "operator": "NotIn", "values": [node]}
    return [
        {**term, "matchFields": [*(term.get("matchFields") or []), but_for]}
        for term in selector["nodeSelectorTerms"]
        if term.get("matchExpressions") or term.get("matchFields")
    ]


def _pod_template(probe: Probe, target: Target, *, claim: str, image: str) -> Manifest:
    spec = pod_spec(probe, target, claim=claim, image=image)
    # On the pod, since a Job's own deadline deletes the pod and with it the message that says what happened.
    spec["activeDeadlineSeconds"] = max(1, math.ceil(probe.deadline_seconds))
    return {"metadata": {"labels": labels(target)}, "spec": spec}


def claim(probe: Probe, target: Target, *, name: str) -> Manifest:
    """Return the pre-created claim of a mount target."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _metadata(probe, target, name),
        "spec": _claim_spec(probe),
    }


def pod_spec(probe: Probe, target: Target, *, claim: str, image: str) -> Manifest:
    """Return the pod spec of a run, without its deadline."""
    spec: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": (
                    _this_node(target.node) if target.node else probe.node_selector_json
                )
            }
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": image,
                "command": ["pie", "probe", str(target.kind), "--path", MOUNT_PATH],
                "resources": probe.resources,
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "volume", "mountPath": MOUNT_PATH}],
            }
        ],
        "volumes": [{"name": "volume", **_volume(probe, target, claim)}],
    }
    if probe.tolerations:
        spec["tolerations"] = list(probe.tolerations)
    if probe.priority_class_name:
        spec["priorityClassName"] = probe.priority_class_name
    return spec


def _this_node(node: str) -> Manifest:
    # By name: the hostname label need not be the node's name, and anybody may change it.
    rule = {"key": FIELD_NAME, "operator": "In", "values": [node]}
    return {"nodeSelectorTerms": [{"matchFields": [rule]}]}


def _volume(probe: Probe, target: Target, claim: str) -> Manifest:
    if target.kind is Kind.MOUNT:
        return {"persistentVolumeClaim": {"claimName": claim}}
    template = {"metadata": {"labels": labels(target)}, "spec": _claim_spec(probe)}
    return {"ephemeral": {"volumeClaimTemplate": template}}


def _claim_spec(probe: Probe) -> Manifest:
    return {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": probe.storage_class,
        "resources": {"requests": {"storage": probe.pvc_capacity}},
    }


def _metadata(probe: Probe, target: Target, name: str) -> Manifest:
    return {
        "name": name,
        "namespace": probe.namespace,
        "labels": labels(target),
        "annotations": {ANNOTATION_TARGET: str(target)},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "PieProbe",
                "name": probe.name,
                "uid": probe.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }

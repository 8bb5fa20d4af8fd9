"""Builds the manifest of a pod that pie starts itself."""

from dataclasses import replace

from pie.core.kinds import kind_of
from pie.core.manifests import Manifest, metadata_of, pod_template, spec_hash
from pie.core.model import FIRST, AtStep, Image, Probe, Target
from pie.core.naming import ANNOTATION_FOLLOWS, ANNOTATION_SPEC_HASH
from pie.core.wire import Metadata


def is_outdated(pod: Metadata, probe: Probe, target: Target, *, claim: str, image: Image) -> bool:
    """Tell whether the pod of a resident probe would be another one if it were created now.

    One that does I/O half as often as it may stays: nodes come and go.
    """
    less_often = replace(probe, resident_interval_seconds=2 * probe.resident_interval_seconds)
    found = pod.annotations.get(ANNOTATION_SPEC_HASH)
    return all(
        found != spec_hash(pod_template(each, target, claim=claim, image=image))
        for each in (probe, less_often)
    )


def run_pod(
    probe: Probe,
    target: Target,
    *,
    name: str,
    claim: str,
    image: Image,
    without: str = "",
    follows: str = "",
    step: AtStep = FIRST,
) -> Manifest:
    """Return the pod of a run, which the PieProbe owns; the scheduler binds it, as it does any other pod.

    `claim` is the name of the PVC that the target keeps. `without` is the node that a follow-up run avoids,
    and `follows` the uid of the pod that it follows. `step` is which step of the run the pod is.
    """
    template = pod_template(probe, target, claim=claim, image=image, without=without, step=step)
    metadata = metadata_of(probe, target, name)
    metadata["labels"] = {**template["metadata"]["labels"], **metadata["labels"]}
    metadata["annotations"] = {**template["metadata"]["annotations"], **metadata["annotations"]}
    if follows:
        metadata["annotations"][ANNOTATION_FOLLOWS] = follows
    if kind_of(target).resident:
        metadata["annotations"][ANNOTATION_SPEC_HASH] = spec_hash(template)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}

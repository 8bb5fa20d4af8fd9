"""A Job or a pod is a run only if its owner, its name and its target agree."""

from typing import Any

import msgspec
import pytest

from pie.core.batch.belonging import first_pod, target_of_job
from pie.core.batch.naming import ANNOTATION_INSTANTIATE, cronjob_names
from pie.core.batch.wire import CronJob, Job
from pie.core.model import Kind, Target
from pie.core.naming import ANNOTATION_TARGET, labels
from pie.core.wire import Metadata, OwnerReference, Pod, PodMetadata
from tests.core.build import MOUNT, NAMESPACE, PROVISION, at

NAME = cronjob_names(MOUNT)[0]
LONG = Target("p" * 60, Kind.MOUNT, "c" * 200, "n" * 200, NAMESPACE)
OTHER = Target("p", Kind.MOUNT, "c", "n2", NAMESPACE)


def owner(kind: str, name: str, uid: str, *, controller: bool = True) -> tuple[OwnerReference, ...]:
    return (OwnerReference(kind=kind, name=name, uid=uid, controller=controller),)


def of_probe(target: Target = MOUNT) -> tuple[OwnerReference, ...]:
    return owner("PieProbe", target.probe, "probe-uid")


def metadata(target: Target = MOUNT, **fields: Any) -> Metadata:
    marks = {"labels": labels(target), "annotations": {ANNOTATION_TARGET: str(target)}}
    return Metadata(**{"name": NAME, "namespace": target.namespace, "uid": "uid", **marks, **fields})


def cronjob(target: Target = MOUNT, **fields: Any) -> CronJob:
    return CronJob(metadata=metadata(target, **{"owner_references": of_probe(target), **fields}))


def job(name: str = f"{NAME}-28333334", target: Target = MOUNT, **fields: Any) -> Job:
    """Return a Job as the CronJob controller creates it: without the annotation of its target."""
    by = owner("CronJob", NAME, "uid")
    marks = {"name": name, "uid": "job", "annotations": {}, "owner_references": by}
    return Job(metadata=metadata(target, **{**marks, **fields}))


def pod(name: str = f"{NAME}-28333334-abcde", target: Target = MOUNT, **fields: Any) -> Pod:
    by = owner("Job", f"{NAME}-28333334", "job")
    marks = {"name": name, "annotations": {}, "owner_references": by, "creation_timestamp": at(0)}
    shown = metadata(target, **{**marks, **fields})
    return Pod(metadata=PodMetadata(**msgspec.structs.asdict(shown)))


@pytest.mark.parametrize(
    ("found", "by"),
    [
        (job(), cronjob()),
        (job(), cronjob(annotations={})),  # one of Go pie's
        (job("by-hand", annotations={ANNOTATION_INSTANTIATE: "manual"}), cronjob()),
        (job(f"{NAME}-r6553f100", owner_references=of_probe()), None),
        (job(f"{NAME}-x1b0f8c6", owner_references=of_probe()), None),
        (job(f"{cronjob_names(MOUNT)[1]}-x1b0f8c6", owner_references=of_probe()), None),
    ],
)
def test_a_job_of_pie_or_of_its_cronjob_is_a_run(found: Job, by: CronJob | None) -> None:
    assert target_of_job(found, by) == (MOUNT, "probe-uid")


def test_names_that_are_too_long_for_labels_agree_too() -> None:
    name = cronjob_names(LONG)[0]
    found = job(f"{name}-28333334", LONG, owner_references=owner("CronJob", name, "uid"))
    assert target_of_job(found, cronjob(LONG, name=name)) == (LONG, "probe-uid")


@pytest.mark.parametrize(
    ("found", "by"),
    [
        (job("another"), cronjob()),
        (job(f"{NAME}-soon"), cronjob()),
        (job(target=OTHER), cronjob()),
        (job(annotations={ANNOTATION_TARGET: str(OTHER)}), cronjob()),
        (job(labels={}), cronjob()),
        (job(namespace="other"), cronjob()),
        (job(), cronjob(owner_references=())),
        (job(), cronjob(owner_references=of_probe(Target("q", Kind.MOUNT, "c", "n1")))),
        (job(), cronjob(owner_references=owner("PieProbe", "p", "u", controller=False))),
        (job(), cronjob(owner_references=owner("Deployment", "p", "u"))),
        (job(), cronjob(annotations={ANNOTATION_TARGET: str(OTHER)})),
        (job(f"{NAME}-28333334", owner_references=of_probe()), None),
        (job("r1", owner_references=of_probe()), None),
        (job(f"{cronjob_names(OTHER)[0]}-r1", owner_references=of_probe()), None),
        (job(f"{NAME}-r1", owner_references=owner("Job", "p", "u")), None),
    ],
)
def test_a_job_whose_owner_name_or_target_does_not_agree_is_no_run(found: Job, by: CronJob | None) -> None:
    assert target_of_job(found, by) is None


FORGED = [
    pod(owner_references=()),
    pod(owner_references=of_probe()),
    pod(owner_references=owner("Job", f"{NAME}-28333334", "another")),
    pod(owner_references=owner("Job", "another", "job")),
    pod(owner_references=owner("Job", f"{NAME}-28333334", "job", controller=False)),
    pod(target=OTHER),
    pod(target=PROVISION),
    pod("another"),
]


@pytest.mark.parametrize("forged", FORGED)
def test_a_pod_whose_owner_name_or_target_does_not_agree_is_no_pod_of_a_job(forged: Pod) -> None:
    assert first_pod([forged], job(), MOUNT) is None
    assert first_pod([forged, pod()], job(), MOUNT) == pod()


def test_of_several_pods_of_a_job_the_first_one_is_its_run() -> None:
    first, second = pod("x", creation_timestamp=at(3)), pod(creation_timestamp=at(4))
    first, third = pod(uid="first"), pod(uid="third", creation_timestamp=at(9))
    assert first_pod([third, second, first], job(), MOUNT) == first


def test_a_pod_of_a_job_with_a_long_name_is_found_though_kubernetes_cuts_it() -> None:
    name = "mount-" + "n" * 57
    found = job(name)
    assert first_pod([pod(f"{name[:57]}-abcde", owner_references=owner("Job", name, "job"))], found, MOUNT)

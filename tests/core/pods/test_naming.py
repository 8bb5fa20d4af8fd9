"""Names of pods that pie starts itself: they follow from target and due time, and say both."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.apitypes import RunCause
from pie.core.manifests import metadata_of
from pie.core.model import Kind, Target
from pie.core.naming import labels
from pie.core.pods.naming import pod_name, run_of_pod
from pie.core.wire import Metadata
from tests.core.build import probe

PROBE = probe()
LONG = "a-very-long-name.of-a-node-with-dots.example.com"
TARGETS = [
    PROBE.target(Kind.PROVISION),
    PROBE.target(Kind.MOUNT, "n1"),
    PROBE.target(Kind.MOUNT, LONG),
]
CLONE = Target(PROBE.name, "clone", PROBE.storage_class, namespace=PROBE.namespace)
CAUSES: list[RunCause] = ["schedule", "followup", "retry"]


def metadata(target: Target, name: str, **fields: object) -> Metadata:
    """Return the metadata of a pod of pie's."""
    found = {**metadata_of(PROBE, target, name), "uid": "u", **fields}
    return msgspec.convert(found, Metadata)


@pytest.mark.parametrize("target", TARGETS, ids=str)
@given(st.sampled_from(CAUSES), st.integers(0, 2**33), st.integers(1, 3))
def test_a_name_says_of_which_due_time_a_pod_is_and_why(
    target: Target, cause: RunCause, due: int, number: int
) -> None:
    name = pod_name(target, cause, float(due), number)
    assert len(name) <= 253 - len("-volume")
    of = run_of_pod(metadata(target, name))
    assert of is not None
    assert (of.target, of.cause, of.due, of.probe_uid) == (target, cause, due, PROBE.uid)


@given(st.sampled_from(CAUSES), st.integers(0, 2**33), st.integers(1, 3), st.integers(0, 1))
def test_a_name_says_which_step_of_a_run_a_pod_is(cause: RunCause, due: int, number: int, step: int) -> None:
    of = run_of_pod(metadata(CLONE, pod_name(CLONE, cause, float(due), number, step)))
    assert of is not None
    assert (of.target, of.cause, of.due, of.step) == (CLONE, cause, due, step)


@pytest.mark.parametrize(("target", "step"), [(CLONE, 2), (TARGETS[0], 1), (TARGETS[1], 1)])
def test_a_step_that_no_run_of_the_kind_has_is_no_run(target: Target, step: int) -> None:
    assert run_of_pod(metadata(target, pod_name(target, "schedule", 1.7e9, step=step))) is None


def test_each_due_time_target_cause_and_try_has_a_name_of_its_own() -> None:
    names = [
        pod_name(target, cause, due, number)
        for target in TARGETS
        for cause in CAUSES
        for due in (1.7e9, 1.7e9 + 1)
        for number in (1, 2, 3)
    ]
    assert len(set(names)) == len(names)


PROVISION, MOUNT, _ = TARGETS
NAME = pod_name(MOUNT, "schedule", 1.7e9)
JOB = {"kind": "Job", "name": "x", "uid": "j", "controller": True}
OTHER = {"kind": "PieProbe", "name": "other", "uid": "o", "controller": True}


@pytest.mark.parametrize(
    "found",
    [
        metadata(MOUNT, NAME, ownerReferences=[]),
        metadata(MOUNT, NAME, ownerReferences=[JOB]),
        metadata(MOUNT, NAME, ownerReferences=[OTHER]),
        metadata(MOUNT, NAME, labels=labels(PROVISION)),
        metadata(MOUNT, "web-0"),
        metadata(MOUNT, NAME.replace("-s", "-y")),
        metadata(MOUNT, pod_name(PROVISION, "schedule", 1.7e9)),
        metadata(MOUNT, f"{NAME}-volume"),
    ],
)
def test_a_pod_whose_owner_labels_or_name_do_not_agree_is_no_run(found: Metadata) -> None:
    assert run_of_pod(found) is None

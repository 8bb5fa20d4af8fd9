"""From desired and observed to actions."""

from typing import Any

import msgspec
import pytest

from pie.core import manifests
from pie.core.batch import manifests as batch_manifests
from pie.core.batch.wire import CronJob, CronJobSpec
from pie.core.naming import ANNOTATION_SPEC_HASH, ANNOTATION_TARGET
from pie.core.plan import (
    Action,
    AdoptClaim,
    AdoptCronJob,
    ApplyCronJob,
    CreateClaim,
    CreateCronJob,
    DeleteClaim,
    DeleteCronJob,
    Desired,
    Observed,
    ReportNameTaken,
    plan,
)
from pie.core.wire import Claim, Metadata, OwnerReference
from tests.core.build import MOUNT, at, probe

CRONJOB = batch_manifests.cronjob(probe(), MOUNT, name="mount-x", claim="pvc-x", image="pie:1")
CLAIM = manifests.claim(probe(), MOUNT, name="pvc-x")
WANTED = Desired(CRONJOB, CLAIM)
OWNER = OwnerReference(kind="PieProbe", name="p", uid="probe-uid", controller=True)
LABELS = {"storage-class": "c", "pie-probe": "p", "node": "n1"}
HASH = CRONJOB["metadata"]["annotations"][ANNOTATION_SPEC_HASH]


def cronjob(
    name: str = "mount-x",
    stored: str | None = HASH,
    changed: dict[str, Any] | None = None,
    **metadata: Any,
) -> CronJob:
    annotations = {ANNOTATION_SPEC_HASH: stored} if stored else {}
    spec = msgspec.convert(CRONJOB["spec"] | (changed or {}), CronJobSpec)
    fields = {"annotations": annotations, "owner_references": (OWNER,), "labels": LABELS, **metadata}
    return CronJob(metadata=Metadata(name=name, **fields), spec=spec)


def claim(name: str = "pvc-x", **metadata: Any) -> Claim:
    fields = {"owner_references": (OWNER,), "labels": LABELS, **metadata}
    return Claim(metadata=Metadata(name=name, **fields))


def observed(
    cronjobs: tuple[CronJob, ...] = (), claims: tuple[Claim, ...] = (), *, drifted: bool = False
) -> Observed:
    return Observed(cronjobs, claims, drifted, OWNER)


def owner(kind: str = "PieProbe", name: str = "p", uid: str = "probe-uid", **more: Any) -> OwnerReference:
    return OwnerReference(**{"kind": kind, "name": name, "uid": uid, "controller": True, **more})


def test_what_is_missing_is_made_claim_first() -> None:
    assert plan(WANTED, observed()) == (CreateClaim(CLAIM), CreateCronJob(CRONJOB))


def test_what_is_there_is_left_alone() -> None:
    assert plan(WANTED, observed((cronjob(),), (claim(),))) == ()


def test_another_spec_is_applied() -> None:
    assert plan(WANTED, observed((cronjob(stored="old"),), (claim(),))) == (ApplyCronJob(CRONJOB),)


def test_a_spec_that_somebody_changed_is_applied_again() -> None:
    assert plan(WANTED, observed((cronjob(),), (claim(),), drifted=True)) == (ApplyCronJob(CRONJOB),)


@pytest.mark.parametrize("changed", [{"schedule": "0 0 1 1 *"}, {"suspend": True}])
def test_what_somebody_changed_while_nobody_looked_is_applied_again(changed: dict[str, Any]) -> None:
    found = observed((cronjob(changed=changed),), (claim(),))
    assert plan(WANTED, found) == (ApplyCronJob(CRONJOB),)


def test_go_pies_cronjob_is_replaced_and_its_claim_adopted() -> None:
    old = cronjob(stored=None)
    assert plan(WANTED, observed((old,), (claim(),))) == (DeleteCronJob(old.metadata),)


def test_what_is_on_its_way_out_is_waited_for() -> None:
    leaving = observed((cronjob(deletion_timestamp=at(0)),), (claim(deletion_timestamp=at(0)),))
    assert plan(WANTED, leaving) == ()
    assert plan(Desired(), leaving) == ()


def test_an_unwanted_target_loses_its_objects() -> None:
    there = observed((cronjob(),), (claim(),))
    assert plan(Desired(), there) == (DeleteClaim(claim().metadata), DeleteCronJob(cronjob().metadata))


def test_strays_under_other_names_are_removed() -> None:
    there = observed((cronjob(), cronjob("mount-y")), (claim(), claim("pvc-y")))
    assert plan(WANTED, there) == (
        DeleteClaim(claim("pvc-y").metadata),
        DeleteCronJob(cronjob("mount-y").metadata),
    )


def test_a_resting_probe_makes_nothing_new_and_keeps_what_it_may() -> None:
    assert plan(Desired(CRONJOB, CLAIM, create=False), observed()) == ()
    assert plan(Desired(keep_claim=True), observed((cronjob(),), (claim(),))) == (
        DeleteCronJob(cronjob().metadata),
    )


# Whose an object is.

UNOWNED = {"owner_references": ()}
RESTORED = {"labels": {**LABELS, "velero.io/backup-name": "nightly"}, **UNOWNED}
PREDECESSORS = {"owner_references": (owner(uid="an earlier one"),)}
FOREIGN = [
    ({"owner_references": (owner("StatefulSet", "web"),)}, "belongs to StatefulSet web"),
    ({"owner_references": (owner(name="q", uid="other"),)}, "belongs to PieProbe q"),
    ({"owner_references": (owner("StatefulSet", "p"),)}, "belongs to StatefulSet p"),
    ({"owner_references": (owner("Backup", "b", controller=None),)}, "belongs to Backup b"),
    ({"labels": {"app": "web"}, **UNOWNED}, "has no owner"),
    ({"labels": {**LABELS, "node": "n2"}, **UNOWNED}, "has no owner"),
    ({"annotations": {ANNOTATION_TARGET: "mount/p/c/n2"}, **UNOWNED}, "has no owner"),
]


@pytest.mark.parametrize("desired", [WANTED, Desired(), Desired(CRONJOB, CLAIM, create=False)])
@pytest.mark.parametrize("of", [{}, UNOWNED, RESTORED, PREDECESSORS, *(marks for marks, _ in FOREIGN)])
def test_nothing_is_touched_while_the_pieprobe_is_not_read(desired: Desired, of: dict[str, Any]) -> None:
    assert plan(desired, Observed((cronjob(**of),), (claim(**of),), owner=None)) == ()


@pytest.mark.parametrize("of", [UNOWNED, RESTORED])
def test_what_was_restored_without_an_owner_is_adopted(of: dict[str, Any]) -> None:
    found = claim(**of)
    assert plan(WANTED, observed((cronjob(),), (found,))) == (AdoptClaim(found.metadata, CLAIM),)
    schedule = cronjob(**of)
    assert plan(WANTED, observed((schedule,), (claim(),))) == (AdoptCronJob(schedule.metadata, CRONJOB),)


@pytest.mark.parametrize(("of", "whose"), FOREIGN)
def test_a_pvc_of_somebody_else_under_the_name_is_reported_and_no_run_uses_it(
    of: dict[str, Any], whose: str
) -> None:
    removed, reported = plan(WANTED, observed((cronjob(),), (claim(**of),)))
    assert removed == DeleteCronJob(cronjob().metadata)
    assert isinstance(reported, ReportNameTaken)
    assert "PersistentVolumeClaim pvc-x" in reported.message
    assert whose in reported.message


@pytest.mark.parametrize(("of", "whose"), FOREIGN)
def test_a_cronjob_of_somebody_else_under_the_name_is_reported(of: dict[str, Any], whose: str) -> None:
    (reported,) = plan(WANTED, observed((cronjob(**of),), (claim(),)))
    assert isinstance(reported, ReportNameTaken)
    assert "CronJob mount-x" in reported.message
    assert whose in reported.message


@pytest.mark.parametrize("of", [UNOWNED, RESTORED, *(marks for marks, _ in FOREIGN)])
@pytest.mark.parametrize("name", ["x", "y"])
def test_only_what_the_pieprobe_owns_is_deleted(of: dict[str, Any], name: str) -> None:
    there = observed((cronjob(f"mount-{name}", **of),), (claim(f"pvc-{name}", **of),))
    assert plan(Desired(), there) == ()
    touched = [each for each in plan(WANTED, there) if isinstance(each, DeleteClaim | DeleteCronJob)]
    assert touched == []


def test_the_objects_of_an_earlier_pieprobe_of_the_name_are_waited_for() -> None:
    assert plan(WANTED, observed((cronjob(**PREDECESSORS),), ())) == ()
    assert plan(WANTED, observed((), (claim(**PREDECESSORS),))) == ()
    assert plan(Desired(), observed((cronjob(),), (claim(**PREDECESSORS),))) == ()


@pytest.mark.parametrize(("of", "_whose"), FOREIGN)
def test_what_is_on_its_way_out_takes_no_name(of: dict[str, Any], _whose: str) -> None:
    expected: tuple[Action, ...] = ()
    assert plan(WANTED, observed((cronjob(),), (claim(deletion_timestamp=at(0), **of),))) == expected


def test_probe_pods_satisfy_the_restricted_level_and_land_on_their_node_by_name() -> None:
    pod = CRONJOB["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert pod["activeDeadlineSeconds"] == 60
    term = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ][0]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}


def test_the_hash_follows_the_spec() -> None:
    other = batch_manifests.cronjob(
        probe(deadline_seconds=20.0), MOUNT, name="mount-x", claim="pvc-x", image="pie:1"
    )
    assert other["metadata"]["annotations"][ANNOTATION_SPEC_HASH] != HASH

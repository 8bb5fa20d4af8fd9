"""From desired and observed to actions."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from pie.core import manifests
from pie.core.batch import manifests as batch_manifests
from pie.core.batch.plan import plan_cronjobs
from pie.core.batch.wire import CronJob, CronJobSpec
from pie.core.manifests import Manifest
from pie.core.model import Image
from pie.core.naming import ANNOTATION_SPEC_HASH, ANNOTATION_TARGET
from pie.core.plan import Action, Adopt, Apply, Create, Delete, Plan, plan_objects, together
from pie.core.wire import Claim, Metadata, OwnerReference
from tests.core.build import MOUNT, at, probe

CRONJOB = batch_manifests.cronjob(probe(), MOUNT, name="mount-x", claim="pvc-x", image=Image("pie:1"))
CLAIM = manifests.claim(probe(), MOUNT, name="pvc-x")
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


@dataclass(frozen=True)
class Desired:
    """What a target should have."""

    cronjob: Manifest | None = None
    claim: Manifest | None = None
    create: bool = True
    keep_claim: bool = False


WANTED = Desired(CRONJOB, CLAIM)


@dataclass(frozen=True)
class Observed:
    """What there is."""

    cronjobs: tuple[CronJob, ...] = ()
    claims: tuple[Claim, ...] = ()
    drifted: bool = False


observed = Observed


def plans(desired: Desired, there: Observed) -> tuple[Plan, Plan]:
    """Return what to do with the PVC and with the CronJob."""
    create, keep = desired.create, desired.keep_claim
    pvcs = [each.metadata for each in there.claims]
    claims = plan_objects(desired.claim, pvcs, OWNER, create=create, keep=keep)
    runs = plan_cronjobs(desired.cronjob, there.cronjobs, OWNER, create=create, drifted=there.drifted)
    return together(claims, runs, plan_cronjobs(None, there.cronjobs, OWNER))


def plan(desired: Desired, there: Observed) -> tuple[Action, ...]:
    """Return all actions, in order."""
    claims, runs = plans(desired, there)
    return (*claims.actions, *runs.actions)


def owner(kind: str = "PieProbe", name: str = "p", uid: str = "probe-uid", **more: Any) -> OwnerReference:
    return OwnerReference(**{"kind": kind, "name": name, "uid": uid, "controller": True, **more})


def test_what_is_missing_is_made_claim_first() -> None:
    assert plan(WANTED, observed()) == (Create(CLAIM), Create(CRONJOB))


def test_what_is_there_is_left_alone() -> None:
    assert plan(WANTED, observed((cronjob(),), (claim(),))) == ()


def test_another_spec_is_applied() -> None:
    assert plan(WANTED, observed((cronjob(stored="old"),), (claim(),))) == (Apply(CRONJOB),)


def test_a_spec_that_somebody_changed_is_applied_again() -> None:
    assert plan(WANTED, observed((cronjob(),), (claim(),), drifted=True)) == (Apply(CRONJOB),)


@pytest.mark.parametrize("changed", [{"schedule": "0 0 1 1 *"}, {"suspend": True}])
def test_what_somebody_changed_while_nobody_looked_is_applied_again(changed: dict[str, Any]) -> None:
    found = observed((cronjob(changed=changed),), (claim(),))
    assert plan(WANTED, found) == (Apply(CRONJOB),)


def test_go_pies_cronjob_is_replaced_and_its_claim_adopted() -> None:
    old = cronjob(stored=None)
    assert plan(WANTED, observed((old,), (claim(),))) == (Delete(old.metadata),)


def test_a_cronjob_that_go_pie_took_back_is_replaced_though_it_has_the_hash_of_what_pie_wrote() -> None:
    template = {"metadata": {"finalizers": ["pie.topolvm.io/pod"]}}
    taken_back = cronjob(changed={"jobTemplate": {"spec": {"template": template}}})
    assert plan(WANTED, observed((taken_back,), (claim(),))) == (Delete(taken_back.metadata),)


def test_what_is_on_its_way_out_is_waited_for() -> None:
    leaving = observed((cronjob(deletion_timestamp=at(0)),), (claim(deletion_timestamp=at(0)),))
    assert plan(WANTED, leaving) == ()
    assert plan(Desired(), leaving) == ()


def test_an_unwanted_target_loses_its_objects() -> None:
    there = observed((cronjob(),), (claim(),))
    assert plan(Desired(), there) == (Delete(claim().metadata), Delete(cronjob().metadata))


def test_strays_under_other_names_are_removed() -> None:
    there = observed((cronjob(), cronjob("mount-y")), (claim(), claim("pvc-y")))
    assert plan(WANTED, there) == (
        Delete(claim("pvc-y").metadata),
        Delete(cronjob("mount-y").metadata),
    )


def test_a_resting_probe_makes_nothing_new_and_keeps_what_it_may() -> None:
    assert plan(Desired(CRONJOB, CLAIM, create=False), observed()) == ()
    assert plan(Desired(keep_claim=True), observed((cronjob(),), (claim(),))) == (Delete(cronjob().metadata),)


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


@pytest.mark.parametrize("of", [UNOWNED, RESTORED])
def test_what_was_restored_without_an_owner_is_adopted(of: dict[str, Any]) -> None:
    found = claim(**of)
    assert plan(WANTED, observed((cronjob(),), (found,))) == (Adopt(found.metadata, CLAIM),)
    schedule = cronjob(**of)
    assert plan(WANTED, observed((schedule,), (claim(),))) == (Adopt(schedule.metadata, CRONJOB),)


@pytest.mark.parametrize(("of", "whose"), FOREIGN)
def test_a_pvc_of_somebody_else_under_the_name_is_reported_and_no_run_uses_it(
    of: dict[str, Any], whose: str
) -> None:
    claims, runs = plans(WANTED, observed((cronjob(),), (claim(**of),)))
    assert (claims.actions, runs.actions) == ((), (Delete(cronjob().metadata),))
    assert "PersistentVolumeClaim pvc-x" in claims.taken
    assert whose in claims.taken


@pytest.mark.parametrize(("of", "whose"), FOREIGN)
def test_a_cronjob_of_somebody_else_under_the_name_is_reported(of: dict[str, Any], whose: str) -> None:
    claims, runs = plans(WANTED, observed((cronjob(**of),), (claim(),)))
    assert (claims.actions, runs.actions) == ((), ())
    assert "CronJob mount-x" in claims.taken
    assert whose in claims.taken


@pytest.mark.parametrize("of", [UNOWNED, RESTORED, *(marks for marks, _ in FOREIGN)])
@pytest.mark.parametrize("name", ["x", "y"])
def test_only_what_the_pieprobe_owns_is_deleted(of: dict[str, Any], name: str) -> None:
    there = observed((cronjob(f"mount-{name}", **of),), (claim(f"pvc-{name}", **of),))
    assert plan(Desired(), there) == ()
    touched = [each for each in plan(WANTED, there) if isinstance(each, Delete)]
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
        probe(deadline_seconds=20.0), MOUNT, name="mount-x", claim="pvc-x", image=Image("pie:1")
    )
    assert other["metadata"]["annotations"][ANNOTATION_SPEC_HASH] != HASH

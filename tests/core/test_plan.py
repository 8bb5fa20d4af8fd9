"""From desired and observed to actions."""

from typing import Any

import msgspec
import pytest

from pie.core import manifests
from pie.core.batch import manifests as batch_manifests
from pie.core.batch.wire import CronJob, CronJobSpec
from pie.core.naming import ANNOTATION_SPEC_HASH
from pie.core.plan import ApplyCronJob, CreateClaim, DeleteClaim, DeleteCronJob, Desired, Observed, plan
from pie.core.wire import Claim, Metadata
from tests.core.build import MOUNT, at, probe

CRONJOB = batch_manifests.cronjob(probe(), MOUNT, name="mount-x", claim="pvc-x", image="pie:1")
CLAIM = manifests.claim(probe(), MOUNT, name="pvc-x")
WANTED = Desired(CRONJOB, CLAIM)
HASH = CRONJOB["metadata"]["annotations"][ANNOTATION_SPEC_HASH]


def cronjob(
    name: str = "mount-x",
    stored: str | None = HASH,
    changed: dict[str, Any] | None = None,
    **metadata: Any,
) -> CronJob:
    annotations = {ANNOTATION_SPEC_HASH: stored} if stored else {}
    spec = msgspec.convert(CRONJOB["spec"] | (changed or {}), CronJobSpec)
    return CronJob(metadata=Metadata(name=name, annotations=annotations, **metadata), spec=spec)


def claim(name: str = "pvc-x", **metadata: Any) -> Claim:
    return Claim(metadata=Metadata(name=name, **metadata))


def test_what_is_missing_is_made_claim_first() -> None:
    assert plan(WANTED, Observed()) == (CreateClaim(CLAIM), ApplyCronJob(CRONJOB))


def test_what_is_there_is_left_alone() -> None:
    assert plan(WANTED, Observed((cronjob(),), (claim(),))) == ()


def test_another_spec_is_applied() -> None:
    assert plan(WANTED, Observed((cronjob(stored="old"),), (claim(),))) == (ApplyCronJob(CRONJOB),)


def test_a_spec_that_somebody_changed_is_applied_again() -> None:
    assert plan(WANTED, Observed((cronjob(),), (claim(),), drifted=True)) == (ApplyCronJob(CRONJOB),)


@pytest.mark.parametrize("changed", [{"schedule": "0 0 1 1 *"}, {"suspend": True}])
def test_what_somebody_changed_while_nobody_looked_is_applied_again(changed: dict[str, Any]) -> None:
    found = Observed((cronjob(changed=changed),), (claim(),))
    assert plan(WANTED, found) == (ApplyCronJob(CRONJOB),)


def test_go_pies_cronjob_is_replaced_and_its_claim_adopted() -> None:
    old = cronjob(stored=None)
    assert plan(WANTED, Observed((old,), (claim(),))) == (DeleteCronJob(old.metadata),)


def test_what_is_on_its_way_out_is_waited_for() -> None:
    leaving = Observed((cronjob(deletion_timestamp=at(0)),), (claim(deletion_timestamp=at(0)),))
    assert plan(WANTED, leaving) == ()
    assert plan(Desired(), leaving) == ()


def test_an_unwanted_target_loses_its_objects() -> None:
    there = Observed((cronjob(),), (claim(),))
    assert plan(Desired(), there) == (DeleteClaim(claim().metadata), DeleteCronJob(cronjob().metadata))


def test_strays_under_other_names_are_removed() -> None:
    there = Observed((cronjob(), cronjob("mount-y")), (claim(), claim("pvc-y")))
    assert plan(WANTED, there) == (
        DeleteClaim(claim("pvc-y").metadata),
        DeleteCronJob(cronjob("mount-y").metadata),
    )


def test_a_resting_probe_makes_nothing_new_and_keeps_what_it_may() -> None:
    assert plan(Desired(CRONJOB, CLAIM, create=False), Observed()) == ()
    assert plan(Desired(keep_claim=True), Observed((cronjob(),), (claim(),))) == (
        DeleteCronJob(cronjob().metadata),
    )


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

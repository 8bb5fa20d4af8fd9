"""Canaries in the spec, in a pod, in a verdict: off, unless the spec names them."""

from dataclasses import replace
from typing import Any

import pytest

from pie.core.incidents.fold import fold
from pie.core.incidents.incident import Finding, Incident, View
from pie.core.incidents.stored import from_status, to_status
from pie.core.incidents.text import headline
from pie.core.judge import judge
from pie.core.kinds import KINDS, spec_for, targets_of
from pie.core.manifests import claim, pod_spec
from pie.core.model import AtStep, Canary, Image, RunnerKind, Stage, Target, Verdict
from pie.core.parse import SpecError, parse_probe
from pie.core.reasons import Reason
from pie.core.result import Outcome
from pie.core.timeline import WarningEvent
from pie.core.wire import Metadata, PieProbe
from tests.core.build import MOUNT, NAMESPACE, PROVISION, T0, message, pod, probe, run

BLOCK = Target("p", "block", "c", namespace=NAMESPACE)
REFUSED = "rpc error: code = InvalidArgument desc = block volumes are not supported"


def parsed(canaries: Any) -> Any:
    terms = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}
    spec = {"monitoringStorageClass": "c", "nodeSelector": terms, "canaries": canaries}
    return parse_probe(PieProbe(metadata=Metadata(name="p", namespace="pie", uid="u"), spec=spec)).canaries


@pytest.mark.parametrize(
    ("canaries", "found"),
    [
        (None, {}),
        ({}, {}),
        ({"block": None}, {}),
        ({"other": {}}, {}),
        ({"block": {}}, {"block": Canary(6 * 3600)}),
        ({"block": {"period": "30m"}}, {"block": Canary(1800)}),
        ({"block": {"period": "1m"}}, {"block": Canary(60)}),
        ({"block": {"period": "168h"}}, {"block": Canary(168 * 3600)}),
        ({"expand": {}}, {"expand": Canary(24 * 3600)}),
        ({"snapshot": {}}, {"snapshot": Canary(6 * 3600)}),
        ({"snapshot": {"snapshotClass": "s"}}, {"snapshot": Canary(6 * 3600, "s")}),
        ({"block": {"snapshotClass": "s"}}, {"block": Canary(6 * 3600)}),
        ({"block": {}, "expand": {"period": "10m"}}, {"block": Canary(6 * 3600), "expand": Canary(600)}),
    ],
)
def test_a_canary_is_on_if_the_spec_names_it_and_has_its_own_period(canaries: Any, found: Any) -> None:
    assert parsed(canaries) == found


@pytest.mark.parametrize(
    ("canaries", "path"),
    [
        ([], "spec.canaries"),
        ({"block": True}, "spec.canaries.block"),
        ({"block": {"period": 6}}, "spec.canaries.block.period"),
        ({"snapshot": {"snapshotClass": 1}}, "spec.canaries.snapshot.snapshotClass"),
        ({"block": {"period": "6"}}, "spec.canaries.block.period"),
        ({"block": {"period": "59s"}}, "spec.canaries.block.period"),
        ({"block": {"period": "169h"}}, "spec.canaries.block.period"),
        ({"expand": {"period": "599s"}}, "spec.canaries.expand.period"),
    ],
)
def test_a_bad_canary_is_named(canaries: Any, path: str) -> None:
    with pytest.raises(SpecError) as caught:
        parsed(canaries)
    assert caught.value.path == path


def test_its_targets_have_its_period_and_are_started_by_pie_and_those_of_others_stay() -> None:
    with_block = probe(canaries={"block": Canary(3600)}, runner=RunnerKind.CRON_JOB)
    assert list(targets_of(with_block)) == [PROVISION, BLOCK]
    assert BLOCK not in targets_of(probe())
    seen = spec_for(with_block, BLOCK)
    assert (seen.period_seconds, seen.runner) == (3600, RunnerKind.POD)
    assert (seen.threshold_seconds, seen.deadline_seconds) == (30, 60)
    for target in (PROVISION, MOUNT):
        assert spec_for(with_block, target) is with_block


def test_a_period_shorter_than_the_threshold_ends_its_runs_in_time() -> None:
    slow = probe(period_seconds=3540, threshold_seconds=600.0, deadline_seconds=3000.0)
    seen = spec_for(replace(slow, canaries={"block": Canary(60)}), BLOCK)
    assert (seen.threshold_seconds, seen.deadline_seconds) == (60, 60)


@pytest.mark.parametrize("target", [PROVISION, MOUNT])
def test_pods_and_pvcs_of_the_other_kinds_know_nothing_of_it(target: Target) -> None:
    with_block = probe(canaries={"block": Canary(3600)})
    for wanted in (probe(), with_block):
        spec = pod_spec(wanted, target, claim="pvc", image=Image("i"))
        (container,) = spec["containers"]
        assert "volumeDevices" not in container
        assert "supplementalGroups" not in spec["securityContext"]
        assert "volumeMode" not in str(spec["volumes"])
    manifest = claim(probe(), MOUNT, name="pvc")
    assert "volumeMode" not in manifest["spec"]
    assert set(manifest["metadata"]["labels"]) == {"storage-class", "pie-probe", "node"}


@pytest.mark.parametrize(
    ("reason", "text", "found"),
    [
        ("ProvisioningFailed", REFUSED, Reason.NOT_OFFERED),
        ("FailedMount", f'MapVolume.MapPodDevice failed for volume "pv": {REFUSED}', Reason.NOT_OFFERED),
        (
            "ProvisioningFailed",
            "rpc error: code = Internal desc = the pool is offline",
            Reason.PROVISIONING_FAILED,
        ),
    ],
)
def test_a_refusal_says_whether_the_class_offers_raw_block_volumes(
    reason: str, text: str, found: Reason
) -> None:
    waiting = pod(scheduled=1, acknowledged=2) if reason == "FailedMount" else pod()
    warnings = (WarningEvent(reason, text, T0 + 5),)
    attempt = replace(run(waiting), target=BLOCK, warnings=warnings)
    judgement = judge(attempt, probe(), T0 + 40)
    assert (judgement.reason, judgement.message.endswith(text)) == (found, True)
    offered = found is not Reason.NOT_OFFERED
    assert judgement.on_time is (False if offered else None)
    assert judgement.verdict is (Verdict.LATE if offered else Verdict.INCONCLUSIVE)
    # Nothing will come of it: it has ended, and its pod is deleted at once.
    assert judgement.ended is not offered
    # A provision run with the same words is bad: each class offers filesystems.
    assert judge(replace(attempt, target=PROVISION), probe(), T0 + 40).verdict is Verdict.LATE


@pytest.mark.parametrize(
    ("outcome", "verdict", "on_time"),
    [
        (Outcome.OK, Verdict.OK, True),
        (Outcome.IO_ERROR, Verdict.FAILED, False),
        (Outcome.DATA_CORRUPTED, Verdict.FAILED, False),
        (Outcome.VOLUME_TOO_SMALL, Verdict.FAILED, False),
        (Outcome.BLOCK_PERMISSION, Verdict.INCONCLUSIVE, None),
        (Outcome.INTERNAL, Verdict.INCONCLUSIVE, None),
    ],
)
def test_its_results_count_as_those_of_a_provision_run(
    outcome: Outcome, verdict: Verdict, on_time: bool | None
) -> None:
    ended = pod(scheduled=1, acknowledged=1, started=3, ended=5, message=message(outcome), exit_code=1)
    judgement = judge(replace(run(ended), target=BLOCK), probe(), T0 + 60)
    assert (judgement.verdict, judgement.on_time, judgement.ended) == (verdict, on_time, True)


def finding(target: Target, stage: Stage = Stage.PROVISION) -> Finding:
    return Finding(target, stage, Reason.PROVISIONING_FAILED, "words", target.node, T0, 2)


def incident_of(*targets: Target) -> Incident:
    (found,) = fold((), View(tuple(map(finding, targets)), {"n1": "", "n2": ""}), T0 + 60).open
    return found


def test_an_incident_of_a_canary_alone_says_so_and_concerns_no_other_target() -> None:
    found = incident_of(BLOCK)
    assert headline(found) == (
        "canary block: new volumes are not provisioned in the whole class (ProvisioningFailed)"
    )
    assert (found.targets, found.provision, found.canaries) == (1, False, {"block"})
    assert [target for target in (BLOCK, PROVISION, MOUNT) if found.concerns(target)] == [BLOCK]


def test_a_canary_that_fails_as_the_provision_probe_does_is_part_of_its_incident() -> None:
    found = incident_of(BLOCK, PROVISION)
    assert headline(found) == "new volumes are not provisioned in the whole class (ProvisioningFailed)"
    assert (found.targets, found.provision, found.canaries) == (2, True, {"block"})


def test_an_incident_of_a_canary_is_the_same_one_after_a_restart() -> None:
    found = incident_of(BLOCK)
    (restored,) = from_status({"incidents": to_status([found])})
    assert restored == replace(found, restored=True)
    view = View((finding(BLOCK),), {"n1": "", "n2": ""})
    (again,) = fold([restored], view, T0 + 120).open
    assert again == found


def test_only_what_is_optional_has_a_runner_of_its_own() -> None:
    with_all = probe(canaries={"block": Canary(3600), "clone": Canary(3600), "expand": Canary(3600)})
    found = [name for name, row in KINDS.items() if row.spec(with_all) is not with_all]
    assert found == ["resident", "block", "clone", "expand"]


def test_only_the_second_pod_of_a_clone_has_a_source() -> None:
    several = {name: len(row.steps) for name, row in KINDS.items() if len(row.steps) > 1}
    assert several == {"clone": 2, "shared": 2, "snapshot": 3}
    clone = Target("p", "clone", "c")
    first = pod_spec(probe(), clone, claim="", image=Image("i"))
    second = pod_spec(probe(), clone, claim="", image=Image("i"), step=AtStep(1, "before", "n7"))
    assert "dataSource" not in str(first)
    assert len(first["volumes"]) == 1
    terms = second["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    pinned = {"key": "metadata.name", "operator": "In", "values": ["n7"]}
    assert terms == {"nodeSelectorTerms": [{"matchFields": [pinned]}]}
    new, old = second["volumes"]
    assert old["persistentVolumeClaim"] == {"claimName": "before-volume"}
    assert new["ephemeral"]["volumeClaimTemplate"]["spec"]["dataSource"]["name"] == "before-volume"
    assert second["securityContext"] == first["securityContext"]

"""Tests of the controller that run on a real control plane, unchanged, on the embedded one.

The longer ones only in the real tier.
"""

import pytest

from pie.core.batch.naming import cronjob_names
from pie.core.model import Kind, Target
from tests.controller import test_refusals as refusals
from tests.controller import test_runs as runs
from tests.controller import test_targets as targets
from tests.controller.stage import Stage
from tests.harness import apply_probe, pieprobe, until, until_condition

test_a_good_run = runs.test_a_good_run_is_counted_once_and_its_job_deleted
test_a_lost_run = runs.test_a_job_deleted_unread_is_a_lost_run
test_spec_changes = targets.test_a_changed_spec_is_applied_and_what_others_change_is_put_back
test_paused = targets.test_a_paused_pieprobe_keeps_its_pvcs_and_has_its_cronjobs_suspended
test_deletion = targets.test_deleting_the_pieprobe_leaves_nothing
test_objects = targets.test_every_matching_node_gets_a_claim_and_a_cronjob_and_the_class_one
test_nodes = targets.test_nodes_are_followed_as_they_come_go_and_change_their_labels
test_go_pie = targets.test_what_go_pie_left_is_taken_over
test_go_pie_and_back = targets.test_a_cronjob_that_go_pie_took_back_is_replaced_at_the_next_migration
test_go_pie_without_pieprobes = targets.test_what_go_pie_without_pieprobes_left_is_reported_and_not_touched
test_owners = targets.test_a_restored_pvc_is_adopted_and_a_cronjob_of_somebody_else_is_reported

test_a_failed_io = pytest.mark.real(runs.test_a_failed_io_is_counted_with_its_evidence_and_clears)
test_a_late_run = pytest.mark.real(
    runs.test_a_pod_that_does_not_start_is_late_at_its_threshold_and_replaced_at_its_deadline
)
test_a_lost_volume = pytest.mark.real(runs.test_lost_and_swapped_volumes_are_told_apart_from_a_fresh_one)
test_a_refused_pod = pytest.mark.real(refusals.test_a_refused_pod_is_told_in_the_words_of_who_refuses)
test_a_pod_refused_before = pytest.mark.real(
    refusals.test_a_pod_that_was_refused_while_the_controller_was_dead_is_asked_about
)
test_no_class = pytest.mark.real(targets.test_a_missing_class_is_a_condition_that_heals)
test_no_node = pytest.mark.real(targets.test_no_matching_node_is_a_condition_that_heals)
test_retain = pytest.mark.real(targets.test_retain_rests_the_provision_probe_and_heals)
test_immediate = pytest.mark.real(
    targets.test_immediate_binding_with_local_topology_rests_the_mount_probes_and_heals
)


async def test_a_crd_that_is_older_than_pie_is_a_condition_with_the_command(stage: Stage) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pieprobes.pie.topolvm.io"
    crd = await stage.api.get(path)
    (version,) = crd["spec"]["versions"]
    del version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["paused"]
    await stage.make_class()
    await stage.api.patch(path, {"spec": {"versions": [version]}})
    async with stage.pie():
        await apply_probe(stage.api, stage.namespace, pieprobe("p1", stage.storage_class, stage.label))
        condition = await until_condition(stage.api, stage.namespace, "p1", "CRDOutdated", "True")
        assert "The CRD lacks spec.paused." in condition["message"]
        assert "kubectl apply --server-side" in condition["message"]


async def test_of_two_classes_the_one_that_is_missing_is_named_and_the_other_is_probed(stage: Stage) -> None:
    node, missing = await stage.node(), f"missing-{stage.unique}"
    mount, provision = (
        cronjob_names(Target("p1", kind, stage.storage_class, of))[0]
        for kind, of in ((Kind.MOUNT, node), (Kind.PROVISION, ""))
    )
    await stage.make_class()
    manifest = pieprobe("p1", stage.storage_class, stage.label)
    del manifest["spec"]["monitoringStorageClass"]
    manifest["spec"]["monitoringStorageClasses"] = [stage.storage_class, missing]
    async with stage.pie():
        await apply_probe(stage.api, stage.namespace, manifest)
        ready = await until_condition(
            stage.api, stage.namespace, "p1", "Ready", "False", "StorageClassNotFound"
        )
        assert ready["message"].startswith(f"StorageClass {missing}: there is no StorageClass {missing}")

        async def created() -> bool:
            return await stage.names("cronjobs") == {mount, provision}

        await until(created, "the CronJobs of the class that exists")
        path = f"/apis/pie.topolvm.io/v1alpha1/namespaces/{stage.namespace}/pieprobes/p1"
        of_classes = (await stage.api.get(path))["status"]["storageClasses"]
        assert [each["name"] for each in of_classes] == [stage.storage_class, missing]
        assert ["goneSince" in each for each in of_classes] == [False, True]
        await stage.api.patch(path, {"spec": {"monitoringStorageClasses": [stage.storage_class]}})
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")

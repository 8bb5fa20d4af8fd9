"""The tests of the controller that run on a real control plane, unchanged, on the embedded one."""

from tests.controller.test_runs import (
    test_a_failed_io_is_counted_with_its_evidence_and_clears,
    test_a_good_run_is_counted_once_and_its_job_deleted,
    test_a_job_deleted_unread_is_a_lost_run,
    test_a_pod_that_does_not_start_is_late_at_its_threshold_and_replaced_at_its_deadline,
    test_lost_and_swapped_volumes_are_told_apart_from_a_fresh_one,
)
from tests.controller.test_targets import (
    test_a_changed_spec_is_applied_and_what_others_change_is_put_back,
    test_a_missing_class_is_a_condition_that_heals,
    test_deleting_the_pieprobe_leaves_nothing,
    test_every_matching_node_gets_a_claim_and_a_cronjob_and_the_class_one,
    test_immediate_binding_with_local_topology_rests_the_mount_probes_and_heals,
    test_no_matching_node_is_a_condition_that_heals,
    test_nodes_are_followed_as_they_come_go_and_change_their_labels,
    test_retain_rests_the_provision_probe_and_heals,
    test_what_go_pie_left_is_taken_over,
)

__all__ = [
    "test_a_changed_spec_is_applied_and_what_others_change_is_put_back",
    "test_a_failed_io_is_counted_with_its_evidence_and_clears",
    "test_a_good_run_is_counted_once_and_its_job_deleted",
    "test_a_job_deleted_unread_is_a_lost_run",
    "test_a_missing_class_is_a_condition_that_heals",
    "test_a_pod_that_does_not_start_is_late_at_its_threshold_and_replaced_at_its_deadline",
    "test_deleting_the_pieprobe_leaves_nothing",
    "test_every_matching_node_gets_a_claim_and_a_cronjob_and_the_class_one",
    "test_immediate_binding_with_local_topology_rests_the_mount_probes_and_heals",
    "test_lost_and_swapped_volumes_are_told_apart_from_a_fresh_one",
    "test_no_matching_node_is_a_condition_that_heals",
    "test_nodes_are_followed_as_they_come_go_and_change_their_labels",
    "test_retain_rests_the_provision_probe_and_heals",
    "test_what_go_pie_left_is_taken_over",
]

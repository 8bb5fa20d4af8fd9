"""Lost, stale and swapped data told apart from each other and from a fresh volume."""

from collections.abc import Mapping

import pytest

from pie.core.integrity import VolumeMemory, judge_records, recall
from pie.core.naming import ANNOTATION_IDENTITY, ANNOTATION_IDENTITY_OF, ANNOTATION_REPLACED_BY
from pie.core.reasons import Reason
from pie.core.result import RecordStats

A, B, X = "a" * 32, "b" * 32, "c" * 32
UID, ANOTHER = "uid-of-the-pvc", "uid-of-another-pvc"
OLD = {ANNOTATION_IDENTITY: A}
"""As written by a pie that did not say of which PVC it is."""
KNOWN = VolumeMemory(identity=A, sequence=5, due_seconds=100.0)


def found(identity: str | None, sequence: int | None, *, written: str | None = None) -> RecordStats:
    return RecordStats(
        identity_found=identity,
        sequence_found=sequence,
        identity_written=written or identity,
        sequence_written=(sequence or 0) + 1,
    )


def test_a_fresh_volume_gets_the_identity_of_its_first_run() -> None:
    reason, _, known = judge_records(VolumeMemory(), found(None, None, written=A), 1.0)
    assert reason is None
    assert known.annotations(UID) == {ANNOTATION_IDENTITY: A, ANNOTATION_IDENTITY_OF: UID}


def test_a_volume_whose_first_result_was_lost_is_adopted() -> None:
    reason, _, known = judge_records(VolumeMemory(), found(A, 3), 1.0)
    assert (reason, known.identity) == (None, A)


def test_the_first_run_read_again_after_a_restart_is_no_loss() -> None:
    first = found(None, None, written=A)
    _, _, known = judge_records(VolumeMemory(), first, 1.0)
    after_restart = recall(known.annotations(UID), VolumeMemory(), UID)
    reason, _, known = judge_records(after_restart, first, 1.0)
    assert reason is None
    assert judge_records(known, found(A, 1), 61.0)[0] is None


def test_the_same_volume_moves_on() -> None:
    reason, _, known = judge_records(KNOWN, found(A, 5), 160.0)
    assert (reason, known.sequence, known.due_seconds) == (None, 6, 160.0)


def test_a_run_whose_result_never_came_is_no_fault() -> None:
    assert judge_records(KNOWN, found(A, 8), 160.0)[0] is None


def test_an_emptied_volume_is_lost_and_stays_lost_until_its_data_is_back() -> None:
    reason, _, known = judge_records(KNOWN, found(None, None, written=X), 160.0)
    assert reason is Reason.DATA_LOST
    assert known.annotations(UID)[ANNOTATION_REPLACED_BY] == X
    after_restart = recall(known.annotations(UID), VolumeMemory(), UID)
    for memory in (known, after_restart):
        assert judge_records(memory, found(X, 1), 220.0)[0] is Reason.DATA_LOST
        assert judge_records(memory, found(A, 5), 220.0)[0] is None


def test_another_volumes_data_is_swapped_and_clears_when_swapped_back() -> None:
    reason, message, known = judge_records(KNOWN, found(B, 9), 160.0)
    assert reason is Reason.DATA_SWAPPED
    assert B[:8] in message
    assert judge_records(known, found(A, 5), 220.0)[0] is None


def test_an_older_state_is_stale() -> None:
    assert judge_records(KNOWN, found(A, 4), 160.0)[0] is Reason.DATA_STALE


def test_a_result_read_out_of_order_is_not_stale() -> None:
    assert judge_records(KNOWN, found(A, 4), 99.0)[0] is None


def test_the_first_result_after_a_restart_is_the_new_base_for_the_sequence_only() -> None:
    memory = recall({ANNOTATION_IDENTITY: A, ANNOTATION_IDENTITY_OF: UID}, VolumeMemory(), UID)
    assert judge_records(memory, found(A, 2), 1.0)[0] is None
    assert judge_records(memory, found(B, 2), 1.0)[0] is Reason.DATA_SWAPPED


def test_records_all_corrupted_are_left_to_the_probes_own_word() -> None:
    stats = RecordStats(corrupted=64, corrupted_detail="slot 0")
    assert judge_records(KNOWN, stats, 160.0) == (None, "", KNOWN)


@pytest.mark.parametrize("restored", [OLD, {**OLD, ANNOTATION_IDENTITY_OF: ANOTHER}])
@pytest.mark.parametrize("replaced", [{}, {ANNOTATION_REPLACED_BY: X}])
@pytest.mark.parametrize(
    ("content", "identity"), [(found(None, None, written=B), B), (found(B, 7), B), (found(A, 3), A)]
)
def test_a_pvc_restored_from_a_backup_is_no_data_loss_whatever_its_volume_holds(
    restored: Mapping[str, str], replaced: Mapping[str, str], content: RecordStats, identity: str
) -> None:
    reason, _, known = judge_records(recall({**restored, **replaced}, VolumeMemory(), UID), content, 1.0)
    assert reason is None
    assert (
        known.annotations(UID).items() >= {ANNOTATION_IDENTITY: identity, ANNOTATION_IDENTITY_OF: UID}.items()
    )
    # From now on the identity is that of this PVC, also after a restart.
    later = recall({**restored, **replaced, **known.annotations(UID)}, VolumeMemory(), UID)
    assert judge_records(later, found(identity, 9), 2.0)[0] is None
    assert judge_records(later, found(None, None, written="d" * 32), 3.0)[0] is Reason.DATA_LOST
    assert judge_records(later, found("e" * 32, 1), 3.0)[0] is Reason.DATA_SWAPPED


def test_a_loss_that_an_older_pie_found_stays_one_after_the_upgrade() -> None:
    memory = recall({**OLD, ANNOTATION_REPLACED_BY: X}, VolumeMemory(), UID)
    reason, _, known = judge_records(memory, found(X, 4), 1.0)
    assert (reason, known.unsure) == (Reason.DATA_LOST, False)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(found(B, 7), Reason.DATA_SWAPPED), (found(None, None, written=B), Reason.DATA_LOST)],
)
def test_while_an_incident_is_open_the_identity_of_an_older_pie_counts(
    content: RecordStats, expected: Reason
) -> None:
    memory = recall(OLD, VolumeMemory(), UID, bad_before=True)
    assert judge_records(memory, content, 1.0)[0] is expected
    restored = recall({**OLD, ANNOTATION_IDENTITY_OF: ANOTHER}, VolumeMemory(), UID, bad_before=True)
    assert judge_records(restored, content, 1.0)[0] is None


def test_records_that_show_nothing_leave_open_whose_the_identity_is() -> None:
    memory = recall(OLD, VolumeMemory(), UID)
    _, _, known = judge_records(memory, RecordStats(corrupted=64), 1.0)
    assert known.annotations(UID) == {}
    _, _, known = judge_records(recall(OLD, known, UID), found(A, 5), 2.0)
    assert known.annotations(UID)[ANNOTATION_IDENTITY_OF] == UID

"""What real clusters say leads to the right stage, reason and evidence; docs/verdicts.md shows it."""

from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pie.core.judge import judge
from pie.core.model import Verdict
from pie.core.reasons import Reason
from pie.core.text import evidence, one_line
from pie.core.wire import Condition, ContainerState, ContainerStatus, StateTerminated
from tests.core.build import MOUNT, T0, at, pod, probe, run
from tests.core.cases.page import KINDS, page
from tests.core.cases.rows import Row, unscheduled

ROWS = list(chain.from_iterable(KINDS.values()))
PAGE = Path(__file__).parents[2] / "docs/verdicts.md"


@pytest.mark.parametrize("row", ROWS, ids=[f"{each.source}: {each.text}"[:120] for each in ROWS])
def test_what_a_cluster_says_has_its_stage_and_reason_and_keeps_the_cause(row: Row) -> None:
    judgement = judge(row.run, probe(), T0 + 31)
    assert (judgement.stage, judgement.reason) == (row.stage, row.reason)
    assert row.keeps in judgement.message
    assert 0 < len(judgement.message) <= 256


@pytest.mark.parametrize("started", [3, None])
@pytest.mark.parametrize("by_job", [False, True])
def test_a_pod_that_others_delete_with_a_word_says_whose_word_it_was(
    *, started: float | None, by_job: bool
) -> None:
    shown = pod(scheduled=1, acknowledged=1, started=started, deleted=9)
    said = Condition("DisruptionTarget", "True", "PreemptionByScheduler", "default-scheduler: preempting")
    status = replace(shown.status, conditions=(*shown.status.conditions, said))
    deleted = {"deleted_at": T0 + 9, "pod_known_until": T0 + 9} if by_job else {}
    seen = run(replace(shown, status=status), MOUNT, over=True, **deleted)
    judgement = judge(seen, probe(), T0 + 12)
    assert (judgement.verdict, judgement.reason) == (Verdict.INCONCLUSIVE, Reason.EVICTED)
    assert judgement.message.startswith("PreemptionByScheduler")
    assert judgement.ended


@pytest.mark.parametrize("never", [datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), None])
def test_a_container_that_never_started_is_no_run_that_started(never: datetime | None) -> None:
    over = StateTerminated(128, "StartError", "exec: no such file", never, at(9))
    statuses = (ContainerStatus("probe", ContainerState(terminated=over)),)
    shown = pod(scheduled=1, acknowledged=1, phase="Failed")
    seen = run(replace(shown, status=replace(shown.status, container_statuses=statuses)), MOUNT)
    judgement = judge(seen, probe(), T0 + 12)
    assert (judgement.verdict, judgement.reason) == (Verdict.INCONCLUSIVE, Reason.CONTAINER_START_FAILED)
    assert judgement.on_time is None


def test_each_kind_has_three_texts_and_more_than_one_source() -> None:
    for kind, rows in KINDS.items():
        assert len(rows) >= 3, kind
        assert len({row.source for row in rows}) > 1, kind


def test_the_page_shows_what_is_tested() -> None:
    assert PAGE.read_text() == page(), "`make verdicts` writes docs/verdicts.md"


# What other nodes say: each is refused at its affinity, or before.
_OF_OTHERS = st.sampled_from(
    [
        "node(s) didn't match Pod's node affinity/selector",
        "node(s) didn't satisfy plugin(s) [NodeAffinity]",
        "node(s) didn't satisfy plugin(s) [NodeAffinity VolumeBinding]",
        "node(s) had untolerated taint {maintenance: }",
        "node(s) had untolerated taint(s)",
        "node(s) had taint {node-role.kubernetes.io/control-plane: }, that the pod didn't tolerate",
        "node(s) were unschedulable",
    ]
)
_OWN = [
    "node(s) had volume node affinity conflict",
    "node(s) didn't match PersistentVolume's node affinity",
    "node(s) didn't find available persistent volumes to bind",
    "node(s) did not have enough free storage",
    "node(s) had no available volume zone",
    "node(s) exceed max volume count",
    "d.example CSI driver is not installed on the node",
    "Insufficient cpu",
    "Too many pods",
]


def _reasons(own: str, others: dict[str, int], *, preempts: bool) -> set[tuple[object, object]]:
    """Return what is said of a pinned pod for its own node's reason, alone and among those of other nodes."""
    counts = sorted([f"1 {own}", *(f"{count} {text}" for text, count in others.items() if text != own)])
    total = 1 + sum(others.values())
    end = f" preemption: 0/{total} nodes are available: {total} Insufficient memory." if preempts else ""
    mixed = f"0/{total} nodes are available: {', '.join(counts)}.{end}"
    alone = f"0/1 nodes are available: 1 {own}."
    judged = [judge(unscheduled(text, MOUNT), probe(), T0 + 31) for text in (alone, mixed)]
    return {(each.stage, each.reason) for each in judged}


@given(
    own=st.sampled_from(_OWN),
    others=st.dictionaries(_OF_OTHERS, st.integers(1, 5000)),
    preempts=st.booleans(),
)
def test_reasons_of_other_nodes_never_change_the_reason_of_a_pinned_target(
    own: str, others: dict[str, int], *, preempts: bool
) -> None:
    assert len(_reasons(own, others, preempts=preempts)) == 1


@given(
    own=st.sampled_from([*_OWN, "node(s) were unschedulable", "node(s) had untolerated taint(s)"]),
    others=st.dictionaries(_OF_OTHERS | st.sampled_from(_OWN), st.integers(2, 5000)),
    preempts=st.booleans(),
)
def test_what_several_nodes_say_is_not_the_reason_of_the_one_node_of_a_pinned_target(
    own: str, others: dict[str, int], *, preempts: bool
) -> None:
    assert len(_reasons(own, others, preempts=preempts)) == 1


@given(
    driver=st.sampled_from(["csi.example.com", "ebs.csi.aws.com"]),
    cause=st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=100).map(one_line).filter(bool),
)
def test_a_cause_at_the_end_of_a_long_text_stays(driver: str, cause: str) -> None:
    path = f"/var/lib/kubelet/plugins/kubernetes.io/csi/{driver}/{'0f' * 32}/globalmount"
    text = (
        f'MountVolume.MountDevice failed for volume "v" : format of disk "/dev/sdh" failed: target:("{path}")'
    )
    said = evidence(f'{text} options:("{path}") output:({cause})')
    assert said.endswith(f"output:({cause})")
    assert said.startswith('MountVolume.MountDevice failed for volume "v"')
    assert len(said) <= 256


_TEXTS = st.sampled_from([each.message for row in ROWS for each in row.run.warnings]) | st.text(max_size=60)
_REASONS = st.sampled_from(
    ["FailedMount", "FailedAttachVolume", "Failed", "FailedScheduling", "ProvisioningFailed", "FailedCreate"]
)


@given(
    row=st.sampled_from(ROWS),
    warnings=st.lists(st.tuples(_REASONS, _TEXTS), max_size=5),
    phase=st.sampled_from(["Pending", "Running", "Failed", "Unknown"]),
    reason=st.sampled_from(["", "Evicted", "OutOfcpu", "SomethingNew", "DeadlineExceeded"]),
)
def test_whatever_is_said_of_a_run_there_is_one_plain_bounded_cause(
    row: Row, warnings: list[tuple[str, str]], phase: str, reason: str
) -> None:
    shown = row.run.pod
    if shown is not None:
        shown = replace(shown, status=replace(shown.status, phase=phase, reason=reason))
    seen = run(shown, row.run.target, *warnings, claim=row.run.claim, seen=row.run.seen)
    judgement = judge(seen, probe(), T0 + 400)
    assert judgement.stage is not None
    assert 0 < len(judgement.message) <= 256
    assert one_line(judgement.message) == judgement.message

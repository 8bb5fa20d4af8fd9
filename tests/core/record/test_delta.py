"""What changed is enough to have the value after it, and small where little changed."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pie.core.model import Stage, Verdict
from pie.core.reasons import Reason
from pie.core.record.delta import changes, delta, patched
from pie.core.target.ledger import Ledger
from pie.core.target.state import BadStreak, RunState, Standing, TargetState
from pie.core.wire import ContainerState, ContainerStatus, Pod, PodMetadata, PodStatus, StateWaiting
from tests.core.build import MOUNT
from tests.examples import examples

quick = examples(0.4)
times = st.floats(0, 2e9)
texts = st.text("abc é", max_size=4)
waiting = st.none() | st.builds(StateWaiting, reason=texts)
containers = st.builds(ContainerStatus, name=texts, state=st.builds(ContainerState, waiting=waiting))
pods = st.builds(
    Pod,
    metadata=st.builds(PodMetadata, name=texts, annotations=st.dictionaries(texts, texts, max_size=2)),
    status=st.builds(PodStatus, phase=texts, container_statuses=st.lists(containers, max_size=2).map(tuple)),
)
runs = st.builds(
    RunState,
    id=texts,
    due=times,
    created=times,
    cause=st.just("schedule"),
    pod=st.none() | pods,
    over_at=st.none() | times,
)
standings = st.builds(
    Standing, verdict=st.sampled_from(Verdict), stage=st.none() | st.sampled_from(Stage), message=texts
)
bad = st.builds(
    BadStreak,
    reason=st.sampled_from(Reason),
    stage=st.sampled_from(Stage),
    first_bad=times,
    bad_runs=st.integers(0, 99),
    last_due=times,
    noted_at=times,
)
states = st.builds(
    TargetState,
    target=st.just(MOUNT),
    runs=st.dictionaries(st.sampled_from("abc"), runs),
    ledger=st.builds(Ledger, st.lists(st.integers(0, 9), max_size=3).map(tuple), st.just(0)),
    standing=standings,
    bad=st.none() | bad,
    followed=st.frozensets(texts, max_size=2),
)


def as_read(value: Any) -> Any:
    """Return a value as it is after it was written and read, without types."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value))


@quick
@given(states, states)
def test_a_state_with_its_delta_is_the_next_state(before: TargetState, after: TargetState) -> None:
    change = delta(before, after)
    if change is None:
        assert before == after
        return
    tree = as_read(before)
    found = patched(tree, as_read(change))
    assert msgspec.convert(found, TargetState) == after
    assert list(found["runs"]) == list(after.runs)
    assert tree == as_read(before)


@quick
@given(states, states)
def test_the_differences_of_two_states_are_named_by_their_paths(
    before: TargetState, after: TargetState
) -> None:
    found = changes(before, after)
    assert bool(found) is (before != after)
    assert all(was != now and path for path, was, now in found)


@quick
@given(states, pods)
def test_of_a_run_whose_pod_changed_only_the_pod_is_written(state: TargetState, pod: Pod) -> None:
    run = RunState("r", 1.0, 1.0, "schedule")
    before = msgspec.structs.replace(state, runs={**state.runs, "r": run})
    changed = msgspec.structs.replace(run, pod=pod)
    after = msgspec.structs.replace(before, runs={**before.runs, "r": changed})
    assert delta(before, after) == [1, {"runs": [2, {"r": [1, {"pod": [0, pod]}]}, None]}]

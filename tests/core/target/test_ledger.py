"""Each due time is counted once."""

from hypothesis import given
from hypothesis import strategies as st

from pie.core.target.ledger import Ledger

dues = st.integers(1, 60).map(lambda minute: 1.7e9 + 60 * minute)


def counted(due_times: list[float]) -> tuple[list[float], Ledger]:
    """Return which due times were still to be counted, in order, and the ledger after them."""
    ledger, fresh = Ledger(), []
    for due in due_times:
        if due not in ledger:
            fresh.append(due)
        ledger = ledger.mark(due)
    return fresh, ledger


@given(st.lists(dues))
def test_a_due_time_is_counted_at_most_once_in_whatever_order(due_times: list[float]) -> None:
    fresh, ledger = counted(due_times)
    assert len(fresh) == len(set(fresh))
    assert all(due in ledger for due in due_times)


@given(st.lists(dues, max_size=16))
def test_as_many_due_times_as_wait_to_be_read_are_all_counted(due_times: list[float]) -> None:
    fresh, _ = counted(due_times)
    assert set(fresh) == set(due_times)


def test_in_order_all_are_counted_however_many() -> None:
    due_times = [float(due) for due in range(1, 10_000)]
    fresh, ledger = counted(due_times)
    assert fresh == due_times
    assert 1.0 in ledger
    assert 10_000.0 not in ledger

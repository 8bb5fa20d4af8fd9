"""Each due time is counted once."""

from hypothesis import given
from hypothesis import strategies as st

from pie.core.ledger import Ledger

dues = st.integers(1, 60).map(lambda minute: 1.7e9 + 60 * minute)


@given(st.lists(dues))
def test_a_due_time_is_claimed_at_most_once_in_whatever_order(claims: list[float]) -> None:
    ledger = Ledger()
    taken = [due for due in claims if ledger.claim(due)]
    assert len(taken) == len(set(taken))
    assert all(due in ledger for due in claims)


@given(st.lists(dues, max_size=16))
def test_as_many_due_times_as_wait_to_be_read_are_all_counted(claims: list[float]) -> None:
    ledger = Ledger()
    assert {due for due in claims if ledger.claim(due)} == set(claims)


def test_in_order_all_are_counted_however_many() -> None:
    ledger = Ledger()
    assert all(ledger.claim(float(due)) for due in range(1, 10_000))
    assert 1.0 in ledger
    assert 10_000.0 not in ledger

"""What a resident probe answers the kubelet: few Events, and news at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.resident.answers import HELD_SECONDS, Known, answer
from pie.core.resident.codes import Code, code_of
from pie.core.result import Outcome

THRESHOLD = 10.0
BAD = [code for code in Code if code is not Code.WELL]


@pytest.mark.parametrize(
    ("known", "waited", "answered"),
    [
        (Known(Code.WELL), 0.0, Code.WELL),
        (Known(Code.IO_ERROR), 0.0, Code.IO_ERROR),
        (Known(Code.IO_ERROR, said=frozenset({Code.IO_ERROR})), 0.0, None),
        (Known(Code.IO_ERROR, said=frozenset({Code.IO_ERROR})), HELD_SECONDS, Code.IO_ERROR),
        (Known(Code.IO_ERROR, said=frozenset({Code.STALLED})), 0.0, Code.IO_ERROR),
        (Known(), 0.0, None),
        (Known(), HELD_SECONDS, Code.STALLED),
        (Known(Code.WELL, busy_since=91.0), 0.0, Code.WELL),
        (Known(Code.WELL, busy_since=90.0), 0.0, Code.STALLED),
        (Known(Code.IO_ERROR, busy_since=90.0), 0.0, Code.STALLED),
        (Known(None, busy_since=90.0), 0.0, Code.STALLED),
    ],
    ids=[
        "well",
        "the first bad question at once",
        "a later one is held",
        "but not for ever",
        "another reason at once",
        "nothing is known yet",
        "nothing is known for long",
        "an operation goes on",
        "it takes too long",
        "it fails, then it takes too long",
        "the first operation takes too long",
    ],
)
def test_a_question_is_answered_at_once_or_held(known: Known, waited: float, answered: Code | None) -> None:
    assert answer(known, 100.0 - waited, 100.0, THRESHOLD) is answered


@given(st.lists(st.sampled_from([*BAD, Code.WELL]), max_size=30), st.sampled_from(BAD))
def test_while_io_is_bad_each_reason_is_told_once(ended: list[Code], last: Code) -> None:
    """Whatever came before: a kubelet that asks again and again gets each code once, then it is held."""
    known, told = Known(), list[Code]()
    for code in [*ended, last]:
        known = known.ended(code)
        for _ in range(3):
            if (said := answer(known, 0.0, 0.0, THRESHOLD)) is not None:
                told, known = [*told, said], known.told(said)
    bad: list[Code] = []
    for code in [*ended, last]:
        bad = [] if code is Code.WELL else [*bad, code]
    since_well = told[len(told) - told[::-1].index(Code.WELL) if Code.WELL in told else 0 :]
    assert since_well == list(dict.fromkeys(bad))
    assert answer(known.ended(Code.WELL), 0.0, 0.0, THRESHOLD) is Code.WELL


@pytest.mark.parametrize("outcome", Outcome)
def test_only_a_good_outcome_is_ready_for_the_kubelet(outcome: Outcome) -> None:
    assert (200 <= code_of(outcome) < 400) is (outcome is Outcome.OK)

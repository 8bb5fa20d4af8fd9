"""Log lines that repeat: the first ones are written, then one now and then."""

from pie.kube.repeated import Repeated


def test_the_first_lines_of_a_key_are_written_and_the_others_counted() -> None:
    seconds = 0.0
    repeated = Repeated(2, period_seconds=60, clock=lambda: seconds)
    assert [repeated.write("a") for _ in range(5)] == [0, 0, None, None, None]
    assert repeated.write("b") == 0, "another key has lines of its own"
    seconds = 60.0
    assert [repeated.write("a") for _ in range(3)] == [3, 0, None]


def test_a_key_that_was_forgotten_is_written_at_once() -> None:
    repeated = Repeated()
    assert [repeated.write("a"), repeated.write("a")] == [0, None]
    assert repeated.forget("a")
    assert not repeated.forget("a")
    assert repeated.write("a") == 0


def test_keys_without_end_take_no_more_memory() -> None:
    repeated = Repeated()
    for number in range(5000):
        assert repeated.write(number) == 0
    assert len(repeated._known) <= 1024
    assert repeated.write(4999) is None

"""The API server's clock, as learned from whole seconds in `Date` headers."""

from email.utils import formatdate

from hypothesis import given
from hypothesis import strategies as st

from pie.kube.clock import ServerClock, boottime


class Clocks:
    """A local monotonic clock, and a server clock at a fixed offset from it."""

    def __init__(self, offset: float) -> None:
        self.local = 100.0
        self.offset = offset
        self.clock = ServerClock(monotonic=lambda: self.local, wall=lambda: 42.0)

    @property
    def server(self) -> float:
        return self.local + self.offset

    def exchange(self, there_seconds: float, back_seconds: float) -> None:
        sent_at = self.local
        self.local += there_seconds
        date = formatdate(int(self.server), usegmt=True)
        self.local += back_seconds
        self.clock.observe(date, sent_at)


TRIPS = st.tuples(st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 5))


def test_before_the_first_answer_the_wall_clock_serves() -> None:
    clock = ServerClock(wall=lambda: 42.0)
    assert clock.now() == 42.0
    clock.observe(None, 0.0)
    clock.observe("half past two", 0.0)
    assert clock.now() == 42.0


@given(offset=st.floats(1e9, 2e9), trips=st.lists(TRIPS, min_size=1, max_size=30))
def test_one_answer_is_good_to_a_second_and_more_never_make_it_worse(
    offset: float, trips: list[tuple[float, float, float]]
) -> None:
    clocks = Clocks(offset)
    for there, back, pause in trips:
        clocks.exchange(there, back)
        assert abs(clocks.clock.now() - clocks.server) <= 0.81  # half of (1 s + the longest round trip)
        clocks.local += pause


def test_many_answers_find_the_fraction_of_the_second() -> None:
    clocks = Clocks(1_700_000_000.7)
    for _ in range(50):
        clocks.exchange(0.002, 0.002)
        clocks.local += 0.37
    assert abs(clocks.clock.now() - clocks.server) < 0.03


@given(jump=st.floats(2, 1e6) | st.floats(-1e6, -2))
def test_a_jump_of_the_servers_clock_is_followed(jump: float) -> None:
    clocks = Clocks(1_700_000_000.0)
    for _ in range(10):
        clocks.exchange(0.01, 0.01)
    clocks.offset += jump
    clocks.exchange(0.01, 0.01)
    assert abs(clocks.clock.now() - clocks.server) <= 0.6


def test_a_moment_of_the_past_is_dated_by_what_is_known_now() -> None:
    clocks = Clocks(1_700_000_000.0)
    moment = clocks.clock.monotonic()
    clocks.exchange(0.01, 0.01)
    assert abs(clocks.clock.at(moment) - (moment + clocks.offset)) <= 0.6


def test_boottime_never_goes_back() -> None:
    assert boottime() <= boottime()

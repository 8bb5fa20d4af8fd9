"""`pie probe shared`: two pods use one volume at once, and each sees what the other one writes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pie.core.result import Outcome, Result
from pie.probe.failure import Failure
from pie.probe.records import Records
from pie.probe.ring import SLOT_BYTES, Record
from pie.probe.shared import Shared
from pie.probe.volume import Volume
from tests.probe.conftest import Probe

PATIENCE_SECONDS = 90.0


def use(root: Path, *, second: bool) -> Shared:
    """Be one of two pods, to the end."""
    with Volume.open(root, check_mount=False, lock_name=f"lock-{second}") as volume:
        shared = Shared(volume, second=second)
        shared.meet(PATIENCE_SECONDS)
        shared.exchange(PATIENCE_SECONDS)
    return shared


def test_two_pods_that_see_each_other_are_both_good(volume: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda second: use(volume, second=second), (False, True))
    mine, theirs = first.stats(), second.stats()
    assert mine.identity_found not in {None, mine.identity_written}
    assert (mine.sequence_written, theirs.sequence_written) == (1, 1)  # in the file that replaced the first
    left = {path.name for path in (volume / ".pie").iterdir() if not path.name.startswith("lock")}
    assert left == {"first", "second"}


class Other:
    """The other pod: each time somebody waits for it, it makes one more change; but not more than `shown`."""

    def __init__(self, volume: Volume, shown: int) -> None:
        self._records = Records(volume, "second")
        self._newest: Record | None = None
        self._made, self._shown, self.now = 0, shown, 0.0

    def pause(self, seconds: float) -> None:
        self.now += seconds
        if self._made < self._shown:
            self._newest = self._records.append(self._newest if self._made < 3 else None)
            self._made += 1


@pytest.fixture
def failure(volume: Path) -> Callable[[int], Failure | None]:
    """Be the first pod beside one that shows only its first changes; return how that ends."""

    def run(shown: int) -> Failure | None:
        with Volume.open(volume, check_mount=False, lock_name="lock-first") as opened:
            other = Other(opened, shown)
            shared = Shared(opened, second=False, pause=other.pause, now=lambda: other.now)
            try:
                shared.meet(PATIENCE_SECONDS)
                shared.exchange(PATIENCE_SECONDS)
            except Failure as failure:
                return failure
        return None

    return run


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (0, "does not show a file that was renamed of the other node in second: it shows nothing of it"),
        (1, "does not show record 2 of the other node in second: it shows record 1 of "),
        (2, "does not show record 3 of the other node in second: it shows record 2 of "),
        (3, "does not show a file that was renamed of the other node in second: it shows record 3 of "),
    ],
)
def test_a_volume_that_does_not_show_what_the_other_node_writes_is_bad(
    failure: Callable[[int], Failure | None], shown: int, words: str
) -> None:
    found = failure(shown)
    assert found is not None
    assert found.outcome is Outcome.SHARED_NOT_SEEN
    assert f"after 90 s this node {words}" in str(found)


def test_a_volume_that_shows_each_change_is_good(failure: Callable[[int], Failure | None]) -> None:
    assert failure(4) is None


def test_what_the_other_node_wrote_and_is_read_different_is_corrupted(
    volume: Path, failure: Callable[[int], Failure | None]
) -> None:
    assert failure(1) is not None
    path = volume / ".pie" / "second"
    content = bytearray(path.read_bytes())
    content[SLOT_BYTES + 100] ^= 1
    path.write_bytes(content)
    found = failure(0)
    assert found is not None
    assert found.outcome is Outcome.DATA_CORRUPTED


def test_a_pod_alone_waits_as_long_as_it_is_told_and_reports_what_it_does_not_see(
    probe: Probe, volume: Path
) -> None:
    result: Result = probe("shared", volume, "--second", "--meets-within", "0.3")
    assert result.outcome is Outcome.SHARED_NOT_SEEN
    assert list(result.elapsed_seconds) == ["prepare", "meet"]
    assert "in first: it shows nothing of it" in result.message

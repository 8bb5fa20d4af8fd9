"""Measuring without fio, where a demo asks for it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.result import Outcome
from pie.probe.ownio import size_bytes
from tests.probe.conftest import Probe

WITHOUT = {"PATH": "/nonexistent"}


def test_without_fio_the_probe_fails_unless_it_may_do_without(probe: Probe, volume: Path) -> None:
    assert probe("mount", volume, env=WITHOUT).outcome is Outcome.FIO_MISSING
    found = probe("mount", volume, "--without-fio", "--size", "1M", env=WITHOUT)
    assert found.ok, found.message
    assert found.io is not None
    assert found.io.tool == "pie"
    for direction in (found.io.read, found.io.write):
        assert direction is not None
        assert 0 < direction.p50_seconds <= direction.p99_seconds <= direction.max_seconds
        assert direction.iops > 0
    assert (volume / ".pie" / "fio" / "job").stat().st_size == 1024 * 1024


def test_it_ends_in_time(probe: Probe, volume: Path) -> None:
    found = probe("mount", volume, "--without-fio", "--size", "1G", "--runtime", "0", env=WITHOUT)
    assert found.ok, found.message
    assert (volume / ".pie" / "fio" / "job").stat().st_size == 4096


@given(st.integers(0, 10**6), st.sampled_from(["", "k", "K", "m", "M", "g", "G"]))
def test_sizes_are_fios(number: int, unit: str) -> None:
    assert size_bytes(f"{number}{unit}") == number * 1024 ** " kmg".index(unit.lower() or " ")


@pytest.mark.parametrize("text", ["", "4kB", "-1k", "k"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        size_bytes(text)

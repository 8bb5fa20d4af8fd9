"""Measuring without fio, where a demo asks for it."""

from pathlib import Path

from pie.core.iojob import BLOCK_SIZES, SIZES, size_bytes
from pie.core.result import Outcome
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
    job = ("--size", "1G", "--rate-iops", "16")
    found = probe("mount", volume, "--without-fio", *job, env=WITHOUT)
    assert found.ok, found.message
    assert (volume / ".pie" / "fio" / "job").stat().st_size <= 16 * 4096


def test_sizes_are_fios() -> None:
    assert [size_bytes(text) for text in ("512", "4k", "1M", "1G")] == [512, 4096, 2**20, 2**30]
    assert all(size_bytes(size) % 4096 == 0 for size in SIZES)
    assert [*map(size_bytes, BLOCK_SIZES)] == sorted(map(size_bytes, BLOCK_SIZES))

"""A filesystem or kernel that refuses O_DIRECT, at open or only at a read or write, is used without it."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from pie.core.iojob import IoJob
from pie.core.result import Outcome
from pie.probe import ownio
from pie.probe.failure import Failure
from pie.probe.records import Records
from pie.probe.volume import O_DIRECT, REFUSED_DIRECT, Volume
from tests.probe.conftest import Probe

T = TypeVar("T")

refusals = pytest.mark.parametrize("number", sorted(REFUSED_DIRECT), ids=errno.errorcode.get)
errors = pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)


class Refusing(Volume):
    """A volume whose I/O is refused with an errno, once, after it was done with O_DIRECT for some times."""

    number = errno.EINVAL
    good = 0
    done: list[int] | None = None

    def past_cache(self, work: Callable[[int], T]) -> T:
        done = self.done = self.done if self.done is not None else []

        def refused(flag: int) -> T:
            # The temporary directory may be on a filesystem without O_DIRECT.
            found = work(0)
            done.append(flag)
            if flag and len(done) > self.good:
                raise OSError(self.number, os.strerror(self.number))
            return found

        return super().past_cache(refused)


@pytest.fixture
def refusing(volume: Path) -> Iterator[Refusing]:
    """Take a directory for a volume."""
    with Refusing.open(volume, check_mount=False) as found:
        found.can_direct = True
        yield found


@refusals
@pytest.mark.parametrize("good", range(3))
def test_records_are_written_and_read_all_the_same(refusing: Refusing, number: int, good: int) -> None:
    refusing.number, refusing.good = number, good
    for sequence in (1, 2):
        findings = Records(refusing).read()
        newest = findings.newest if findings else None
        assert Records(refusing).append(newest).sequence == sequence
    read = Records(refusing).read()
    assert read is not None
    assert (read.corrupted, read.torn) == (0, 0)
    assert not refusing.can_direct
    assert refusing.done is not None
    assert refusing.done.count(O_DIRECT) == good + 1, "once refused, it is not tried again"


@errors
def test_any_other_error_of_a_record_is_the_volumes(refusing: Refusing, number: int) -> None:
    refusing.number = number
    with pytest.raises(Failure) as failed:
        Records(refusing).append(None)
    assert errno.errorcode[number] in str(failed.value)
    assert failed.value.outcome is not Outcome.INTERNAL
    assert refusing.can_direct


@refusals
def test_pies_own_measuring_goes_without_it(refusing: Refusing, number: int) -> None:
    refusing.number = number
    assert ownio.run(refusing, IoJob(size="64k")).write is not None
    assert not refusing.can_direct


@errors
def test_any_other_error_of_pies_own_measuring_is_the_volumes(refusing: Refusing, number: int) -> None:
    refusing.number = number
    with pytest.raises(Failure, match="measuring on"):
        ownio.run(refusing, IoJob(size="64k"))


FIO = """#!/bin/sh
case "$*" in
*--direct=1*)
    echo '{said}'
    echo '{{"jobs": [{{"error": {error}, "read": {{}}, "write": {{}}}}]}}'
    exit 1
esac
echo '{{"jobs": [{{"error": 0, "read": {{"total_ios": 1, "iops": 1}}, "write": {{"total_ios": 1}}}}]}}'
"""
"""A program that answers as fio 3.33 does, where only I/O around the page cache fails."""

SAID = {
    "with advice": "fio: looks like your file system does not support direct=1/buffered=0",
    "at open": "fio: pid=7, err={0}/file:filesetup.c:805, func=open, error={1}",
    "at a write": "fio: io_u error on file /pie/.pie/fio/job: {1}: write offset=0, buflen=4096",
    "at a read": "fio: pid=7, err={0}/file:io_u.c:1876, func=io_u, error={1}",
}


def install(directory: Path, said: str, number: int, *, reported: bool) -> dict[str, str]:
    """Put such a program first on the path; return the environment that has it."""
    program = directory / "bin" / "fio"
    program.parent.mkdir()
    words = said.format(number, os.strerror(number))
    program.write_text(FIO.format(said=words, error=number if reported else 0))
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
@refusals
def test_fio_is_run_again_without_it_and_the_result_says_so(
    probe: Probe, volume: Path, tmp_path: Path, said: str, number: int
) -> None:
    result = probe("mount", volume, env=install(tmp_path, said, number, reported=True))
    assert (result.outcome, result.direct) == (Outcome.OK, False), result.message
    assert result.io is not None
    assert result.io.read is not None


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (errno.EIO, Outcome.IO_ERROR),
        (errno.ENOSPC, Outcome.NO_SPACE),
        (errno.EROFS, Outcome.READ_ONLY),
        (errno.ENOMEM, Outcome.FIO_FAILED),
    ],
)
@pytest.mark.parametrize("reported", [True, False])
def test_any_other_error_of_fio_keeps_its_outcome(
    probe: Probe, volume: Path, tmp_path: Path, *, number: int, outcome: Outcome, reported: bool
) -> None:
    result = probe("mount", volume, env=install(tmp_path, SAID["at a read"], number, reported=reported))
    assert result.outcome is outcome


@refusals
def test_fio_that_meets_the_same_error_without_it_has_failed(
    probe: Probe, volume: Path, tmp_path: Path, number: int
) -> None:
    env = install(tmp_path, SAID["at a write"], number, reported=True)
    program = tmp_path / "bin" / "fio"
    program.write_text(program.read_text().replace("*--direct=1*", "*--direct*"))
    result = probe("mount", volume, env=env)
    assert result.outcome is (Outcome.FIO_FAILED if number == errno.EINVAL else Outcome.IO_ERROR)
    assert subprocess.run([program, "--direct=0"], check=False, stdout=subprocess.DEVNULL).returncode == 1

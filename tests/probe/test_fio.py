"""fio's report and errors, as fio 3.33 prints them."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.result import Outcome
from pie.probe.fio import failure, parse

SAID = {
    # on a filesystem mounted read-only, on stdout before the JSON
    "fio: pid=11706, err=30/file:filesetup.c:805, func=open(/pie/job), error=Read-only file system": (
        30,
        Outcome.READ_ONLY,
    ),
    # a full volume, on stderr
    "fio: pid=0, err=28/file:filesetup.c:240, func=write, error=No space left on device": (
        28,
        Outcome.NO_SPACE,
    ),
    # ext4 shut down under a running job
    "fio: io_u error on file /pie/.pie/fio/job: Input/output error: write offset=2707456, buflen=4096": (
        0,
        Outcome.IO_ERROR,
    ),
    "fio: pid=11777, err=5/file:io_u.c:1876, func=io_u, error=Input/output error": (
        0,
        Outcome.IO_ERROR,
    ),
    # a directory the user may not enter: fio reports error 0
    "fio: failed to create dir (/pie/.pie/fio): Permission denied": (0, Outcome.PERMISSION_DENIED),
    "fio: failed parsing bs=banana": (0, Outcome.FIO_FAILED),
    "fio: pid=1, err=22/file:filesetup.c:805, func=open, error=Invalid argument": (
        22,
        Outcome.FIO_FAILED,
    ),
    "Killed": (0, Outcome.FIO_FAILED),
}


@pytest.mark.parametrize(("said", "error", "outcome"), [(said, *rest) for said, rest in SAID.items()])
def test_what_fio_says_has_an_outcome_and_is_the_evidence(said: str, error: int, outcome: Outcome) -> None:
    why = failure(1, error, "a word before\n" + said + "\n")
    assert why.outcome is outcome
    assert said.removeprefix("fio: ")[:150] in str(why)


def test_a_silent_failure_has_words_too() -> None:
    why = failure(-9, 0, "\n")
    assert (why.outcome, str(why)) == (Outcome.FIO_FAILED, "fio ended with status -9: without a word")


@given(st.integers(), st.sampled_from(sorted(errno.errorcode)), st.text())
def test_any_failure_has_an_outcome_other_than_ok(status: int, error: int, spoken: str) -> None:
    why = failure(status, error, spoken)
    assert why.outcome is not Outcome.OK
    assert str(why)


@given(st.text())
def test_junk_is_no_report(stdout: str) -> None:
    assert parse(stdout)[0] is None


def test_words_before_the_report_are_split_off() -> None:
    report, spoken = parse('fio: a note\nfio: another\n{"jobs": [{"error": 5, "read": {}, "write": {}}]}\n')
    assert report is not None
    assert report.error == 5
    assert spoken.splitlines() == ["", "fio: a note", "fio: another"]


def test_a_report_without_a_job_is_none() -> None:
    assert parse('{"jobs": []}')[0] is None
    assert parse('{"jobs": [{"error": "x"}]}')[0] is None

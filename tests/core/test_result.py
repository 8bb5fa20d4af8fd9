"""The termination message: it fits, it survives the way, and nothing else is taken for one."""

import contextlib
import json
import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.result import (
    MAX_BYTES,
    MAX_TEXT,
    IoStats,
    Latency,
    Note,
    Outcome,
    RecordStats,
    Result,
    ResultError,
    decode,
    encode,
)
from pie.core.text import one_line

SECONDS = st.floats(min_value=0, max_value=1e9)
LATENCIES = st.builds(
    Latency,
    iops=st.floats(min_value=0, max_value=1e12),
    mean_seconds=SECONDS,
    p50_seconds=SECONDS,
    p99_seconds=SECONDS,
    max_seconds=SECONDS,
)
IDENTITIES = st.text(alphabet="0123456789abcdef", min_size=32, max_size=32)
SEQUENCES = st.integers(min_value=0, max_value=2**62)
TEXTS = st.text(st.characters(exclude_categories=[]), max_size=2000)


def results(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Result]:
    return st.builds(
        Result,
        version=st.just(1),
        probe=st.sampled_from(["mount", "provision"]),
        outcome=st.sampled_from(Outcome),
        message=texts,
        direct=st.booleans(),
        elapsed_seconds=st.dictionaries(
            st.text(alphabet=string.ascii_lowercase, min_size=1, max_size=32), SECONDS, max_size=16
        ),
        io=st.none() | st.builds(IoStats, read=st.none() | LATENCIES, write=st.none() | LATENCIES),
        sync_seconds=st.none() | SECONDS,
        records=st.none()
        | st.builds(
            RecordStats,
            identity_found=st.none() | IDENTITIES,
            sequence_found=st.none() | SEQUENCES,
            identity_written=st.none() | IDENTITIES,
            sequence_written=st.none() | SEQUENCES,
            corrupted=st.integers(min_value=0, max_value=1_000_000),
            corrupted_detail=texts,
            torn=st.integers(min_value=0, max_value=1),
        ),
        notes=st.lists(st.sampled_from(Note), unique=True).map(tuple),
    )


@given(results(TEXTS))
def test_any_result_fits_into_a_termination_message_and_can_be_read(result: Result) -> None:
    message = encode(result)
    assert len(message) <= MAX_BYTES
    read = decode(message.decode())
    assert (read.outcome, read.io, read.sync_seconds) == (result.outcome, result.io, result.sync_seconds)
    assert read.notes == result.notes
    assert len(read.message) <= MAX_TEXT


@given(results(st.text(alphabet=string.ascii_letters, max_size=MAX_TEXT)))
def test_a_result_with_short_texts_arrives_unchanged(result: Result) -> None:
    rounded = {step: round(seconds, 6) for step, seconds in result.elapsed_seconds.items()}
    assert decode(encode(result).decode()) == msgspec.structs.replace(result, elapsed_seconds=rounded)


@given(TEXTS)
def test_junk_is_refused_with_a_result_error(text: str) -> None:
    with pytest.raises(ResultError):
        decode(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(Result.__struct_fields__)


@given(st.dictionaries(FIELDS, JSON))
def test_any_json_is_read_or_refused_and_never_breaks_the_reader(fields: dict[str, object]) -> None:
    document = {"version": 1, "probe": "mount", "outcome": "ok", **fields}
    with contextlib.suppress(ResultError):
        assert len(encode(decode(msgspec.json.encode(document).decode()))) <= MAX_BYTES


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("null", "Expected `object`"),
        ("{}", "missing required field `version`"),
        ('{"version":2,"probe":"mount","outcome":"ok"}', "version 2, this pie reads version 1"),
        ('{"version":1,"outcome":"ok"}', "missing required field `probe`"),
        ('{"version":1,"probe":"mount","outcome":"Fine"}', "Fine"),
        ('{"version":1,"probe":"mount","outcome":"ok","sync_seconds":-1}', "sync_seconds"),
        ('{"version":1,"probe":"mount","outcome":"ok","sync_seconds":1e999}', "sync_seconds"),
        ('{"version":1,"probe":"mount","outcome":"ok","sync_seconds":NaN}', "malformed"),
        ('{"version":1,"probe":"mount","outcome":"ok","elapsed_seconds":{"Ä":1}}', "elapsed_seconds"),
        (
            '{"version":1,"probe":"mount","outcome":"ok","records":{"identity_found":"X"}}',
            "identity_found",
        ),
        ('{"version":1,"probe":"mount","outcome":"ok","records":{"sequence_found":1.5}}', "sequence_found"),
        ('{"version":1,"probe":"mount","outcome":"ok","new":"' + "x" * 4096 + '"}', "4149 bytes"),
        ("[" * 4000, "Expected `object`"),
        ('{"version":1,"a":' + "[" * 4000, "no result"),
        ("\ud800", "not text"),
    ],
)
def test_a_message_that_is_no_result_is_refused_and_says_why(text: str, why: str) -> None:
    with pytest.raises(ResultError, match=why):
        decode(text)


def test_a_result_of_an_older_pie_was_locked_and_notes_of_a_later_one_are_read() -> None:
    old = decode('{"version":1,"probe":"mount","outcome":"ok"}')
    assert (old.notes, old.locked, old.remarks) == ((), True, "")
    later = decode('{"version":1,"probe":"mount","outcome":"ok","notes":["NoTea","NoFileLocks"]}')
    assert (later.locked, later.remarks) == (False, Note.NO_LOCKS.meaning)


def test_fields_of_a_later_pie_are_ignored() -> None:
    read = decode('{"version":1,"probe":"mount","outcome":"ok","new":{"a":[1]},"io":{"read":null,"trim":1}}')
    assert read == Result(probe="mount", outcome=Outcome.OK, io=IoStats())


@given(TEXTS)
def test_a_text_that_is_not_plain_is_cleaned_and_the_result_counts(text: str) -> None:
    sent = {
        "version": 1,
        "probe": "mount",
        "outcome": "Locked",
        "message": text,
        "records": {"corrupted_detail": text},
    }
    message = json.dumps(sent, ensure_ascii=False).encode(errors="replace")
    if len(message) <= MAX_BYTES:
        read = decode(message.decode())
        plain = one_line(text.encode(errors="replace").decode())
        assert (read.outcome, one_line(read.message)) == (Outcome.LOCKED, plain)
        assert read.records is not None
        assert one_line(read.records.corrupted_detail) == plain

"""When the testbed's own tests run."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiers import stamp

ROOT = Path(__file__).parents[2]
FILES = {"testbed/a.py": b"a", "testbed/b.py": b"b"}
VERSIONS = {"go": "1.26"}
WANTED = stamp.fingerprint(FILES, VERSIONS)


@pytest.mark.parametrize(
    ("files", "versions"),
    [
        ({**FILES, "testbed/a.py": b"changed"}, VERSIONS),
        ({**FILES, "testbed/new.py": b""}, VERSIONS),
        ({"testbed/a.py": b"a"}, VERSIONS),
        ({"testbed/a.py": b"a", "testbed/renamed.py": b"b"}, VERSIONS),
        ({"testbed/a.py": b"b", "testbed/b.py": b"a"}, VERSIONS),
        (FILES, {"go": "1.27"}),
        (FILES, {**VERSIONS, "kernel": "6"}),
        ({}, {}),
    ],
    ids=["changed", "added", "deleted", "renamed", "swapped", "version", "another version", "nothing"],
)
def test_whatever_changed_they_are_due(files: dict[str, bytes], versions: dict[str, str]) -> None:
    assert stamp.due({WANTED}, stamp.fingerprint(files, versions))


@given(
    st.dictionaries(st.text(max_size=3), st.binary(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.binary(max_size=3), max_size=3),
)
def test_other_files_have_another_hash(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert (stamp.fingerprint(one, {}) == stamp.fingerprint(other, {})) is (one == other)


def test_as_they_passed_they_are_not_due_but_on_another_machine_or_when_forced() -> None:
    assert not stamp.due({WANTED, "another"}, stamp.fingerprint(dict(reversed(FILES.items())), VERSIONS))
    assert stamp.due(set(), WANTED)
    assert stamp.due({WANTED}, WANTED, forced="always")


def test_another_word_than_always_is_refused() -> None:
    with pytest.raises(ValueError, match="PIE_TESTBED_TESTS is always, or not set; not 'never'"):
        stamp.due({WANTED}, WANTED, forced="never")


@pytest.mark.parametrize(
    ("after", "every", "passed", "earned"),
    [
        ("x", {"a", "b"}, {"a", "b", "other"}, True),
        ("x", {"a", "b"}, {"a"}, False),
        ("changed", {"a"}, {"a"}, False),
        ("x", set(), {"a"}, False),
    ],
    ids=["all passed", "one did not pass", "a file changed meanwhile", "no test is known"],
)
def test_the_stamp_is_written_when_all_passed(
    after: str, every: set[str], passed: set[str], *, earned: bool
) -> None:
    assert stamp.earned("x", after, every, passed) is earned


def test_the_sources_are_those_of_the_testbed_and_nothing_generated() -> None:
    sources = stamp.read_sources(ROOT)
    wanted = {
        "testbed/build.py",
        "testbed/go/kubernetes/go.mod",
        "tests/testbed/test_node.py",
        "tests/conftest.py",
    }
    assert wanted | {"image/base.py", "requirements/dev.lock"} <= sources.keys()
    assert [name for name in sources if name.endswith(".pyc") or "generated" in name] == []

"""What the tiers of `.ci/run` contain, and the table at its end."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiers import results
from tests.tiers.table import (
    EVERYTHING,
    FAST,
    MAIN,
    PARTS,
    TESTBED,
    TIERS,
    Case,
    Run,
    minutes,
    rows,
    selection,
    tier_of,
    too_long,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("path", "real", "tier"),
    [
        ("tests/core/test_judge.py", False, "fast"),
        ("tests/testbed/test_ports.py", False, "fast"),
        ("tests/real/test_chart.py", True, "main"),
        ("tests/kube/test_real.py", True, "main"),
        ("tests/real/test_oldest_kubernetes.py", True, "oldest"),
        ("tests/real/test_weather.py", True, "weather"),
        ("tests/weather/test_another.py", True, "main"),
        ("tests/image/test_base.py", True, "image"),
        ("tests/images/test_another.py", True, "main"),
        ("tests/testbed/test_node.py", True, "testbed"),
        ("tests/cli/test_demo.py", True, "shown"),
    ],
)
def test_a_test_belongs_to_the_tier_of_its_file(path: str, *, real: bool, tier: str) -> None:
    assert tier_of(path, real=real).name == tier


def test_the_files_of_a_tier_exist() -> None:
    paths = [path for tier in TIERS for path in tier.paths]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_make_knows_the_tiers() -> None:
    (known,) = re.findall(r"^TIERS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(known.split()) == {EVERYTHING, *(tier.name for tier in TIERS)}


def test_a_tier_selects_its_own_tests_only() -> None:
    assert selection("fast", testbed_due=True) == ["-m", "not real"]
    assert selection("weather", testbed_due=True) == ["-m", "real", "tests/real/test_weather.py"]
    left_out = {each.removeprefix("--ignore=") for each in selection("main", testbed_due=True)[2:]}
    assert left_out == {path for tier in PARTS for path in tier.paths}


def test_only_all_tiers_together_leave_out_what_the_testbed_has_passed() -> None:
    assert selection(EVERYTHING, testbed_due=True) == []
    assert selection(EVERYTHING, testbed_due=False) == ["--ignore=tests/testbed"]
    assert selection("testbed", testbed_due=False) == ["-m", "real", "tests/testbed"]


FAST_RUN = Run(60.0, (Case("a", "fast", 90.0, "passed"), Case("b", "fast", 150.0, "skipped")))
REAL_RUN = Run(
    600.0,
    (
        Case("c", "main", 900.0, "passed"),
        Case("d", "main", 300.0, "failed"),
        Case("e", "testbed", 600.0, "passed"),
    ),
)


def test_the_minutes_of_the_tiers_add_up_to_the_time_that_their_runs_took() -> None:
    cost = minutes([REAL_RUN, FAST_RUN])
    assert list(cost) == [FAST, MAIN, TESTBED]
    assert cost == {
        FAST: pytest.approx(1.0),
        MAIN: pytest.approx(6.67, abs=0.01),
        TESTBED: pytest.approx(3.33, abs=0.01),
    }


def test_the_table_counts_tests_and_minutes_and_names_what_was_no_test() -> None:
    assert rows([FAST_RUN, REAL_RUN], 720.0) == [
        (FAST.title, "2", "0", "1", "1.0"),
        (MAIN.title, "2", "1", "0", "6.7"),
        (TESTBED.title, "1", "0", "0", "3.3"),
        ("set-up, lint and builds", "", "", "", "1.0"),
        ("total", "5", "1", "1", "12.0"),
    ]


def test_a_table_without_any_test_has_its_total() -> None:
    assert rows([], 60.0)[-1] == ("total", "0", "0", "0", "1.0")
    assert rows([Run(1.0, ())], 60.0)[-1] == ("total", "0", "0", "0", "1.0")


@pytest.mark.parametrize(
    ("machine", "minutes", "wrong"),
    [
        ("warm", 45, False),
        ("warm", 45.1, True),
        ("fresh", 45.1, False),
        ("fresh", 80, False),
        ("fresh", 80.1, True),
    ],
)
def test_the_total_has_a_limit(machine: str, minutes: float, *, wrong: bool) -> None:
    assert (too_long(machine, minutes * 60) is not None) is wrong


OUTCOMES = """
import pytest

@pytest.fixture
def ends_badly():
    yield
    raise ValueError

@pytest.mark.parametrize("text", ["a::b", "a b/c", "[]"])
def test_passes(text): pass
def test_fails(): assert False
def test_is_skipped(): pytest.skip("no")
def test_has_a_bad_end(ends_badly): pass
"""


def test_only_what_passed_with_its_fixtures_has_passed(tmp_path: Path) -> None:
    (tmp_path / "test_outcomes.py").write_text(OUTCOMES)
    (tmp_path / "conftest.py").write_text(
        "def pytest_collection_modifyitems(items):\n"
        f"    for item in items: item.user_properties.append(({results.PROPERTY!r}, 'main'))\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=run.xml", "-n2", "."]
    subprocess.run(argv, cwd=tmp_path, check=False, capture_output=True)
    run = results.read(tmp_path / "run.xml")
    assert {case.tier for case in run.cases} == {"main"}
    assert sorted(case.outcome for case in run.cases) == [*["failed"] * 2, *["passed"] * 3, "skipped"]
    names = ["test_passes[a::b]", "test_passes[a b/c]", "test_passes[[]]"]
    assert run.passed == {results.name_of("test_outcomes.py", name) for name in names}

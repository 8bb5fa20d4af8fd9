"""The tiers of `.ci/run`: what each contains, and what they may cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Minutes of `.ci/run` where the testbed's programs are in the cache, and where they must be built.
LIMITS = {"warm": 45, "fresh": 80}


@dataclass(frozen=True, slots=True)
class Tier:
    """Tests that run together by their name: `make test TIER=name`.

    `paths` are files and directories, of which it has the tests marked `real`.
    """

    name: str
    title: str
    paths: tuple[str, ...] = ()


FAST = Tier("fast", "fast: neither Go nor root")
MAIN = Tier("main", "real, main version of Kubernetes")
TESTBED = Tier("testbed", "the testbed's own tests", ("tests/testbed",))
PARTS = (
    Tier("oldest", "real, oldest version of Kubernetes", ("tests/real/test_oldest_kubernetes.py",)),
    Tier("image", "image by buildah", ("tests/image",)),
    Tier("weather", "quick weather", ("tests/real/test_weather.py",)),
    TESTBED,
    Tier(
        "shown",
        "demo and pages, in a browser",
        (
            *("tests/cli/test_demo.py", "tests/cli/test_report.py"),
            *("tests/embedded/test_faults.py", "tests/embedded/test_panel.py", "tests/serve/test_page.py"),
        ),
    ),
)
TIERS = (FAST, MAIN, *PARTS)
EVERYTHING = "real"
"""The name of all tiers together."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test that ran."""

    name: str
    tier: str
    seconds: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of pytest."""

    seconds: float
    cases: tuple[Case, ...]

    @property
    def passed(self) -> set[str]:
        """Names of the tests that passed. One whose fixture failed at its end is two cases, and did not."""
        passed = {case.name for case in self.cases if case.outcome == "passed"}
        return passed - {case.name for case in self.cases if case.outcome != "passed"}


def tier_of(path: str, *, real: bool) -> Tier:
    """Return the tier that a test in this file belongs to."""
    if not real:
        return FAST
    return next((tier for tier in PARTS if any(_contains(each, path) for each in tier.paths)), MAIN)


def selection(name: str, *, testbed_due: bool) -> list[str]:
    """Return the arguments of pytest that select a tier.

    The testbed's own tests are left out of `real` when they are not due. Their own tier always runs them.
    """
    if name == EVERYTHING:
        return [] if testbed_due else [f"--ignore={path}" for path in TESTBED.paths]
    (tier,) = (tier for tier in TIERS if tier.name == name)
    if tier == FAST:
        return ["-m", "not real"]
    if tier == MAIN:
        return ["-m", "real", *(f"--ignore={path}" for part in PARTS for path in part.paths)]
    return ["-m", "real", *tier.paths]


def minutes(runs: Sequence[Run]) -> dict[Tier, float]:
    """Return what each tier cost: its tests' share of the time of their run.

    Several tests run at the same time, so the durations of the tests add up to more than the run took.
    """
    found: dict[Tier, float] = {}
    for run in runs:
        whole = sum(case.seconds for case in run.cases) or 1.0
        for case in run.cases:
            tier = next(tier for tier in TIERS if tier.name == case.tier)
            found[tier] = found.get(tier, 0.0) + case.seconds / whole * run.seconds / 60
    return {tier: found[tier] for tier in TIERS if tier in found}


def rows(runs: Sequence[Run], total_seconds: float) -> list[tuple[str, ...]]:
    """Return the table that `.ci/run` prints at its end: tier, tests, failed, skipped, minutes."""
    cases = [case for run in runs for case in run.cases]
    cost = minutes(runs)
    table = [
        (tier.title, *_counted([case for case in cases if case.tier == tier.name]), f"{cost[tier]:.1f}")
        for tier in cost
    ]
    rest = total_seconds / 60 - sum(cost.values())
    return [
        *table,
        ("set-up, lint and builds", "", "", "", f"{rest:.1f}"),
        ("total", *_counted(cases), f"{total_seconds / 60:.1f}"),
    ]


def too_long(machine: str, total_seconds: float) -> str | None:
    """Return what is wrong with the time of all tiers together, if something is."""
    limit = LIMITS[machine]
    if total_seconds <= limit * 60:
        return None
    return f"The tiers took {total_seconds / 60:.1f} minutes. On a {machine} machine {limit} are allowed."


def _counted(cases: Iterable[Case]) -> tuple[str, str, str]:
    outcomes = [case.outcome for case in cases]
    return str(len(outcomes)), str(outcomes.count("failed")), str(outcomes.count("skipped"))


def _contains(directory: str, path: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")

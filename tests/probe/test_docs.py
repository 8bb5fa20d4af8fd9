"""docs/probe.md says what the code does."""

from pathlib import Path

import pytest

from pie.core.result import Outcome

PAGE = (Path(__file__).parents[2] / "docs/probe.md").read_text()


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_documented_with_its_meaning(outcome: Outcome) -> None:
    assert f"| `{outcome}` | {outcome.meaning} |" in PAGE

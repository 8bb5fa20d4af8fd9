"""docs/probe.md says what the code does."""

from pathlib import Path

import pytest

from pie.core.result import Note, Outcome

PAGE = (Path(__file__).parents[2] / "docs/probe.md").read_text()


@pytest.mark.parametrize("word", [*Outcome, *Note])
def test_every_word_of_a_result_is_documented_with_its_meaning(word: Outcome | Note) -> None:
    assert f"| `{word}` | {word.meaning} |" in PAGE

"""docs/sizing.md says what `pie plan` says."""

from website import sizing


def test_the_recommendations_are_those_of_the_model() -> None:
    assert sizing.PAGE.read_text() == sizing.page(), "run: make pages"

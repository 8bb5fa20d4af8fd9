"""docs/reliability.md is of the rows of weather as they are now."""

from tests.weather.page import PAGE
from tests.weather.rows import ROWS


def test_the_page_has_every_row_of_weather_and_no_other() -> None:
    lines = PAGE.read_text().splitlines()
    titles = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")]
    assert titles == ["Weather", *(row.title for row in ROWS)]


def test_no_row_harmed_pie() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    assert [row[0] for row in rows if row[2:5] != ["0", "0", "0"] or "never" in row[5]] == []

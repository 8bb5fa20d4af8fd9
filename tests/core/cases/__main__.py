"""Write docs/verdicts.md."""

from pathlib import Path

from tests.core.cases.page import page

(Path(__file__).parents[3] / "docs/verdicts.md").write_text(page())

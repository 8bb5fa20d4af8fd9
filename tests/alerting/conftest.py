"""promtool, for tests of rules and dashboards."""

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RULES = ROOT / "charts/pie/files/rules.yaml"


def promtool(directory: Path, *arguments: str) -> str:
    """Return what promtool complains of."""
    done = subprocess.run(
        ["promtool", *arguments], cwd=directory, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""

"""Golden files of the rendered chart: what an installation with some values consists of.

`python -m tests.chart.golden` writes them again; the difference is for review.
"""

from pathlib import Path

from tests.chart.helm import VERSION, template

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(GOLDEN.glob("*.values.yaml"))


def golden(values: Path) -> Path:
    """Return the golden file of a file of values."""
    return values.with_name(values.name.replace(".values.", "."))


def render(values: Path) -> str:
    """Return the rendered chart, without the CRD, and with X.Y.Z for its version."""
    served = ("--api-versions", "pie.topolvm.io/v1alpha1/PieProbe")
    result = template("--values", str(values), *served, namespace="storage")
    assert result.returncode == 0, result.stderr
    manifests = (
        each for each in result.stdout.split("---\n") if "kind: CustomResourceDefinition" not in each
    )
    return "---\n".join(manifests).replace(VERSION, "X.Y.Z")


def main() -> None:
    """Write all golden files."""
    for values in CASES:
        golden(values).write_text(render(values))


if __name__ == "__main__":
    main()

"""Golden files of the rendered chart: what an installation with some values consists of.

One of them is part of pie: `pie manifests` prints it. `python -m tests.chart.golden` writes them again; the
difference is for review.
"""

from pathlib import Path

from pie.core.plaininstall import IMAGE, NAMESPACE, PULL_SECRET
from tests.chart.helm import CHART, VERSION, template

GOLDEN = Path(__file__).parent / "golden"
PLAIN = CHART.parents[1] / "src/pie/cli/templates/install.yaml"
"""What `pie manifests` prints after the CRD."""
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


def plain() -> str:
    """Return the chart with its default values as plain YAML: with placeholders, without helm's labels."""
    values = f"crd.install=false,image.reference={IMAGE},imagePullSecrets[0].name={PULL_SECRET}"
    result = template("--set", values, namespace=NAMESPACE)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if not line.lstrip().startswith("helm.sh/chart:")]
    by_hand = "\n".join(lines).replace(
        "app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: pie"
    )
    return f"---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n{by_hand}\n"


def main() -> None:
    """Write all golden files."""
    PLAIN.write_text(plain())
    for values in CASES:
        golden(values).write_text(render(values))


if __name__ == "__main__":
    main()

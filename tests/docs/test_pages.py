"""The pages say what the code does."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from pie.controller.queuemetrics import QueueMetrics
from pie.controller.recorder import RecorderMetrics
from pie.core.kinds import KINDS
from pie.core.model import Target
from pie.core.reasons import ADVICE, AREA, MEANING, Reason
from pie.kube.metrics import KubeMetrics
from pie.serve.incidentgauge import IncidentGauge
from pie.serve.paceseries import PaceSeries
from pie.serve.runseries import RunSeries
from pie.serve.series import TargetSeries
from pie.serve.untested import UntestedSeries
from website.runbooks.page import index_row

ROOT = Path(__file__).parents[2]
METRICS = (ROOT / "docs/metrics.md").read_text()
REASONS = (ROOT / "docs/reasons.md").read_text()
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def metric_types() -> set[tuple[str, str]]:
    """Return name and type of every metric of pie's own, as they stand on /metrics."""
    registry = CollectorRegistry()
    KubeMetrics(registry)
    QueueMetrics(registry)
    RecorderMetrics(registry)
    RunSeries(registry)
    IncidentGauge(registry)
    PaceSeries(registry)
    series = TargetSeries()
    for name, kind in KINDS.items():
        series.add(Target("probe", name, "class", "node" if kind.per_node else ""))
    registry.register(UntestedSeries())
    types = set(re.findall(r"^# TYPE (\S+) (\S+)", series.render().decode(), re.MULTILINE))
    for metric in registry.collect():
        types.add((f"{metric.name}_total" if metric.type == "counter" else metric.name, metric.type))
    return types | {("pie_build_info", "gauge")}


def test_every_metric_is_documented_with_its_type_and_no_other() -> None:
    documented = set(
        re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram|summary) \|", METRICS, re.MULTILINE)
    )
    assert documented == metric_types()


def test_every_reason_is_documented_with_its_area_its_meaning_and_what_to_do() -> None:
    documented = REASONS.splitlines()
    rows = {reason: index_row(reason) for reason in Reason}
    assert [reason for reason, row in rows.items() if row not in documented] == []
    missing = {
        reason: [text for text in (AREA.get(reason, ""), MEANING[reason], ADVICE[reason]) if text not in row]
        for reason, row in rows.items()
    }
    assert {reason: texts for reason, texts in missing.items() if texts} == {}


def test_every_link_leads_somewhere() -> None:
    names = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
    pages = [*(ROOT / name for name in names), *(ROOT / "docs").rglob("*.md")]
    links = [(page, link) for page in pages for link in LINK.findall(page.read_text())]
    assert [(page, link) for page, link in links if not (page.parent / link).exists()] == []


def test_the_oldest_kubernetes_that_is_named_is_the_oldest_that_is_tried() -> None:
    pins = (ROOT / "testbed/go" / module / "go.mod" for module in ("kubernetes", "kubernetes-oldest"))
    tried = sorted(
        tuple(map(int, pin.groups()))
        for path in pins
        if (
            pin := re.search(
                r"^require k8s\.io/kubernetes v(\d+)\.(\d+)\.(\d+)$", path.read_text(), re.MULTILINE
            )
        )
    )
    (major, minor, patch), (_, newest_minor, newest_patch) = tried
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"pie needs Kubernetes {major}.{minor} or later" in readme
    assert f"the API server of {major}.{minor}.{patch}" in readme
    assert f"all of {major}.{newest_minor}.{newest_patch}" in readme
    assert f'kubeVersion: ">={major}.{minor}.0-0"' in (ROOT / "charts/pie/Chart.yaml").read_text()

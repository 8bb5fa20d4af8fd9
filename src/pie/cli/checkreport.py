"""The report of a check: a table for people, JUnit for continuous integration."""

from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pie.cli.words import WIDE_COLUMNS, colour, many, seconds_text, whose_problem
from pie.core.apitypes import Known
from pie.core.features import Feature, features_of
from pie.core.model import Verdict
from pie.core.oneshot import Checked, CheckReport
from pie.core.reasons import Area
from pie.core.text import MOST_CHARACTERS, one_line

_MOST_ROWS = 40
"""If there are more targets than this, healthy ones are only counted."""

_WORTH_SAYING_SECONDS = 0.1


def table(report: CheckReport, console: Console | None = None) -> None:
    """Print a report for people."""
    console = console or Console(highlight=False, markup=False)
    shown = report.targets
    if len(shown) > _MOST_ROWS:
        shown = tuple(each for each in shown if each.verdict is not Verdict.OK)
    wide = console.width >= WIDE_COLUMNS
    if shown:
        console.print(_targets(shown, wide=wide))
    if features := features_of(report.targets):
        console.print(_features(features))
    for each in () if wide else shown:
        if each.verdict is not Verdict.OK:
            console.print(
                Text.assemble((f"{each.kind} on {each.node or 'any node'}: ", "bold"), _detail(each))
            )
    for skipped in report.skipped:
        console.print(Text(f"node {skipped.node} was skipped: {skipped.reason}: {skipped.message}", "yellow"))
    for note in report.notes:
        console.print(Text(note, "yellow"))
    for left in report.left:
        console.print(Text(f"left behind: {left.kind} {left.name}: {left.message}", "red"))
    if report.kept:
        console.print(Text(f"kept: {', '.join(report.kept)}", "yellow"))
        console.print(f"  to delete them: kubectl delete lease {report.check} -n {report.namespace}")
    console.print(Text(summary(report), "bold green" if report.ok else "bold red"))


def _targets(shown: Sequence[Checked], *, wide: bool) -> Table:
    """Return a row for each target; on a wide terminal with its details."""
    rows = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("CHECK", "NODE", "VERDICT", "STAGE", "REASON", "TOOK", *([""] if wide else [])):
        rows.add_column(title, overflow="fold", no_wrap=title not in {"NODE", ""})
    for each in shown:
        rows.add_row(
            str(each.kind),
            each.node or "any",
            Text(str(each.verdict), colour(each.verdict)),
            str(each.stage or ""),
            "" if each.verdict is Verdict.OK else str(each.reason),
            seconds_text(each.seconds),
            *([Text(_detail(each))] if wide else []),
        )
    return rows


def _features(found: Sequence[Feature]) -> Table:
    """Return a row for each feature of the class that was checked."""
    rows = Table("FEATURE", "OFFERED", "WORKS", "TOOK", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for each in found:
        took = seconds_text(each.seconds) if each.works is Known.YES else ""
        rows.add_row(each.name, str(each.offered), str(each.works), took)
    return rows


def summary(report: CheckReport) -> str:
    """Return a report in one line."""
    counts = Counter(each.verdict for each in report.targets)
    words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    skipped = f", {many(len(report.skipped), 'node')} skipped" if report.skipped else ""
    said = (
        "is healthy" if report.ok else f"ended early ({report.error})" if report.error else "is not healthy"
    )
    if not report.targets and not report.error:
        said = "was not checked"
    return f"StorageClass {report.storage_class} {said}: {words or 'nothing was checked'}{skipped}"


def junit(report: CheckReport) -> str:
    """Return a report as JUnit XML: a test case for each check, and one for each node that was skipped."""
    failures = sum(each.bad for each in report.targets)
    skipped = len(report.skipped) + sum(_says_nothing(each) for each in report.targets)
    errors = len(report.left) + bool(report.error)
    suite = ET.Element(
        "testsuite",
        name=f"pie check {report.storage_class}",
        tests=str(len(report.targets) + len(report.skipped) + errors),
        failures=str(failures),
        errors=str(errors),
        skipped=str(skipped),
        time=f"{report.seconds:.3f}",
    )
    if features := features_of(report.targets):
        _add_features(ET.SubElement(suite, "properties"), features)
    for each in report.targets:
        case = _case(suite, str(each.kind), each.node or "any node", each.seconds)
        words = f"{each.verdict} in {each.stage}: {each.reason}" if each.stage else str(each.reason)
        if each.bad:
            failure = ET.SubElement(case, "failure", message=words, type=str(each.reason))
            failure.text = "\n".join(filter(None, (each.message, each.next, whose_problem(each.area))))
        elif _says_nothing(each):
            area = f" ({whose_problem(each.area)})" if each.area else ""
            ET.SubElement(case, "skipped", message=f"{words}: {each.message}{area}")
    for node in report.skipped:
        case = _case(suite, "node", node.node)
        ET.SubElement(case, "skipped", message=f"{node.reason}: {node.message}")
    for left in report.left:
        case = _case(suite, "left behind", f"{left.kind} {left.name}")
        ET.SubElement(case, "error", message=left.message)
    if report.error:
        ET.SubElement(_case(suite, "check", report.check), "error", message=report.error)
    if report.notes:
        ET.SubElement(suite, "system-out").text = "\n".join(report.notes)
    for element in suite.iter():
        _make_fit(element)
    ET.indent(suite)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suite, encoding="unicode")}'


def _add_features(properties: ET.Element, found: Sequence[Feature]) -> None:
    for each in found:
        value = f"offered: {each.offered}, works: {each.works}"
        ET.SubElement(properties, "property", name=f"feature.{each.name}", value=value)


def _make_fit(element: ET.Element) -> None:
    """Clean the text of an element: XML allows no control characters, not even escaped ones."""
    for name, value in element.attrib.items():
        element.set(name, one_line(value, MOST_CHARACTERS))
    if element.text is not None:
        element.text = "\n".join(one_line(line, MOST_CHARACTERS) for line in element.text.splitlines())


def _case(suite: ET.Element, kind: str, name: str, seconds: float = 0.0) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=f"pie.{kind}", name=name, time=f"{seconds:.3f}")


def _says_nothing(each: Checked) -> bool:
    return not each.bad and each.verdict is not Verdict.OK


def _detail(each: Checked) -> str:
    if each.verdict is not Verdict.OK:
        area = f" ({whose_problem(each.area)})" if each.area not in {"", Area.STORAGE} else ""
        return f"{each.message}{area}\n→ {each.next}" if each.next else f"{each.message}{area}"
    return ", ".join(
        f"{stage} {seconds_text(took)}"
        for stage, took in each.stages.items()
        if took >= _WORTH_SAYING_SECONDS
    )

"""What the table of `pie check` looks like, and that JUnit files are XML whatever is said."""

import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.console import Console

from pie.cli.checkreport import junit, table
from pie.core.model import Kind, Stage, Verdict
from pie.core.oneshot import Checked, CheckReport, Left, Skipped
from pie.core.reasons import Reason
from tests.hostile import HOSTILE, unfit

NODE = "ip-10-0-12-17.compute.internal"
ERROR = "MountVolume.MountDevice failed for volume pvc-6e1a: connection error"
TARGETS = (
    Checked(Kind.MOUNT, "node-1", Verdict.OK, Reason.OK, seconds=9.1, stages={Stage.IO: 1.6}),
    Checked(Kind.MOUNT, NODE, Verdict.LATE, Reason.MOUNT_FAILED, Stage.MOUNT, ERROR, "Look there.", 60.0),
)


def shown(width: int) -> list[str]:
    """Return what a terminal so wide shows."""
    report = CheckReport(
        "c", "local", "d", "ns", "i", 0.0, 1.0, ok=False, error="", targets=TARGETS, skipped=(), left=()
    )
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        table(report, console)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_on_a_wide_terminal_a_row_says_all() -> None:
    lines = shown(180)
    assert lines[1].endswith("9.1 s      io 1.6 s")
    assert lines[2].startswith(f"mount  {NODE}  late     mount  MountFailed  1 min 0 s  {ERROR}")


def test_on_80_columns_the_evidence_stands_below_the_table() -> None:
    lines = shown(80)
    assert lines[2].split() == ["mount", NODE, "late", "mount", "MountFailed", "1", "min", "0", "s"]
    assert " ".join(lines[3:]).startswith(f"mount on {NODE}: MountVolume.MountDevice failed")
    assert "→ Look there." in lines


def test_it_says_whose_problem_it_is() -> None:
    storage, node = TARGETS[1], Reason.INSUFFICIENT_RESOURCES
    blind = Checked(
        Kind.MOUNT, "n", Verdict.INCONCLUSIVE, node, Stage.SCHEDULE, "no CPU", "Look.", area="node"
    )
    targets = (replace(storage, area="storage"), blind)
    report = CheckReport(
        "c", "local", "d", "ns", "i", 0.0, 1.0, ok=False, error="", targets=targets, skipped=(), left=()
    )
    suite = ET.fromstring(junit(report))  # noqa: S314  our own
    failure, skipped = suite.find("testcase/failure"), suite.find("testcase/skipped")
    assert failure is not None
    assert skipped is not None
    assert (failure.text or "").endswith("\narea: storage")
    assert str(skipped.get("message")).endswith(
        "InsufficientResources: no CPU (area: node, not a storage problem)"
    )
    console = Console(width=180, highlight=False)
    with console.capture() as captured:
        table(report, console)
    assert "no CPU (area: node, not a storage problem)" in captured.get()


CANARIES = (
    Checked("block", "n1", Verdict.OK, Reason.OK, seconds=3.1),
    Checked("clone", "n1", Verdict.FAILED, Reason.CLONE_DIFFERS, Stage.IO, "other", "Look there."),
    Checked("expand", "n1", Verdict.INCONCLUSIVE, Reason.NOT_OFFERED, Stage.IO, "not supported"),
)


def test_a_table_of_features_says_what_the_class_offers_and_what_works() -> None:
    report = replace(report_of(""), targets=CANARIES)
    console = Console(width=180, highlight=False)
    with console.capture() as captured:
        table(report, console)
    lines = [line.split() for line in captured.get().splitlines()]
    at = lines.index(["FEATURE", "OFFERED", "WORKS", "TOOK"])
    assert lines[at + 1 : at + 4] == [
        ["block", "yes", "yes", "3.1", "s"],
        ["clone", "yes", "no"],
        ["expand", "no", "unknown"],
    ]
    suite = ET.fromstring(junit(report))  # noqa: S314  our own
    found = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert found["feature.clone"] == "offered: yes, works: no"


def test_without_features_there_is_no_table_of_them() -> None:
    assert not [line for line in shown(80) if line.startswith("FEATURE")]
    suite = ET.fromstring(junit(report_of("")))  # noqa: S314  our own
    assert suite.find("properties") is None


ANY = st.text(st.characters(exclude_categories=[])) | st.just(HOSTILE)


def report_of(text: str) -> CheckReport:
    """Return a report in which everything that others name or say is this text."""
    bad = Checked(Kind.MOUNT, text, Verdict.LATE, Reason.MOUNT_FAILED, Stage.MOUNT, text, "Look there.", 60.0)
    unknown = Checked(Kind.MOUNT, text, Verdict.SUPPRESSED, Reason.NODE_NOT_READY, message=text)
    return CheckReport(
        text,
        text,
        text,
        "ns",
        text,
        0.0,
        1.0,
        ok=False,
        error=text,
        targets=(bad, unknown),
        skipped=(Skipped(text, Reason.NODE_NOT_READY, text),),
        left=(Left("Pod", text, text),),
        notes=(text,),
    )


@given(ANY)
def test_a_junit_file_is_xml_whatever_is_said(text: str) -> None:
    suite = ET.fromstring(junit(report_of(text)))  # noqa: S314  it is our own
    assert suite.get("failures") == "1"
    for element in suite.iter():
        for said in (*element.attrib.values(), element.text or ""):
            assert not unfit(said, allowed="\n")


def test_markup_in_what_others_say_is_text() -> None:
    console = Console(width=180, highlight=False, markup=False)
    with console.capture() as captured:
        table(report_of("[bold]n[/]"), console)
    assert re.search(r"mount +\[bold\]n\[/\] +late", captured.get())

"""What versions of Go pie without PieProbes left is recognised, and nothing else."""

import pytest

from pie.core.gopie import Leftover, leftovers
from pie.core.wire import Metadata

LABELS = {"storage-class": "c", "node": "n1"}
HELD = ("pie.topolvm.io/pod",)


@pytest.mark.parametrize(
    ("found", "kinds"),
    [
        ({"cronjobs": [Metadata(name="pie-probe-n1-c-0a1b2c", labels=LABELS)]}, ["CronJob"]),
        ({"cronjobs": [Metadata(name="backup", labels=LABELS)]}, []),
        ({"cronjobs": [Metadata(name="pie-probe-x", labels={**LABELS, "pie-probe": "p"})]}, []),
        ({"pods": [Metadata(name="pie-probe-n1-c-0a1b2c-1-x", labels=LABELS, finalizers=HELD)]}, ["Pod"]),
        ({"pods": [Metadata(name="pie-probe-n1-c-0a1b2c-1-x", labels=LABELS)]}, []),
        ({"nodes": [Metadata(name="n1", finalizers=("pie.topolvm.io/node",))]}, ["Node"]),
        ({"nodes": [Metadata(name="n1", finalizers=("example.com/x",))]}, []),
        (
            {"storage_classes": [Metadata(name="c", finalizers=("a/b", "pie.topolvm.io/storage-class"))]},
            ["StorageClass"],
        ),
    ],
)
def test_only_what_go_pie_left_is_reported(found: dict[str, list[Metadata]], kinds: list[str]) -> None:
    nothing: dict[str, list[Metadata]] = {"cronjobs": [], "pods": [], "nodes": [], "storage_classes": []}
    assert [each.kind for each in leftovers(**{**nothing, **found})] == kinds


def test_a_report_has_a_bounded_number_of_names() -> None:
    nodes = [Metadata(name=f"n{number:04}", finalizers=("pie.topolvm.io/node",)) for number in range(1000)]
    (left,) = leftovers([], [], nodes, [])
    assert isinstance(left, Leftover)
    assert (left.count, len(left.names), left.names[0]) == (1000, 20, "n0000")

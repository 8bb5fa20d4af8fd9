"""docs/versions.md, written from `results.json` beside this module, which `make versions` updates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from testbed.build import kubernetes_versions
from tests.harness import ROOT
from tests.versions.differences import DIFFERENCES
from tests.versions.scenarios import EXPECTED, NODES, RIGHT

PAGE: Final = ROOT / "docs" / "versions.md"
RESULTS: Final = Path(__file__).with_name("results.json")
_HEAD: Final = f"""\
# Kubernetes versions

pie on a real control plane and {len(NODES)} real nodes of each version. kube-apiserver, kube-scheduler,
kube-controller-manager and kubelet are built from the released sources; etcd, containerd 1.6 and
csi-provisioner are the same for all. The controller has only the rights that the chart gives it.

`make versions` writes this page. It fails if a result is wrong.

"""


class Tried(msgspec.Struct, frozen=True):
    """What a version gave. `on`: the date. Results are by the titles of scenarios and differences."""

    on: str
    scenarios: dict[str, str]
    differences: dict[str, str]

    @property
    def right(self) -> bool:
        """Whether every scenario was as expected."""
        return all(self.scenarios.get(title) == RIGHT for title in EXPECTED)


def read() -> dict[str, Tried]:
    """Return what each version gave when it was last tried."""
    return msgspec.json.decode(RESULTS.read_bytes(), type=dict[str, Tried]) if RESULTS.exists() else {}


def write(results: Mapping[str, Tried]) -> None:
    """Write the page, and what it is written from."""
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(dict(results), order="sorted")) + b"\n")
    PAGE.write_text(render(results))


def render(results: Mapping[str, Tried]) -> str:
    """Return the page, with a column for each version that is pinned."""
    versions = sorted(kubernetes_versions(), key=_number)
    tried = [version for version in versions if version in results]
    scenarios = [
        [title, expected, *(results[version].scenarios.get(title, "not tried") for version in tried)]
        for title, expected in EXPECTED.items()
    ]
    differences = [
        [
            each.title,
            *(results[version].differences.get(each.title, "not tried") for version in tried),
            each.for_pie,
        ]
        for each in DIFFERENCES
    ]
    when = "; ".join(f"{version} on {results[version].on}" for version in tried)
    absent = ", ".join(version for version in versions if version not in results)
    return (
        f"{_HEAD}Tried: {when or 'none'}. Not tried yet: {absent or 'none'}.\n"
        f"\n## Results\n\n{_table(['Scenario', 'Expected', *tried], scenarios)}"
        f"\n## What differs between versions\n\n{_table(['What', *tried, 'For pie'], differences)}"
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))

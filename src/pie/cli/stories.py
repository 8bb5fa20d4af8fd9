"""Stories for the demo: faults in an order that shows what pie does, and what pie must report.

Times are in minutes of the schedules, which may be shorter than sixty seconds.
"""

from dataclasses import dataclass
from typing import Final

from pie.core.model import Stage
from pie.core.reasons import Reason

Said = frozenset[tuple[Stage, Reason]]
"""The incidents that are open, each by its stage and reason."""

WELL: Final[Said] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """One step: print `words`, inject and clear faults, let `minutes` pass, then wait for `until`.

    `until`: exactly these incidents are open; where there are none, every target is well besides. A fault is
    its name, or its name and a node: `hang node-2`; `others` means every node but the first.
    """

    words: str
    inject: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()
    minutes: float = 0.0
    until: Said | None = None
    slowed: bool = False
    """Wait until pie allows itself fewer writes a second than --kube-api-qps, and print how many."""


@dataclass(frozen=True, slots=True)
class Story:
    """A name, one line of what it shows, how many nodes it takes at least, and its steps.

    `allowed`: reasons of incidents that pie may open besides those that steps wait for; with any other the
    story fails. `none_bad`: no run may be counted as late or bad.
    """

    name: str
    meaning: str
    nodes: int
    steps: tuple[Step, ...]
    allowed: frozenset[Reason] = frozenset()
    none_bad: bool = False


_START = Step("pie creates a volume on each node, and does I/O on it.", until=WELL)
_CRASH = Story(
    "crash",
    "A component crashes, and applications do not notice: the CSI node plugin crashes on most nodes.",
    3,
    (
        _START,
        Step(
            "Now the CSI node plugin crashes on every node but one. Mounted volumes continue to work.",
            inject=("node-plugin-gone others",),
            minutes=2,
            until=frozenset({(Stage.MOUNT, Reason.MOUNT_FAILED)}),
        ),
        Step("The plugin is repaired.", clear=("node-plugin-gone others",), until=WELL),
        Step("The end: no application has noticed yet, but pie reported what was broken, where, and why."),
    ),
)
_MAINTENANCE = Story(
    "maintenance",
    "Maintenance is not an outage: nodes are cordoned, tainted, rebooted and added.",
    4,
    (
        _START,
        Step(
            "node-1 is cordoned, and node-2 reboots.", inject=("cordoned node-1", "reboot node-2"), minutes=2
        ),
        Step(
            "node-3 gets a taint that probes do not tolerate; a node joins whose network agent is not ready.",
            inject=("tainted node-3", "new-node"),
            minutes=2,
        ),
        Step(
            "The maintenance is over.",
            clear=("cordoned node-1", "tainted node-3", "new-node"),
            minutes=1,
            until=WELL,
        ),
        Step("All targets are healthy again; the last suppressed runs are counted.", minutes=2),
        Step("The end: no run was counted as bad, and every run was counted."),
    ),
    none_bad=True,
)
_CONTROL_PLANE = Story(
    "control-plane",
    "The monitor must not be the outage: if the API server is slow, pie writes less, and blames no storage.",
    1,
    (
        _START,
        Step(
            "The API server needs two seconds more for every request.",
            inject=("api-slow",),
            minutes=3,
            slowed=True,
        ),
        Step("The API server is fast again.", clear=("api-slow",), minutes=1, until=WELL),
        Step("Now the API server is down.", inject=("api-gone",), minutes=2),
        Step("The API server is back.", clear=("api-gone",), minutes=2, until=WELL),
        Step("The end: the storage worked all the time, and pie did not add to the load."),
    ),
    # If a pod waits for the scheduler because the API server is slow or down, it is late for these reasons.
    allowed=frozenset({Reason.SCHEDULE_SLOW, Reason.CONTROL_PLANE_LATE}),
)
_DISKS = Story(
    "disks",
    "What disks do: errors, hangs, lost and corrupted data, each reported with its own reason.",
    5,
    (
        _START,
        Step(
            "I/O on node-1 hangs; node-2 answers EIO.",
            inject=("hang node-1", "io-error node-2"),
            until=frozenset({(Stage.IO, Reason.HUNG), (Stage.IO, Reason.IO_ERROR)}),
        ),
        Step("Both are repaired.", clear=("hang node-1", "io-error node-2"), until=WELL),
        Step(
            "The data on node-1 is lost; on node-2 a byte changes.",
            inject=("emptied node-1", "corrupted node-2"),
            until=frozenset({(Stage.IO, Reason.DATA_LOST), (Stage.IO, Reason.DATA_CORRUPTED)}),
        ),
        Step("Both volumes are restored.", clear=("emptied node-1", "corrupted node-2"), until=WELL),
        Step(
            "The pools are full, so no new volumes can be provisioned.",
            inject=("full-pool",),
            until=frozenset({(Stage.PROVISION, Reason.NO_CAPACITY)}),
        ),
        Step("The pools have space again.", clear=("full-pool",), until=WELL),
        Step("The end."),
    ),
)

STORIES: Final = {story.name: story for story in (_CRASH, _MAINTENANCE, _CONTROL_PLANE, _DISKS)}
"""Every story, by name."""

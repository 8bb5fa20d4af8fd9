"""Stories for the demo: faults in an order that shows what pie is for.

Times are in minutes of the schedules, which may be shorter than sixty seconds.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `after_minutes` from the step before, say `words`, then inject and clear faults.

    A fault is its name, or its name and a node: `hang node-2`. `others` means every node but the first.
    """

    after_minutes: float
    words: str
    inject: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """A name, one line of what it shows, and its steps."""

    name: str
    meaning: str
    steps: tuple[Step, ...]


_CRASH = Story(
    "crash",
    "A component dies, and applications do not notice: the CSI node plugin crashes on most nodes.",
    (
        Step(
            3, "All is well. Now the CSI node plugin crashes on every node but one.", ("plugin-crash others",)
        ),
        Step(4, "The plugin is repaired.", clear=("plugin-crash others",)),
        Step(3, "The end: what was mounted went on working all the time, and still pie knew."),
    ),
)
_MAINTENANCE = Story(
    "maintenance",
    "Maintenance is not an outage: nodes are cordoned, tainted, rebooted and added.",
    (
        Step(3, "node-1 is cordoned.", ("cordon node-1",)),
        Step(1, "node-2 reboots.", ("reboot node-2",)),
        Step(1, "A node joins; its network agent is not ready yet.", ("new-node",)),
        Step(2, "node-3 gets a taint that probes do not tolerate.", ("taint node-3",)),
        Step(3, "The maintenance is over.", clear=("cordon node-1", "taint node-3", "new-node")),
        Step(4, "The end: not one failure was counted."),
    ),
)
_CONTROL_PLANE = Story(
    "control-plane",
    "The monitor must not be the outage: the API server is slow, then gone; pie blames no storage.",
    (
        Step(3, "The API server takes two seconds longer for everything.", ("api-slow",)),
        Step(3, "It is well again.", clear=("api-slow",)),
        Step(2, "Now it is gone altogether.", ("api-gone",)),
        Step(2, "And back.", clear=("api-gone",)),
        Step(3, "The end: the storage was well all the time."),
    ),
)
_DISKS = Story(
    "disks",
    "What disks do: errors, hangs, lost and corrupted data, each told apart from the others.",
    (
        Step(3, "I/O on node-1 hangs; node-2 answers EIO.", ("hang node-1", "eio node-2")),
        Step(4, "Both are repaired.", clear=("hang node-1", "eio node-2")),
        Step(
            2,
            "The data on node-1 is lost, on node-2 a byte flips.",
            ("data-loss node-1", "corruption node-2"),
        ),
        Step(4, "Both are brought back.", clear=("data-loss node-1", "corruption node-2")),
        Step(2, "The pool is full, so there are no new volumes.", ("pool-full",)),
        Step(4, "There is room again.", clear=("pool-full",)),
        Step(3, "The end."),
    ),
)

STORIES: Final = {story.name: story for story in (_CRASH, _MAINTENANCE, _CONTROL_PLANE, _DISKS)}
"""Every story, by name."""

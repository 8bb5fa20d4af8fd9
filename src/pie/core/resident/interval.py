"""How often resident probes do I/O: less often where many nodes share the storage of one class."""

from typing import Final

OPERATIONS: Final = ("write", "sync", "read", "open", "read_by_path")
"""What a round of I/O does on the volume."""

MOST_OPERATIONS_PER_SECOND: Final = 100
"""On the storage of one class, by all of its resident probes together."""

SHORTEST_SECONDS: Final = 2.0


def interval_seconds(nodes: int) -> float:
    """Return the seconds between two rounds of I/O where so many nodes share the storage.

    It doubles, so that a node more or less does not change the pods of all the others.
    """
    interval = SHORTEST_SECONDS
    while nodes * len(OPERATIONS) > MOST_OPERATIONS_PER_SECOND * interval:
        interval *= 2
    return interval


def fits(nodes: int, threshold_seconds: float) -> bool:
    """Tell whether a stall is still reported in time where so many nodes share the storage."""
    return interval_seconds(nodes) <= max(threshold_seconds, SHORTEST_SECONDS)

"""What a status leaves out when the API server refuses it.

An object with its spec and annotations may have at most 1.5 MB, and a CRD of an older release may not know a
value. The status is then written again with less in it. Conditions stay longest, at the end without messages.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pie.core.text import one_line

_TOO_LARGE: Final = ("too large", "larger than max")
_REFUSED: Final = frozenset({400, 413, 422})
_FAILED: Final = 500
_LEFT_OUT: Final = "(left out)"
_SUMMARY: Final = 64


class _Room(NamedTuple):
    """What fits: the number of characters of a text, the number of nodes, and whether incidents fit."""

    text: int
    evidence: int
    nodes: int
    closed: bool
    incidents: bool = True


_ROOM: Final = (
    _Room(text=256, evidence=256, nodes=10, closed=True),
    _Room(text=128, evidence=64, nodes=3, closed=False),
    _Room(text=0, evidence=0, nodes=0, closed=False),
    _Room(text=0, evidence=0, nodes=0, closed=False, incidents=False),
)
SHORTEST: Final = len(_ROOM)


def refuses_content(code: int, message: str) -> bool:
    """Tell whether an answer of the API server means that it will never accept this object.

    etcd's own limit comes as a 500: `etcdserver: request is too large`.
    """
    return code in _REFUSED or (code == _FAILED and any(words in message for words in _TOO_LARGE))


def shortened(status: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Return a status with less in it: all of it at step 0, the least at `SHORTEST`."""
    if step == 0:
        return dict(status)
    room = _ROOM[step - 1]
    incidents = [
        _incident(each, room)
        for each in status["incidents"]
        if room.incidents and (room.closed or "closedAt" not in each)
    ]
    of_classes = [_said(each, room) for each in status.get("storageClasses") or []]
    return {
        **_said(status, room),
        "incidents": incidents,
        **({"storageClasses": of_classes} if of_classes else {}),
    }


def _said(status: Mapping[str, Any], room: _Room) -> dict[str, Any]:
    """Return a status, or what it says of a class, with shorter texts."""
    return {
        **status,
        "conditions": [
            {**each, "message": one_line(each["message"], room.text) if room.text else _LEFT_OUT}
            for each in status["conditions"]
        ],
        "summary": one_line(status["summary"], max(room.text, _SUMMARY)),
    }


def _incident(incident: Mapping[str, Any], room: _Room) -> dict[str, Any]:
    shorter = dict(incident)
    for key in shorter.keys() & {"evidence", "closedMessage"}:
        shorter[key] = one_line(shorter[key], room.evidence) if room.evidence else ""
    if "nodes" in shorter:
        shorter["nodes"] = shorter["nodes"][: room.nodes]
    return shorter

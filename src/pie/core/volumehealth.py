"""What a CSI driver reports about the health of a volume, in addition to what a run found.

In Kubernetes 1.37 (alpha: CSIVolumeHealth) the kubelet writes it into the pod's status, and the driver's
controller into the PVC's; the health of the driver's storage is in the node's CSINode. Older clusters have
Warning Events `VolumeConditionAbnormal` about PVC or pod.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from pie.core.naming import VOLUME
from pie.core.text import EVIDENCE_CHARACTERS, evidence
from pie.core.timeline import Run
from pie.core.wire import CSINode, HealthCondition

_ABNORMAL: Final = "VolumeConditionAbnormal"
_REPEATED_SECONDS: Final = 120.0
"""An abnormal volume is reported again each minute; there is no Warning when it is normal again."""

_OF_VOLUME: Final = re.compile(r"Volume (\S+): ")

_SAID_CHARACTERS: Final = 120


def with_health(message: str, run: Run, *, good: bool, io: bool) -> str:
    """Return the evidence of a run, with what the driver says, also if the two contradict each other.

    `good`: the run was good. `io`: it failed in its I/O.
    """
    reported = list(dict.fromkeys(_reported(run)))
    if reported:
        words = evidence("; ".join(reported), _SAID_CHARACTERS)
        before = message or ("the I/O of the probe worked" if good else "")
        return _joined(before, f"{'but ' if good else ''}the driver says: {words}")
    if not good and io and _says_healthy(run):
        return _joined(message, "but the driver says that the volume is healthy")
    return message


def backend_of(found: CSINode | None, driver: str) -> str:
    """Return what a driver reports to be wrong with its storage on a node; empty: nothing."""
    health = found.status.storage_health if found is not None else ()
    return evidence("; ".join(_words(each.health_conditions) for each in health if each.name == driver))


def _reported(run: Run) -> Iterator[str]:
    """Yield each problem of a run's volume that the driver reports."""
    if run.pod is not None:
        ours = (each for each in run.pod.status.volume_health if each.name == VOLUME)
        yield from filter(None, (_words(each.health_conditions) for each in ours))
    if run.claim is not None and (health := run.claim.status.health_status) is not None:
        yield from filter(None, [_words(health.health_conditions)])
    if run.backend:
        yield run.backend
    since = run.created_seconds - _REPEATED_SECONDS
    events = [each for each in run.warnings if each.reason == _ABNORMAL and each.seen_seconds >= since]
    yield from [each.message for each in events if _is_ours(each.message, run)][-1:]


def _is_ours(text: str, run: Run) -> bool:
    """Tell whether an Event is about the probed volume: a kubelet names the volume of the pod."""
    named = _OF_VOLUME.match(text)
    return named is None or named[1] in {VOLUME, run.volume_name}


def _says_healthy(run: Run) -> bool:
    """Tell whether the driver reports the health of the volume: then it reports no problem."""
    asked = run.pod is not None and any(each.name == VOLUME for each in run.pod.status.volume_health)
    return asked or (run.claim is not None and run.claim.status.health_status is not None)


def _words(conditions: Iterable[HealthCondition]) -> str:
    return "; ".join(
        f"{each.status} ({each.reason}){': ' if each.message else ''}{each.message}" for each in conditions
    )


def _joined(message: str, more: str) -> str:
    if not message:
        return more.removeprefix("but ")
    room = EVIDENCE_CHARACTERS - len(more) - 2
    return f"{evidence(message, room)}{', ' if more.startswith('but ') else '; '}{more}"

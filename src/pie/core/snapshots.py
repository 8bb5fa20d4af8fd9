"""Snapshots of the volumes of runs: by which class, and what a VolumeSnapshot says of itself."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pie.core.causes.drivererrors import not_offered
from pie.core.judge import Judgement, by_area
from pie.core.model import Stage, Verdict
from pie.core.reasons import Reason
from pie.core.text import evidence
from pie.core.wire import VolumeSnapshot, VolumeSnapshotClass

DEFAULT_CLASS = "snapshot.storage.kubernetes.io/is-default-class"


@dataclass(frozen=True, slots=True)
class SnapshotAnswer:
    """How the snapshot of a run was at `looked_at`, epoch seconds.

    `why` is what the driver or the API server said against it. `offered` False: nothing can come of it.
    """

    looked_at: float
    ready: bool = False
    why: str = ""
    offered: bool = True


def suitable_class(found: Iterable[VolumeSnapshotClass], driver: str, name: str) -> tuple[str, str]:
    """Return the class for snapshots of a driver's volumes, or (the second) why there is none.

    Without a name: the default class of the driver, or its only one.
    """
    classes = list(found)
    if name:
        mine = [each for each in classes if each.metadata.name == name]
        if not mine:
            return "", f"there is no VolumeSnapshotClass {name}"
    else:
        of_driver = [each for each in classes if each.driver == driver]
        default = [each for each in of_driver if each.metadata.annotations.get(DEFAULT_CLASS) == "true"]
        mine = default or of_driver
        if not mine:
            return "", f"there is no VolumeSnapshotClass of the driver {driver}"
    if len(mine) > 1:
        names = ", ".join(sorted(each.metadata.name for each in mine))
        return "", evidence(f"the driver has several VolumeSnapshotClasses ({names}): set snapshotClass")
    (chosen,) = mine
    if chosen.driver != driver:
        return "", evidence(f"VolumeSnapshotClass {name} is of driver {chosen.driver}, not of {driver}")
    if chosen.deletion_policy != "Delete":
        policy = f"deletionPolicy {chosen.deletion_policy}: each run would leave a snapshot behind"
        return "", evidence(f"VolumeSnapshotClass {chosen.metadata.name} has {policy}")
    return chosen.metadata.name, ""


def as_it_is(snapshot: VolumeSnapshot, now: float) -> SnapshotAnswer:
    """Return how a snapshot is."""
    why = evidence(snapshot.status.error.message)
    return SnapshotAnswer(now, snapshot.status.ready_to_use, why, offered=not (why and not_offered(why)))


def judged(good: Judgement, answer: SnapshotAnswer | None, waited_seconds: float | None) -> Judgement | None:
    """Return the judgement of a run whose snapshot is not ready; None: it may still become so.

    `good` is that of its pod so far; `waited_seconds`: so long was waited, and it is enough.
    """
    bad = replace(good, verdict=Verdict.FAILED, stage=Stage.PROVISION, on_time=False)
    if answer is not None and not answer.offered:
        return by_area(replace(bad, reason=Reason.NOT_OFFERED, message=answer.why))
    if waited_seconds is None:
        return None
    why = answer.why if answer is not None else ""
    message = why or f"the VolumeSnapshot was not ready to use after {waited_seconds:.0f} s"
    return replace(bad, reason=Reason.SNAPSHOT_FAILED, message=message)

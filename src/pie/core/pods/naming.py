"""The names of pods that pie starts itself, and what such a name says.

A name follows from the target and the due time, so one due time cannot have two pods by accident. A pod that
has a name already, and belongs to something else, leaves another name for a second try: a reused name would
also meet the PVC of its predecessor.
"""

import re
from dataclasses import dataclass
from typing import Final

from pie.core.apitypes import RunCause
from pie.core.batch.naming import cronjob_names
from pie.core.kinds import kind_of
from pie.core.model import Target
from pie.core.naming import agrees, target_of
from pie.core.wire import Metadata

TRIES: Final = 3
"""So many names has a run."""

_KIND: Final = "PieProbe"
_LETTERS: Final[dict[RunCause, str]] = {"schedule": "s", "followup": "x", "retry": "r"}
_CAUSES: Final = {letter: cause for cause, letter in _LETTERS.items()}
_SUFFIX: Final = re.compile(r"-([sxr])([0-9a-f]{1,12})(?:-step([2-9]))?(-[0-9])?", re.ASCII)


def pod_name(target: Target, cause: RunCause, due_seconds: float, number: int = 1, step: int = 0) -> str:
    """Return the name of the pod of a step of a run; `number` is which try to create it this is.

    Names begin as those of the target's CronJob do, by which volumes that were left behind are found.
    """
    name = f"{_base(target)}-{_LETTERS[cause]}{int(due_seconds):x}{f'-step{step + 1}' if step else ''}"
    return name if number == 1 else f"{name}-{number}"


def _base(target: Target) -> str:
    return cronjob_names(target)[1]


@dataclass(frozen=True, slots=True)
class RunOfPod:
    """The run that a pod is: of which PieProbe (by uid) and target, why it was started, when it was due.

    `step` is which step of the run it is, from 0.
    """

    target: Target
    probe_uid: str
    cause: RunCause
    due: float
    step: int = 0


def run_of_pod(metadata: Metadata) -> RunOfPod | None:
    """Return the run that a pod is; None: pie did not start it. Its owner, name and target have to agree."""
    owner, target = metadata.controller_owner, target_of(metadata)
    if owner is None or target is None or (owner.kind, owner.name) != (_KIND, target.probe):
        return None
    base = _base(target)
    said = _SUFFIX.fullmatch(metadata.name, len(base)) if metadata.name.startswith(base) else None
    if said is None or not agrees(metadata, target):
        return None
    step = int(said[3]) - 1 if said[3] else 0
    if step >= len(kind_of(target).steps):
        return None
    return RunOfPod(target, owner.uid, _CAUSES[said[1]], float(int(said[2], 16)), step)

"""Why a volume that pie asked to expand has not grown.

external-resizer and the kubelet report errors as Warnings, and the API server keeps them in the PVC:
https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
"""

from typing import Final

from pie.core.causes.drivererrors import not_offered
from pie.core.causes.symptoms import Cause, cause, first_cause
from pie.core.expansion import asked_for, expanded, given_up
from pie.core.model import Stage
from pie.core.reasons import MEANING, Reason
from pie.core.timeline import Run
from pie.core.wire import Claim

GROWS_WITHIN_SECONDS: Final = 15.0
"""So soon after the PVC says that it is expanded, the probe has seen that: it looks each second."""

_WARNINGS: Final = frozenset({"VolumeResizeFailed", "FileSystemResizeFailed"})
_ERRORS: Final = frozenset({"ControllerResizeError", "NodeResizeError"})


def hopeless(run: Run, until: float) -> Cause | None:
    """Return why a volume does not grow, if nothing more will come; `until` is until when the run went on."""
    if run.lacks:
        return cause(Stage.IO, Reason.NOT_OFFERED, run.lacks)
    if run.refused:
        return cause(Stage.IO, Reason.CLAIM_REFUSED, run.refused)
    said, claim = _error(run), run.claim
    if claim is None or not asked_for(claim):
        return None
    if said and (given_up(claim) or not_offered(said)):  # without words: they are on their way
        return cause(Stage.IO, Reason.EXPAND_FAILED, said)
    if run.seen.expanded is not None and until >= run.seen.expanded + GROWS_WITHIN_SECONDS:
        size, seconds = claim.status.capacity.storage, GROWS_WITHIN_SECONDS
        message = f"the PVC says {size}, but {seconds:g} s later the filesystem had not grown"
        return cause(Stage.IO, Reason.NOT_EXPANDED, message)
    return None


def not_grown(run: Run, found: str) -> Cause:
    """Return why a volume did not grow in time; `found` is what the probe says."""
    if said := _error(run):
        return cause(Stage.IO, Reason.EXPAND_FAILED, said)
    return cause(
        Stage.IO, Reason.NOT_EXPANDED, f"{found or MEANING[Reason.NOT_EXPANDED]}; {_state(run.claim)}"
    )


def _error(run: Run) -> str:
    """Return what the resizer or the kubelet said last; empty: nothing."""
    since = run.created_seconds - 1.0
    warned = [
        each.message
        for each in reversed(run.warnings)
        if each.reason in _WARNINGS and each.seen_seconds >= since
    ]
    conditions = run.claim.status.conditions if run.claim is not None else ()
    return first_cause([*warned, *(each.message for each in conditions if each.type in _ERRORS)]) or ""


def _state(claim: Claim | None) -> str:
    """Return what a PVC says about its expansion."""
    if claim is None:
        return "its PVC is not known"
    if not asked_for(claim):
        return "pie did not change its PVC"
    size = claim.status.capacity.storage
    if expanded(claim):
        return f"its PVC says {size}"
    begun = claim.status.allocated_resource_statuses.storage or next(
        (each.type for each in claim.status.conditions), ""
    )
    return f"its PVC still says {size}, {begun or 'and no resizer has begun'}"

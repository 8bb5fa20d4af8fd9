"""Short ways to say what a test is about: probes, pods at a moment of their life, results."""

from datetime import UTC, datetime
from typing import Any

from pie.core.model import Kind, Probe, Requirement, Target, Term
from pie.core.naming import ANNOTATION_SELECTED_NODE
from pie.core.result import Outcome, RecordStats, Result, encode
from pie.core.timeline import Run, WarningEvent
from pie.core.wire import (
    Claim,
    ClaimStatus,
    Condition,
    ContainerState,
    ContainerStatus,
    Metadata,
    OwnedPodFields,
    OwnedPodStatus,
    Pod,
    PodManagedFields,
    PodMetadata,
    PodSpec,
    PodStatus,
    StateRunning,
    StateTerminated,
    StateWaiting,
)

T0 = 1_700_000_040.0
NAMESPACE = "pie"
MOUNT = Target("p", Kind.MOUNT, "c", "n1", NAMESPACE)
PROVISION = Target("p", Kind.PROVISION, "c", namespace=NAMESPACE)


def probe(**changes: Any) -> Probe:
    """Return a PieProbe of period 60 s, threshold 30 s, deadline 60 s."""
    fields: dict[str, Any] = {
        "namespace": NAMESPACE,
        "name": "p",
        "uid": "probe-uid",
        "generation": 1,
        "storage_class": "c",
        "node_selector": (Term(expressions=(Requirement("a", "Exists"),)),),
        "node_selector_json": {"nodeSelectorTerms": []},
        "period_seconds": 60,
        "threshold_seconds": 30.0,
        "deadline_seconds": 60.0,
    }
    return Probe(**(fields | changes))


def at(offset: float | None) -> datetime | None:
    """Return a stamp `offset` seconds after T0; None stays None."""
    return None if offset is None else datetime.fromtimestamp(T0 + offset, UTC)


def pod(
    *,
    scheduled: float | None = None,
    acknowledged: float | None = None,
    started: float | None = None,
    ended: float | None = None,
    message: str = "",
    exit_code: int = 0,
    phase: str = "",
    reason: str = "",
    deleted: float | None = None,
    unschedulable: str = "",
    waiting: StateWaiting | None = None,
    reported: float | None = None,
    beside: tuple[ContainerStatus, ...] = (),
    init: tuple[ContainerStatus, ...] = (),
) -> Pod:
    """Return a pod created at T0; the other moments are seconds after it.

    `beside` are containers that a webhook added, `init` such init containers. Kubelets sort by name.
    """
    state = ContainerState()
    if ended is not None:
        terminated = StateTerminated(exit_code, "Completed", message, at(started), at(ended))
        state = ContainerState(terminated=terminated)
        lives = any(each.state.running is not None for each in beside)
        phase = phase or ("Running" if lives else "Failed" if exit_code else "Succeeded")
    elif started is not None:
        state = ContainerState(running=StateRunning(at(started)))
        phase = phase or "Running"
    elif waiting is not None:
        state = ContainerState(waiting=waiting)
    conditions: tuple[Condition, ...] = (
        (Condition("PodScheduled", "True", last_transition_time=at(scheduled)),)
        if scheduled is not None
        else ()
    )
    if unschedulable:
        conditions = (Condition("PodScheduled", "False", "Unschedulable", unschedulable),)
    statuses = tuple(sorted((ContainerStatus("probe", state), *beside), key=lambda each: each.name))
    return Pod(
        metadata=PodMetadata(
            name="pod",
            creation_timestamp=at(0),
            deletion_timestamp=at(deleted),
            managed_fields=(PodManagedFields(at(reported), OwnedPodFields(OwnedPodStatus({}))),),
        ),
        spec=PodSpec("n1" if scheduled is not None else "", active_deadline_seconds=60),
        status=PodStatus(
            phase=phase or "Pending",
            reason=reason,
            start_time=at(acknowledged),
            conditions=conditions,
            container_statuses=statuses if scheduled is not None else (),
            init_container_statuses=init,
        ),
    )


def run(shown: Pod | None, target: Target = MOUNT, /, *warnings: tuple[str, str], **changes: Any) -> Run:
    """Return a run due and created at T0 whose pod is `shown`, with Warning Events by reason and message."""
    events = tuple(WarningEvent(reason, text, T0 + 7 + i) for i, (reason, text) in enumerate(warnings))
    return Run(target, T0, T0, shown, warnings=events, **changes)


def claim(*, created: float = 0, asked: bool = True, bound: bool = False) -> Claim:
    """Return a provision run's claim; `asked`: a volume is being made for it, until it is `bound`."""
    annotations = {ANNOTATION_SELECTED_NODE: "n1"} if asked else {}
    return Claim(
        metadata=Metadata(name="pod-volume", annotations=annotations, creation_timestamp=at(created)),
        status=ClaimStatus(phase="Bound" if bound else "Pending"),
    )


def message(outcome: Outcome = Outcome.OK, records: RecordStats | None = None) -> str:
    """Return a probe's termination message."""
    return encode(Result(probe="mount", outcome=outcome, message="evidence", records=records)).decode()

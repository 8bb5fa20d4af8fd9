"""A row of the tables, and short ways to say in what state a run was when a text was written."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from pie.core.model import Stage, Target
from pie.core.reasons import Reason
from pie.core.timeline import Run, Sightings, WarningEvent
from pie.core.wire import (
    Claim,
    ClaimSpec,
    ClaimStatus,
    Condition,
    ContainerState,
    ContainerStatus,
    Metadata,
    Pod,
    PodMetadata,
    PodSpec,
    PodStatus,
    StateTerminated,
    StateWaiting,
)
from tests.core.build import MOUNT, PROVISION, T0, at, claim, pod

K8S = "kubernetes v1.35.4 pkg"
VOLUME = "pvc-034c0523-3ec7-4b06-b6a7-44ba55c722a9"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """A text, the run about which it was said, and what pie says of that run."""

    text: str
    source: str
    run: Run
    stage: Stage
    reason: Reason
    keeps: str = ""
    """What of the text must stand in the evidence."""


def warned(*texts: tuple[str, str], seconds: float = 5) -> tuple[WarningEvent, ...]:
    """Return Warning Events, oldest first, by reason and text."""
    return tuple(WarningEvent(reason, text, T0 + seconds + i) for i, (reason, text) in enumerate(texts))


def run(shown: Pod | None, target: Target = MOUNT, *warnings: tuple[str, str], **changes: Any) -> Run:
    """Return a run created at T0."""
    return Run(target, T0, T0, shown, warnings=warned(*warnings), **changes)


def bound_claim(volume: str = VOLUME) -> Claim:
    """Return the PVC of a volume that exists."""
    return Claim(Metadata(name="data"), ClaimSpec("c", volume), ClaimStatus("Bound"))


def unscheduled(text: str, target: Target = PROVISION, **changes: Any) -> Run:
    """Return a run about whose pod the scheduler says this."""
    changes.setdefault("claim", claim(asked=False) if target is PROVISION else bound_claim())
    return run(pod(unschedulable=text), target, **changes)


def unprovisioned(*texts: str, ago: float = 0) -> Run:
    """Return a run for which a provisioner says these of its PVC, the oldest first, `ago` before the run."""
    said = [("ProvisioningFailed", text) for text in texts]
    found = run(pod(unschedulable="waits"), PROVISION, claim=claim())
    return Run(found.target, T0, T0, found.pod, claim=found.claim, warnings=warned(*said, seconds=5 - ago))


def on_node(*warnings: tuple[str, str], waiting: StateWaiting | None = None, **changes: Any) -> Run:
    """Return a run whose pod is on its node and does not start, with what was said of it."""
    changes.setdefault("claim", bound_claim())
    shown = pod(scheduled=1, acknowledged=1, waiting=waiting or StateWaiting("ContainerCreating"))
    return run(shown, MOUNT, *warnings, **changes)


def with_image(reason: str, message: str, *warnings: tuple[str, str]) -> Run:
    """Return a run whose container waits for its image."""
    return on_node(*warnings, waiting=StateWaiting(reason, message), seen=Sightings(ready=T0 + 2))


def refused(reason: str, message: str) -> Run:
    """Return a run whose pod a kubelet refused, or ended as kubelets before 1.25 do: a status of four fields."""
    status = PodStatus("Failed", reason, message, at(1))
    return run(Pod(PodMetadata(name="pod", creation_timestamp=at(0)), PodSpec("n1"), status), MOUNT)


def disrupted(reason: str, message: str, *, started: bool = True) -> Run:
    """Return a run whose pod was ended, with the condition that says by whom."""
    shown = pod(scheduled=1, acknowledged=1, started=3, ended=9, exit_code=137, message="")
    if not started:
        shown = pod(scheduled=1, acknowledged=1, phase="Failed")
    found = Condition("DisruptionTarget", "True", reason, message)
    status = replace(shown.status, conditions=(*shown.status.conditions, found))
    return run(replace(shown, status=status), MOUNT)


def ended(code: int, reason: str, message: str = "", *, started: float | None = 3) -> Run:
    """Return a run whose container is over; `started` is None where it is 1970."""
    shown = pod(scheduled=1, acknowledged=1, phase="Failed")
    over = StateTerminated(code, reason, message, at(started) or EPOCH, at(9))
    status = replace(
        shown.status, container_statuses=(ContainerStatus("probe", ContainerState(None, None, over)),)
    )
    return run(replace(shown, status=status), MOUNT)


def of_pvc(phase: str, *warnings: tuple[str, str], text: str = "", deleted: bool = False) -> Run:
    """Return a mount run whose PVC is in a state of its own."""
    metadata = Metadata(name="data", deletion_timestamp=at(0) if deleted else None)
    found = Claim(metadata, ClaimSpec("c", VOLUME), ClaimStatus(phase))
    return run(pod(unschedulable=text or "waits"), MOUNT, *warnings, claim=found)


def no_pod(text: str) -> Run:
    """Return a run for which the Job controller says that it cannot create the pod."""
    return run(None, MOUNT, ("FailedCreate", f"Error creating: {text}"))

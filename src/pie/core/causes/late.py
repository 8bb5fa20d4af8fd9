"""A run that started late: which stage took the time."""

from pie.core.causes.images import image_texts
from pie.core.causes.mounting import mount_texts
from pie.core.causes.scheduling import what_it_means
from pie.core.causes.symptoms import Cause, Symptoms, cause, first_cause
from pie.core.model import Stage
from pie.core.reasons import Reason
from pie.core.timeline import Run, Timeline
from pie.core.wire import epoch_seconds

_SLOW = {
    Stage.SCHEDULE: Reason.SCHEDULE_SLOW,
    Stage.PROVISION: Reason.PROVISION_SLOW,
    Stage.ATTACH: Reason.ATTACH_SLOW,
    Stage.MOUNT: Reason.MOUNT_SLOW,
    Stage.START: Reason.START_SLOW,
}


def why_late(run: Run, times: Timeline, threshold_seconds: float) -> Cause:
    """Return which stage made a run start late: the one that took half of the threshold or more."""
    took = {stage: times.seconds[stage] for stage in _SLOW if stage in times.seconds}
    total = f"the container started after {times.start_seconds or 0.0:.0f} s"
    slowest = max(took, key=lambda stage: took[stage], default=None)
    if slowest is None or took[slowest] < threshold_seconds / 2:
        return Cause(Stage.START, Reason.STARTED_LATE, total)
    what = f"{total}, {took[slowest]:.0f} s of it in {slowest}"
    stage, reason, said = _said(Symptoms(run, times, threshold_seconds), slowest)
    return cause(stage, reason, f"{what}; {said}" if said else what)


def _said(symptoms: Symptoms, slowest: Stage) -> tuple[Stage, Reason, str | None]:
    """Return the stage and the reason that took the time, with the message that explains it."""
    reason = _SLOW[slowest]
    match slowest:
        case Stage.SCHEDULE:
            text = symptoms.warning("FailedScheduling") or ""
            words = what_it_means(text, symptoms)
            if words is None:
                return slowest, reason, None
            # The volume was created, but late.
            slow = words.stage is Stage.PROVISION
            return words.stage, Reason.PROVISION_SLOW if slow else words.reason, text
        case Stage.PROVISION:
            return slowest, reason, symptoms.warning("ProvisioningFailed")
        case Stage.ATTACH:
            return slowest, reason, first_cause(mount_texts(symptoms))
        case Stage.MOUNT:
            ours, others = mount_texts(symptoms), mount_texts(symptoms, ours=False)
            if others and not ours:
                return Stage.START, Reason.START_SLOW, first_cause(others)
            return slowest, reason, first_cause(ours)
        case _:
            image = first_cause(image_texts(symptoms))
            return slowest, Reason.IMAGE_PULL if image else reason, image or _slow_init(symptoms.run)


def _slow_init(run: Run) -> str | None:
    """Return which init container, added by a webhook, took the longest."""
    statuses = run.pod.status.init_container_statuses if run.pod is not None else ()
    ended = [(each.name, each.state.terminated) for each in statuses if each.state.terminated is not None]
    took = {name: epoch_seconds(end.finished_at) - epoch_seconds(end.started_at) for name, end in ended}
    slowest = max(took, key=lambda name: took[name], default=None)
    return f"init container {slowest} took {took[slowest]:.0f} s" if slowest is not None else None

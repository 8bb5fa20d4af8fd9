"""Jobs and CronJobs as pie reads them; see `pie.core.wire`."""

from datetime import datetime

from pie.core.wire import Condition, Metadata, Object, ObjectReference, condition, epoch_seconds


class JobStatus(Object, frozen=True):
    """Job status."""

    conditions: tuple[Condition, ...] = ()


class Job(Object, frozen=True):
    """A batch/v1 Job."""

    metadata: Metadata
    status: JobStatus = JobStatus()

    @property
    def scheduled(self) -> bool:
        """Whether a CronJob created the Job (and lists it while it is active), or it is a one-off Job."""
        owner = self.metadata.controller_owner
        return owner is not None and owner.kind == "CronJob"

    @property
    def finished_at(self) -> float | None:
        """When the Job completed or failed; None while it runs."""
        for kind in ("Complete", "Failed"):
            over = condition(self.status.conditions, kind)
            if over is not None and over.status == "True":
                return epoch_seconds(over.last_transition_time)
        return None


class CronJobStatus(Object, frozen=True):
    """CronJob status."""

    active: tuple[ObjectReference, ...] = ()
    last_schedule_time: datetime | None = None


class TemplateMetadata(Object, frozen=True):
    """Metadata of a pod template, as far as pie reads it."""

    finalizers: tuple[str, ...] = ()


class PodTemplate(Object, frozen=True):
    """The pod template of a Job."""

    metadata: TemplateMetadata = TemplateMetadata()


class TemplateSpec(Object, frozen=True):
    """Spec of a Job template."""

    template: PodTemplate = PodTemplate()


class JobTemplate(Object, frozen=True):
    """The Job template of a CronJob."""

    spec: TemplateSpec = TemplateSpec()


class CronJobSpec(Object, frozen=True):
    """CronJob spec."""

    schedule: str = ""
    suspend: bool = False
    job_template: JobTemplate = JobTemplate()

    @property
    def pod_finalizers(self) -> tuple[str, ...]:
        """The finalizers that its pods get."""
        return self.job_template.spec.template.metadata.finalizers


class CronJob(Object, frozen=True):
    """A batch/v1 CronJob."""

    metadata: Metadata
    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()

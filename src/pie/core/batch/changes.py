"""Which changes of a CronJob or a Job can change what pie decides about their target."""

from msgspec.structs import replace

from pie.core.batch.wire import CronJob, Job
from pie.core.wire import Metadata


def cronjob_matters(old: CronJob | None, new: CronJob | None) -> bool:
    """Tell whether a target has to be looked at because of its CronJob.

    That a run was started is seen by its Job. That a Job is no longer active matters: it may be deleted.
    """
    if old is None or new is None:
        return True
    ended = {each.uid for each in old.status.active} - {each.uid for each in new.status.active}
    return bool(ended) or old.spec != new.spec or _same(old.metadata) != _same(new.metadata)


def job_matters(old: Job, new: Job) -> bool:
    """Tell whether a target has to be looked at because of a Job that changed."""
    return old.finished_at != new.finished_at or _same(old.metadata) != _same(new.metadata)


def _same(metadata: Metadata) -> Metadata:
    """Return metadata that changes only with what pie reads in it."""
    return replace(metadata, resource_version="")

"""Which CronJobs `pie stop` suspends and `pie resume` resumes, where no controller does that."""

from collections.abc import Collection, Iterable

from pie.core.batch.wire import CronJob
from pie.core.manifests import KIND
from pie.core.naming import ANNOTATION_SUPPRESSED_SINCE


def to_suspend(cronjobs: Iterable[CronJob], probes: Collection[str]) -> list[CronJob]:
    """Return the CronJobs of PieProbes, by uid, that are not suspended."""
    return [each for each in cronjobs if _owned(each, probes) and not each.spec.suspend]


def to_resume(cronjobs: Iterable[CronJob], probes: Collection[str]) -> list[CronJob]:
    """Return the CronJobs of PieProbes, by uid, that are suspended, but not because of maintenance."""
    return [
        each
        for each in cronjobs
        if _owned(each, probes)
        and each.spec.suspend
        and ANNOTATION_SUPPRESSED_SINCE not in each.metadata.annotations
    ]


def _owned(cronjob: CronJob, probes: Collection[str]) -> bool:
    owner = cronjob.metadata.controller_owner
    if owner is None or cronjob.metadata.being_deleted:
        return False
    return owner.kind == KIND and owner.uid in probes

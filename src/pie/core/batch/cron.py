"""The cron expression of a target, the due times it means, and which due time a Job is for.

The phase spreads targets over the minutes of a period as Go pie does, by a checksum of their names. All
CronJobs have `timeZone: Etc/UTC`, so that due times do not depend on where kube-controller-manager runs.
"""

import math
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pie.core.batch.naming import ANNOTATION_INSTANTIATE, ANNOTATION_SCHEDULED
from pie.core.batch.wire import CronJob, Job
from pie.core.model import Target
from pie.core.schedule import KEPT, MINUTE_SECONDS, dues_between
from pie.core.wire import parse_seconds

_MINUTES_OF_HOUR: Final = 60
_ROUNDING_MINUTES: Final = 1e-6
"""A moment that differs from a due time only by rounding is that due time."""
_SCHEDULE: Final = re.compile(r"(\d{1,2})-59/(\d{1,2}) \* \* \* \*")
_CLOCK_SECONDS: Final = 5.0
"""The clocks of kube-controller-manager and of the API server may differ by so much."""
_LATEST_SECONDS: Final = 86_400.0
"""No Job is created later than this after it was due."""


@dataclass(frozen=True, slots=True)
class Cron:
    """The due times of a target: `pie.core.target.facts.Calendar` of a CronJob.

    Cron counts the minutes of an hour. If the period does not divide 60, the last interval of an hour is
    shorter than the period. `minute_seconds` is how long a minute lasts: 60, but for demos.
    """

    phase: int
    period_seconds: int
    minute_seconds: float

    def next_due(self, after: float) -> float:
        """Return the first due time later than `after`, epoch seconds."""
        period = self.period_seconds // MINUTE_SECONDS
        minute = math.floor(after / self.minute_seconds + _ROUNDING_MINUTES)
        hour = minute // _MINUTES_OF_HOUR * _MINUTES_OF_HOUR
        offset = self.phase + max(0, (minute - hour - self.phase) // period + 1) * period
        if offset >= _MINUTES_OF_HOUR:
            offset = _MINUTES_OF_HOUR + self.phase
        return (hour + offset) * self.minute_seconds

    def dues_between(self, after: float, until: float, *, limit: int) -> list[float]:
        """Return the due times in (after, until], oldest first; of more than `limit`, the newest."""
        longest_seconds = limit * self.period_seconds / MINUTE_SECONDS * self.minute_seconds
        return dues_between(self.next_due, after, until, limit=limit, longest_seconds=longest_seconds)


def phase_minutes(target: Target, period_seconds: int) -> int:
    """Return the minute of the hour at which the target's first run is due."""
    key = target.probe + target.storage_class + target.node
    return zlib.crc32(key.encode()) % (period_seconds // MINUTE_SECONDS)


@lru_cache(maxsize=KEPT)
def cron(target: Target, period_seconds: int, minute_seconds: float = MINUTE_SECONDS) -> Cron:
    """Return the due times of a target."""
    return Cron(phase_minutes(target, period_seconds), period_seconds, minute_seconds)


def cron_schedule(target: Target, period_seconds: int) -> str:
    """Return the cron expression `<phase>-59/<period> * * * *`."""
    return f"{phase_minutes(target, period_seconds)}-59/{period_seconds // MINUTE_SECONDS} * * * *"


def due_seconds(job: Job, cronjob: CronJob | None) -> float:
    """Return the due time that a Job is for. The CronJob controller writes it in an annotation.

    If the annotation is missing (a policy, a webhook, an old Kubernetes), the name of the Job ends with the
    due time as a number of minutes. If it does not, the newest due time of its CronJob counts. A Job without
    a CronJob is due when it is created.
    """
    stamp = parse_seconds(job.metadata.annotations.get(ANNOTATION_SCHEDULED, ""))
    created = job.metadata.created_seconds
    if stamp is not None or cronjob is None or manual(job):
        return created if stamp is None else stamp
    named = _named_seconds(job.metadata.name, cronjob.metadata.name)
    if named is not None and created - _LATEST_SECONDS <= named <= created + _CLOCK_SECONDS:
        return named
    newest = _newest_due(cronjob.spec.schedule, created + _CLOCK_SECONDS)
    return created if newest is None else newest


def manual(job: Job) -> bool:
    """Tell whether a person created the Job from its CronJob: no due time asked for it."""
    return job.metadata.annotations.get(ANNOTATION_INSTANTIATE) == "manual"


def _named_seconds(job: str, cronjob: str) -> float | None:
    suffix = job.removeprefix(f"{cronjob}-")
    digits = suffix != job and suffix.isascii() and suffix.isdecimal() and len(suffix) <= len("4294967295")
    return float(int(suffix) * MINUTE_SECONDS) if digits else None


def _newest_due(schedule: str, until: float) -> float | None:
    """Return the newest due time of a schedule up to a moment; None: pie did not write the schedule."""
    found = _SCHEDULE.fullmatch(schedule.strip())
    if found is None:
        return None
    phase, period = int(found[1]), int(found[2])
    if not 0 < period < _MINUTES_OF_HOUR or phase >= _MINUTES_OF_HOUR:
        return None
    hour, minute = divmod(math.floor(until / MINUTE_SECONDS), _MINUTES_OF_HOUR)
    if minute < phase:
        hour, minute = hour - 1, _MINUTES_OF_HOUR - 1
    of_hour = phase + (minute - phase) // period * period
    return float((hour * _MINUTES_OF_HOUR + of_hour) * MINUTE_SECONDS)

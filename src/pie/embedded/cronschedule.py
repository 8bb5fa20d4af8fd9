"""Cron schedules, and a clock whose minutes may be shorter than sixty seconds, for demos and tests.

https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_RANGES: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_LONGEST_SEARCH_MINUTES: Final = 366 * 24 * 60


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed cron expression: the values each of its five fields allows; `any_day` fields are `*`."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def due(self, moment: datetime) -> bool:
        """Tell whether the schedule names this minute."""
        day, weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        # Cron's own rule: where both are restricted, either of them will do.
        right_day = (day and weekday) if self.any_day or self.any_weekday else (day or weekday)
        right_time = moment.minute in self.minutes and moment.hour in self.hours
        return right_time and right_day and moment.month in self.months


def parse(text: str) -> Schedule:
    """Return the schedule; raises ValueError that names the field."""
    fields = text.split()
    if len(fields) != len(_RANGES):
        raise ValueError(f"{text!r} has {len(fields)} fields, not minute, hour, day, month and weekday")
    minutes, hours, days, months, weekdays = (
        _values(field, *bounds) for field, bounds in zip(fields, _RANGES, strict=True)
    )
    return Schedule(
        minutes, hours, days, months, weekdays, any_day=fields[2] == "*", any_weekday=fields[4] == "*"
    )


def _values(field: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step_text = part.partition("/")
        step = int(step_text) if step_text else 1
        if span == "*":
            first, last = low, high
        else:
            first_text, dash, last_text = span.partition("-")
            first = int(first_text)
            last = int(last_text) if dash else (high if step_text else first)
        if not low <= first <= last <= high or step < 1:
            raise ValueError(f"{part!r} is not within {low} and {high}")
        found.update(range(first, last + 1, step))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Minutes:
    """The clock that schedules go by: `length_seconds` is how long one of its minutes lasts."""

    length_seconds: float = 60.0

    def number(self, seconds: float) -> int:
        """Return the number of the minute that epoch seconds lie in."""
        return math.floor(seconds / self.length_seconds)

    def last_due(self, schedule: Schedule, after: float, until: float) -> int | None:
        """Return the number of the newest minute in (after, until] that the schedule names."""
        first = max(self.number(after), self.number(until) - _LONGEST_SEARCH_MINUTES)
        for number in range(self.number(until), first, -1):
            if schedule.due(datetime.fromtimestamp(number * 60, UTC)):
                return number
        return None

    def seconds(self, number: int) -> float:
        """Return the epoch seconds at which a minute begins."""
        return number * self.length_seconds

    def until_next(self, seconds: float) -> float:
        """Return how many seconds are left of the present minute."""
        return (self.number(seconds) + 1) * self.length_seconds - seconds

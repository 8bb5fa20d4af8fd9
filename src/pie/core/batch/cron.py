"""The cron expression of a target; `pie.core.schedule` says which due times it means."""

from pie.core.model import Target
from pie.core.schedule import MINUTE_SECONDS, phase_minutes


def cron_schedule(target: Target, period_seconds: int) -> str:
    """Return the cron expression `<phase>-59/<period> * * * *`."""
    return f"{phase_minutes(target, period_seconds)}-59/{period_seconds // MINUTE_SECONDS} * * * *"

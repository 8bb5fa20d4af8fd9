"""Which changes of a CronJob can change what pie decides about its target."""

from msgspec.structs import replace

from pie.core.batch.wire import CronJob
from pie.core.wire import Metadata


def cronjob_matters(old: CronJob | None, new: CronJob | None) -> bool:
    """Tell whether a change of a CronJob requires a look at its target.

    That a run was started or ended is seen by its Job; see also `no_longer_active`.
    """
    if old is None or new is None:
        return True
    return old.spec != new.spec or _same(old.metadata) != _same(new.metadata)


def no_longer_active(old: CronJob | None, new: CronJob | None) -> set[str]:
    """Return the uids of the Jobs that a CronJob does not list as active any more: they may be deleted."""
    before, now = ({each.uid for each in found.status.active} if found else set() for found in (old, new))
    return before - now


def _same(metadata: Metadata) -> Metadata:
    """Return metadata that changes only with what pie reads in it."""
    return replace(metadata, resource_version="")

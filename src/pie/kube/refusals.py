"""What pie may not do, as the API server answered: one log line for each, however often it is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from pie.core.permissions import ALL_NAMESPACES, MissingPermission, lacks_permission
from pie.kube.errors import Forbidden
from pie.kube.transport import Request

_log = structlog.get_logger()

_FORGET_SECONDS: Final = 3600.0
"""A refusal that was not repeated for so long says nothing about now."""

_RBAC_VERBS: Final = {"apply": "patch"}

_Asked = tuple[str, str, str]


@dataclass(slots=True)
class _Refused:
    missing: MissingPermission
    at: float


class Refusals:
    """The permissions that the API server says are missing, until the same is allowed.

    Callers that meet Forbidden need not log it. Refusals for other reasons (quota, admission) are about one
    object, and are not in here.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[_Asked, _Refused] = {}
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener()` called when a permission is found to be missing, or is there again."""
        self._listeners.append(listener)

    def current(self) -> tuple[MissingPermission, ...]:
        """Return what is missing now."""
        now = self._clock()
        for asked, known in list(self._known.items()):
            if now - known.at >= _FORGET_SECONDS:
                del self._known[asked]
        return tuple(known.missing for known in self._known.values())

    def refused(self, request: Request, error: Forbidden) -> None:
        """Take note of an answer with 403."""
        if not lacks_permission(error.message):
            return
        asked = _asked(request)
        if (known := self._known.get(asked)) is not None:
            known.at = self._clock()  # the words stay: those of each object would be a change
            return
        missing = MissingPermission(*asked, error.message)
        self._known[asked] = _Refused(missing, self._clock())
        _log.warning("permission missing", what=str(missing), error=error.message)
        self._tell()

    def allowed(self, request: Request) -> None:
        """Take note of a good answer."""
        if self._known and (known := self._known.pop(_asked(request), None)) is not None:
            _log.info("permission no longer missing", what=str(known.missing))
            self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _asked(request: Request) -> _Asked:
    resource = request.resource
    plural = f"{resource.plural}/{request.subresource}" if request.subresource else resource.plural
    name = f"{plural}.{resource.group}" if resource.group else plural
    where = request.namespace or (ALL_NAMESPACES if resource.namespaced else "")
    return _RBAC_VERBS.get(request.verb, request.verb), name, where

"""The condition PermissionMissing: what the API server does not allow pie to do, in the server's words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pie.core.conditions import Condition, explained, status_condition
from pie.core.reasons import Reason
from pie.core.text import few

CONDITION: Final = "PermissionMissing"
ALL_NAMESPACES: Final = "*"
"""In place of a namespace, for what was asked of all of them."""
_NO_PERMISSION: Final = re.compile(r"""is forbidden: User ["']|\bcannot \w+ (?:resource|path) ["']""")
"""How the API server says that a permission is missing. Quotas and admission are Forbidden in other words."""


@dataclass(frozen=True, slots=True, order=True)
class MissingPermission:
    """Something that pie may not do: verb, resource and namespace (empty: of no namespace), as in RBAC."""

    verb: str
    resource: str
    namespace: str
    words: str

    def __str__(self) -> str:
        """Return what is not allowed: `list leases.coordination.k8s.io in namespace kube-node-lease`."""
        where = f" in namespace {self.namespace}" if self.namespace else ""
        where = " in all namespaces" if self.namespace == ALL_NAMESPACES else where
        return f"{self.verb} {self.resource}{where}"


def lacks_permission(message: str) -> bool:
    """Tell whether a Forbidden answer is about missing permissions, not about the object."""
    return _NO_PERMISSION.search(message) is not None


def permission_missing(missing: Iterable[MissingPermission]) -> Condition:
    """Return the condition: what pie may not do, and what to do about it."""
    known = sorted(missing)
    if not known:
        message = "the API server allowed all that pie asked for"
        return status_condition(CONDITION, "False", Reason.OK, message)
    reason = Reason.PERMISSION_MISSING
    message = explained(f"pie may not {few(list(map(str, known)))}", reason)
    return status_condition(CONDITION, "True", reason, f"{message} The API server says: {known[0].words}")

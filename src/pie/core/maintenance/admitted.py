"""Tolerations that admission added to the pods of pie.

A namespace can add tolerations to all its pods (the annotation
`scheduler.alpha.kubernetes.io/defaultTolerations`), and so can a webhook. A taint that they tolerate is no
maintenance.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pie.core.driver import is_startup_key
from pie.core.model import Probe
from pie.core.wire import Toleration

_BY_KUBERNETES: Final = "node.kubernetes.io/"
"""Kubernetes itself adds tolerations with such keys. Their taints suppress runs in spite of that."""

_MOST: Final = 32


def admitted(tolerations: tuple[Toleration, ...], probe: Probe, driver: str) -> tuple[dict[str, Any], ...]:
    """Return the tolerations of a pod that pie did not set, as in the pod's spec."""
    asked = [_read(each) for each in probe.tolerations]
    added = (
        each
        for each in tolerations
        if not each.key.startswith(_BY_KUBERNETES) and not is_startup_key(each.key, driver)
    )
    more = [each for each in dict.fromkeys(added) if each not in asked]
    return tuple(msgspec.to_builtins(each) for each in more[:_MOST])


def _read(toleration: Mapping[str, Any]) -> Toleration:
    found = {name: str(toleration.get(name) or "") for name in ("key", "operator", "value", "effect")}
    return Toleration(**found)

"""Whether a pod's tolerations match a taint."""

from collections.abc import Mapping
from typing import Any

from pie.core.wire import Taint


def tolerated(taint: Taint, tolerations: tuple[dict[str, Any], ...]) -> bool:
    """Tell whether one of a pod's tolerations matches the taint.

    The rule is that of Kubernetes (`Toleration.ToleratesTaint`); `tolerationSeconds` limits how long a pod
    stays, not whether it is let in. https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
    """
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def _tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    if toleration.get("effect") not in {None, "", taint.effect}:
        return False
    if toleration.get("key") not in {None, "", taint.key}:
        return False
    match toleration.get("operator"):
        case None | "" | "Equal":
            return bool((toleration.get("value") or "") == taint.value)
        case "Exists":
            return True
        case _:
            return False

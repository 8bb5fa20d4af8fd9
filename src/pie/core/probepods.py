"""What the operator sets for all probe pods: `--probe-pods` of `pie controller`, in the chart `probePods`."""

from typing import Any

import msgspec

from pie.core.decode import decode_clean


class ProbePods(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Settings that go into every probe pod.

    `security_context` changes that of the pod, field by field; a null field leaves the value to the cluster.
    `resources` are those of a PieProbe that sets none.
    """

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    security_context: dict[str, Any] = {}
    resources: dict[str, dict[str, str | int | float]] = {}

    def secured(self, context: dict[str, Any]) -> dict[str, Any]:
        """Return a pod's security context with the operator's changes."""
        changed = {**context, **self.security_context}
        return {field: value for field, value in changed.items() if value is not None}


def probe_pods(text: str) -> ProbePods:
    """Return the settings in a JSON object. Raises Unreadable, a ValueError."""
    return decode_clean(text.encode(), ProbePods)

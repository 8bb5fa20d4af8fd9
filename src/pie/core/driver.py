"""Whether the CSI driver of a StorageClass is ready on a node: what taints and CSINodes say, over time.

A driver may keep pods off a node until it is ready there: a node is created with a start-up taint, which the
driver removes. A taint that stays is a fault of the storage, not maintenance.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from pie.core.conditions import Condition, explained, status_condition
from pie.core.model import HARD_EFFECTS, MarkKind, Probe
from pie.core.reasons import Reason
from pie.core.text import few
from pie.core.tolerations import tolerated
from pie.core.wire import Node, Taint

STARTUP_TAINTS: Final = tuple(
    f"{driver}/agent-not-ready"
    for driver in (
        "azurelustre.csi.azure.com",
        "blob.csi.azure.com",
        "disk.csi.azure.com",
        "ebs.csi.aws.com",
        "efs.csi.aws.com",
        "file.csi.azure.com",
        "fsx.csi.aws.com",
        "fsx.openzfs.csi.aws.com",
        "pd.csi.storage.gke.io",
        "s3.csi.aws.com",
        "s3.csi.scality.com",
    )
)
"""The keys of the start-up taints of public drivers; each driver removes its own."""

_MOST_KEYS: Final = 8
"""A node's start-up taints that mount pods tolerate, beside the known ones."""


class Fault(StrEnum):
    """Why a driver may not be ready on a node."""

    TAINTED = "tainted"
    """It has not removed its start-up taint."""
    GONE = "gone"
    """It was registered on the node before, and is not now."""
    NEVER = "never"
    """It was never seen to be registered on the node."""


@dataclass(frozen=True, slots=True)
class DriverFact:
    """What is known of a PieProbe's driver on a node now.

    `listed`: the node's CSINode lists it; None: no CSINode ever did, so it may be no CSI driver.
    """

    name: str = ""
    listed: bool | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which a driver was not ready on a node, and why; `until` is None while it lasts."""

    fault: Fault
    message: str
    since: float
    until: float | None = None

    def meets(self, since: float, until: float) -> bool:
        """Tell whether it shares a moment with [since, until]."""
        return self.since <= until and (self.until is None or self.until >= since)

    def covers(self, since: float, until: float) -> bool:
        """Tell whether it lasts for all of [since, until]."""
        return self.since <= since and (self.until is None or self.until >= until)


@dataclass(frozen=True, slots=True)
class DriverHistory:
    """The driver on a node: spans in order of time, the newest last.

    `driver` is its name. `registered`: it was seen to be registered there. `keys` are those of its start-up
    taints that were seen there. `keeps_off`: a start-up taint, of any driver, keeps provision pods off now.
    `grown_up_at` is when the grace of the new node, or of its last boot, ends.
    """

    driver: str = ""
    spans: tuple[Outage, ...] = ()
    registered: bool = False
    keys: tuple[str, ...] = ()
    keeps_off: bool = False
    grown_up_at: float = 0.0

    def during(self, since: float, until: float) -> Outage | None:
        """Return the best explanation of a bad run in [since, until]: a taint, else the newest fault."""
        if until < self.grown_up_at:
            return None
        found = [span for span in self.spans if span.meets(since, until)]
        tainted = [span for span in found if span.fault is Fault.TAINTED]
        return next(reversed(tainted or found), None)

    def throughout(self, since: float, until: float) -> Outage | None:
        """Return the start-up taint that was on the node for all of [since, until]."""
        if until < self.grown_up_at:
            return None
        found = (span for span in reversed(self.spans) if span.fault is Fault.TAINTED)
        return next((span for span in found if span.covers(since, until)), None)


def is_startup_taint(taint: Taint, driver: str) -> bool:
    """Tell whether a taint is the start-up taint of a storage driver: then it is no maintenance."""
    return taint.effect in HARD_EFFECTS and is_startup_key(taint.key, driver)


def is_startup_key(key: str, driver: str) -> bool:
    """Tell whether a taint's key is that of a storage driver: a known one, or this driver's."""
    return key in STARTUP_TAINTS or _is_own(key, driver)


def own_taint(taints: Iterable[Taint], driver: str, probe: Probe) -> Taint | None:
    """Return the start-up taint of this driver among a node's.

    Other taints may have the driver's prefix, too, for example on nodes that are reserved for storage: then
    the PieProbe tolerates the key by name. If it names the key in `spec.suppression`, the taint is
    maintenance.
    """
    expected = {toleration.get("key") for toleration in probe.tolerations} - set(STARTUP_TAINTS)
    expected |= {mark.key for mark in probe.suppression.marks if mark.kind is MarkKind.TAINT}
    found = (taint for taint in taints if taint.effect in HARD_EFFECTS and _is_own(taint.key, driver))
    return next((each for each in found if each.key not in expected), None)


def _is_own(key: str, driver: str) -> bool:
    return bool(driver) and key.startswith(f"{driver}/")


def follow(
    history: DriverHistory,
    fact: DriverFact,
    node: Node,
    probe: Probe,
    now: float,
    *,
    rebooted_at: float = 0.0,
) -> DriverHistory:
    """Return the history after pie saw the node like this at `now`; without a class it does not change."""
    if not fact.name:
        return history
    if history.driver != fact.name:
        history = DriverHistory(fact.name)
    registered = history.registered or fact.listed is True
    taints = node.spec.taints
    own = own_taint(taints, fact.name, probe)
    seen = [taint for taint in taints if is_startup_taint(taint, fact.name)]
    more = (taint.key for taint in seen if taint.key not in STARTUP_TAINTS)
    keeps_off = any(not tolerated(taint, probe.tolerations) for taint in seen)
    keys = tuple(dict.fromkeys((*history.keys, *more)))[-_MOST_KEYS:]
    spans = _followed(history.spans, _fault(fact, own, registered=registered), now)
    rules = probe.suppression
    grown_up_at = node.metadata.created_seconds + rules.new_node_grace_seconds
    if rebooted_at:
        grown_up_at = max(grown_up_at, rebooted_at + rules.reboot_grace_seconds)
    return DriverHistory(fact.name, spans, registered, keys, keeps_off, grown_up_at)


def _fault(fact: DriverFact, own: Taint | None, *, registered: bool) -> tuple[Fault, str] | None:
    if own is not None:
        return Fault.TAINTED, f"the driver has not removed taint {own.key}:{own.effect}"
    if fact.listed is not False:
        return None
    if registered:
        return Fault.GONE, f"driver {fact.name} is not registered on the node any more"
    return Fault.NEVER, f"driver {fact.name} was never registered on the node"


_MOST_SPANS: Final = 16


def _followed(spans: tuple[Outage, ...], fault: tuple[Fault, str] | None, now: float) -> tuple[Outage, ...]:
    current = spans[-1] if spans and spans[-1].until is None else None
    if current is not None:
        if fault == (current.fault, current.message):
            return spans
        spans = (*spans[:-1], Outage(current.fault, current.message, current.since, now))
    if fault is not None:
        spans = (*spans, Outage(*fault, now))
    return spans[-_MOST_SPANS:]


def with_tolerations(probe: Probe, keys: Iterable[str]) -> Probe:
    """Return a PieProbe whose pods tolerate taints of these keys, whatever their value and effect."""
    more = tuple({"key": key, "operator": "Exists"} for key in keys)
    return replace(probe, tolerations=(*probe.tolerations, *more)) if more else probe


_UNREGISTERED: Final = re.compile(
    r"not found in the list of registered CSI drivers"  # kubelet: pkg/volume/csi/csi_plugin.go
    r"|CSI driver is not installed on the node"  # kube-scheduler: its plugin nodevolumelimits
    r"|does not contain driver|no topology key found on CSINode",  # external-attacher, external-provisioner
)


def unregistered(words: str) -> bool:
    """Tell whether the message of a run says that its driver is not registered on the node."""
    return _UNREGISTERED.search(words) is not None


_TAINT: Final = re.compile(r"taint(?:\(s\))? \{([^:} ]+)")


def tainted_by(words: str, driver: str) -> str:
    """Return the key of the driver's own start-up taint that the scheduler names; empty: it names none."""
    return next((key for key in _TAINT.findall(words) if _is_own(key, driver)), "")


CONDITION: Final = "DriverAbsent"


def driver_absent(nodes: Iterable[str]) -> Condition:
    """Return the condition: on which nodes runs found that the driver was never registered."""
    named = sorted(nodes)
    if not named:
        message = "no node is known on which the driver was never registered"
        return status_condition(CONDITION, "False", Reason.OK, message)
    reason, nodes = Reason.DRIVER_ABSENT, f"{len(named)} node{'s' if len(named) > 1 else ''}"
    return status_condition(CONDITION, "True", reason, explained(f"{nodes}: {few(named)}", reason))

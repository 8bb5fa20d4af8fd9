"""What a node went through, as far as a run's life needs it: a pure fold over its states.

A run is judged over its whole life, not at one instant: a node that goes away in mid-run and is back when the
run is judged was in maintenance all the same.
"""

from dataclasses import dataclass, field, replace

from pie.core import driver as drivers
from pie.core.maintenance.now import Facts, Suppression, suppression
from pie.core.model import Probe
from pie.core.reasons import Reason
from pie.core.wire import Node, condition, epoch_seconds

# A kubelet that starts tells of its lost containers, and so much later of its new boot.
_TOLD_WITHIN_SECONDS = 15.0
# Our reading of the API server's clock may be so far behind the stamps that the server writes by it.
_CLOCK_SECONDS = 1.0
# A node becomes Ready for the first time within this of its creation; one that does so later has come back.
_FIRST_START_SECONDS = 600.0
# A node that flaps: more than this many spans within the life of one run tell nothing more.
MOST_SPANS = 16
_NO_DRIVER = drivers.Fact()


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which runs on the node were suppressed; `until` is None while it lasts."""

    why: Suppression
    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class NodeHistory:
    """A node as one probe's rules see it: spans in order of time, the newest last.

    `seen_at` is when it was last looked at. `ready_since` is what the node itself said then, by a clock that
    may be ahead of ours; 0.0 while it is not Ready. `driver` is what became of the storage's driver on it.
    """

    spans: tuple[Span, ...] = ()
    boot_id: str = ""
    seen_at: float = 0.0
    ready_since: float = 0.0
    rebooted_at: float = 0.0
    proven_at: float = 0.0
    driver: drivers.DriverHistory = field(default_factory=drivers.DriverHistory)

    @property
    def current(self) -> Suppression | None:
        """Why runs on the node are suppressed now, if they are."""
        return self.spans[-1].why if self.spans and self.spans[-1].until is None else None

    @property
    def suppressed_since(self) -> float | None:
        """Since when the node is suppressed without a break, whatever the reasons were; None: it is not."""
        if self.current is None:
            return None
        began = self.spans[-1].since
        for span in reversed(self.spans[:-1]):
            if span.until is None or span.until < began:
                break
            began = min(began, span.since)
        return began

    def during(self, since: float, until: float) -> Span | None:
        """Return the newest span that shares a moment with [since, until]; None if there is none."""
        for span in reversed(self.spans):
            if span.since <= until and (span.until is None or span.until >= since):
                return span
        return None


def observe(
    history: NodeHistory | None,
    node: Node | None,
    probe: Probe,
    now: float,
    *,
    known_until: float = 0.0,
    driver: drivers.Fact = _NO_DRIVER,
) -> NodeHistory:
    """Return the history after the node was seen so at `now`; a node that is None is gone.

    Time alone ends a grace, so a node is observed again at its suppression's `ends_at`, too. Whoever sees it
    for the first time knows no earlier bootID: that it came back then counts as a boot, so that the grace of
    a reboot outlives the controller that saw it. Until `known_until` the node is known to have been as it was
    seen last: its own stamps of what came after cannot be older, whatever its clock says.
    """
    if node is None:
        gone = Suppression(Reason.NODE_DELETED, "the node was deleted", now)
        return _follow(history or NodeHistory(), gone, now)
    first, ready_since = history, _ready_since(node)
    turned = min(ready_since, now)
    if history is not None:
        turned = min(max(turned, known_until), now)
    else:
        came_back = ready_since > node.metadata.created_seconds + _FIRST_START_SECONDS
        history = NodeHistory(rebooted_at=turned if came_back else 0.0)
    if history.current is None and ready_since > history.ready_since:
        # It was not Ready until then, whoever saw it.
        was = Suppression(Reason.NODE_NOT_READY, "the node was not Ready", turned)
        history = replace(history, spans=(*history.spans, Span(was, turned, turned))[-MOST_SPANS:])
    history = replace(history, ready_since=ready_since)
    boot_id = node.status.node_info.boot_id
    if history.boot_id and boot_id and history.boot_id != boot_id:
        # Noted as a moment of its own, since a grace of no length ends before anybody looks.
        since = max(history.seen_at, now - _TOLD_WITHIN_SECONDS)
        booted = Suppression(Reason.NODE_REBOOTED, "the node has booted", since)
        history = _follow(_follow(history, booted, now), None, now + _CLOCK_SECONDS)
        history = replace(history, rebooted_at=now)
    history = replace(history, boot_id=boot_id or history.boot_id, seen_at=now)
    history = replace(history, driver=_driver(history, driver, node, probe, now))
    why = suppression(_facts(history, node, now, driver), probe)
    if why is not None and why.reason is Reason.NODE_NOT_READY and first is not None:
        why = replace(why, since=min(max(why.since, known_until), now))
    return _follow(history, why, now)


def fall_silent(history: NodeHistory, why: Suppression, until: float) -> NodeHistory:
    """Return the history after the node's kubelet was found silent at `until`, since `why.since`.

    Kubernetes has not called the node NotReady yet. Whether the silence goes on is known by the next look.
    """
    if history.current is not None:
        return history
    spans, last = history.spans, history.spans[-1] if history.spans else None
    if last is not None and (last.why.reason, last.since) == (why.reason, why.since):
        spans = spans[:-1]
    return replace(history, spans=(*spans, Span(why, why.since, until))[-MOST_SPANS:])


def prove(history: NodeHistory, began: float, now: float) -> NodeHistory:
    """Return the history after a good run on the node, from `began` until `now`.

    If it began after what a grace waits for, it has shown that all is well.
    """
    current = history.current
    history = replace(history, proven_at=max(history.proven_at, began))
    if current is None or current.blocks or began <= current.since:
        return history
    return _follow(history, None, now)


def _facts(history: NodeHistory, node: Node, now: float, driver: drivers.Fact) -> Facts:
    return Facts(node, now, history.rebooted_at, history.proven_at, driver.name)


def _driver(
    history: NodeHistory, driver: drivers.Fact, node: Node, probe: Probe, now: float
) -> drivers.DriverHistory:
    return drivers.follow(history.driver, driver, node, probe, now, rebooted_at=history.rebooted_at)


def _ready_since(node: Node) -> float:
    ready = condition(node.status.conditions, "Ready")
    if ready is None or ready.status != "True":
        return 0.0
    return epoch_seconds(ready.last_transition_time)


def _follow(history: NodeHistory, why: Suppression | None, now: float) -> NodeHistory:
    """Return the history with its newest span brought up to date."""
    current = history.current
    if (
        current is not None
        and why is not None
        and (current.reason, current.blocks) == (why.reason, why.blocks)
    ):
        newest = replace(history.spans[-1], why=replace(why, since=current.since))
        return replace(history, spans=(*history.spans[:-1], newest))
    spans = history.spans
    if current is not None:
        spans = (*spans[:-1], replace(spans[-1], until=now))
    if why is not None:
        spans = (*spans, Span(why, min(why.since, now)))
    return replace(history, spans=spans[-MOST_SPANS:])

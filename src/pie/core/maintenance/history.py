"""The history of a node, as long as runs need it: a pure function from state to state.

The whole life of a run counts, not one moment: a node may be under maintenance only in the middle of it.
"""

from dataclasses import dataclass, field, replace

from pie.core import driver as drivers
from pie.core.maintenance.now import NodeNow, Suppression, suppression
from pie.core.model import Probe
from pie.core.reasons import Reason
from pie.core.wire import Node, condition, epoch_seconds

# After a start, a kubelet first reports its lost containers, and its new boot at most this much later.
_REPORTED_WITHIN_SECONDS = 15.0
# pie's estimate of the API server's clock may be this much behind that clock.
_CLOCK_SECONDS = 1.0
# A new node becomes Ready within this time. If a node becomes Ready later, it has come back.
_FIRST_START_SECONDS = 600.0
# If a node changes often, more spans than this say nothing more about one run.
MOST_SPANS = 16
_NO_DRIVER = drivers.DriverFact()


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which runs on the node were suppressed; `until` is None while it lasts."""

    why: Suppression
    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class NodeHistory:
    """The history of a node by the rules of one PieProbe; the newest span is the last.

    `seen_at` is when pie saw the node last. `ready_since` is what the node says, by a clock that may be
    wrong; 0.0 while it is not Ready. `driver` is the history of the storage driver on the node.
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
        """Since when the node is suppressed without a break, for whatever reasons; None: it is not."""
        if self.current is None:
            return None
        began = self.spans[-1].since
        for span in reversed(self.spans[:-1]):
            if span.until is None or span.until < began:
                break
            began = min(began, span.since)
        return began

    @property
    def silent(self) -> bool:
        """Whether the kubelet was found silent, and neither the node nor a good run was seen since."""
        newest = self.spans[-1] if self.spans else None
        if newest is None or newest.until is None or newest.why.reason is not Reason.NODE_NOT_READY:
            return False
        return newest.until > self.seen_at and newest.since >= self.proven_at

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
    driver: drivers.DriverFact = _NO_DRIVER,
) -> NodeHistory:
    """Return the history after pie saw the node like this at `now`; None: the node is gone.

    A node has to be observed again at its suppression's `ends_at`, since time alone ends a grace. At the
    first look pie knows no earlier bootID. Then a node that came back counts as booted, so that the grace of
    a reboot survives a restart of the controller. Until `known_until` the node was certainly as pie saw it
    last, so whatever changed since then is not older, whatever the clock of the node says.
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
        # It was not Ready until then, although pie did not see that.
        was = Suppression(Reason.NODE_NOT_READY, "the node was not Ready", turned)
        history = replace(history, spans=(*history.spans, Span(was, turned, turned))[-MOST_SPANS:])
    history = replace(history, ready_since=ready_since)
    boot_id = node.status.node_info.boot_id
    if history.boot_id and boot_id and history.boot_id != boot_id:
        # The boot gets a span of its own: without a grace nothing else would show it.
        since = max(history.seen_at, now - _REPORTED_WITHIN_SECONDS)
        booted = Suppression(Reason.NODE_REBOOTED, "the node has booted", since)
        history = _follow(_follow(history, booted, now), None, now + _CLOCK_SECONDS)
        history = replace(history, rebooted_at=now)
    history = replace(history, boot_id=boot_id or history.boot_id, seen_at=now)
    followed = drivers.follow(history.driver, driver, node, probe, now, rebooted_at=history.rebooted_at)
    history = replace(history, driver=followed)
    why = suppression(NodeNow(node, now, history.rebooted_at, history.proven_at, driver.name), probe)
    if why is not None and why.reason is Reason.NODE_NOT_READY and first is not None:
        why = replace(why, since=min(max(why.since, known_until), now))
    return _follow(history, why, now)


def fall_silent(history: NodeHistory, why: Suppression, until: float) -> NodeHistory:
    """Return the history after pie found at `until` that the node's kubelet is silent since `why.since`.

    Kubernetes does not call the node NotReady yet. Whether the kubelet stays silent is not known.
    """
    if history.current is not None:
        return history
    spans, last = history.spans, history.spans[-1] if history.spans else None
    if last is not None and (last.why.reason, last.since) == (why.reason, why.since):
        spans = spans[:-1]
    return replace(history, spans=(*spans, Span(why, why.since, until))[-MOST_SPANS:])


def prove(history: NodeHistory, began: float, now: float) -> NodeHistory:
    """Return the history after a good run on the node, from `began` until `now`.

    It ends a grace if it began after the boot, or after the creation of the node.
    """
    current = history.current
    history = replace(history, proven_at=max(history.proven_at, began))
    if current is None or current.blocks or began <= current.since:
        return history
    return _follow(history, None, now)


def _ready_since(node: Node) -> float:
    ready = condition(node.status.conditions, "Ready")
    if ready is None or ready.status != "True":
        return 0.0
    return epoch_seconds(ready.last_transition_time)


def _follow(history: NodeHistory, why: Suppression | None, now: float) -> NodeHistory:
    """Return the history with its newest span continued, ended, or followed by a new one."""
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

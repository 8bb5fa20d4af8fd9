"""Whether a storage driver that is missing on a node, or not ready there, explains a bad run.

A CSINode alone proves nothing: after a crash it still lists the driver. So only a bad run is explained by it.
A start-up taint that stays is a fault by itself: no application with a volume can run on the node.
"""

from dataclasses import dataclass, replace

from pie.core.driver import DriverHistory, Fault, Outage, tainted_by, unregistered
from pie.core.judge import Judgement, by_area
from pie.core.maintenance.excuse import lived_until
from pie.core.model import Stage, Verdict
from pie.core.naming import ANNOTATION_IDENTITY
from pie.core.reasons import AREA, Area, Reason
from pie.core.target.facts import NodesFact
from pie.core.target.turn import Case, Turn
from pie.core.text import one_line

_EXPLAINED_STAGES = frozenset({Stage.SCHEDULE, Stage.PROVISION, Stage.ATTACH, Stage.MOUNT})


@dataclass(frozen=True, slots=True)
class Met:
    """What a run met of its driver.

    `during` explains a bad run, `throughout` is a start-up taint that was on the node for all of it. `there`:
    the driver was registered on the node once, or the target was well once. `anywhere`: some node has it.
    `pinned`: the run can use this node only.
    """

    driver: str = ""
    during: Outage | None = None
    throughout: Outage | None = None
    there: bool = False
    anywhere: bool = True
    pinned: bool = False

    @property
    def tainted(self) -> bool:
        """Whether the driver's start-up taint was on the node at some time."""
        return self.during is not None and self.during.fault is Fault.TAINTED


def blame_driver(turn: Turn) -> None:
    """Name the driver as the reason of runs that met a missing driver, or one that was not ready."""
    for case in turn.cases:
        case.judgement = case.own = blame(case.judgement, _met(turn, case))


def _met(turn: Turn, case: Case) -> Met:
    nodes, since = turn.facts.nodes, case.run.created_seconds
    until = lived_until(case.run, case.judgement, turn.now)
    found = nodes.histories.get(case.run.node)
    history = found.driver if found is not None else DriverHistory()
    anywhere = history.registered or any(each.driver.registered for each in nodes.histories.values())
    return Met(
        nodes.driver,
        history.during(since, until) if case.run.node else _taint_of_any(nodes, since, until),
        history.throughout(since, until) if turn.target.node else None,
        history.registered or _once_well(turn),
        # A mount target knows only one node.
        anywhere or bool(turn.target.node),
        bool(turn.target.node),
    )


def _taint_of_any(nodes: NodesFact, since: float, until: float) -> Outage | None:
    """Return the start-up taint on a node that a provision run could have used without it."""
    histories = (nodes.histories.get(name) for name in sorted(nodes.matching))
    spans = (each.driver.during(since, until) for each in histories if each is not None)
    return next((span for span in spans if span is not None and span.fault is Fault.TAINTED), None)


def _once_well(turn: Turn) -> bool:
    """Tell whether a run of a mount target was good once, before this controller began at the latest."""
    claim = turn.facts.claim
    noted = claim is not None and ANNOTATION_IDENTITY in claim.metadata.annotations
    return bool(turn.target.node) and (noted or turn.state.standing.last_ok > 0.0)


def blame(judgement: Judgement, met: Met) -> Judgement:
    """Return the judgement of a run that met this; maintenance that explains it comes first."""
    if judgement.verdict in {Verdict.OK, Verdict.PENDING}:
        return _in_spite_of_taint(judgement, met.throughout)
    if not judgement.needs_cause or judgement.stage not in _EXPLAINED_STAGES:
        return judgement
    # The scheduler names the taints of all nodes, also to a pod that is pinned to another one; since
    # Kubernetes 1.35 without their keys.
    named = not met.pinned and bool(tainted_by(judgement.message, met.driver))
    tainted = named or (met.tainted and judgement.reason is Reason.TAINTED)
    by_words = unregistered(judgement.message) or judgement.reason is Reason.DRIVER_NOT_READY
    of_storage = AREA[judgement.reason] is Area.STORAGE or judgement.reason is Reason.NOT_SCHEDULED
    if not (tainted or by_words or of_storage):
        return judgement
    span = met.during
    if tainted or (span is not None and span.fault is not Fault.NEVER):
        return _not_ready(judgement, span)
    if span is None and not by_words:
        return judgement
    if met.there or not met.anywhere:
        return _not_ready(judgement, span)
    return by_area(
        replace(
            _late(judgement),
            reason=Reason.DRIVER_ABSENT,
            stage=Stage.MOUNT,
            message=_message(span, judgement.message),
        )
    )


def _in_spite_of_taint(judgement: Judgement, taint: Outage | None) -> Judgement:
    """Judge a run that was good on a node from which the driver's taint keeps applications."""
    if taint is None:
        return judgement
    if not judgement.ended:
        return replace(judgement, on_time=None)  # The taint may go before the run ends.
    return replace(
        judgement,
        verdict=Verdict.LATE,
        reason=Reason.DRIVER_NOT_READY,
        stage=Stage.MOUNT,
        message=one_line(f"{taint.message}, which keeps pods off the node; this run tolerates it"),
        on_time=False,
    )


def _not_ready(judgement: Judgement, span: Outage | None) -> Judgement:
    message = _message(span, judgement.message)
    late = _late(judgement)
    return replace(late, reason=Reason.DRIVER_NOT_READY, stage=Stage.MOUNT, message=message)


def _late(judgement: Judgement) -> Judgement:
    """Return the judgement of a run that counts as late again."""
    if judgement.verdict is not Verdict.INCONCLUSIVE:
        return judgement
    return replace(judgement, verdict=Verdict.LATE, on_time=False)


def _message(span: Outage | None, words: str) -> str:
    """Return the evidence: the words of the run, after what is known of its node."""
    return one_line(f"{span.message}: {words}" if span is not None else words)

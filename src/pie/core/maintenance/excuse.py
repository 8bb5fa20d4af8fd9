"""Whether maintenance of its node explains a bad run.

The whole life of a run counts. If a run outlives the maintenance, its threshold and deadline begin again at
the end of the maintenance. If it is still bad after that, the maintenance does not explain it.
"""

from collections.abc import Iterable
from dataclasses import replace

from pie.core.judge import Judgement
from pie.core.maintenance.history import NodeHistory, Span
from pie.core.maintenance.now import Suppression
from pie.core.model import Probe, Verdict
from pie.core.reasons import CERTAIN, Reason
from pie.core.timeline import Run, Timeline, timeline
from pie.core.wire import epoch_seconds

# The run used its volume: these are facts about the storage.
_NEVER = CERTAIN | {Reason.NO_SPACE}
SLACK_SECONDS = 3.0
"""Maintenance explains a run also if it begins this long after the run's end: times have whole seconds, and
pie may see the cause of an end a moment after the end."""


def excusable(judgement: Judgement) -> bool:
    """Tell whether maintenance could explain this judgement."""
    return judgement.needs_cause and judgement.reason not in _NEVER


def lived_until(run: Run, judgement: Judgement, now: float) -> float:
    """Return when the run ended, by the clocks of the control plane; `now` while its end is unknown.

    The kubelet's clock may be minutes wrong, so only the difference of two of its times counts.
    """
    if not judgement.ended:
        return now
    ended = run.over_at or run.deleted_at or _ended_seconds(timeline(run))
    return min(now, max(run.created_seconds, ended) + SLACK_SECONDS) if ended is not None else now


def _ended_seconds(times: Timeline) -> float | None:
    """Return when a run's container ended: when it was bound, plus how long the kubelet took after that."""
    finished = epoch_seconds(times.terminated.finished_at) if times.terminated is not None else 0.0
    if not finished or times.scheduled is None or times.acknowledged is None:
        return None
    return times.scheduled + max(0.0, finished - times.acknowledged)


def excuse(judgement: Judgement, run: Run, probe: Probe, span: Span | None, now: float) -> Judgement:
    """Return the judgement, suppressed if the maintenance `span` explains it; what was good stays good."""
    if span is None or not excusable(judgement):
        return judgement
    started = timeline(run).started is not None
    allowed_seconds = probe.threshold_seconds + (probe.deadline_seconds if started else 0.0) + SLACK_SECONDS
    if span.until is not None:
        look_again_at = span.until + allowed_seconds
        if lived_until(run, judgement, now) > look_again_at:
            return judgement
    else:
        look_again_at = now + max(probe.threshold_seconds, SLACK_SECONDS)
    checks = (judgement.check_at, None if judgement.ended else look_again_at)
    return replace(
        judgement,
        verdict=Verdict.SUPPRESSED,
        reason=span.why.reason,
        message=span.why.message,
        stage=None,
        on_time=judgement.on_time or None,
        succeeded=judgement.succeeded or None,
        check_at=min((at for at in checks if at is not None), default=None),
    )


def everywhere(histories: Iterable[NodeHistory | None], since: float, until: float) -> Span | None:
    """Return the maintenance of [since, until] if every node was suppressed at some moment of that time.

    It explains a run that could have used any of the nodes.
    """
    spans = [history.during(since, until) if history is not None else None for history in histories]
    found = [span for span in spans if span is not None]
    if not found or len(found) < len(spans):
        return None
    # The class is usable again as soon as the first node is.
    until_first = min((span.until for span in found if span.until is not None), default=None)
    return Span(nowhere([span.why for span in found]), max(span.since for span in found), until_first)


def nowhere(reasons: list[Suppression]) -> Suppression:
    """Return why a class is suppressed, if all its nodes are for these reasons."""
    counts: dict[Reason, int] = {}
    for why in reasons:
        counts[why.reason] = counts.get(why.reason, 0) + 1
    named = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    return Suppression(
        Reason.NO_USABLE_NODE,
        f"all {len(reasons)} matching nodes are suppressed: {named}",
        max(why.since for why in reasons),
        blocks=all(why.blocks for why in reasons),
    )

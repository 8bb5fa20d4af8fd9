"""A recorded step in words: one line for each thing that it ordered or counted."""

from collections.abc import Iterator

from pie.core.record.records import TakenStep
from pie.core.target import effects as do
from pie.core.wire import rfc3339


def story(taken: TakenStep) -> Iterator[str]:
    """Yield a line for each thing that a step did, or one line if it only noted new facts."""
    before, after = taken.before.standing, taken.done.state.standing
    said = [line for each in taken.done.effects if (line := words(each))]
    if (before.verdict, before.reason, before.message) != (after.verdict, after.reason, after.message):
        message = f": {after.message}" if after.message else ""
        said.append(f"verdict {after.verdict}, reason {after.reason}{message}")
    known, runs = taken.before.runs, taken.done.state.runs
    yield from (f"new run {run.id}, due {rfc3339(run.due)}" for run in runs.values() if run.id not in known)
    yield from said


def words(effect: do.Effect) -> str:  # noqa: C901, PLR0911, PLR0912  one line for each kind
    """Return what an effect does; empty for what only keeps the screens up to date."""
    match effect:
        case do.CountOnTime():
            return (
                f"due time {rfc3339(effect.due)} counts as {'on time' if effect.on_time else 'not on time'}"
            )
        case do.CountSucceeded():
            said = "succeeded" if effect.succeeded else "not succeeded"
            return f"due time {rfc3339(effect.due)} counts as {said}"
        case do.CountSuppressed():
            return f"due time {rfc3339(effect.due)} counts as suppressed ({effect.reason})"
        case do.CountInconclusive():
            what = "I/O of due time" if effect.io_only else "due time"
            return f"{what} {rfc3339(effect.due)} counts as inconclusive ({effect.reason})"
        case do.CountCutShort():
            return f"I/O of due time {rfc3339(effect.due)} counts as suppressed ({effect.reason})"
        case do.CountLost():
            return f"the run of due time {rfc3339(effect.due)} was deleted before its result was read"
        case do.Follow():
            return f"the target begins, or its period changes: {effect.period_seconds} s"
        case do.Forget():
            return "the target ends"
        case do.StartRun():
            without = f", on a node other than {effect.without}" if effect.without else ""
            step = f", step {effect.step.number + 1}" if effect.step.number else ""
            return f"starts a run ({effect.why}) for {rfc3339(effect.due)}{step}{without}"
        case do.TakeSnapshot():
            return f"takes a snapshot of the volume of run {effect.run}, or reads how it is"
        case do.EndRun():
            return f"ends run {effect.run}"
        case do.DiscardRun():
            return f"deletes the objects of run {effect.run}"
        case do.KeepObjects():
            return _objects(effect)
        case do.Remember():
            return f"writes annotations on its PVC: {', '.join(sorted(effect.annotations))}"
        case do.Ask():
            return f"asks the API server: {effect.what}{f' of run {effect.run}' if effect.run else ''}"
        case do.NoteSilence():
            return f"node {effect.node} is silent: {effect.why.message}"
        case do.ReportNode():
            return f"reports node {effect.node}: {effect.said.reason}"
        case _:
            return ""


def _objects(effect: do.KeepObjects) -> str:
    if not effect.live:
        return f"deletes its objects{', but not its PVC' if effect.keep_claim else ''}"
    if effect.paused_since is not None and not effect.suppressed:
        return "pauses its schedule, as the user wants"
    if effect.paused_since is not None:
        return f"pauses its schedule, suppressed since {rfc3339(effect.paused_since)}"
    return "updates its objects" if effect.create else "keeps its objects, creates none"

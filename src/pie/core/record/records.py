"""The records of a file: states at its beginning, then steps. Each is small, since it says only what changed.

A record of a step is enough to run the step again: with the records before it in the same file it gives the
state, the facts and the time that the step had, and what the step returned.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, Final, get_args

import msgspec

from pie.core.batch.cron import Cron
from pie.core.decode import Unreadable, convert
from pie.core.model import Target
from pie.core.pods.calendar import Paced, Slowed
from pie.core.record.delta import Delta, Shared, delta, patched
from pie.core.target.effects import Effect
from pie.core.target.facts import Calendar, TargetFacts
from pie.core.target.state import TargetState
from pie.core.target.step import Step

_EFFECTS: Final[dict[str, Any]] = {each.__name__: each for each in get_args(Effect)}
_REFUSALS: Final = (
    msgspec.MsgspecError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    RecursionError,
)


class StateRecord(msgspec.Struct, array_like=True, frozen=True, tag="state"):
    """The state of a target where the file begins."""

    target: Target
    state: Any


class StepRecord(msgspec.Struct, array_like=True, frozen=True, tag="step"):
    """A step: its time, and deltas to the target's last record in the file.

    `before` is the whole state before the step. It is set only if that is not the state after the last record
    (the target is new, or steps were left out).
    """

    at: float
    target: Target
    facts: Delta | None
    after: Delta | None
    effects: list[Any] = []
    wake_at: float | None = None
    before: Any = None


Record = StateRecord | StepRecord
_encode: Final[Callable[[Record], bytes]] = msgspec.msgpack.Encoder().encode


class TakenStep(msgspec.Struct, frozen=True):
    """A step that a controller took: what it was given, and what it returned."""

    at: float
    before: TargetState
    facts: TargetFacts
    done: Step


class _Last:
    """The last record of a target in a file: the state after it, and its facts."""

    __slots__ = ("facts", "state")

    def __init__(self, state: TargetState, facts: TargetFacts | None = None) -> None:
        self.state = state
        self.facts = facts


class Writing:
    """Turns steps into records. It knows the last record of each target in its file."""

    def __init__(self) -> None:
        self._last: dict[Target, _Last] = {}

    def checkpoint(self) -> list[bytes]:
        """Return a record of the state of each target. A file begins with them."""
        for last in self._last.values():
            last.facts = None
        return [_encode(StateRecord(target, last.state)) for target, last in self._last.items()]

    def step(self, taken: TakenStep) -> bytes:
        """Return the record of a step; none, if it changed and ordered nothing."""
        before, done, shared = taken.before, taken.done, Shared()
        changed = delta(before, done.state, shared)
        if changed is None and not done.effects:
            return b""
        target, after = before.target, done.state
        last = self._last.get(target)
        follows = last is not None and (last.state is before or last.state == before)
        facts = last.facts if last is not None else None
        found = _encode(
            StepRecord(
                taken.at,
                target,
                delta(facts, taken.facts, shared),
                changed,
                [(type(each).__name__, each) for each in done.effects],
                done.wake_at,
                None if follows else before,
            )
        )
        if not after.live and not after.runs:
            self._last.pop(target, None)
        elif last is None:
            self._last[target] = _Last(after, taken.facts)
        else:
            last.state, last.facts = after, taken.facts
        return found


class Reading:
    """Turns the records of a file back into steps."""

    def __init__(self) -> None:
        self._states: dict[Target, Any] = {}
        self._facts: dict[Target, Any] = {}

    def take(self, body: bytes) -> TakenStep | None:
        """Return the step of a record; None: it is the state of a target. Raises Unreadable."""
        try:
            record = _decoder().decode(body)
            if isinstance(record, StateRecord):
                self._states[record.target] = record.state
                self._facts.pop(record.target, None)
                return None
            return self._step(record)
        except _REFUSALS as error:
            raise Unreadable(f"a record is not one of this version of pie: {error}") from error

    def _step(self, record: StepRecord) -> TakenStep:
        target = record.target
        before = self._states[target] if record.before is None else record.before
        facts, after = self._facts.get(target), before
        if record.facts is not None:
            facts = patched(facts, record.facts)
        if record.after is not None:
            after = patched(before, record.after)
        self._facts[target], self._states[target] = facts, after
        effects = tuple(convert(each, _EFFECTS[name]) for name, each in record.effects)
        done = Step(convert(after, TargetState), effects, record.wake_at)
        return TakenStep(record.at, convert(before, TargetState), _facts_of(facts), done)


def _facts_of(tree: Any) -> TargetFacts:
    names = ("calendar", "other_calendar")
    own, other = (_calendar_of(tree.get(name)) for name in names)
    facts = convert({**tree, **dict.fromkeys(names)}, TargetFacts)
    return replace(facts, calendar=own, other_calendar=other)


def _calendar_of(tree: Any) -> Calendar | None:
    if tree is None:
        return None
    kinds: dict[str, type[Calendar]] = {"phase_seconds": Paced, "parts": Slowed}
    return convert(tree, next((kind for field, kind in kinds.items() if field in tree), Cron))


@cache
def _decoder() -> msgspec.msgpack.Decoder[Record]:
    return msgspec.msgpack.Decoder(Record)

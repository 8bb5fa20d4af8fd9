"""Runs recorded steps again, and says where the step of this version does something else."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pie.core.model import Target
from pie.core.record.delta import changes
from pie.core.record.file import read_head, read_records
from pie.core.record.records import Reading, TakenStep
from pie.core.target.facts import TargetFacts
from pie.core.target.state import TargetState
from pie.core.target.step import Step, step
from pie.core.text import CUT

Decide = Callable[[TargetState, TargetFacts, float], Step]


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between what a step returns now and what it returned; `where` is the path to it."""

    where: str
    recorded: object
    now: object


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded step, and where it is different now."""

    taken: TakenStep
    differences: tuple[Difference, ...] = ()

    @property
    def target(self) -> Target:
        """The target of the step."""
        return self.taken.before.target


def steps(body: bytes) -> Iterator[TakenStep]:
    """Yield the steps of a file. Raises Unreadable, at the end Truncated."""
    _, start = read_head(body)
    reading = Reading()
    for record in read_records(body, start):
        if (taken := reading.take(record)) is not None:
            yield taken


def replay(taken: TakenStep, decide: Decide = step, *, anonymous: bool = False) -> Replayed:
    """Run a recorded step again. It begins with the recorded state, whatever the step before it did.

    If names are hashed, long texts are not compared: they were cut before their names were hashed.
    """
    try:
        now = decide(taken.before, taken.facts, taken.at)
    except Exception as error:  # noqa: BLE001  a step that raises is what a replay has to find
        return Replayed(taken, (Difference("step", "returned", f"raised {type(error).__name__}: {error}"),))
    if now == taken.done:
        return Replayed(taken)
    found = (Difference(*each) for each in changes(taken.done, now))
    return Replayed(
        taken, tuple(each for each in found if not (anonymous and _cut(each.recorded) and _cut(each.now)))
    )


def _cut(value: object) -> bool:
    return isinstance(value, str) and CUT in value

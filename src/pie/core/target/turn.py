"""One turn of a target: the new state, and the effects that the phases add.

Only the phases of one step see a turn; from outside a step is a function.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pie.core.judge import Judgement
from pie.core.model import Probe, Target
from pie.core.target.effects import Effect
from pie.core.target.facts import Calendar, Switched, TargetFacts
from pie.core.target.state import RunState, TargetState
from pie.core.timeline import Run

SOON_SECONDS = 0.01
MOST_DUES = 16
"""One look at a run counts at most this many due times; a ledger remembers as many."""


@dataclass(slots=True)
class Case:
    """A run that is judged in this turn.

    `judgement` is what counts; `own` is the judgement of the run itself, also if another run decides its due
    time. `held`: nothing is concluded in this turn. `decided_elsewhere`: a follow-up run decides its due
    time.
    """

    id: str
    run: Run
    judgement: Judgement
    own: Judgement
    as_of: float
    unseen_end: bool = False
    held: bool = False
    undecided: bool = False
    decided_elsewhere: bool = False


@dataclass(slots=True)
class Turn:
    """The working memory of one step."""

    state: TargetState
    facts: TargetFacts
    now: float
    cases: list[Case] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    ended: list[RunState] = field(default_factory=list)
    wake_at: float | None = None

    @property
    def target(self) -> Target:
        """The target."""
        return self.state.target

    @property
    def probe(self) -> Probe:
        """The spec by which the target's runs are judged."""
        if self.state.probe is None:
            raise ValueError(f"{self.target} is not live")
        return self.state.probe

    @property
    def calendar(self) -> Calendar:
        """The due times of the target."""
        calendar, other = self.facts.calendar, self.facts.other_calendar
        if calendar is None:
            raise ValueError(f"{self.target} has no calendar")
        at = self.state.switched_at
        return Switched(other, at, calendar) if at and other is not None else calendar

    @property
    def effective_seconds(self) -> float:
        """How long it really is from one due time to the next."""
        return self.probe.real_period_seconds * self.facts.every

    def change(self, **fields: Any) -> None:
        """Change what of the state is not so already; the rest stays the same objects."""
        state = self.state
        changed = {name: value for name, value in fields.items() if getattr(state, name) != value}
        if changed:
            self.state = msgspec.structs.replace(state, **changed)

    def change_run(self, run: str, **fields: Any) -> RunState:
        """Change what is remembered of a run."""
        changed = msgspec.structs.replace(self.state.runs[run], **fields)
        self.change(runs={**self.state.runs, run: changed})
        return changed

    def emit(self, effect: Effect) -> None:
        """Order an effect."""
        self.effects.append(effect)

    def wake(self, *moments: float | None) -> None:
        """Look at the target again at the first of these moments, epoch seconds."""
        self.wake_at = min((at for at in (self.wake_at, *moments) if at is not None), default=None)

    def open_cases(self) -> Iterator[Case]:
        """Yield the runs about which something is concluded in this turn, oldest first."""
        return (case for case in self.cases if not case.held)

    def hold(self, case: Case, until: float | None) -> None:
        """Conclude nothing about a run in this turn, and look again then."""
        case.held = True
        self.wake(until)

    def dues_blocked_by(self, run: RunState, until: float) -> list[float]:
        """Return the due times up to `until` that passed while a run was under way."""
        after = max(run.due, self.facts.led_since)
        dues = self.calendar.dues_between(after, until, limit=MOST_DUES)
        return [due for due in dues if not self.state.paused_at(due)]

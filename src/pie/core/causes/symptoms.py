"""What the checks look at: a run that has not started, or was ended, and the Events about it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pie.core.causes.drivererrors import is_echo, passes
from pie.core.model import Stage
from pie.core.naming import CONTAINER
from pie.core.reasons import MEANING, Reason
from pie.core.text import evidence
from pie.core.timeline import Run, Timeline, WarningEvent
from pie.core.wire import ContainerState, PodStatus, StateWaiting, condition


@dataclass(frozen=True, slots=True)
class Cause:
    """The stage of a run and the reason. `message` is the evidence, at most 256 characters."""

    stage: Stage
    reason: Reason
    message: str


def cause(stage: Stage, reason: Reason, message: str = "") -> Cause:
    """Return a cause; without a message, its evidence is the meaning of the reason."""
    return Cause(stage, reason, evidence(message) or MEANING[reason])


ABOUT_PVC = frozenset({"ProvisioningFailed", "FailedBinding", "ClaimLost", "ClaimMisbound", "VolumeMismatch"})
"""Reasons of Events about a PVC. The PVC of a mount target outlives its runs, so older ones count, too."""

# client-go begins the text of a combined Event with this (tools/record/events_cache.go).
_COMBINED = re.compile(r"^\(combined from similar events\): ")

_NOTHING_YET = frozenset({"", "ContainerCreating", "PodInitializing"})
"""The state of a container that the kubelet has not begun to start."""


@dataclass(frozen=True, slots=True)
class Symptoms:
    """A run that has not started, with what the checks look at."""

    run: Run
    times: Timeline
    threshold_seconds: float

    @property
    def pinned(self) -> bool:
        """Whether the pod can run on one node only."""
        return bool(self.run.target.node)

    @property
    def scheduled(self) -> bool:
        """Whether the pod is bound to a node, also if a kubelet that refused it overwrote the condition."""
        return self.times.scheduled is not None or bool(self.run.pod and self.run.pod.spec.node_name)

    @property
    def status(self) -> PodStatus:
        """The pod's status."""
        return self.run.pod.status if self.run.pod is not None else PodStatus()

    @property
    def given_up(self) -> bool:
        """Whether the pod was ended because it had not started: at its deadline, or by a deletion.

        `pie.core.judge` reports a pod that was deleted before it was late.
        """
        pod = self.run.pod
        deleted = pod is not None and pod.metadata.being_deleted
        return deleted or self.status.reason == "DeadlineExceeded"

    @property
    def container(self) -> ContainerState:
        """The state of the container `probe`."""
        return self.status.container(CONTAINER)

    @property
    def waiting(self) -> StateWaiting:
        """What the container waits for, as the kubelet says."""
        return self.container.waiting or StateWaiting()

    @property
    def mounted(self) -> bool:
        """Whether the volume is mounted: the kubelet says so, or it has begun to start a container."""
        return self.run.seen.ready is not None or bool(self.beside)

    @property
    def beside(self) -> str:
        """What another container does that may keep `probe` from starting; empty: there is none.

        A failed container comes first, then a running one, then one that has ended.
        """
        # Init containers start one after the other: the last one that was started matters most.
        init = [(f"init container {each.name}", each.state) for each in self.status.init_container_statuses]
        main = [(f"container {each.name}", each.state) for each in self.status.container_statuses]
        others = [*reversed(init), *(each for each in main if each[0] != f"container {CONTAINER}")]
        said = [(doing, f"{name} {words}") for name, state in others for doing, words in _said(state)]
        return min(said, key=lambda each: each[0], default=(0, ""))[1]

    @property
    def scheduler_says(self) -> str:
        """The scheduler's message why it does not bind the pod; empty: there is none."""
        bound = condition(self.status.conditions, "PodScheduled")
        now = bound.message if bound is not None and not passes(bound.message) else ""
        text = now or self.warning("FailedScheduling") or ""
        # The PVC exists by now, and the scheduler has not looked again.
        return "" if self.run.claim is not None and "waiting for ephemeral volume" in text else text

    def texts(self, *reasons: str) -> list[str]:
        """Return the texts of Warnings of these reasons, newest first; not those that pass by themselves."""
        texts = (_COMBINED.sub("", each.message) for each in self._warnings() if each.reason in reasons)
        return [text for text in texts if not passes(text)]

    def warning(self, reason: str, pattern: str = "") -> str | None:
        """Return the best of the matching texts of the Warnings of a reason; None: there is none."""
        return first_cause(text for text in self.texts(reason) if re.search(pattern, text))

    def on_node(self, what: str) -> str:
        """Return the message about a bound pod: its node, what pie saw, and what it waits for."""
        pod, waiting = self.run.pod, self.waiting
        said = f": {waiting.reason} {waiting.message}".rstrip() if waiting.reason else ""
        return f"bound to node {pod.spec.node_name if pod else '?'}, {what}{said}"

    def _warnings(self) -> Iterator[WarningEvent]:
        since = self.times.created - 1.0
        return (
            each
            for each in reversed(self.run.warnings)
            if each.seen_seconds >= since or each.reason in ABOUT_PVC
        )


def first_cause(texts: Iterable[str]) -> str | None:
    """Return the newest text that is not an echo (`is_echo`); if all are echoes, the newest."""
    said = list(texts)
    return next((text for text in said if not is_echo(text)), said[0] if said else None)


def _said(state: ContainerState) -> Iterator[tuple[int, str]]:
    """Yield what a container does, with a rank: a lower rank explains more.

    It yields nothing if the kubelet has not begun to start the container.
    """
    if state.waiting is not None and state.waiting.reason not in _NOTHING_YET:
        yield 0, f"waits: {state.waiting.reason} {state.waiting.message}"
    elif state.terminated is not None and state.terminated.reason != "ContainerStatusUnknown":
        code = state.terminated.exit_code
        yield (0, f"ended with exit code {code}: {state.terminated.reason}") if code else (2, "has ended")
    elif state.running is not None:
        yield 1, "is running"

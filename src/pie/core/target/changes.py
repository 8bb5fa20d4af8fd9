"""Which changes of a run's pod, objects and answers can change a decision about its target."""

from dataclasses import replace

from pie.core.maintenance.heartbeat import Pulse, pulse
from pie.core.naming import CONTAINER
from pie.core.run import RunFact
from pie.core.target.facts import Answers
from pie.core.target.state import RunState, TargetState
from pie.core.timeline import pod_over
from pie.core.wire import Pod


def pod_matters(state: TargetState, old: Pod | None, new: Pod | None) -> bool:
    """Tell whether a pod that appeared, changed or was deleted requires a look at its target.

    A pod that waited and still waits says nothing new about a run that is in time; when that time is over,
    the target is looked at anyway. What is known to be late has its reason from what the pod says now.
    """
    in_time = all(run.shown is None and run.doubt is None for run in state.unread())
    return not (in_time and state.live and new is not None and _waits(new) and (old is None or _waits(old)))


def run_matters(old: RunFact, new: RunFact) -> bool:
    """Tell whether a change of the runner's objects requires a look at the target of a run.

    A run whose pod is over is judged by its pod: that its other objects are over too says nothing new.
    """
    judged = new.pod is not None and pod_over(new.pod)
    return old != (replace(new, over_at=old.over_at) if judged else new)


def answers_matter(run: RunState, answers: Answers) -> bool:
    """Tell whether answers about a run require a look at its target.

    That the node of a doubted run is alive is needed only when its doubt ends, and then it is looked at.
    """
    lease = answers.leases.get(run.id)
    return lease is None or run.doubt is None or pulse(lease.beat, run.doubt.before) != Pulse()


def _waits(pod: Pod) -> bool:
    state = pod.status.container(CONTAINER)
    ran = state.running is not None or state.terminated is not None
    return pod.status.phase == "Pending" and not pod.metadata.being_deleted and not ran

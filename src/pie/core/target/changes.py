"""Which changes of a pod can change what is decided about its target."""

from pie.core.naming import CONTAINER
from pie.core.target.state import TargetState
from pie.core.wire import Pod


def pod_matters(state: TargetState, old: Pod | None, new: Pod | None) -> bool:
    """Tell whether a target has to be looked at because of a pod that appeared, changed or is gone.

    A pod that waited and still waits says nothing new about a run that is in time; when that time is over,
    the target is looked at anyway. What is known to be late has its reason from what the pod says now.
    """
    in_time = all(run.shown is None and run.doubt is None for run in state.unread())
    return not (in_time and state.live and new is not None and _waits(new) and (old is None or _waits(old)))


def _waits(pod: Pod) -> bool:
    state = pod.status.container(CONTAINER)
    ran = state.running is not None or state.terminated is not None
    return pod.status.phase == "Pending" and pod.metadata.deletion_timestamp is None and not ran

"""What nodes, kubelets and controllers do to a simulated cluster each second."""

import math
from typing import Any, Final

import msgspec

from pie.core import selector
from pie.core.batch.cron import cron
from pie.core.batch.naming import ANNOTATION_SCHEDULED
from pie.core.model import HARD_EFFECTS
from pie.core.parse import node_selector
from pie.core.result import IoStats, Latency, Outcome, RecordStats, Result, encode
from pie.core.tolerations import tolerated
from pie.core.wire import Taint
from tests.controller.sidecars import Sidecar, probe_state, rfc3339, seconds_of
from tests.controller.world import NODE, PROVISION, TARGET, World, owner_of

_SCHEDULED_AFTER, _STARTED_AFTER, _ENDED_AFTER = 1, 3, 6
_NODE_CONTROLLER_SECONDS: Final = 50
_BOOT_SECONDS: Final = 5
_OVER: Final = {"Succeeded", "Failed"}
_OUTCOMES: Final = {"fails": Outcome.IO_ERROR, "corrupts": Outcome.DATA_CORRUPTED}


def tick(world: World) -> None:
    """Let a second pass."""
    _node_controller(world)
    world.collect_garbage()
    world.make_refused_pods()
    for actor in list(world.each_second.values()):
        actor(world)
    for pod in list(world.objects["pods"].values()):
        _kubelet(world, pod)
    if not world.cronjobs_stand_still:
        _cronjob_controller(world)
    if world.job_ttl_seconds is not None or world.deletes_jobs is not None:
        _delete_jobs(world)


def _delete_jobs(world: World) -> None:
    for name, job in list(world.objects["jobs"].items()):
        over = job["status"].get("conditions")
        expired = over and world.job_ttl_seconds is not None and _age(world, over[0]) >= world.job_ttl_seconds
        if expired or (world.deletes_jobs is not None and world.deletes_jobs(job)):
            world.delete_job(name)


def _age(world: World, over: dict[str, Any]) -> float:
    return world.now() - seconds_of(over["lastTransitionTime"])


def _node_controller(world: World) -> None:
    node = world.objects["nodes"].get(NODE)
    if node is None:
        return
    ready = node["status"]["conditions"][0]["status"]
    passed = world.now() - world.since_power
    stands_still = world.node_controller_stands_still
    if not world.powered and ready == "True" and not stands_still and passed >= _NODE_CONTROLLER_SECONDS:
        _ready(world, node, "Unknown")
    boot_id = f"boot-{world.boots}"
    if world.powered and passed >= _BOOT_SECONDS and node["status"]["nodeInfo"]["bootID"] != boot_id:
        for pod in list(world.objects["pods"].values()):
            if pod["status"]["phase"] == "Running" and world.feeds(pod["spec"]["nodeName"]):
                state = probe_state(pod)
                if "running" in state:
                    ended = {"exitCode": 255, "reason": "Unknown", **_times(pod, world.node_time(NODE))}
                    state = {"terminated": ended}
                report(world, pod, "Failed", state)
        _ready(world, node, "True", boot_id)


def _ready(world: World, node: dict[str, Any], status: str, boot_id: str = "") -> None:
    info = {"bootID": boot_id} if boot_id else node["status"]["nodeInfo"]
    changed = node["status"]["conditions"][0]["status"] != status
    # The kubelet says itself that it is ready; that it is gone, the node controller.
    written = world.node_time(NODE) if status == "True" else rfc3339(world.now())
    since = written if changed else node["status"]["conditions"][0]["lastTransitionTime"]
    condition = {"type": "Ready", "status": status, "lastTransitionTime": since}
    world.put("nodes", {**node, "status": {"conditions": [condition], "nodeInfo": info}})


def _kubelet(world: World, pod: dict[str, Any]) -> None:
    if pod["status"]["phase"] in _OVER:
        return
    age = world.now() - seconds_of(pod["metadata"]["creationTimestamp"])
    if not (name := pod["spec"].get("nodeName")):
        if age >= _SCHEDULED_AFTER and world.storage != "does not bind":
            _bind(world, pod)
        return
    if not _works(world, name) or any(kubelet(world, pod) for kubelet in world.kubelets.values()):
        return
    storage = world.storage if world.storage_fails_on is None or name in world.storage_fails_on else "well"
    if "startTime" not in pod["status"]:
        world.put("pods", {**pod, "status": {**pod["status"], "startTime": world.node_time(name)}})
    elif pod["status"]["phase"] == "Pending":
        _start(world, pod, age, mounts=storage != "does not mount")
    elif "terminated" in probe_state(pod) or (
        age >= _ENDED_AFTER and storage != "hangs" and not _waits_for_other(world, pod)
    ):
        _end(world, pod, world.outcomes.get(_kind_of(pod), _OUTCOMES.get(storage, Outcome.OK)))


def _waits_for_other(world: World, pod: dict[str, Any]) -> bool:
    """Tell whether a pod that needs another one at the same time waits for it."""
    if _kind_of(pod) != "shared" or world.outcomes.get("shared", Outcome.OK) is not Outcome.OK:
        return False
    other = world.objects["pods"].get(f"{pod['metadata']['name']}-step2")
    return other is None or not probe_state(other)


def _kind_of(pod: dict[str, Any]) -> str:
    """Return the kind of probe that a pod runs; empty where its command does not say so.

    A pod that uses the volume of the one before is of the kind `NAME of source`, or `NAME second`.
    """
    commands = [each.get("command", []) for each in pod["spec"].get("containers", [])]
    command = next((each for each in commands if len(each) > 2), ["", "", ""])
    if "--second" in command:
        return f"{command[2]} second"
    return f"{command[2]} of source" if "--source" in command else str(command[2])


def _start(world: World, pod: dict[str, Any], age: float, *, mounts: bool) -> None:
    """Start a pod, unless something keeps it from starting: its deadline comes first."""
    waits = next((state for each in world.waits.values() if (state := each(world, pod))), None)
    now = _node_now(world, pod)
    if age >= _STARTED_AFTER and mounts and waits is None:
        report(world, pod, "Running", {"running": {"startedAt": rfc3339(now)}})
    elif now - seconds_of(pod["status"]["startTime"]) >= _deadline_seconds(pod):
        creating = {"waiting": {"reason": "ContainerCreating"}}
        report(world, pod, "Failed", waits or creating, "DeadlineExceeded")
    elif waits is not None:
        report(world, pod, "Pending", waits)


def _node_now(world: World, pod: dict[str, Any]) -> float:
    """Return the time by the clock of a pod's node."""
    return world.now() + world.ahead_seconds(pod["spec"].get("nodeName", ""))


def _bind(world: World, pod: dict[str, Any]) -> None:
    if name := _schedulable(world, pod):
        bound = {"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(world.now())}
        status = {**pod["status"], "conditions": [bound]}
        world.put("pods", {**pod, "spec": {**pod["spec"], "nodeName": name}, "status": status})


def _works(world: World, name: str) -> bool:
    node = world.objects["nodes"].get(name)
    ready = node is not None and node["status"]["conditions"][0]["status"] == "True"
    return ready and (world.powered or not world.feeds(name))


def _schedulable(world: World, pod: dict[str, Any]) -> str | None:
    """Return the first node that may take a pod."""
    nodes, pinned = world.objects["nodes"], _pinned_to(pod)
    return min(
        (
            name
            for name in (nodes if pinned is None else nodes.keys() & pinned)
            if not nodes[name]["spec"].get("unschedulable")
            and all(_tolerates(pod, taint) for taint in nodes[name]["spec"].get("taints") or [])
            and nodes[name]["status"]["conditions"][0]["status"] == "True"
            and _may_run_on(pod, name, nodes[name]["metadata"].get("labels") or {})
        ),
        default=None,
    )


def _pinned_to(pod: dict[str, Any]) -> set[str] | None:
    """Return the names of the only nodes that a pod's affinity allows; None: it names none."""
    found: set[str] = set()
    for term in _required(pod).get("nodeSelectorTerms", [{}]):
        named = [each["values"] for each in term.get("matchFields") or [] if each["operator"] == "In"]
        if not named:
            return None
        found.update(*named)
    return found


def _beside(world: World, pod: dict[str, Any]) -> tuple[Sidecar, ...]:
    """Return the containers that were added to a pod when it was created."""
    return world.injected.get(pod["metadata"]["uid"], ())


def _end(world: World, pod: dict[str, Any], outcome: Outcome) -> None:
    """Report a pod whose probe has ended: it is over when all containers are, or at its deadline."""
    state, now = probe_state(pod), _node_now(world, pod)
    if "terminated" not in state:
        state = _ended(pod, outcome, rfc3339(now), world.io_seconds)
    beside = [each.state(state, now, pod_over=False) for each in _beside(world, pod)]
    if any("running" in each for each in beside):
        late = now - seconds_of(pod["status"]["startTime"]) >= _deadline_seconds(pod)
        report(world, pod, "Failed" if late else "Running", state, "DeadlineExceeded" if late else "")
        return
    codes = [each["terminated"]["exitCode"] for each in (state, *beside)]
    report(world, pod, "Failed" if any(codes) else "Succeeded", state)


def report(world: World, pod: dict[str, Any], phase: str, state: dict[str, Any], reason: str = "") -> None:
    """Write a pod's status, its containers sorted by name as kubelets do."""
    states = {"probe": state}
    for each in _beside(world, pod):
        states[each.name] = each.state(state, _node_now(world, pod), pod_over=phase in _OVER)
    containers = [{"name": name, "state": states[name]} for name in sorted(states)]
    status = {**pod["status"], "phase": phase, "reason": reason, "containerStatuses": containers}
    if status == pod["status"]:
        return
    world.put("pods", {**pod, "status": status})
    job = world.objects["jobs"].get(pod["metadata"]["name"])
    if phase in _OVER and job is not None:
        world.finish(job, "Complete" if phase == "Succeeded" else "Failed")


def _cronjob_controller(world: World) -> None:
    """Start what is due. It looks again when a Job or CronJob changed, or something is due."""
    seen, until = world.cronjobs_idle or ((), 0.0)
    if seen == _jobs_and_cronjobs(world) and world.now() < until:
        return
    active = _active_jobs(world)
    next_due_at = [
        _start_due(world, cronjob, active.get(cronjob["metadata"]["name"], []))
        for cronjob in list(world.objects["cronjobs"].values())
    ]
    world.cronjobs_idle = _jobs_and_cronjobs(world), min(next_due_at, default=math.inf)


def _jobs_and_cronjobs(world: World) -> tuple[Any, ...]:
    return world.objects["jobs"].revision, world.objects["cronjobs"].revision, world.period_seconds


def _active_jobs(world: World) -> dict[str, list[dict[str, Any]]]:
    """Return what CronJobs list as active, by their names."""
    active: dict[str, list[dict[str, Any]]] = {}
    for job in world.objects["jobs"].values():
        if not job["status"].get("conditions"):
            listed = {"name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
            active.setdefault(owner_of(job)["name"], []).append(listed)
    return active


def _start_due(world: World, cronjob: dict[str, Any], active: list[dict[str, Any]]) -> float:
    """Start the run of a CronJob if it is due; return when the next is, epoch seconds."""
    if active != cronjob["status"].get("active", []):
        cronjob = world.put("cronjobs", {**cronjob, "status": {**cronjob["status"], "active": active}})
    now, period_seconds = world.now(), world.period_seconds
    node, last = cronjob["metadata"]["labels"].get("node", ""), cronjob["status"].get("lastScheduleTime")
    target = msgspec.structs.replace(TARGET, node=node) if node else PROVISION
    due = cron(target, period_seconds).next_due(now - period_seconds)
    began = max(seconds_of(cronjob["metadata"]["creationTimestamp"]), seconds_of(last) if last else 0.0)
    if due > now:
        return due
    if due <= began or cronjob["spec"]["suspend"] or active:
        return due + period_seconds
    world.put("cronjobs", {**cronjob, "status": {**cronjob["status"], "lastScheduleTime": rfc3339(due)}})
    name = f"{cronjob['metadata']['name']}-{int(due) // 60}"
    metadata, job = cronjob["metadata"], cronjob["spec"]["jobTemplate"]["spec"]
    stamp = {ANNOTATION_SCHEDULED: rfc3339(due)} if world.jobs_are_stamped else {}
    owner = {"kind": "CronJob", "name": metadata["name"], "uid": metadata["uid"], "controller": True}
    world.make_job(name, metadata["labels"], stamp, owner, job)
    return now  # The list of its active Jobs is written next.


def _tolerates(pod: dict[str, Any], taint: dict[str, Any]) -> bool:
    tolerations = tuple(pod["spec"].get("tolerations") or [])
    return taint["effect"] not in HARD_EFFECTS or tolerated(msgspec.convert(taint, Taint), tolerations)


def _required(pod: dict[str, Any]) -> dict[str, Any]:
    affinity: dict[str, Any] = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    required: dict[str, Any] = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {})
    return required


def _may_run_on(pod: dict[str, Any], name: str, labels: dict[str, str]) -> bool:
    """Tell whether a pod's affinity allows a node."""
    required = _required(pod)
    return not required or selector.matches(node_selector(required, "required"), name, labels)


def _deadline_seconds(pod: dict[str, Any]) -> float:
    return float(pod["spec"].get("activeDeadlineSeconds", math.inf))


def _times(pod: dict[str, Any], now: str) -> dict[str, str]:
    return {"startedAt": probe_state(pod)["running"]["startedAt"], "finishedAt": now}


def _ended(pod: dict[str, Any], outcome: Outcome, now: str, io_seconds: float | None) -> dict[str, Any]:
    code = 0 if outcome is Outcome.OK else 1
    records = RecordStats(identity_found="a" * 32, identity_written="a" * 32)
    io = IoStats(read=_latency(io_seconds)) if io_seconds is not None else None
    message = encode(Result(probe="mount", outcome=outcome, records=records, io=io)).decode()
    state = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}
    return {"terminated": {**state, **_times(pod, now)}}


def _latency(seconds: float) -> Latency:
    return Latency(
        iops=1, mean_seconds=seconds, p50_seconds=seconds, p99_seconds=seconds, max_seconds=seconds
    )

"""The kubelets: they run the pods bound to their nodes, each probe as a process.

Mounts are not real: a volume is a directory, and the probe gets its path. The process, its I/O, its
termination message, deadlines and signals are real.
"""

import math
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pie.embedded import childprocess
from pie.embedded.actors.readiness import Readiness, free_port
from pie.embedded.actors.volumes import claims_of
from pie.embedded.kinds import PODS, PVCS, Json, find, is_leaving, is_over
from pie.embedded.machines import UNAVAILABLE, Machine, Machines
from pie.embedded.registry import Registry, seconds_of

_LOOK_SECONDS: Final = 0.1
_LONGEST_WAIT_SECONDS: Final = 5.0
_LONGEST_MESSAGE_BYTES: Final = 4096
_KILLED_BY_REBOOT: Final = 255
_LATE: Final = "Pod was active on the node longer than the specified deadline"


@dataclass(slots=True)
class Container:
    """A probe's process, run by `childprocess`, with the directory of its termination message."""

    process: subprocess.Popen[bytes]
    directory: TemporaryDirectory[str]
    boot_id: str
    started: str
    ends_at: float
    kill_at: float = math.inf
    late: bool = False
    frozen: bool = False
    readiness: Readiness | None = None
    failures: int = 0

    def send(self, number: signal.Signals) -> None:
        """Send the probe a signal."""
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):  # it has ended
                self.process.stdin.write(bytes([number]))

    def kill(self) -> None:
        """Kill the process and everything that it started."""
        if self.readiness is not None:
            self.readiness.close()
        if self.process.stdin is not None:
            self.process.stdin.close()
            self.process.stdin = None
        with suppress(subprocess.TimeoutExpired):  # a process in a disk that really hangs cannot be killed
            self.process.wait(timeout=_LONGEST_WAIT_SECONDS)


class Kubelets:
    """All kubelets. `options` are added to every mount probe's command."""

    def __init__(self, registry: Registry, machines: Machines, options: tuple[str, ...]) -> None:
        self._registry = registry
        self._machines = machines
        self._options = options
        self._containers: dict[str, Container] = {}

    def run_pods(self) -> float | None:
        """Look at every pod that is bound to a machine."""
        pods = {pod["metadata"]["uid"]: pod for pod in self._registry.store.all(PODS)}
        for uid in self._containers.keys() - pods.keys():
            self._remove(uid)
        for uid, pod in pods.items():
            machine = self._machines.get(find(pod, "spec.nodeName") or "")
            if machine is not None and uid in self._containers:
                self._follow(pod, machine, self._containers[uid])
            elif machine is not None and machine.runs("kubelet-gone") and not is_over(pod):
                self._begin(pod, machine)
        return _LOOK_SECONDS if self._containers else None

    def close(self) -> None:
        """End every container."""
        for uid in list(self._containers):
            self._remove(uid)

    def _remove(self, uid: str) -> None:
        container = self._containers.pop(uid)
        container.kill()
        container.directory.cleanup()

    def _begin(self, pod: Json, machine: Machine) -> None:
        """Start a pod's container, or report what prevents it."""
        waiting, container = {"waiting": {"reason": "ContainerCreating"}}, pod["spec"]["containers"][0]
        if is_leaving(pod):
            self._end(pod, "Failed", waiting)
            return
        started = find(pod, "status.startTime")
        if not started:
            started = self._registry.stamp()
            self._report(pod, "Pending", waiting, startTime=started)
        volumes, problem = self._mount(pod, machine)
        if problem:
            self._registry.event(pod, "FailedMount", f"MountVolume.SetUp failed for {problem}", "kubelet")
            return
        mounts, devices = container.get("volumeMounts") or [], container.get("volumeDevices") or []
        paths = {each["mountPath"]: volumes[each["name"]] for each in mounts if each["name"] in volumes}
        paths |= {each["devicePath"]: volumes[each["name"]] / "device" for each in devices}
        words = [*(container.get("command") or []), *(container.get("args") or [])]
        words = [str(paths.get(word, word)) for word in words]
        if words[:3] == ["pie", "probe", "mount"]:  # what the pod itself asks for comes last, and counts
            words[3:3] = ["--without-fio", *self._options]
        if words[:3] == ["pie", "probe", "expand"]:
            words[3:3] = ["--size-of", str(next(iter(volumes.values())) / "size")]
        asked = container.get("readinessProbe")
        readiness = Readiness(asked, free_port()) if asked else None
        words += ["--port", str(readiness.port)] if readiness is not None else []
        try:
            process, directory = _start(words, machine.faults)
        except (OSError, ValueError) as error:
            why = {"reason": "CreateContainerError", "message": str(error)}
            self._report(pod, "Pending", {"waiting": why})
            return
        now = self._registry.stamp()
        ends_at = seconds_of(started) + (find(pod, "spec.activeDeadlineSeconds") or math.inf)
        if readiness is not None:
            readiness.begin()
        self._containers[pod["metadata"]["uid"]] = Container(
            process, directory, machine.boot_id, now, ends_at, readiness=readiness
        )
        self._report(pod, "Running", {"running": {"startedAt": now}}, ready=readiness is None)

    def _mount(self, pod: Json, machine: Machine) -> tuple[dict[str, Path], str]:
        """Return the directories of the pod's volumes, by name, or a text why one cannot be mounted."""
        found: dict[str, Path] = {}
        for name, claim in claims_of(pod).items():
            volume = self._registry.find(PVCS, pod["metadata"]["namespace"], claim)
            found[name] = machine.volumes / (find(volume, "spec.volumeName") or "no-volume")
        why = "code = NotFound" if machine.runs("node-plugin-gone") else UNAVAILABLE
        fine = {path for path in found.values() if machine.runs("node-plugin-gone") and path.is_dir()}
        bad = next((path.name for path in found.values() if path not in fine), "")
        return found, f'volume "{bad}" : rpc error: {why}' if bad else ""

    def _follow(self, pod: Json, machine: Machine, container: Container) -> None:
        """End a container when it must end, and report how it ended."""
        now, rebooted = self._registry.now(), machine.boot_id != container.boot_id
        if ("hang" in machine.faults) != container.frozen:
            container.frozen = not container.frozen
            container.send(signal.SIGSTOP if container.frozen else signal.SIGCONT)
        runs, late = machine.runs("kubelet-gone"), now >= container.ends_at
        # A process that hangs in its disk gets no signal and cannot be killed, until its machine ends.
        stops = runs and not container.frozen and (late or is_leaving(pod))
        if stops and container.kill_at == math.inf:
            grace = pod["metadata"].get("deletionGracePeriodSeconds")
            grace = pod["spec"]["terminationGracePeriodSeconds"] if grace is None else grace
            container.kill_at, container.late = now + grace, late
            container.send(signal.SIGTERM)
        if rebooted or (now >= container.kill_at and not container.frozen):
            container.kill()
        code = container.process.poll()
        if code is None and runs:
            self._note_readiness(pod, container)
        if code is None or not runs:
            return
        log = Path(container.directory.name, "termination-log")
        terminated = {
            "exitCode": _KILLED_BY_REBOOT if rebooted else code,
            "reason": "Unknown" if rebooted else "Error" if code else "Completed",
            "message": log.read_bytes()[:_LONGEST_MESSAGE_BYTES].decode(errors="replace"),
            "startedAt": container.started,
            "finishedAt": self._registry.stamp(),
        }
        phase = "Failed" if code or rebooted or container.late else "Succeeded"
        why = {"reason": "DeadlineExceeded", "message": _LATE} if container.late else {}
        self._remove(pod["metadata"]["uid"])
        self._end(pod, phase, {"terminated": terminated}, **why)

    def _note_readiness(self, pod: Json, container: Container) -> None:
        """Report what the readiness probe says, and record an Event where it failed anew."""
        readiness = container.readiness
        if readiness is None:
            return
        if readiness.failures > container.failures:
            container.failures = readiness.failures
            self._registry.event(pod, "Unhealthy", readiness.why, "kubelet")
        if (find(pod, "status.containerStatuses") or [{}])[0].get("ready") is not readiness.ready:
            self._report(pod, "Running", {"running": {"startedAt": container.started}}, ready=readiness.ready)

    def _end(self, pod: Json, phase: str, state: Json, **fields: str) -> None:
        """Report that nothing of a pod runs any more; remove it if it is being deleted."""
        self._report(pod, phase, state, ready=False, **fields)
        if is_leaving(pod):
            self._registry.remove(pod, gracePeriodSeconds=0)

    def _report(self, pod: Json, phase: str, state: Json, *, ready: bool = True, **fields: str) -> None:
        # True from the moment at which volumes and sandbox are ready, until the pod ends.
        self._registry.set_condition(pod, "PodReadyToStartContainers", str(phase == "Running"))
        container = pod["spec"]["containers"][0]
        about = {"name": container["name"], "image": container.get("image", ""), "imageID": ""}
        status = {**about, "restartCount": 0, "ready": ready and phase == "Running", "state": state}
        self._registry.set_status(pod, phase=phase, containerStatuses=[status], **fields)


def _start(words: list[str], faults: set[str]) -> tuple[subprocess.Popen[bytes], TemporaryDirectory[str]]:
    """Start a probe on a machine with these faults; the directory takes its termination message.

    Raises ValueError for what is no probe or no command at all, OSError where there can be no process.
    """
    if words[:2] != ["pie", "probe"]:
        raise ValueError("this kubelet runs nothing but `pie probe …`")
    directory = TemporaryDirectory(prefix="pie-pod-")
    log = Path(directory.name, "termination-log")
    log.touch()
    of_disks = sorted(faults & childprocess.FAULTS)
    command = [sys.executable, "-m", childprocess.__name__, *of_disks, "--", *words[1:]]
    command += ["--no-mount-check", "--termination-log", str(log)]
    pipe, none = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.Popen(command, stdin=pipe, stdout=none, stderr=none, bufsize=0), directory

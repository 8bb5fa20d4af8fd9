"""The kubelet of one machine: runs the pods bound to its node, each probe as a process.

Mounts are not real: a volume is a directory, and the probe gets its path. The process, its I/O, its
termination message, deadlines and signals are real.
"""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pie.embedded.actors.claims import claims_of
from pie.embedded.actors.process import ProbeProcess
from pie.embedded.errors import Refused
from pie.embedded.kinds import PODS, PVCS, PVS, find
from pie.embedded.machines import UNAVAILABLE, Machine, Machines
from pie.embedded.registry import TERMINAL, Registry, seconds_of
from pie.embedded.store import Change

Json = dict[str, Any]

_LONGEST_RETRY_SECONDS: Final = 10.0
_KILLED_BY_REBOOT: Final = 255


class Kubelet:
    """Works on each pod in a task of its own. `options` are added to every mount probe's command."""

    def __init__(
        self,
        registry: Registry,
        machines: Machines,
        machine: Machine,
        reachable: asyncio.Event,
        options: tuple[str, ...] = (),
    ) -> None:
        self._registry = registry
        self._machine = machine
        self._reachable = reachable
        self._options = options
        self._woken = asyncio.Event()
        self._known: set[str] = set()
        registry.store.listen(self._note)
        machines.listen(self._wake)

    def _note(self, change: Change) -> None:
        if change.kind is PODS and find(change.object, "spec", "nodeName") == self._machine.name:
            self._wake()

    def _wake(self) -> None:
        self._woken.set()
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Take up every pod of the node, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                woken = self._woken
                await self._reachable.wait()
                if self._machine.kubelet_up:
                    for pod in self._registry.store.all(PODS):
                        uid = pod["metadata"]["uid"]
                        mine = find(pod, "spec", "nodeName") == self._machine.name
                        if mine and uid not in self._known:
                            self._known.add(uid)
                            group.create_task(self._work(pod))
                await woken.wait()

    async def _work(self, pod: Json) -> None:
        """Take one pod from its binding to its end."""
        try:
            if pod["status"].get("phase") not in TERMINAL:
                await self._run(pod)
            await self._until_deleted(pod)
        except _Gone:
            return
        finally:
            self._known.discard(pod["metadata"]["uid"])

    async def _run(self, pod: Json) -> None:
        started_at = self._registry.stamp()
        waiting = {"waiting": {"reason": "ContainerCreating"}}
        await self._report(pod, "Pending", waiting, startTime=started_at)
        volume = await self._mount(pod)
        if volume is None:
            await self._report(pod, "Failed", waiting)
            return
        spec = pod["spec"]
        with tempfile.TemporaryDirectory(prefix="pie-pod-") as directory:
            process = ProbeProcess(
                self._machine, spec["containers"][0], volume, Path(directory), self._options
            )
            if problem := process.problem:
                state = {"waiting": {"reason": "CreateContainerError", "message": problem}}
                await self._report(pod, "Pending", state)
                await self._event(pod, "Failed", f"Error: {problem}", warning=True)
                return
            await process.start()
            try:
                await self._follow(pod, process, started_at)
            finally:
                process.kill()

    async def _follow(self, pod: Json, process: ProbeProcess, started_at: str) -> None:
        """Report that the container runs, end it when it must end, and report how it ended."""
        running_at, boot_id = self._registry.stamp(), self._machine.boot_id
        name = pod["spec"]["containers"][0]["name"]
        await self._report(pod, "Running", {"running": {"startedAt": running_at}})
        await self._event(pod, "Started", f"Started container {name}")
        seconds = find(pod, "spec", "activeDeadlineSeconds")
        ends_at = seconds_of(started_at) + seconds if seconds is not None else float("inf")
        exceeded = stopping = False
        while not process.ended:
            woken = self._woken
            late = self._registry.now() >= ends_at
            if (late or self._leaving(pod)) and not stopping and self._machine.kubelet_up:
                stopping, exceeded = True, late
                if late:
                    message = "Pod was active on the node longer than the specified deadline"
                    await self._event(pod, "DeadlineExceeded", message)
                await self._event(pod, "Killing", f"Stopping container {name}")
                process.stop(self._grace_seconds(pod))
            process.obey()
            left = max(0.02, min(ends_at - self._registry.now(), 3600)) if not stopping else 0.2
            await process.wait(woken, left)
        rebooted = self._machine.boot_id != boot_id
        code = _KILLED_BY_REBOOT if rebooted else process.exit_code
        terminated = {
            "exitCode": code,
            "reason": "Unknown" if rebooted else ("Completed" if code == 0 else "Error"),
            "message": process.message(),
            "startedAt": running_at,
            "finishedAt": self._registry.stamp(),
        }
        why = {"reason": "DeadlineExceeded", "message": _DEADLINE} if exceeded else {}
        phase = "Succeeded" if code == 0 and not exceeded else "Failed"
        await self._report(pod, phase, {"terminated": terminated}, **why)

    async def _mount(self, pod: Json) -> Path | None:
        """Return the directory of the pod's volume when it is mounted; None if the pod is deleted before."""
        tries = 0
        while True:
            woken = self._woken
            if self._leaving(pod):
                return None
            problem, volume = self._try_mount(pod)
            if not problem:
                return volume
            await self._event(pod, "FailedMount", problem, warning=True)
            delay = min(0.5 * 2**tries, _LONGEST_RETRY_SECONDS)
            tries += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    while not (self._leaving(pod) or self._machine.plugin_up):
                        await woken.wait()
                        woken = self._woken
                    await asyncio.sleep(delay)

    def _try_mount(self, pod: Json) -> tuple[str, Path]:
        for name in claims_of(pod):
            claim = self._registry.find(PVCS, pod["metadata"]["namespace"], name)
            volume_name = find(claim, "spec", "volumeName")
            volume = self._registry.find(PVS, "", volume_name) if volume_name else None
            if volume is None:
                return f'MountVolume.SetUp failed: claim "{name}" has no volume', Path()
            path = self._machine.volume(volume["metadata"]["name"])
            if not self._machine.plugin_up:
                return (
                    f'MountVolume.SetUp failed for volume "{volume_name}" : rpc error: {UNAVAILABLE}',
                    Path(),
                )
            if not path.is_dir():
                return (
                    f'MountVolume.SetUp failed for volume "{volume_name}" : rpc error: code = NotFound',
                    Path(),
                )
            return "", path
        return "", Path()

    async def _until_deleted(self, pod: Json) -> None:
        """Wait until the pod is to go, and let it go: nothing of it runs any more."""
        while True:
            woken = self._woken
            current = self._current(pod)
            if "deletionTimestamp" in current["metadata"]:
                await self._able()
                if current["status"].get("phase") not in TERMINAL:
                    await self._report(pod, "Failed", None)
                metadata = current["metadata"]
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
                if metadata.get("deletionGracePeriodSeconds") != 0 or not metadata.get("finalizers"):
                    with suppress(Refused):
                        self._registry.delete(PODS, metadata["namespace"], metadata["name"], options=options)
                    continue
            await woken.wait()

    def _current(self, pod: Json) -> Json:
        metadata = pod["metadata"]
        found = self._registry.find(PODS, metadata["namespace"], metadata["name"])
        if found is None or found["metadata"]["uid"] != metadata["uid"]:
            raise _Gone
        return found

    def _leaving(self, pod: Json) -> bool:
        return "deletionTimestamp" in self._current(pod)["metadata"]

    def _grace_seconds(self, pod: Json) -> float:
        grace = self._current(pod)["metadata"].get("deletionGracePeriodSeconds")
        return float(pod["spec"]["terminationGracePeriodSeconds"] if grace is None else grace)

    async def _able(self) -> None:
        """Wait until the kubelet runs and reaches the API server."""
        while not (self._machine.kubelet_up and self._reachable.is_set()):
            woken = self._woken
            await self._reachable.wait()
            if not self._machine.kubelet_up:
                await woken.wait()

    async def _event(self, pod: Json, reason: str, message: str, *, warning: bool = False) -> None:
        await self._able()
        self._registry.event(
            PODS,
            self._current(pod),
            reason,
            message,
            source="kubelet",
            warning=warning,
            host=self._machine.name,
        )

    async def _report(self, pod: Json, phase: str, state: Json | None, **fields: str) -> None:
        """Write the pod's status."""
        await self._able()
        current = self._current(pod)
        running = phase == "Running"
        known = {each["type"]: each for each in current["status"].get("conditions", [])}
        # True from the moment at which volumes and sandbox are ready, until the pod ends.
        wanted = {
            "Initialized": True,
            "PodReadyToStartContainers": running,
            "ContainersReady": running,
            "Ready": running,
        }
        for kind, holds in wanted.items():
            status = "True" if holds else "False"
            if known.get(kind, {}).get("status") != status:
                known[kind] = {"type": kind, "status": status, "lastTransitionTime": self._registry.stamp()}
        container = current["spec"]["containers"][0]
        reported = {
            "name": container["name"],
            "image": container.get("image", ""),
            "imageID": "",
            "ready": running,
            "started": running,
            "restartCount": 0,
            "state": state,
        }
        statuses = {} if state is None else {"containerStatuses": [reported]}
        self._registry.set_status(
            PODS, current, phase=phase, conditions=[*known.values()], **statuses, **fields
        )


_DEADLINE: Final = "Pod was active on the node longer than the specified deadline"


class _Gone(Exception):  # noqa: N818  not an error: the pod was taken away
    """The pod does not exist any more."""

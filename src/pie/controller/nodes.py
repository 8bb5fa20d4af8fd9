"""Follows the nodes of each PieProbe: which match, which are suppressed, and their histories."""

from collections.abc import Iterable, Mapping

import structlog

from pie.controller.caches import Caches
from pie.controller.followed import Followed
from pie.controller.queue import SETTLE_SECONDS, Lane, WorkQueue
from pie.core.driver import DriverFact
from pie.core.kinds import targets_of
from pie.core.maintenance.history import NodeHistory, fall_silent, prove
from pie.core.maintenance.now import Suppression
from pie.core.maintenance.overdue import Overdue
from pie.core.model import Probe, Probed, Target
from pie.core.naming import LABEL_PROBE, LABEL_STORAGE_CLASS, label_value
from pie.core.reasons import Reason
from pie.core.wire import CSINode, Node, Pod
from pie.kube.client import Client
from pie.kube.resources import CSI_NODES, NODES, PODS
from pie.serve.untested import UntestedSeries

_log = structlog.get_logger()

_PASSES_SECONDS = 5.0
"""Maintenance that is shorter than this closes no incident."""

_UNKNOWN = Followed(Probe("", "", "", 0, "", (), {}))
"""Stands for a PieProbe whose nodes are not followed: it has none."""


class Nodes:
    """The matching nodes of each PieProbe and their histories, for each of its classes.

    `revision` grows when other nodes match or are suppressed, but not with each heartbeat of a node.
    """

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue, series: UntestedSeries) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._series = series
        self._followed: dict[Probed, Followed] = {}
        self._drivers: set[str] = set()
        self.revision = 0
        queue.handle("node", self._look_again, Lane.JUDGES)

    def start(self) -> None:
        """Begin to follow nodes."""
        for found in self._caches.csi_nodes.store.values():
            self._drivers |= _drivers(found)
        self._caches.listen(NODES, self._node_changed)
        self._caches.listen(CSI_NODES, self._csi_node_changed)
        self._caches.listen(PODS, self._pod_changed)

    def follow(self, probe: Probe) -> None:
        """Follow the nodes of a PieProbe; its spec or StorageClass may have changed."""
        followed = self._followed.get(probe.probed)
        if followed is None or followed.probe.uid != probe.uid:
            self.forget(probe.probed)
            followed = self._followed[probe.probed] = Followed(probe)
            pods = (each for each in self._caches.pods.store.values() if _is_of(each, probe.probed))
            newest = max(pods, key=lambda pod: pod.metadata.created_seconds, default=None)
            if newest is not None:
                followed.note_pod(newest)
        self._series.add(probe)
        followed.probe = probe
        followed.storage_class = self._caches.storage_class(probe.storage_class)
        followed.nodes, followed.left_out = set(), {}
        for node in self._caches.nodes.store.values():
            followed.sort(node.metadata.name, node)
        for name in followed.nodes | followed.histories.keys() - followed.gone_at.keys():
            self._observe(followed, name)
        self._settle(followed)

    def forget(self, probed: Probed) -> None:
        """Forget a PieProbe that is gone, or a class that is not one of its classes any more."""
        self._followed.pop(probed, None)
        self._series.remove(probed)

    # What other parts read.

    def follows(self, probed: Probed) -> bool:
        """Tell whether the nodes of a PieProbe are known."""
        return probed in self._followed

    def matching(self, probed: Probed) -> Iterable[str]:
        """Return the names of the nodes that match a PieProbe and can run probes."""
        return self._of(probed).nodes

    def matches(self, probed: Probed, node: str) -> bool:
        """Tell whether a node matches a PieProbe and can run probes."""
        return node in self.matching(probed)

    def left_out(self, probed: Probed) -> Mapping[str, str]:
        """Return the nodes that match a PieProbe and cannot run probes, and why."""
        return self._of(probed).left_out

    def usable(self, probed: Probed) -> set[str]:
        """Return the matching nodes of a PieProbe on which provision pods can run."""
        return self._of(probed).usable

    def driver(self, probed: Probed) -> str:
        """Return the name of the driver of a PieProbe's StorageClass; empty: it is not known."""
        return self._of(probed).driver

    def startup_taints(self, target: Target) -> tuple[str, ...]:
        """Return the keys of the driver's start-up taints that were seen on a mount target's node."""
        history = self.histories(target).get(target.node)
        return history.driver.keys if history is not None else ()

    def suppression(self, target: Target) -> Suppression | None:
        """Return why runs of the target are suppressed now, if they are."""
        return self._of(target.probed).suppression(target)

    def suppressed(self, probed: Probed, node: str) -> bool:
        """Tell whether runs on a node are suppressed now."""
        return node in self._of(probed).suppressed

    def suppressed_since(self, target: Target, noted: Iterable[float | None] = ()) -> float | None:
        """Return since when runs of the target are suppressed without a break, if they are now.

        `noted` is what an earlier controller noted on the objects of the target, and on those of the targets
        of the whole class: while the class is suppressed, every node is.
        """
        return self._of(target.probed).suppressed_since(target, noted)

    def judged_since(self, target: Target) -> float:
        """Return when a suppression of the target ended last, epoch seconds; 0.0: none that is remembered."""
        return self._of(target.probed).judged_since(target)

    def histories(self, target: Target) -> Mapping[str, NodeHistory]:
        """Return the history of a target's node; of a target without a node, those of all nodes."""
        return self._of(target.probed).of(target)

    def overdue(
        self, probed: Probed, noted: Mapping[str, Iterable[float | None]]
    ) -> tuple[list[Overdue], float | None]:
        """Return the nodes that have been suppressed for longer than maxDuration, and when the next will be.

        That is in so many seconds; None: no other node is suppressed. `noted`: see `suppressed_since`.
        """
        return self._of(probed).overdue(noted, self._client.now())

    def suppressed_nodes(self, probed: Probed) -> list[str]:
        """Return the matching nodes of a PieProbe that are suppressed now."""
        return sorted(self._of(probed).suppressed)

    def _of(self, probed: Probed) -> Followed:
        return self._followed.get(probed, _UNKNOWN)

    def prove(self, probed: Probed, node: str, began: float) -> None:
        """Note a good run on a node, which ends its grace."""
        followed = self._of(probed)
        if (history := followed.histories.get(node)) is None:
            return
        followed.histories[node] = prove(history, began, self._client.now())
        if history.current is not None:
            self._note(followed, node, history.current)
            self._settle(followed)

    def note_silence(self, node: str, why: Suppression, until: float) -> None:
        """Note that a node's kubelet was silent at `until`, before Kubernetes calls the node NotReady."""
        for followed in self._followed.values():
            if (history := followed.histories.get(node)) is not None:
                followed.histories[node] = fall_silent(history, why, until)

    # Events and time.

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        node = new or old
        name = node.metadata.name if node is not None else ""
        relabelled = old is None or new is None or old.metadata.labels != new.metadata.labels
        for followed in self._followed.values():
            known, left_out = name in followed.nodes, followed.left_out.get(name)
            wanted = followed.sort(name, new)
            if wanted != known or (wanted and relabelled) or followed.left_out.get(name) != left_out:
                self._matched(followed, name, wanted=wanted, known=known)
            if wanted or known or name in followed.histories:
                self._observe(followed, name)
                self._settle(followed)

    def _csi_node_changed(self, old: CSINode | None, new: CSINode | None) -> None:
        """Look again at a node on which a driver was registered or removed."""
        before, after = _drivers(old), _drivers(new)
        first = after - self._drivers
        self._drivers |= first
        found = new or old
        name = found.metadata.name if found is not None else ""
        for followed in self._followed.values():
            if followed.driver in after and name in followed.nodes:
                self._queue.add("topology", followed.probe.id, after_seconds=SETTLE_SECONDS)
            if followed.driver in first:
                # Until now pie did not know that it is a CSI driver.
                for node in followed.nodes:
                    self._observe(followed, node)
            elif followed.driver in before ^ after and name in followed.nodes:
                self._observe(followed, name)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """Look at all nodes again if admission adds other tolerations to pods now."""
        if old is not None or new is None:
            return
        for probed, followed in self._followed.items():
            scout = followed.scout if _is_of(new, probed) else None
            if _is_of(new, probed) and followed.note_pod(new):
                for node in followed.nodes:
                    self._observe(followed, node)
                self._settle(followed)
                if scout is not None:
                    self._queue.add("target", scout)

    def _driver(self, followed: Followed, name: str) -> DriverFact:
        driver = followed.driver
        if driver not in self._drivers:
            return DriverFact(driver)
        return DriverFact(driver, driver in _drivers(self._caches.csi_nodes.store.get(("", name))))

    def _matched(self, followed: Followed, name: str, *, wanted: bool, known: bool) -> None:
        """Note that a node matches now, or does not match any more, or has other labels."""
        probe = followed.probe
        self.revision += 1
        self._queue.add("topology", probe.id)
        self._queue.add("probe", probe.id, after_seconds=SETTLE_SECONDS)
        if wanted == known:
            return
        for target in targets_of(probe, name):
            self._queue.add("target", target)
        if len(followed.nodes) <= 1:
            # A PieProbe without nodes is paused.
            self._queue.add("spec", probe.id)

    async def _look_again(self, seen: tuple[Probed, str]) -> None:
        """Look at a node because a grace ends by time alone."""
        probed, name = seen
        if name in (followed := self._of(probed)).nodes:
            self._observe(followed, name)
            self._settle(followed)

    def _observe(self, followed: Followed, name: str) -> None:
        before = followed.histories.get(name)
        node, known_until = self._caches.nodes.store.get(("", name)), self._caches.nodes.heard_at
        driver = self._driver(followed, name)
        followed.observe(name, node, driver, self._client.now(), known_until=known_until)
        after = followed.histories.get(name)
        if before is not None and after is not None and before.driver.keys != after.driver.keys:
            for target in targets_of(followed.probe, name):
                self._queue.add("target", target)  # Its pods have to tolerate one more start-up taint.
        self._note(followed, name, before.current if before is not None else None)

    def _note(self, followed: Followed, name: str, before: Suppression | None) -> None:
        """Show a node's new history, and look again when its grace ends."""
        now = followed.note(name)
        if now is not None and now.ends_at is not None:
            wait_seconds = max(0.05, now.ends_at - self._client.now())
            self._queue.add("node", (followed.probe.probed, name), after_seconds=wait_seconds)
        for target in targets_of(followed.probe, name):
            self._show(target, before, now)

    def _settle(self, followed: Followed) -> None:
        """Update whether the whole class is suppressed."""
        before = followed.whole
        followed.settle(self._client.now())
        for target in targets_of(followed.probe):
            self._show(target, before, followed.whole)
        if before is None and (scout := followed.scout) is not None:
            self._queue.add("target", scout)

    def _show(self, target: Target, before: Suppression | None, now: Suppression | None) -> None:
        """Show what suppresses a target, and look at the target, if that changed."""
        if _kind(before) == _kind(now):
            return
        self.revision += 1
        if now is not None:
            _log.info(
                "suppressed",
                target=str(target),
                namespace=target.namespace,
                reason=now.reason.value,
                message=now.message,
            )
        else:
            _log.info("no longer suppressed", target=str(target), namespace=target.namespace)
        self._series.show(target, now.reason if now is not None else None)
        self._queue.add("target", target)
        self._queue.add("probe", target.probe_id, after_seconds=_PASSES_SECONDS)


def _kind(why: Suppression | None) -> tuple[Reason, bool] | None:
    return (why.reason, why.blocks) if why is not None else None


def _is_of(pod: Pod, probed: Probed) -> bool:
    marks = pod.metadata.labels
    found = pod.metadata.namespace, marks.get(LABEL_PROBE), marks.get(LABEL_STORAGE_CLASS)
    return found == (
        probed.probe.namespace,
        label_value(probed.probe.name),
        label_value(probed.storage_class),
    )


def _drivers(found: CSINode | None) -> set[str]:
    return {driver.name for driver in found.spec.drivers} if found is not None else set()

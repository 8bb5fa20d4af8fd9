"""The fault matrix: what is broken, and what pie must say of it.

Rows of one lane run one after the other on a PieProbe of its own, the lanes side by side. Faults of volumes
hit the lane's own volumes only, so such lanes share nodes; a lane whose nodes are broken has them to itself.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from testbed.faults import Options
from tests.faults.breaks import (
    AUTOSCALER,
    DEDICATED,
    KURED,
    Break,
    New,
    Rebooted,
    Removed,
    Snapshot,
    Storage,
    Suspended,
    WithoutPower,
    WithoutProcess,
    annotated,
    cordoned,
    tainted,
)

PERIOD_SECONDS = 60
THRESHOLD_SECONDS = 45
DEADLINE_SECONDS = 50
SLACK_SECONDS = 10


class Moment(StrEnum):
    """When a fault begins."""

    QUIET = "quiet"
    MID_RUN = "mid-run"


@dataclass(frozen=True, kw_only=True)
class Given:
    """What pie said. Seconds are from the fault's beginning, or from its end: `clear_seconds`.

    `seen_seconds`: until the first bad run was counted; `detect_seconds`: until the verdict was told, in an
    incident or as a suppression. None: it did not come. `problems` is what it should not have said.
    """

    verdict: str = ""
    stage: str = ""
    reason: str = ""
    scope: str = ""
    nodes: tuple[str, ...] = ()
    evidence: str = ""
    seen_seconds: float | None = None
    detect_seconds: float | None = None
    clear_seconds: float | None = None
    problems: tuple[str, ...] = ()

    def at(self, seen_seconds: float | None, detect_seconds: float | None) -> Self:
        """Return it with the times at which it was seen and told."""
        return replace(self, seen_seconds=seen_seconds, detect_seconds=detect_seconds)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What pie must say.

    `verdict` is that of the runs (`gone`: their target is); `nodes` those whose mount probes suffer,
    `creation` tells whether the provision probe may; `evidence` is part of the incident's.
    """

    verdict: str
    stage: str = ""
    reason: str = ""
    scope: str = ""
    nodes: tuple[str, ...] = ()
    creation: bool = False
    evidence: str = ""

    @property
    def incident(self) -> bool:
        """Whether there must be one incident; else there must be none."""
        return bool(self.scope)

    def matches(self, given: Given) -> bool:
        """Tell whether this was said."""
        said = (given.verdict, given.stage, given.reason, given.scope, given.nodes)
        wanted = (self.verdict, self.stage, self.reason, self.scope, self.nodes)
        return said == wanted and self.evidence in given.evidence

    def may_hold_against(self, node: str) -> bool:
        """Tell whether bad runs may be counted for a node; "" is the class."""
        if not self.incident:
            return False
        return node in self.nodes if node else self.creation

    @property
    def seen_within_seconds(self) -> float | None:
        """Until when the first bad run must be counted; None where no run is bad."""
        if not self.incident or self.stage == "teardown":
            return None
        if not self.nodes:  # the run is followed by one elsewhere before the class is called bad
            return PERIOD_SECONDS + 2 * (THRESHOLD_SECONDS + SLACK_SECONDS)
        if self.verdict == "late":
            return PERIOD_SECONDS + THRESHOLD_SECONDS + SLACK_SECONDS
        return PERIOD_SECONDS + DEADLINE_SECONDS + SLACK_SECONDS


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A PieProbe of this name, on some real nodes."""

    name: str
    nodes: tuple[str, ...]
    storage_class: str = "local"
    mounts: bool = True
    provision: bool = True


PLUGIN_NODES = ("node-3", "node-4", "node-5")
LANES = (
    Lane(name="volumes", nodes=("node-1",), provision=False),
    Lane(name="contents", nodes=("node-2",), provision=False),
    Lane(name="filesystem", nodes=("node-2",), provision=False),
    Lane(name="creation", nodes=("node-1", "node-2"), mounts=False),
    Lane(name="attached", nodes=("node-1", "node-2"), storage_class="attachable"),
    Lane(name="plugins", nodes=PLUGIN_NODES),
    Lane(name="upkeep", nodes=("node-1", "node-6")),
    Lane(name="power", nodes=("node-2", "node-7")),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault and what must come of it.

    `running_on`: for MID_RUN, the node whose run is waited for. `hold_seconds`: how long it lasts after the
    verdict. `counts_suppressed`: it lasts until a suppressed run is counted. `application_on`: a node where
    an application must go on writing to its volume. `quick`: it is among those that CI runs.
    """

    lane: str
    title: str
    breaks: tuple[Break, ...]
    expected: Expected
    moment: Moment = Moment.QUIET
    running_on: str = ""
    hold_seconds: float = 0.0
    counts_suppressed: bool = False
    application_on: str = ""
    quick: bool = False

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes of its lane."""
        return next(lane.nodes for lane in LANES if lane.name == self.lane)

    def right(self, given: Given) -> bool:
        """Tell whether pie said what it must, and nothing else."""
        return self.expected.matches(given) and not given.problems


SUSPENDS = 75.0
"""Longer than a period: the next run is due while it lasts."""


def _volume(node: str, verdict: str, reason: str, stage: str = "io", evidence: str = "") -> Expected:
    """Return what must come of a fault that one node's volume has."""
    return Expected(
        verdict=verdict, stage=stage, reason=reason, scope="node", nodes=(node,), evidence=evidence
    )


def _creation(stage: str, reason: str, evidence: str = "", verdict: str = "late") -> Expected:
    """Return what must come of a fault that keeps new volumes from being made, or from going."""
    return Expected(
        verdict=verdict, stage=stage, reason=reason, scope="class", creation=True, evidence=evidence
    )


def _suppressed(node: str, reason: str) -> Expected:
    """Return what must come of maintenance of a node."""
    return Expected(verdict="suppressed", reason=reason, nodes=(node,))


_HALFWAY = Options(when="use", after_seconds=0.5)
_SLOW = Options(delay_seconds=600)

ROWS = (
    # A volume of one node, without attachments.
    Row(
        lane="volumes",
        title="I/O hangs (fsfreeze)",
        breaks=(Storage("hang", ("node-1",)),),
        expected=_volume("node-1", "hung", "Hung"),
        quick=True,
    ),
    Row(
        lane="volumes",
        title="I/O hangs (fsfreeze)",
        moment=Moment.MID_RUN,
        running_on="node-1",
        breaks=(Storage("hang", ("node-1",)),),
        expected=_volume("node-1", "hung", "Hung"),
    ),
    Row(
        lane="volumes",
        title="I/O errors (filesystem shut down)",
        breaks=(Storage("io-error", ("node-1",)),),
        expected=_volume("node-1", "failed", "IOError"),
        quick=True,
    ),
    Row(
        lane="volumes",
        title="I/O errors (filesystem shut down)",
        moment=Moment.MID_RUN,
        running_on="node-1",
        breaks=(Storage("io-error", ("node-1",), _HALFWAY),),
        expected=_volume("node-1", "failed", "IOError"),
    ),
    Row(
        lane="filesystem",
        title="filesystem read-only",
        breaks=(Storage("read-only", ("node-2",)),),
        expected=_volume("node-2", "failed", "ReadOnly"),
        quick=True,
    ),
    Row(
        lane="filesystem",
        title="volume full",
        breaks=(Storage("full-volume", ("node-2",)),),
        expected=_volume("node-2", "failed", "NoSpace"),
        quick=True,
    ),
    Row(
        lane="filesystem",
        title="volume full",
        moment=Moment.MID_RUN,
        running_on="node-2",
        breaks=(Storage("full-volume", ("node-2",), _HALFWAY),),
        expected=_volume("node-2", "failed", "NoSpace"),
    ),
    # What is in a volume, and what the node plugin does with it.
    Row(
        lane="contents",
        title="bytes of the volume are wrong",
        breaks=(Storage("corrupted", ("node-2",)),),
        expected=_volume("node-2", "failed", "DataCorrupted"),
        quick=True,
    ),
    Row(
        lane="contents",
        title="volume swapped for another one's",
        breaks=(Storage("swapped", ("node-2",), Options(other="pie/pie-pvc-volumes-*")),),
        expected=_volume("node-2", "failed", "DataSwapped"),
        quick=True,
    ),
    Row(
        lane="contents",
        title="volume restored from an old copy",
        breaks=(Snapshot("node-2"), Storage("stale", ("node-2",))),
        expected=_volume("node-2", "failed", "DataStale"),
    ),
    Row(
        lane="contents",
        title="the driver says OK and mounts nothing",
        breaks=(Storage("mounts-nothing", ("node-2",)),),
        expected=_volume("node-2", "failed", "VolumeMissing"),
    ),
    Row(
        lane="contents",
        title="NodeStageVolume is refused",
        breaks=(Storage("stage-refused", ("node-2",)),),
        expected=_volume("node-2", "late", "MountFailed", "mount", "refused by a fault"),
    ),
    Row(
        lane="contents",
        title="NodePublishVolume is slow",
        breaks=(Storage("publish-slow", ("node-2",), _SLOW),),
        expected=_volume("node-2", "late", "MountSlow", "mount"),
    ),
    # New volumes.
    Row(
        lane="creation",
        title="CreateVolume is refused",
        breaks=(Storage("create-refused", ("node-1", "node-2")),),
        expected=_creation("provision", "ProvisioningFailed", "refused by a fault"),
    ),
    Row(
        lane="creation",
        title="CreateVolume is refused on one of two nodes",
        breaks=(Storage("create-refused", ("node-1",)),),
        expected=Expected(verdict="ok"),
        hold_seconds=3 * PERIOD_SECONDS,
    ),
    Row(
        lane="creation",
        title="CreateVolume is slow",
        breaks=(Storage("create-slow", ("node-1", "node-2"), _SLOW),),
        expected=_creation("provision", "ProvisionSlow", "DeadlineExceeded"),
    ),
    Row(
        lane="creation",
        title="DeleteVolume is refused",
        breaks=(Storage("delete-refused", ("node-1", "node-2")),),
        expected=_creation("teardown", "VolumeLeaked", "volume pvc-", "ok"),
    ),
    Row(
        lane="creation",
        title="NodeUnpublishVolume is refused",
        breaks=(Storage("unpublish-refused", ("node-1", "node-2")),),
        expected=_creation("teardown", "TeardownStuck", "still there", "ok"),
    ),
    # Storage that is attached first.
    Row(
        lane="attached",
        title="ControllerPublishVolume is refused",
        breaks=(Storage("attach-refused", ("attachable",)),),
        expected=Expected(
            verdict="late",
            stage="attach",
            reason="AttachFailed",
            scope="class",
            nodes=("node-1", "node-2"),
            creation=True,
            evidence="refused by a fault",
        ),
        quick=True,
    ),
    Row(
        lane="attached",
        title="volume emptied between two runs",
        breaks=(Storage("emptied", ("node-1/attachable",)),),
        expected=_volume("node-1", "failed", "DataLost"),
        quick=True,
    ),
    Row(
        lane="attached",
        title="ControllerPublishVolume is slow",
        breaks=(Storage("attach-slow", ("attachable",), _SLOW),),
        expected=Expected(
            verdict="late",
            stage="attach",
            reason="AttachSlow",
            scope="class",
            nodes=("node-1", "node-2"),
            creation=True,
        ),
    ),
    Row(
        lane="attached",
        title="external-attacher gone",
        breaks=(Storage("attacher-gone", ("attachable",)),),
        expected=Expected(
            verdict="late",
            stage="attach",
            reason="AttachSlow",
            scope="class",
            nodes=("node-1", "node-2"),
            creation=True,
        ),
    ),
    Row(
        lane="attached",
        title="external-attacher gone",
        moment=Moment.MID_RUN,
        running_on="node-1",
        breaks=(Storage("attacher-gone", ("attachable",)),),
        expected=Expected(
            verdict="late",
            stage="attach",
            reason="AttachSlow",
            scope="class",
            nodes=("node-1", "node-2"),
            creation=True,
        ),
    ),
    Row(
        lane="attached",
        title="node plugin gone on one node",
        breaks=(Storage("node-plugin-gone", ("node-2/attachable",)),),
        expected=_volume("node-2", "late", "MountFailed", "mount", "code = Unavailable"),
    ),
    Row(
        lane="attached",
        title="csi-provisioner gone",
        breaks=(Storage("provisioner-gone", ("attachable",)),),
        expected=_creation("provision", "ProvisionerSilent", "reported nothing"),
    ),
    Row(
        lane="attached",
        title="ControllerUnpublishVolume is refused",
        breaks=(Storage("detach-refused", ("attachable",)),),
        expected=Expected(
            verdict="late",
            stage="attach",
            reason="AttachFailed",
            scope="class",
            nodes=("node-1", "node-2"),
            evidence="refused by a fault",
        ),
    ),
    # Processes of the driver, and more than one thing at once.
    Row(
        lane="plugins",
        title="node plugins crash on two of three nodes",
        breaks=(Storage("node-plugin-gone", ("node-3", "node-4")),),
        expected=Expected(
            verdict="late",
            stage="mount",
            reason="MountFailed",
            scope="class",
            nodes=("node-3", "node-4"),
            creation=True,
            evidence="code = Unavailable",
        ),
        application_on="node-3",
        quick=True,
    ),
    Row(
        lane="plugins",
        title="node plugin gone on one node",
        moment=Moment.MID_RUN,
        running_on="node-5",
        breaks=(Storage("node-plugin-gone", ("node-5",)),),
        expected=_volume("node-5", "late", "MountFailed", "mount", "code = Unavailable"),
    ),
    Row(
        lane="plugins",
        title="csi-provisioner gone",
        breaks=(Storage("provisioner-gone", PLUGIN_NODES),),
        expected=_creation("provision", "ProvisionerSilent", "reported nothing"),
        hold_seconds=SUSPENDS,
        quick=True,
    ),
    Row(
        lane="plugins",
        title="pool full",
        breaks=(Storage("full-pool", PLUGIN_NODES),),
        expected=_creation("provision", "NoCapacity"),
    ),
    Row(
        lane="plugins",
        title="a node reboots while csi-provisioner is gone",
        breaks=(
            Storage("provisioner-gone", PLUGIN_NODES),
            Rebooted("node-3"),
            Storage("provisioner-gone", ("node-3",)),  # it came back with the node
        ),
        expected=_creation("provision", "ProvisionerSilent", "reported nothing"),
    ),
    Row(
        lane="plugins",
        title="node plugin gone on one node while another is cordoned",
        breaks=(cordoned("node-3"), Storage("node-plugin-gone", ("node-4",))),
        expected=Expected(
            verdict="late",
            stage="mount",
            reason="MountFailed",
            scope="class",  # half of the nodes that could tell
            nodes=("node-4",),
            evidence="code = Unavailable",
        ),
    ),
    # Maintenance that is announced.
    Row(
        lane="upkeep",
        title="node cordoned",
        breaks=(cordoned("node-6"),),
        expected=_suppressed("node-6", "NodeCordoned"),
        counts_suppressed=True,
    ),
    Row(
        lane="upkeep",
        title="node cordoned",
        moment=Moment.MID_RUN,
        running_on="node-6",
        breaks=(cordoned("node-6"),),
        expected=_suppressed("node-6", "NodeCordoned"),
        counts_suppressed=True,
    ),
    Row(
        lane="upkeep",
        title="node marked for removal by cluster-autoscaler",
        breaks=(tainted("node-6", AUTOSCALER),),
        expected=_suppressed("node-6", "NodeMarked"),
        counts_suppressed=True,
    ),
    Row(
        lane="upkeep",
        title="node marked by kured",
        breaks=(annotated("node-6", KURED),),
        expected=_suppressed("node-6", "NodeMarked"),
        counts_suppressed=True,
    ),
    Row(
        lane="upkeep",
        title="node tainted for others",
        breaks=(tainted("node-6", DEDICATED),),
        expected=_suppressed("node-6", "NodeTainted"),
        counts_suppressed=True,
    ),
    Row(
        lane="upkeep",
        title="node cordoned, then rebooted",
        breaks=(cordoned("node-6"), Rebooted("node-6")),
        expected=_suppressed("node-6", "NodeCordoned"),
        counts_suppressed=True,
    ),
    Row(
        lane="upkeep",
        title="CronJobs suspended by hand",
        breaks=(Suspended(),),
        expected=Expected(verdict="ok"),
        hold_seconds=2 * PERIOD_SECONDS,
    ),
    # Maintenance and outages of nodes that nobody announces.
    Row(
        lane="power",
        title="node reboots",
        breaks=(Rebooted("node-7"),),
        expected=_suppressed("node-7", "NodeRebooted"),
        hold_seconds=SUSPENDS,
    ),
    Row(
        lane="power",
        title="node reboots",
        moment=Moment.MID_RUN,
        running_on="node-7",
        breaks=(Rebooted("node-7"),),
        expected=_suppressed("node-7", "NodeRebooted"),
        hold_seconds=SUSPENDS,
    ),
    Row(
        lane="power",
        title="node loses its power",
        breaks=(WithoutPower("node-7"),),
        expected=_suppressed("node-7", "NodeNotReady"),
        counts_suppressed=True,
    ),
    Row(
        lane="power",
        title="node loses its power",
        moment=Moment.MID_RUN,
        running_on="node-7",
        breaks=(WithoutPower("node-7"),),
        expected=_suppressed("node-7", "NodeNotReady"),
        counts_suppressed=True,
    ),
    Row(
        lane="power",
        title="kubelet gone",
        breaks=(WithoutProcess("kubelet-node-7"),),
        expected=_suppressed("node-7", "NodeNotReady"),
        counts_suppressed=True,
    ),
    Row(
        lane="power",
        title="node removed from the cluster",
        breaks=(Removed("node-7"),),
        expected=Expected(verdict="gone", nodes=("node-7",)),
        hold_seconds=SUSPENDS,
    ),
    Row(
        lane="power",
        title="new node with the taint of its CNI",
        breaks=(New("node-7"),),
        expected=_suppressed("node-7", "NodeMarked"),
        counts_suppressed=True,
        hold_seconds=SUSPENDS,
    ),
)

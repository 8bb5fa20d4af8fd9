"""The fault matrix: what is broken, and what pie must say of it.

Rows of one lane run one after the other on a PieProbe of its own, the lanes side by side. Faults of volumes
hit the lane's own volumes only, so such lanes share nodes; a lane whose nodes are broken has them to itself.
"""

from dataclasses import replace

from pie.core.latency import RUNS_NEEDED
from testbed.faults import Options
from tests.faults.breaks import (
    AUTOSCALER,
    DEDICATED,
    KURED,
    STARTUP,
    Annotated,
    Fault,
    New,
    OldMount,
    Removed,
    ResidentPodsDeleted,
    Restarted,
    Snapshot,
    Suspended,
    WithoutProcess,
    cordoned,
    tainted,
)
from tests.faults.row import PERIOD_SECONDS, REBOOT_GRACE_SECONDS, Expected, Lane, Moment, Row

VOLUMES = Lane(name="volumes", nodes=("node-1",), provision=False)
FILESYSTEM = Lane(name="filesystem", nodes=("node-2",), provision=False)
CONTENTS = Lane(name="contents", nodes=("node-2",), provision=False)
DISK = Lane(name="disk", nodes=("node-1",), provision=False)
CREATION = Lane(name="creation", nodes=("node-1", "node-2"), mounts=False)
ATTACHED = Lane(name="attached", nodes=("node-1", "node-2"), storage_class="attachable")
PLUGINS = Lane(name="plugins", nodes=("node-3", "node-4", "node-5"))
UPKEEP = Lane(name="upkeep", nodes=("node-1", "node-6"))
POWER = Lane(name="power", nodes=("node-2", "node-7"))
SIDECARS = Lane(name="sidecars", nodes=("node-1",))
ADMISSION = Lane(name="admission", nodes=("node-2",))
DELETIONS = Lane(name="deletions", nodes=("node-1",), provision=False)
KUBELET = Lane(name="kubelet", nodes=("node-2",), provision=False)
LIMITS = Lane(name="limits", nodes=("node-1",), namespace="pie-limits", cpu="10m")
MACHINE = Lane(name="machine", nodes=("node-2", "node-8"), cpu="10m")
STAYS = Lane(name="stays", nodes=("node-1",), provision=False, resident=True, last=True)
RESIDENTS = Lane(name="residents", nodes=("node-2",), provision=False, resident=True, last=True)
CONTROL = Lane(name="control", nodes=("node-1", "node-2"), last=True)

SUSPENDS = 75.0
"""Longer than a period: the next run is due while it lasts."""


def _volume(node: str, verdict: str, reason: str, stage: str = "io", evidence: str = "") -> Expected:
    """Return what must come of a fault that one node's volume has."""
    return Expected(
        verdict=verdict, stage=stage, reason=reason, scope="node", nodes=(node,), evidence=evidence
    )


def _old_mount(verdict: str, reason: str, code: int) -> Expected:
    """Return what must come of a volume of node-1 that is bad where it stays mounted; new mounts work."""
    return replace(_volume("node-1", verdict, reason, evidence=f"status {code} of"), resident=True)


def _creation(stage: str, reason: str, evidence: str = "", verdict: str = "late") -> Expected:
    """Return what must come of a fault that keeps new volumes from being made, or from going."""
    return Expected(
        verdict=verdict, stage=stage, reason=reason, scope="class", creation=True, evidence=evidence
    )


def _everything(
    stage: str, reason: str, evidence: str = "", nodes: tuple[str, ...] = ("node-1", "node-2")
) -> Expected:
    """Return what must come of a fault that a class's new and old volumes have, on all of its nodes."""
    return Expected(
        verdict="late",
        stage=stage,
        reason=reason,
        scope="class",
        nodes=nodes,
        creation=True,
        evidence=evidence,
    )


def _unknown(stage: str, reason: str, node: str, evidence: str = "", scope: str = "node") -> Expected:
    """Return what must come of what is no problem of the storage: runs that can say nothing of it."""
    return Expected(
        verdict="inconclusive",
        stage=stage,
        reason=reason,
        scope=scope,
        nodes=(node,) if node else (),
        evidence=evidence,
    )


def _harmless(lane: Lane, title: str, fault: str, *, quick: bool = False) -> Row:
    """Return the row of something that is done to pods and changes no verdict."""
    return Row(
        lane=lane,
        title=title,
        breaks=(Fault(fault),),
        expected=Expected(verdict="ok"),
        counts_good=2,
        quick=quick,
    )


def _suppressed(node: str, reason: str) -> Expected:
    """Return what must come of maintenance of a node."""
    return Expected(verdict="suppressed", reason=reason, nodes=(node,))


_HALFWAY = Options(when="use", after_seconds=0.5)
_SLOW = Options(delay_seconds=600)

ROWS = (
    # A volume of one node, without attachments.
    Row(
        lane=VOLUMES,
        title="I/O hangs (fsfreeze)",
        breaks=(Fault("hang", ("node-1",)),),
        expected=_volume("node-1", "hung", "Hung"),
        quick=True,
    ),
    Row(
        lane=VOLUMES,
        title="I/O hangs (fsfreeze)",
        moment=Moment.MID_RUN,
        running_on="node-1",
        breaks=(Fault("hang", ("node-1",)),),
        expected=_volume("node-1", "hung", "Hung"),
    ),
    Row(
        lane=VOLUMES,
        title="I/O errors (filesystem shut down)",
        breaks=(Fault("io-error", ("node-1",)),),
        expected=_volume("node-1", "failed", "IOError"),
        quick=True,
    ),
    Row(
        lane=VOLUMES,
        title="I/O errors (filesystem shut down)",
        moment=Moment.MID_RUN,
        running_on="node-1",
        breaks=(Fault("io-error", ("node-1",), _HALFWAY),),
        expected=_volume("node-1", "failed", "IOError"),
    ),
    Row(
        lane=FILESYSTEM,
        title="filesystem read-only",
        breaks=(Fault("read-only", ("node-2",)),),
        expected=_volume("node-2", "failed", "ReadOnly"),
        quick=True,
    ),
    Row(
        lane=FILESYSTEM,
        title="volume full",
        breaks=(Fault("full-volume", ("node-2",)),),
        expected=_volume("node-2", "failed", "NoSpace"),
        quick=True,
    ),
    Row(
        lane=FILESYSTEM,
        title="volume full",
        moment=Moment.MID_RUN,
        running_on="node-2",
        breaks=(Fault("full-volume", ("node-2",), _HALFWAY),),
        expected=_volume("node-2", "failed", "NoSpace"),
    ),
    Row(
        lane=DISK,
        title="a disk that does five operations a second",
        breaks=(Fault("slow", ("node-1",)),),
        expected=_volume("node-1", "late", "IOSlow", evidence="consecutive runs"),
        good_runs=RUNS_NEEDED,
    ),
    # What is in a volume, and what the node plugin does with it.
    Row(
        lane=CONTENTS,
        title="bytes of the volume are wrong",
        breaks=(Fault("corrupted", ("node-2",)),),
        expected=_volume("node-2", "failed", "DataCorrupted"),
        quick=True,
    ),
    Row(
        lane=CONTENTS,
        title="volume swapped for another one's",
        breaks=(Fault("swapped", ("node-2",), Options(other="pie/pie-pvc-volumes-*")),),
        expected=_volume("node-2", "failed", "DataSwapped"),
        quick=True,
        needs=VOLUMES,
    ),
    Row(
        lane=CONTENTS,
        title="volume restored from an old copy",
        breaks=(Snapshot("node-2"), Fault("stale", ("node-2",))),
        expected=_volume("node-2", "failed", "DataStale"),
    ),
    Row(
        lane=CONTENTS,
        title="the driver says OK and mounts nothing",
        breaks=(Fault("mounts-nothing", ("node-2",)),),
        expected=_volume("node-2", "failed", "VolumeMissing"),
    ),
    Row(
        lane=CONTENTS,
        title="NodeStageVolume is refused",
        breaks=(Fault("stage-refused", ("node-2",)),),
        expected=_volume("node-2", "late", "MountFailed", "mount", "refused by a fault"),
    ),
    Row(
        lane=CONTENTS,
        title="NodePublishVolume is slow",
        breaks=(Fault("publish-slow", ("node-2",), _SLOW),),
        expected=_volume("node-2", "late", "MountSlow", "mount"),
    ),
    # New volumes.
    Row(
        lane=CREATION,
        title="CreateVolume is refused",
        breaks=(Fault("create-refused", ("node-1", "node-2")),),
        expected=_creation("provision", "ProvisioningFailed", "refused by a fault"),
    ),
    Row(
        lane=CREATION,
        title="CreateVolume is refused on one of two nodes",
        breaks=(Fault("create-refused", ("node-1",)),),
        expected=Expected(verdict="ok"),
        hold_seconds=3 * PERIOD_SECONDS,
    ),
    Row(
        lane=CREATION,
        title="CreateVolume is slow",
        breaks=(Fault("create-slow", ("node-1", "node-2"), _SLOW),),
        expected=_creation("provision", "ProvisionSlow", "DeadlineExceeded"),
    ),
    Row(
        lane=CREATION,
        title="DeleteVolume is refused",
        breaks=(Fault("delete-refused", ("node-1", "node-2")),),
        expected=_creation("teardown", "VolumeLeaked", "PersistentVolume pvc-", "ok"),
    ),
    Row(
        lane=CREATION,
        title="NodeUnpublishVolume is refused",
        breaks=(Fault("unpublish-refused", ("node-1", "node-2")),),
        # The pod has ended and goes at once; what is still mounted cannot be deleted.
        expected=_creation("teardown", "VolumeLeaked", "PersistentVolume pvc-", "ok"),
    ),
    # Storage that is attached first.
    Row(
        lane=ATTACHED,
        title="ControllerPublishVolume is refused",
        breaks=(Fault("attach-refused", ("attachable",)),),
        expected=_everything("attach", "AttachFailed", "refused by a fault"),
        quick=True,
    ),
    Row(
        lane=ATTACHED,
        title="volume emptied between two runs",
        breaks=(Fault("emptied", ("node-1/attachable",)),),
        expected=_volume("node-1", "failed", "DataLost"),
        quick=True,
    ),
    Row(
        lane=ATTACHED,
        title="ControllerPublishVolume is slow",
        breaks=(Fault("attach-slow", ("attachable",), _SLOW),),
        expected=_everything("attach", "AttachSlow"),
    ),
    Row(
        lane=ATTACHED,
        title="external-attacher gone",
        breaks=(Fault("attacher-gone", ("attachable",)),),
        expected=_everything("attach", "AttachSlow"),
    ),
    Row(
        lane=ATTACHED,
        title="external-attacher gone",
        moment=Moment.MID_RUN,
        running_on="node-1",
        breaks=(Fault("attacher-gone", ("attachable",)),),
        expected=_everything("attach", "AttachSlow"),
    ),
    Row(
        lane=ATTACHED,
        title="node plugin gone on one node",
        breaks=(Fault("node-plugin-gone", ("node-2/attachable",)),),
        expected=_volume("node-2", "late", "MountFailed", "mount", "connection refused"),
    ),
    Row(
        lane=ATTACHED,
        title="csi-provisioner gone",
        breaks=(Fault("provisioner-gone", ("attachable",)),),
        expected=_creation("provision", "ProvisionerSilent", "reported nothing"),
    ),
    Row(
        lane=ATTACHED,
        title="ControllerUnpublishVolume is refused",
        breaks=(Fault("detach-refused", ("attachable",)),),
        expected=Expected(
            verdict="late",
            stage="attach",
            reason="AttachFailed",
            scope="class",
            nodes=("node-1", "node-2"),
            evidence="refused by a fault",
            grace_seconds=PERIOD_SECONDS,  # the next run is well, and it is its volume that stays attached
        ),
    ),
    # Processes of the driver, and more than one thing at once.
    Row(
        lane=PLUGINS,
        title="node plugins crash on two of three nodes",
        breaks=(Fault("node-plugin-gone", ("node-3", "node-4")),),
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
        lane=PLUGINS,
        title="node plugin gone on one node",
        moment=Moment.MID_RUN,
        running_on="node-5",
        breaks=(Fault("node-plugin-gone", ("node-5",)),),
        expected=_volume("node-5", "late", "MountFailed", "mount", "connection refused"),
    ),
    Row(
        lane=PLUGINS,
        title="csi-provisioner gone",
        breaks=(Fault("provisioner-gone", PLUGINS.nodes),),
        expected=_creation("provision", "ProvisionerSilent", "reported nothing"),
        hold_seconds=SUSPENDS,
        quick=True,
    ),
    Row(
        lane=PLUGINS,
        title="pool full",
        breaks=(Fault("full-pool", PLUGINS.nodes),),
        expected=_creation("provision", "NoCapacity"),
    ),
    Row(
        lane=PLUGINS,
        title="a node reboots while csi-provisioner is gone",
        breaks=(
            Fault("provisioner-gone", PLUGINS.nodes),
            Fault("reboot", ("node-3",)),
            Fault("provisioner-gone", ("node-3",)),  # it came back with the node
        ),
        expected=_creation("provision", "ProvisionerSilent", "reported nothing"),
    ),
    Row(
        lane=PLUGINS,
        title="node plugin gone on one node while another is cordoned",
        breaks=(cordoned("node-3"), Fault("node-plugin-gone", ("node-4",))),
        expected=_volume("node-4", "late", "MountFailed", "mount", "connection refused"),
    ),
    # Maintenance that is announced.
    Row(
        lane=UPKEEP,
        title="node cordoned",
        breaks=(cordoned("node-6"),),
        expected=_suppressed("node-6", "NodeCordoned"),
        counts_suppressed=True,
    ),
    Row(
        lane=UPKEEP,
        title="node cordoned",
        moment=Moment.MID_RUN,
        running_on="node-6",
        breaks=(cordoned("node-6"),),
        expected=_suppressed("node-6", "NodeCordoned"),
        counts_suppressed=True,
    ),
    Row(
        lane=UPKEEP,
        title="node marked for removal by cluster-autoscaler",
        breaks=(tainted("node-6", AUTOSCALER),),
        expected=_suppressed("node-6", "NodeMarked"),
        counts_suppressed=True,
    ),
    Row(
        lane=UPKEEP,
        title="node marked by kured",
        breaks=(Annotated("node-6", KURED),),
        expected=_suppressed("node-6", "NodeMarked"),
        counts_suppressed=True,
    ),
    Row(
        lane=UPKEEP,
        title="node tainted for others",
        breaks=(tainted("node-6", DEDICATED),),
        expected=_suppressed("node-6", "NodeTainted"),
        counts_suppressed=True,
    ),
    Row(
        lane=UPKEEP,
        title="node cordoned, then rebooted",
        breaks=(cordoned("node-6"), Fault("reboot", ("node-6",))),
        expected=_suppressed("node-6", "NodeCordoned"),
        counts_suppressed=True,
    ),
    Row(
        lane=UPKEEP,
        title="CronJobs suspended by hand",
        breaks=(Suspended(),),
        expected=Expected(verdict="ok"),
        hold_seconds=2 * PERIOD_SECONDS,
    ),
    # Maintenance and outages of nodes that nobody announces.
    Row(
        lane=POWER,
        title="node reboots",
        breaks=(Fault("reboot", ("node-7",)),),
        expected=_suppressed("node-7", "NodeRebooted"),
        hold_seconds=SUSPENDS,
    ),
    Row(
        lane=POWER,
        title="node reboots",
        moment=Moment.MID_RUN,
        running_on="node-7",
        breaks=(Fault("reboot", ("node-7",)),),
        expected=_suppressed("node-7", "NodeRebooted"),
        hold_seconds=SUSPENDS,
    ),
    Row(
        lane=POWER,
        title="node loses its power",
        breaks=(Fault("power-off", ("node-7",)),),
        expected=_suppressed("node-7", "NodeNotReady"),
        counts_suppressed=True,
    ),
    Row(
        lane=POWER,
        title="node loses its power",
        moment=Moment.MID_RUN,
        running_on="node-7",
        breaks=(Fault("power-off", ("node-7",)),),
        expected=_suppressed("node-7", "NodeNotReady"),
        counts_suppressed=True,
    ),
    Row(
        lane=POWER,
        title="kubelet gone",
        breaks=(Fault("kubelet-gone", ("node-7",)),),
        expected=_suppressed("node-7", "NodeNotReady"),
        counts_suppressed=True,
    ),
    Row(
        lane=POWER,
        title="node removed from the cluster",
        breaks=(Removed("node-7"),),
        expected=Expected(verdict="gone", nodes=("node-7",)),
        hold_seconds=SUSPENDS,
    ),
    Row(
        lane=POWER,
        title="new node with the taint of its CNI",
        breaks=(New("node-7"),),
        expected=_suppressed("node-7", "NodeMarked"),
        counts_suppressed=True,
        hold_seconds=SUSPENDS,
    ),
    Row(
        lane=POWER,
        title="a node reboots, and its node plugin does not come back",
        breaks=(Fault("reboot", ("node-7",)), Fault("node-plugin-gone", ("node-7",))),
        expected=Expected(
            verdict="late",
            stage="mount",
            reason="DriverNotReady",
            scope="node",
            nodes=("node-7",),
            evidence="MountVolume.MountDevice failed",
            grace_seconds=REBOOT_GRACE_SECONDS,
        ),
    ),
    # Containers that a webhook adds to pods.
    _harmless(SIDECARS, "a webhook adds a container that runs on", "sidecar-lingers", quick=True),
    _harmless(SIDECARS, "a webhook adds a container that runs on, listed first", "sidecar-first"),
    _harmless(SIDECARS, "a webhook adds containers that end, one of them badly", "sidecar-ends"),
    _harmless(SIDECARS, "a webhook adds a sidecar of Kubernetes (init container)", "sidecar-native"),
    _harmless(SIDECARS, "a webhook gives Jobs a TTL of two seconds", "short-lived-jobs"),
    # Who may create what.
    Row(
        lane=ADMISSION,
        title="pods are refused by a policy",
        breaks=(Fault("pods-refused"),),
        expected=_unknown("queue", "PodRefused", "node-2", "need a cost centre", "class"),
        quick=True,
    ),
    Row(
        lane=ADMISSION,
        title="a webhook that must be asked does not answer",
        breaks=(Fault("webhook-gone"),),
        # An application's pod would not be created either.
        expected=_everything("queue", "ControlPlaneLate", "failed calling webhook", ADMISSION.nodes),
    ),
    Row(
        lane=ADMISSION,
        title="PVCs are refused by a policy",
        breaks=(Fault("pvcs-refused"),),
        expected=_unknown("provision", "ClaimRefused", "", "need a cost centre", "class"),
    ),
    _harmless(LIMITS, "a LimitRange gives pods limits", "limit-defaults"),
    Row(
        lane=LIMITS,
        title="a LimitRange refuses small pods",
        breaks=(Fault("limit-minimum"),),
        expected=_unknown("queue", "PodRefused", "node-1", "minimum cpu usage per Container", "class"),
    ),
    Row(
        lane=LIMITS,
        title="a LimitRange gives pods far too little memory",
        breaks=(Fault("little-memory"),),
        expected=_unknown("io", "OutOfMemory", "node-1", "OOMKilled"),
    ),
    Row(
        lane=LIMITS,
        title="the namespace's quota has no pod left",
        breaks=(Fault("pod-quota"),),
        expected=_unknown("queue", "PodRefused", "node-1", "exceeded quota", "class"),
    ),
    Row(
        lane=LIMITS,
        title="the namespace's quota has no PVC left",
        breaks=(Fault("pvc-quota"),),
        expected=_unknown("provision", "ClaimRefused", "", "testbed-pvc-quota", "class"),
    ),
    # Who deletes what is to run.
    Row(
        lane=DELETIONS,
        title="Jobs are deleted before their pods start",
        breaks=(Fault("jobs-deleted"),),
        expected=_unknown("start", "JobDeleted", "node-1"),
    ),
    Row(
        lane=DELETIONS,
        title="pods are deleted before they start",
        breaks=(Fault("pods-deleted"),),
        expected=_unknown("start", "PodDeleted", "node-1"),
    ),
    Row(
        lane=DELETIONS,
        title="pods are evicted before they start (Eviction API)",
        breaks=(Fault("pods-evicted"),),
        expected=_unknown("start", "Evicted", "node-1", "EvictionByEvictionAPI"),
    ),
    # What a kubelet refuses.
    Row(
        lane=KUBELET,
        title="another scheduler gives the node more than it has (OutOfcpu)",
        breaks=(Fault("overcommitted"),),
        expected=_unknown("schedule", "InsufficientResources", "node-2", "OutOfcpu"),
    ),
    Row(
        lane=KUBELET,
        title="another scheduler gives the node what does not match it (NodeAffinity)",
        breaks=(Fault("misplaced"),),
        expected=_unknown("schedule", "RefusedByNode", "node-2", "NodeAffinity"),
    ),
    # What else a node has, and a driver that is not there.
    Row(
        lane=MACHINE,
        title="the image is missing on one node",
        breaks=(Fault("image-missing", ("node-8",)),),
        expected=_unknown("start", "ImagePull", "node-8", "pie.test/pie:dev"),
    ),
    Row(
        lane=MACHINE,
        title="the node's CNI plugin is missing",
        breaks=(Fault("network-broken", ("node-8",)),),
        expected=_unknown("start", "SandboxFailed", "node-8", "testbed-absent"),
    ),
    Row(
        lane=MACHINE,
        title="another pod has all the CPU of the node",
        breaks=(Fault("cpu-taken", ("node-8",)),),
        expected=_unknown("schedule", "InsufficientResources", "node-8", "Insufficient cpu"),
    ),
    Row(
        lane=MACHINE,
        title="driver gone from the node (CSINode does not list it)",
        breaks=(Fault("driver-unregistered", ("node-8",)),),
        expected=_volume("node-8", "late", "DriverNotReady", "mount"),
    ),
    Row(
        lane=MACHINE,
        title="driver gone from the node (CSINode does not list it)",
        moment=Moment.MID_RUN,
        running_on="node-8",
        breaks=(Fault("driver-unregistered", ("node-8",)),),
        expected=_volume("node-8", "late", "DriverNotReady", "mount"),
    ),
    Row(
        lane=MACHINE,
        title="the driver's start-up taint stays, and the driver is gone",
        breaks=(tainted("node-8", STARTUP), Fault("driver-unregistered", ("node-8",))),
        expected=_volume("node-8", "late", "DriverNotReady", "mount"),
    ),
    # Kubernetes itself: nothing is said of the storage.
    Row(
        lane=CONTROL,
        title="kube-scheduler gone",
        breaks=(WithoutProcess("kube-scheduler"),),
        expected=_everything("schedule", "NotScheduled"),
    ),
    Row(
        lane=CONTROL,
        title="kube-controller-manager gone",
        breaks=(WithoutProcess("kube-controller-manager"),),
        expected=_everything("queue", "ControlPlaneLate"),
    ),
    # Mounts that stay, while new mounts work.
    Row(
        lane=STAYS,
        title="a mount that stays hangs (fsfreeze), new mounts work",
        breaks=(OldMount("hang", ("node-1",)),),
        expected=_old_mount("hung", "Stalled", 503),
        counts_good=1,
    ),
    Row(
        lane=RESIDENTS,
        title="kubelet restarts beside a mount that stays",
        breaks=(Restarted("kubelet-gone", "node-2"),),
        expected=Expected(verdict="ok"),
        hold_seconds=SUSPENDS,
    ),
    Row(
        lane=RESIDENTS,
        title="node drained, no resident mount is left, then rebooted",
        breaks=(
            cordoned("node-2"),
            ResidentPodsDeleted(unmounted="node-2"),
            Fault("reboot", ("node-2",)),
        ),
        expected=_suppressed("node-2", "NodeCordoned"),
        counts_suppressed=True,
    ),
)

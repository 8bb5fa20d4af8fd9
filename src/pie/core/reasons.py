"""All reasons, each with its area, one line of meaning and one of advice.

Their number is bounded, because reasons are values of labels and of fields in the status.
"""

from enum import StrEnum
from typing import Final

from pie.core.result import Outcome


class Area(StrEnum):
    """Whose problem a reason is."""

    STORAGE = "storage"
    NODE = "node"
    CONTROL_PLANE = "control-plane"
    PIE = "pie"


class Reason(StrEnum):
    """Why a run, a target or a PieProbe is as it is."""

    # A run is good, or has not ended.
    OK = "OK"
    PENDING = "Pending"

    # A run was not bound to a node in time (stages queue, schedule and provision).
    CONTROL_PLANE_LATE = "ControlPlaneLate"
    POD_REFUSED = "PodRefused"
    CLAIM_REFUSED = "ClaimRefused"
    CLAIM_DELETED = "ClaimDeleted"
    NAME_TAKEN = "NameTaken"
    NOT_SCHEDULED = "NotScheduled"
    NO_CAPACITY = "NoCapacity"
    VOLUME_AFFINITY = "VolumeAffinity"
    VOLUME_LIMIT = "VolumeLimit"
    INSUFFICIENT_RESOURCES = "InsufficientResources"
    TAINTED = "Tainted"
    CORDONED = "Cordoned"
    SCHEDULE_SLOW = "ScheduleSlow"
    PROVISIONER_SILENT = "ProvisionerSilent"
    PROVISIONING_FAILED = "ProvisioningFailed"
    PROVISION_SLOW = "ProvisionSlow"

    # A run was bound to a node, and did not start in time (stages attach, mount and start).
    REFUSED_BY_NODE = "RefusedByNode"
    DRIVER_ABSENT = "DriverAbsent"
    DRIVER_NOT_READY = "DriverNotReady"
    ATTACH_FAILED = "AttachFailed"
    ATTACH_SLOW = "AttachSlow"
    MOUNT_FAILED = "MountFailed"
    MOUNT_SLOW = "MountSlow"
    IMAGE_PULL = "ImagePull"
    SANDBOX_FAILED = "SandboxFailed"
    CONTAINER_START_FAILED = "ContainerStartFailed"
    START_SLOW = "StartSlow"
    NOT_STARTED = "NotStarted"
    STARTED_LATE = "StartedLate"

    # A run started; the controller decides the reason.
    HUNG = "Hung"
    KILLED = "Killed"
    EVICTED = "Evicted"
    OUT_OF_MEMORY = "OutOfMemory"
    NO_RESULT = "NoResult"
    POD_DELETED = "PodDeleted"
    JOB_DELETED = "JobDeleted"
    NO_CONTROLLER = "NoController"
    EXPAND_FAILED = "ExpandFailed"
    SNAPSHOT_FAILED = "SnapshotFailed"
    IO_SLOW = "IOSlow"
    STALLED = "Stalled"
    STALE_MOUNT = "StaleMount"
    NO_ANSWER = "NoAnswer"
    DATA_LOST = "DataLost"
    DATA_STALE = "DataStale"
    DATA_SWAPPED = "DataSwapped"

    # A run started; the result of the probe has the reason.
    DATA_CORRUPTED = "DataCorrupted"
    FIO_MISSING = "FioMissing"
    FIO_FAILED = "FioFailed"
    IO_ERROR = "IOError"
    READ_ONLY = "ReadOnly"
    NO_SPACE = "NoSpace"
    PERMISSION_DENIED = "PermissionDenied"
    BLOCK_PERMISSION = "BlockPermission"
    CLONE_DIFFERS = "CloneDiffers"
    CLONE_NOT_INDEPENDENT = "CloneNotIndependent"
    SHARED_NOT_SEEN = "SharedNotSeen"
    SNAPSHOT_DIFFERS = "SnapshotDiffers"
    VOLUME_MISSING = "VolumeMissing"
    VOLUME_TOO_SMALL = "VolumeTooSmall"
    NOT_EXPANDED = "NotExpanded"
    LOCKED = "Locked"
    INTERNAL = "Internal"

    # A run left something behind (stage teardown).
    TEARDOWN_STUCK = "TeardownStuck"
    VOLUME_LEAKED = "VolumeLeaked"
    NODE_GONE = "NodeGone"

    # A run, or a target, is suppressed.
    NODE_DELETED = "NodeDeleted"
    NODE_MARKED = "NodeMarked"
    NODE_CORDONED = "NodeCordoned"
    NODE_NOT_READY = "NodeNotReady"
    NODE_TAINTED = "NodeTainted"
    NODE_REBOOTED = "NodeRebooted"
    NODE_NEW = "NodeNew"
    NO_USABLE_NODE = "NoUsableNode"

    # The class does not offer what a canary tests.
    NOT_OFFERED = "NotOffered"

    # A target has had no good run for a while.
    NO_RECENT_RUN = "NoRecentRun"

    # A PieProbe, or some of its probes, cannot run.
    INVALID_SPEC = "InvalidSpec"
    PERMISSION_MISSING = "PermissionMissing"
    CRD_OUTDATED = "CRDOutdated"
    SETUP_FAILED = "SetupFailed"
    STORAGE_CLASS_NOT_FOUND = "StorageClassNotFound"
    RECLAIM_POLICY_RETAIN = "ReclaimPolicyRetain"
    NO_PROVISIONER = "NoProvisioner"
    IMMEDIATE_BINDING_WITH_TOPOLOGY = "ImmediateBindingWithTopology"
    CAPACITY_TOO_SMALL = "CapacityTooSmall"
    FS_GROUP_IGNORED = "FsGroupIgnored"
    RESIDENT_INTERVAL_LONG = "ResidentIntervalLong"
    CLASS_CHANGED = "ClassChanged"
    PERIOD_TOO_SHORT = "PeriodTooShort"
    COST_HIGH = "CostHigh"
    RUNS_THINNED = "RunsThinned"
    BUDGET_NOT_HELD = "BudgetNotHeld"
    CONTROL_PLANE_BUSY = "ControlPlaneBusy"
    NO_MATCHING_NODE = "NoMatchingNode"
    NODE_UNSUITABLE = "NodeUnsuitable"
    DISABLED = "Disabled"
    PAUSED = "Paused"


# `Outcome` has the meanings of the reasons in results; their advice is here, like that of all others.
_CONTROLLERS: dict[Reason, tuple[str, str]] = {
    Reason.OK: ("The volume was provisioned or mounted in time, and its I/O worked.", "Nothing to do."),
    Reason.PENDING: ("No run has ended yet.", "Wait for a period."),
    Reason.CONTROL_PLANE_LATE: (
        "Kubernetes did not create the probe pod (or its PVC) within probeThreshold.",
        "Look at kube-controller-manager (log, --kube-api-qps), the API server, webhooks that do not answer.",
    ),
    Reason.POD_REFUSED: (
        "The cluster refuses to create the probe's pod, or the Job or CronJob that creates it.",
        (
            "Not a storage problem."
            " The message names the cause: quota, Pod Security, a webhook or priorityClassName."
        ),
    ),
    Reason.CLAIM_REFUSED: (
        "The cluster refuses to create, or to expand, the PVC of the volume to be probed.",
        "The message names the cause: a quota on PVCs or on their storage, a webhook, or a policy.",
    ),
    Reason.CLAIM_DELETED: (
        "Somebody deleted the PVC before a pod could use it; the run says nothing about storage.",
        "Find out who deletes PVCs of pie; pie creates the PVC again. If it does not go, see its finalizers.",
    ),
    Reason.NAME_TAKEN: (
        "An object of another owner has the name of a target's PVC or CronJob, so the target is not probed.",
        "The message names it. Delete or rename it, or give the PieProbe another name.",
    ),
    Reason.NOT_SCHEDULED: (
        "The pod was not bound to a node within probeThreshold.",
        "Read the scheduler's message in the evidence; look at kube-scheduler if there is none.",
    ),
    Reason.NO_CAPACITY: (
        "No node, or no back end, has room for a new volume of the requested size.",
        "Free or add capacity in the storage back end; look at the CSIStorageCapacity objects.",
    ),
    Reason.VOLUME_AFFINITY: (
        "The volume can be used only on other nodes, not on the node of this probe.",
        "Compare the PersistentVolume's node affinity with the node's labels; a label may be missing.",
    ),
    Reason.VOLUME_LIMIT: (
        "The node has as many volumes attached as its driver allows.",
        "Look for volumes that were not detached; compare with the limit in the node's CSINode.",
    ),
    Reason.INSUFFICIENT_RESOURCES: (
        "No matching node has the CPU, memory or pod slots that the probe's pod asks for.",
        "Not a storage problem: free resources, lower spec.resources, or set spec.priorityClassName.",
    ),
    Reason.TAINTED: (
        "The matching nodes have taints that the probe's pod does not tolerate.",
        "Not a storage problem: add a toleration to the spec, or narrow its nodeSelector.",
    ),
    Reason.CORDONED: (
        "The matching nodes are cordoned.",
        "Not a storage problem: uncordon them when the maintenance is done.",
    ),
    Reason.SCHEDULE_SLOW: (
        "The pod was bound to a node, but so late that its container started late.",
        "Look at kube-scheduler and at the API server's latency.",
    ),
    Reason.PROVISIONER_SILENT: (
        "A PVC asks for a volume, but the provisioner neither created one nor reported an error.",
        "Look at the driver's controller: does csi-provisioner run, lead, and reach the API server?",
    ),
    Reason.PROVISIONING_FAILED: (
        "The driver refused or failed to create the volume.",
        "The evidence has the driver's own error; look at its controller's log and the storage back end.",
    ),
    Reason.PROVISION_SLOW: (
        "The volume was not created within probeThreshold: the driver takes long to answer.",
        "Look at the driver's controller and the back end's load; see pie_stage_duration_seconds.",
    ),
    Reason.REFUSED_BY_NODE: (
        "The pod was bound to a node whose kubelet refused to run it.",
        "Not a storage problem: the message has the kubelet's words; look at its log on that node.",
    ),
    Reason.DRIVER_ABSENT: (
        "The storage driver was never registered on the node.",
        "Narrow spec.nodeSelector to nodes with the driver, or find out why its node pod does not run there.",
    ),
    Reason.DRIVER_NOT_READY: (
        "The storage driver is not registered on the node any more, or its start-up taint stays there.",
        "Look at the driver's node pod on that node: does it run, and does it register with the kubelet?",
    ),
    Reason.ATTACH_FAILED: (
        "The volume could not be attached to the node.",
        "Look at the VolumeAttachment, the external-attacher's log, and where else it is attached.",
    ),
    Reason.ATTACH_SLOW: (
        "The volume was not attached to the node within probeThreshold: the attacher is slow or down.",
        "Look at the external-attacher and at kube-controller-manager's attach-detach controller.",
    ),
    Reason.MOUNT_FAILED: (
        "The node could not mount the volume.",
        "The evidence has the error; look at the driver's node pod on that node: is it running?",
    ),
    Reason.MOUNT_SLOW: (
        "The node did not mount the volume within probeThreshold: the driver does not answer in time.",
        "Look at the driver's node pod and at the kubelet's log on that node.",
    ),
    Reason.IMAGE_PULL: (
        "The node could not pull the probe's image.",
        "Not a storage problem: look at the registry and at the image of the pie controller.",
    ),
    Reason.SANDBOX_FAILED: (
        "The node could not set up the pod's sandbox, most often its network.",
        "Not a storage problem: look at the CNI plugin and the container runtime on that node.",
    ),
    Reason.CONTAINER_START_FAILED: (
        "The volume was mounted, but the node could not start the container.",
        "Look at the container runtime on that node; the evidence has its error.",
    ),
    Reason.START_SLOW: (
        "The volume was mounted in time, but the container started late or waits for another container.",
        "Probably not a storage problem: look at the container in the evidence, and at the node's load.",
    ),
    Reason.NOT_STARTED: (
        "The pod was bound to its node, but the kubelet did not accept it within probeThreshold.",
        "Look at the kubelet on that node.",
    ),
    Reason.STARTED_LATE: (
        "The container started, but only at the threshold or later; no single stage took most of the time.",
        "See pie_stage_duration_seconds for the time that each stage takes.",
    ),
    Reason.HUNG: (
        "The probe started but had no result at its deadline: its I/O does not return.",
        "Look at the node's kernel log and the path to the back end; the pod ends when its I/O returns.",
    ),
    Reason.EVICTED: (
        "The node or Kubernetes ended the pod before it was done: pressure, preemption, drain or shutdown.",
        "Not a storage problem: look at the node's disk, memory and process pressure.",
    ),
    Reason.OUT_OF_MEMORY: (
        "The container was ended because it, or its node, had no memory left.",
        "Not a storage problem: raise the memory limit in spec.resources or in the namespace's LimitRange.",
    ),
    Reason.NO_RESULT: (
        "The container ended without a readable result.",
        "Look at the node: out of memory, a crashed runtime, a reboot.",
    ),
    Reason.POD_DELETED: (
        "Somebody deleted the pod before it ended; the run says nothing about storage.",
        "Nothing to do, unless it happens often: then find out who deletes pie's pods.",
    ),
    Reason.JOB_DELETED: (
        "Somebody deleted the run's Job before pie read the result; the run says nothing about storage.",
        "Find who deletes Jobs of pie: kubectl delete jobs, a clean-up job, a policy that sets a TTL?",
    ),
    Reason.NO_CONTROLLER: (
        "pie started no run for this due time: it did not run then, or spec.runner was just changed.",
        "If pie often restarts, find out why; two replicas with --leader-elect take over within seconds.",
    ),
    Reason.SNAPSHOT_FAILED: (
        "The VolumeSnapshot of a volume did not become ready to use in time.",
        "The evidence has the driver's words; without any, do snapshot-controller and csi-snapshotter run?",
    ),
    Reason.EXPAND_FAILED: (
        "The driver refused or failed to expand a volume in use.",
        "The evidence has the driver's own error; look at its controller's log and the storage back end.",
    ),
    Reason.IO_SLOW: (
        "I/O worked, but was slower than spec.io.maxLatency, or much slower than usual in consecutive runs.",
        "Look at the back end's load and its disks' health; see pie_target_io_latency_seconds.",
    ),
    Reason.STALLED: (
        "I/O on a volume that stays mounted does not end: an operation goes on for residentThreshold.",
        "Look at the node's kernel log and the path to the back end. If new mounts work, only old ones hang.",
    ),
    Reason.STALE_MOUNT: (
        "A volume that stays mounted is gone for those who use it: a stale handle, or its client is dead.",
        "Delete pods that mounted it before; did the driver's node pod restart, was its client evicted?",
    ),
    Reason.NO_ANSWER: (
        "The kubelet gets no answer from the resident probe: it is refused, or there is a time-out.",
        "Not a storage problem: look at the pod, at the node's network and load, and at the kubelet's log.",
    ),
    Reason.DATA_LOST: (
        "The volume came back empty: what earlier runs wrote is gone.",
        "Treat it as data loss: look at what the back end did to the volume. Delete the PVC to start again.",
    ),
    Reason.DATA_STALE: (
        "The volume holds an older state than the one last written to it.",
        "Acknowledged writes are lost for good: look for a restored snapshot, a split replica, a cache.",
    ),
    Reason.DATA_SWAPPED: (
        "The volume holds another volume's data.",
        "Stop writers now: in the back end, two PVCs use the same storage, or each uses the other's.",
    ),
    Reason.TEARDOWN_STUCK: (
        "A finished run's pod or PVC is not deleted.",
        "Look at the kubelet and the driver's node pod (unmounting), and at finalizers on the PVC.",
    ),
    Reason.VOLUME_LEAKED: (
        "A volume that was created for a probe is not deleted.",
        "Look at the PersistentVolume's events and the driver's log; its space is lost until it is deleted.",
    ),
    Reason.NODE_GONE: (
        "The volume is on a node that was removed, so no driver can delete it any more.",
        "Delete the PersistentVolume by hand once the node's disks are gone for good.",
    ),
    Reason.NODE_DELETED: (
        "The node is being deleted, or was deleted.",
        "Nothing to do; if the deletion does not end, look at the node's metadata.finalizers.",
    ),
    Reason.NODE_MARKED: (
        "The node carries a mark of maintenance; the message names it.",
        "Finish the maintenance and remove the mark; docs/suppression.md says who sets which mark.",
    ),
    Reason.NODE_CORDONED: (
        "The node is unschedulable (cordoned).",
        "kubectl uncordon the node when the maintenance is done.",
    ),
    Reason.NODE_NOT_READY: (
        "The node is not Ready.",
        "Look at the kubelet and the machine; the message has the node's own words.",
    ),
    Reason.NODE_TAINTED: (
        "The node has a taint that the probe's pods do not tolerate.",
        "If the taint is permanent, add a toleration to the spec, or narrow its nodeSelector.",
    ),
    Reason.NODE_REBOOTED: (
        "The node booted less than rebootGrace ago, and has had no good run since.",
        "Nothing to do.",
    ),
    Reason.NODE_NEW: (
        "The node was created less than newNodeGrace ago, and has had no good run since.",
        "Nothing to do.",
    ),
    Reason.NO_USABLE_NODE: (
        "Every matching node is suppressed, so a new volume could not be used on any node.",
        "Finish the maintenance of one of the nodes.",
    ),
    Reason.NOT_OFFERED: (
        "The StorageClass, or its driver, does not offer what the canary tests; the message has its words.",
        (
            "Not a fault. If the class should offer it, look at the driver's version and settings;"
            " else remove it from spec.canaries."
        ),
    ),
    Reason.NO_RECENT_RUN: (
        "The target has had no good run for three periods, and no bad one either.",
        "Look at the target's runs (pie explain): does its CronJob start any, and how do they end?",
    ),
    Reason.INVALID_SPEC: ("The spec cannot be used; the message names the field.", "Correct the field."),
    Reason.PERMISSION_MISSING: (
        "The API server does not allow pie something that it needs.",
        "Update the Helm chart to the version of pie: its roles allow all that this version needs.",
    ),
    Reason.CRD_OUTDATED: (
        "The CRD in the cluster is older than pie: the API server drops the fields that it does not know.",
        (
            "Update it: helm upgrade, or"
            " pie manifests --only crd > crd.yaml; kubectl apply --server-side --force-conflicts -f crd.yaml"
        ),
    ),
    Reason.SETUP_FAILED: (
        "pie cannot set up the probes; the message says why.",
        "pie tries again by itself. If it does not get better, look at the API server and at pie's log.",
    ),
    Reason.STORAGE_CLASS_NOT_FOUND: (
        "There is no such StorageClass. Its probes are paused, and their PVCs stay.",
        "Create it; the probes then start by themselves. Or change the classes of the PieProbe.",
    ),
    Reason.RECLAIM_POLICY_RETAIN: (
        "Each provision run would leave a volume behind, so the provision probe is paused.",
        "To probe anyway, set spec.provisionOnRetain, and delete the volumes yourself.",
    ),
    Reason.NO_PROVISIONER: (
        "The class has no provisioner, so each provision run would use up a volume that somebody created.",
        "To probe anyway, set spec.provisionOnRetain, and see that used volumes are cleaned.",
    ),
    Reason.CAPACITY_TOO_SMALL: (
        "spec.pvcCapacity is less than the class's smallest filesystem, or than the file of mount runs.",
        "Create the PieProbe again with a larger pvcCapacity, or lower spec.io.size, unless runs are good.",
    ),
    Reason.PERIOD_TOO_SHORT: (
        "The class's driver attaches volumes, which is too slow for this probePeriodSeconds.",
        "Set spec.probePeriodSeconds to 60 or more.",
    ),
    Reason.FS_GROUP_IGNORED: (
        "The class names no fsType, so its driver may ignore fsGroup, and pods without root may not write.",
        "Set the class's parameter csi.storage.k8s.io/fstype, unless the runs are good.",
    ),
    Reason.RESIDENT_INTERVAL_LONG: (
        "So many nodes share the storage of the class that resident probes do I/O less often.",
        "Nothing has to be done. To hear of a stall sooner, let spec.nodeSelector match fewer nodes.",
    ),
    Reason.CLASS_CHANGED: (
        "The StorageClass was deleted and created again with another provisioner or other parameters.",
        "Nothing to do: pie replaces the volumes one by one. Delete those that stay in the back end.",
    ),
    Reason.COST_HIGH: (
        "The PieProbe costs more than a part of the cluster can take, so other work there may wait.",
        "Use the runner and the period that the message recommends; pie plan shows all figures.",
    ),
    Reason.RUNS_THINNED: (
        "The runs would cause more writes than the budget allows, so each target is probed less often.",
        "Raise spec.budget or --budget, set a longer period, or probe fewer nodes.",
    ),
    Reason.BUDGET_NOT_HELD: (
        "The runs cause more writes than the budget allows, and runs that CronJobs start cannot be thinned.",
        "Set spec.runner to Pod: its runs cost less and are thinned; or set a longer spec.probePeriod.",
    ),
    Reason.CONTROL_PLANE_BUSY: (
        "The control plane lags, so pie starts its runs more slowly until it does not any more.",
        "Look at the load of API server and kube-controller-manager; pie plan says what pie's part is.",
    ),
    Reason.IMMEDIATE_BINDING_WITH_TOPOLOGY: (
        "PVCs are bound before a node is chosen, so their volumes can be on the wrong nodes.",
        "Use a class with volumeBindingMode WaitForFirstConsumer.",
    ),
    Reason.NO_MATCHING_NODE: (
        "The nodeSelector matches no node, or what admission added to the pod keeps it off all nodes.",
        "Compare spec.nodeSelector with the labels of the nodes; look for a default of the namespace.",
    ),
    Reason.NODE_UNSUITABLE: (
        "The node is virtual, of another system or architecture than the image or outside allowedTopologies.",
        "Narrow spec.nodeSelector. For another architecture build the image and set --image-architectures.",
    ),
    Reason.DISABLED: ("The spec switches this kind of probe off.", "Nothing to do."),
    Reason.PAUSED: (
        "spec.paused is true: no run starts and none is due; the PVCs stay.",
        "To resume, set spec.paused to false (pie resume).",
    ),
}

_PROBES: dict[Reason, str] = {
    Reason.FIO_MISSING: "Use the released image, or one that has fio.",
    Reason.FIO_FAILED: "The evidence has fio's message; spec.resources may be too small.",
    Reason.IO_ERROR: "Look at the node's kernel log and the back end's disks and paths.",
    Reason.READ_ONLY: "A filesystem goes read-only after I/O errors: look at the kernel log, then repair it.",
    Reason.NO_SPACE: "The probe's volume is full: look for a full thin pool, or raise spec.pvcCapacity.",
    Reason.PERMISSION_DENIED: "Look at fsGroup support of the driver (CSIDriver.spec.fsGroupPolicy).",
    Reason.BLOCK_PERMISSION: (
        "The pod is in group 6 (disk). Look at owner and mode of the device on the node, or set"
        " device_ownership_from_security_context in the container runtime."
    ),
    Reason.DATA_CORRUPTED: "Treat it as corruption: stop writers, look at the back end's disks and memory.",
    Reason.CLONE_DIFFERS: (
        "Do not use clones of this class until it is clear why: look at the driver's log, and clone by hand."
    ),
    Reason.CLONE_NOT_INDEPENDENT: (
        "Do not use clones of this class: two applications write to the same blocks. Report it to the driver."
    ),
    Reason.SHARED_NOT_SEEN: (
        "Do not share volumes of this class between nodes: look at mount options and logs on both nodes."
    ),
    Reason.SNAPSHOT_DIFFERS: (
        "Do not rely on snapshots of this class: look at the driver's log, and restore one by hand."
    ),
    Reason.VOLUME_MISSING: (
        "If the PVC is Lost, find who deleted its volume; else look at the driver's node pod."
    ),
    Reason.VOLUME_TOO_SMALL: (
        "Compare the sizes of the PersistentVolume, its disk and its filesystem; look at the driver's log."
    ),
    Reason.NOT_EXPANDED: (
        "Compare the sizes of PVC, PersistentVolume, disk and filesystem; look at csi-resizer and kubelet."
    ),
    Reason.KILLED: "I/O was too slow for spec.deadline, or somebody stopped the pod; see the I/O latency.",
    Reason.LOCKED: "Nothing to do; if it stays, an earlier run hangs on the volume.",
    Reason.INTERNAL: "Report it, with the evidence.",
}

MEANING: dict[Reason, str] = {reason: meaning for reason, (meaning, _) in _CONTROLLERS.items()} | {
    Reason(outcome): outcome.meaning for outcome in Outcome if outcome is not Outcome.OK
}
ADVICE: dict[Reason, str] = {reason: advice for reason, (_, advice) in _CONTROLLERS.items()} | _PROBES


CERTAIN = frozenset({Reason.DATA_LOST, Reason.DATA_STALE, Reason.DATA_SWAPPED, Reason.DATA_CORRUPTED})
"""A run read these facts from the volume: no second run is needed, and no maintenance explains them."""

_OF_RUNS: dict[Area, tuple[Reason, ...]] = {
    Area.NODE: (
        Reason.INSUFFICIENT_RESOURCES,
        Reason.TAINTED,
        Reason.CORDONED,
        Reason.REFUSED_BY_NODE,
        Reason.DRIVER_ABSENT,
        Reason.SANDBOX_FAILED,
        Reason.CONTAINER_START_FAILED,
        Reason.START_SLOW,
        Reason.NOT_STARTED,
        Reason.EVICTED,
        Reason.OUT_OF_MEMORY,
        Reason.NO_RESULT,
        Reason.NO_ANSWER,
        Reason.BLOCK_PERMISSION,
    ),
    Area.PIE: (
        Reason.POD_REFUSED,
        Reason.CLAIM_REFUSED,
        Reason.CLAIM_DELETED,
        Reason.NO_MATCHING_NODE,
        Reason.IMAGE_PULL,
        Reason.POD_DELETED,
        Reason.JOB_DELETED,
        Reason.NO_CONTROLLER,
        Reason.FIO_MISSING,
        Reason.FIO_FAILED,
        Reason.LOCKED,
        Reason.INTERNAL,
        Reason.NOT_OFFERED,
        Reason.PAUSED,
    ),
    Area.CONTROL_PLANE: (Reason.CONTROL_PLANE_LATE, Reason.NOT_SCHEDULED, Reason.SCHEDULE_SLOW),
}
MAINTENANCE: Final = (
    Reason.NODE_DELETED,
    Reason.NODE_MARKED,
    Reason.NODE_CORDONED,
    Reason.NODE_NOT_READY,
    Reason.NODE_TAINTED,
    Reason.NODE_REBOOTED,
    Reason.NODE_NEW,
    Reason.NO_USABLE_NODE,
)
"""The reasons for which runs are suppressed."""

_OF_MAINTENANCE_AND_SPECS: dict[Area, tuple[Reason, ...]] = {
    Area.NODE: MAINTENANCE,
    Area.PIE: (
        Reason.NO_RECENT_RUN,
        Reason.NAME_TAKEN,
        Reason.INVALID_SPEC,
        Reason.PERMISSION_MISSING,
        Reason.SETUP_FAILED,
        Reason.CRD_OUTDATED,
        Reason.STORAGE_CLASS_NOT_FOUND,
        Reason.NODE_UNSUITABLE,
        Reason.RECLAIM_POLICY_RETAIN,
        Reason.NO_PROVISIONER,
        Reason.IMMEDIATE_BINDING_WITH_TOPOLOGY,
        Reason.CAPACITY_TOO_SMALL,
        Reason.FS_GROUP_IGNORED,
        Reason.RESIDENT_INTERVAL_LONG,
        Reason.CLASS_CHANGED,
        Reason.PERIOD_TOO_SHORT,
        Reason.COST_HIGH,
        Reason.RUNS_THINNED,
        Reason.BUDGET_NOT_HELD,
    ),
    Area.CONTROL_PLANE: (Reason.CONTROL_PLANE_BUSY,),
}
WITHOUT_AREA = frozenset({Reason.OK, Reason.PENDING, Reason.DISABLED})
"""These reasons have no area, because nothing is wrong."""

CANNOT_TEST = frozenset({Area.NODE, Area.PIE})
"""If a problem is in one of these areas, the storage cannot be tested."""

INCONCLUSIVE = (*_OF_RUNS[Area.NODE], *_OF_RUNS[Area.PIE])
"""A run that ended, or was late, for one of these reasons could not test the storage."""

AREA: dict[Reason, Area] = {
    **dict.fromkeys((each for each in Reason if each not in WITHOUT_AREA), Area.STORAGE),
    **{
        reason: area
        for table in (_OF_RUNS, _OF_MAINTENANCE_AND_SPECS)
        for area, reasons in table.items()
        for reason in reasons
    },
}
"""The area of each reason: storage, unless a table above has another one."""


class WithReason:
    """Something that has a reason other than OK."""

    __slots__ = ()
    reason: Reason

    @property
    def area(self) -> Area:
        """Whose problem it is."""
        return AREA[self.reason]

    @property
    def blind(self) -> bool:
        """Whether the storage cannot be tested."""
        return self.area in CANNOT_TEST

    @property
    def certain(self) -> bool:
        """Whether a run read it as a fact from the volume: no maintenance explains it."""
        return self.reason in CERTAIN

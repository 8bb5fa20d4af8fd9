"""Every reason pie gives, with one line of meaning. A bounded set: label values and status fields."""

from enum import StrEnum

from pie.core.result import Outcome


class Reason(StrEnum):
    """Why a run, a target or a PieProbe is as it is."""

    # Of a run that is well, or not done.
    OK = "OK"
    PENDING = "Pending"

    # Of a run that did not start in time.
    NOT_SCHEDULED = "NotScheduled"
    NOT_STARTED = "NotStarted"
    STARTED_LATE = "StartedLate"
    NO_POD = "NoPod"

    # Of a run that started, by the controller.
    HUNG = "Hung"
    KILLED = "Killed"
    NO_RESULT = "NoResult"
    POD_DELETED = "PodDeleted"
    DATA_LOST = "DataLost"
    DATA_STALE = "DataStale"
    DATA_SWAPPED = "DataSwapped"

    # Of a run that started, by the probe in its result.
    DATA_CORRUPTED = "DataCorrupted"
    FIO_MISSING = "FioMissing"
    FIO_FAILED = "FioFailed"
    IO_ERROR = "IOError"
    READ_ONLY = "ReadOnly"
    NO_SPACE = "NoSpace"
    PERMISSION_DENIED = "PermissionDenied"
    VOLUME_MISSING = "VolumeMissing"
    LOCKED = "Locked"
    INTERNAL = "Internal"

    # Of a PieProbe.
    INVALID_SPEC = "InvalidSpec"
    STORAGE_CLASS_NOT_FOUND = "StorageClassNotFound"
    RECLAIM_POLICY_RETAIN = "ReclaimPolicyRetain"
    IMMEDIATE_BINDING_WITH_TOPOLOGY = "ImmediateBindingWithTopology"
    NO_MATCHING_NODE = "NoMatchingNode"
    DISABLED = "Disabled"


MEANING: dict[Reason, str] = {
    Reason.OK: "The volume was provisioned or mounted in time and served its I/O.",
    Reason.PENDING: "No run has ended yet.",
    Reason.NOT_SCHEDULED: "Past the threshold the pod was bound to no node.",
    Reason.NOT_STARTED: "Past the threshold the pod was bound to its node, but not started.",
    Reason.STARTED_LATE: "The container started, but later than the threshold.",
    Reason.NO_POD: "Past the threshold the Job had no pod.",
    Reason.HUNG: "The probe started and had no result at its deadline: its I/O does not return.",
    Reason.NO_RESULT: "The container ended without a result that can be read.",
    Reason.POD_DELETED: "Somebody deleted the pod before it ended; the run says nothing about storage.",
    Reason.DATA_LOST: "The volume came back empty: what earlier runs wrote is gone.",
    Reason.DATA_STALE: "The volume holds an older state than the one last written to it.",
    Reason.DATA_SWAPPED: "The volume holds another volume's data.",
    Reason.INVALID_SPEC: "The spec cannot be used; the message names the field.",
    Reason.STORAGE_CLASS_NOT_FOUND: "There is no StorageClass of this name.",
    Reason.RECLAIM_POLICY_RETAIN: "Each provision run would leave a volume behind, so the probe rests.",
    Reason.IMMEDIATE_BINDING_WITH_TOPOLOGY: "Claims bind before a node is chosen, to wrong nodes.",
    Reason.NO_MATCHING_NODE: "The nodeSelector matches no node.",
    Reason.DISABLED: "The spec switches this kind of probe off.",
} | {Reason(outcome): outcome.meaning for outcome in Outcome if outcome is not Outcome.OK}

"""The words of pie as types: what a user wants, what is checked, and the result.

All durations are seconds; all times are epoch seconds on the API server's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from msgspec import Struct

from pie.core.iojob import IoJob
from pie.core.probepods import ProbePods
from pie.core.resident.interval import SHORTEST_SECONDS


class Kind:
    """The names of the kinds of probe that every PieProbe has; `pie.core.kinds` is the table of all kinds."""

    PROVISION: Final = "provision"
    MOUNT: Final = "mount"


class RunnerKind(StrEnum):
    """What starts the runs of a PieProbe: `spec.runner`."""

    CRON_JOB = "CronJob"
    POD = "Pod"


class Verdict(StrEnum):
    """The result of a run, or of a target's last run.

    Only a target is `unknown`: it has had no good run for three periods, and nothing says that it is bad.
    """

    OK = "ok"
    LATE = "late"
    FAILED = "failed"
    HUNG = "hung"
    INCONCLUSIVE = "inconclusive"
    SUPPRESSED = "suppressed"
    PENDING = "pending"
    UNKNOWN = "unknown"


class Stage(StrEnum):
    """The steps of a run, in order. Each has its own duration, and a run can fail in each."""

    QUEUE = "queue"
    SCHEDULE = "schedule"
    PROVISION = "provision"
    ATTACH = "attach"
    MOUNT = "mount"
    START = "start"
    IO = "io"
    TEARDOWN = "teardown"


IMAGE_ARCHITECTURES = ("amd64", "arm64")
"""The architectures of the published image, as in the label `kubernetes.io/arch`."""

BAD = frozenset({Verdict.LATE, Verdict.FAILED, Verdict.HUNG})
NOT_GOOD = BAD | {Verdict.INCONCLUSIVE}
"""Verdicts whose cause somebody has to look at: the storage is bad, or could not be tested."""


class ProbeId(NamedTuple):
    """A PieProbe: its namespace and its name. Two PieProbes of one name are two."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return both in a short form for logs: namespace/name."""
        return f"{self.namespace}/{self.name}"


class Probed(NamedTuple):
    """A StorageClass, as one PieProbe probes it."""

    probe: ProbeId
    storage_class: str


class Target(Struct, frozen=True, order=True):
    """What a probe checks: a class (`node` empty), or a class on a node. `kind` names a row of `KINDS`.

    `probe` is the name of its PieProbe, in `namespace`.
    """

    probe: str
    kind: str
    storage_class: str
    node: str = ""
    namespace: str = ""

    @property
    def probe_id(self) -> ProbeId:
        """The PieProbe that the target is one of."""
        return ProbeId(self.namespace, self.probe)

    @property
    def probed(self) -> Probed:
        """The PieProbe and the class that the target is one of."""
        return Probed(self.probe_id, self.storage_class)

    def __str__(self) -> str:
        """Return a short form, as objects have it: kind/probe/class, and the node of a mount target."""
        return "/".join(part for part in (self.kind, self.probe, self.storage_class, self.node) if part)

    @property
    def full_name(self) -> str:
        """The same with the namespace before the PieProbe, where there are several."""
        return str(self).replace("/", f"/{self.namespace}/", 1)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression of a node selector term: `key operator values`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """A node selector term: all of its expressions and fields must match."""

    expressions: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()


# The effects of a taint that keep a pod away. PreferNoSchedule keeps nothing away.
HARD_EFFECTS = frozenset({"NoSchedule", "NoExecute"})


class MarkKind(StrEnum):
    """Where on a node a mark is."""

    TAINT = "taint"
    LABEL = "label"
    ANNOTATION = "annotation"
    CONDITION = "condition"


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of maintenance on a node; an empty `value` or `effect` matches any.

    For a condition, `key` is the type and `value` the status. A taint counts only with the effect NoSchedule
    or NoExecute.
    """

    kind: MarkKind
    key: str
    value: str = ""
    effect: str = ""

    def __str__(self) -> str:
        """Return the mark in words: `taint key=value:effect`."""
        value = f"={self.value}" if self.value else ""
        return f"{self.kind} {self.key}{value}{':' + self.effect if self.effect else ''}"


@dataclass(frozen=True, slots=True)
class SuppressionRules:
    """When runs on a node are suppressed, in addition to what Kubernetes itself says of the node.

    `marks` are the spec's own; with `well_known` those of `pie.core.maintenance.marks` count too. A node is
    in grace for `reboot_grace_seconds` after a reboot and `new_node_grace_seconds` after it was created, at
    most until the first good run on it. A longer suppression than `max_duration_seconds` is reported.
    """

    marks: tuple[Mark, ...] = ()
    well_known: bool = True
    reboot_grace_seconds: float = 300.0
    new_node_grace_seconds: float = 300.0
    max_duration_seconds: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Image:
    """The image of probe pods, and how nodes pull it: with which Secrets (by name), and when.

    An empty `pull_policy` leaves that to Kubernetes. `pods` is what else the operator sets for the pods.
    """

    reference: str
    pull_secrets: tuple[str, ...] = ()
    pull_policy: str = ""
    pods: ProbePods = field(default_factory=ProbePods)


@dataclass(frozen=True, slots=True)
class AtStep:
    """Which step of a run a pod is, from 0: after the run's first pod, with its volume, on its node.

    Without a node it is on any that matches, but not on one of `apart`.
    """

    number: int = 0
    after: str = ""
    node: str = ""
    apart: tuple[str, ...] = ()


FIRST: Final = AtStep()


@dataclass(frozen=True, slots=True)
class Canary:
    """How a PieProbe tests a feature of its class: how often. Off where a PieProbe has none of its name.

    `snapshot_class` is the VolumeSnapshotClass of a canary that takes snapshots; empty: that of the driver.
    """

    period_seconds: int
    snapshot_class: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """A PieProbe and one of its StorageClasses: what to check, how often, and when a run counts as late.

    `period_seconds` counts sixty for each minute, and `minute_seconds` is how long a minute of the cluster's
    schedules really lasts: sixty, but in a demo. `node_selector` is a disjunction of terms.
    `node_selector_json`, `resources` and `tolerations` are kept as the user wrote them, for the pods.
    `architectures` are those that the image of the pods has; none: not known. `paused`: it has no runs.
    `io` is the job of mount runs; one with a mean latency above `max_latency_seconds` is slow. `integrity`:
    they keep records on the volume.
    `budget`: so many writes and Events in a second may everybody cause for it; None: no limit.
    `canaries` are those that are switched on, by the kind of probe. `resident`: on each node a volume stays
    mounted; an operation on it that takes `resident_threshold_seconds` is a stall. How often it is used
    (`resident_interval_seconds`) follows from how many nodes share the storage.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    storage_class: str
    node_selector: tuple[Term, ...]
    node_selector_json: dict[str, Any]
    period_seconds: int = 60
    minute_seconds: float = 60.0
    threshold_seconds: float = 60.0
    deadline_seconds: float = 60.0
    pvc_capacity: str = "100Mi"
    provision_enabled: bool = True
    mount_enabled: bool = True
    provision_on_retain: bool = False
    paused: bool = False
    resources: dict[str, Any] = field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    priority_class_name: str = ""
    suppression: SuppressionRules = field(default_factory=SuppressionRules)
    architectures: tuple[str, ...] = IMAGE_ARCHITECTURES
    runner: RunnerKind = RunnerKind.CRON_JOB
    io: IoJob = field(default_factory=IoJob)
    max_latency_seconds: float | None = None
    integrity: bool = True
    budget: float | None = None
    canaries: Mapping[str, Canary] = field(default_factory=dict)
    resident: bool = False
    resident_threshold_seconds: float = 10.0
    resident_interval_seconds: float = SHORTEST_SECONDS

    @property
    def id(self) -> ProbeId:
        """The namespace and the name of the PieProbe."""
        return ProbeId(self.namespace, self.name)

    @property
    def probed(self) -> Probed:
        """The PieProbe and the class."""
        return Probed(self.id, self.storage_class)

    @property
    def real_period_seconds(self) -> float:
        """How long a period really lasts: as its minutes do."""
        return self.period_seconds / 60 * self.minute_seconds

    def target(self, kind: str, node: str = "") -> Target:
        """Return this probe's target of a kind; `node` is empty where any node can serve."""
        return Target(self.name, kind, self.storage_class, node, self.namespace)

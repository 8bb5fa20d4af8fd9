"""What `pie plan` is asked: flags and manifests, as demands on a cluster."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from pie.core.classes import by_selector, chosen, parse_probes
from pie.core.cost.ceilings import Cluster
from pie.core.cost.load import MINUTE, Demand, demand_of
from pie.core.cost.plan import LONGEST_MINUTES
from pie.core.cost.report import CostReport, report
from pie.core.decode import Unreadable, convert
from pie.core.model import Probe, RunnerKind
from pie.core.parse import SpecError, duration_seconds
from pie.core.quantity import quantity
from pie.core.wire import PieProbe

Labels = Mapping[str, Mapping[str, str]]

SHORTEST_SECONDS = 30
"""Of a period with runner Pod; with CronJobs it is a minute."""
DEFAULT_VERSION = "1.36"

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})")
_UNUSED_SINCE = (1, 37)


class CannotPlan(Exception):  # noqa: N818  says what it is
    """The cost cannot be calculated; says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The flags of the command."""

    nodes: int | None
    period: str
    runner: str
    attach: bool
    mount: bool
    provision: bool
    size: str
    controller_qps: float
    scheduler_qps: float
    sidecar_qps: float
    event_ttl: str
    volumes_per_node: int | None
    kubernetes: str

    def cluster(self) -> Cluster:
        """Return the ceilings of the cluster."""
        return Cluster(
            manager_qps=self.controller_qps,
            scheduler_qps=self.scheduler_qps,
            sidecar_qps=self.sidecar_qps,
            event_seconds=_duration(self.event_ttl, "--event-ttl"),
            volumes_per_node=self.volumes_per_node,
            unused=has_unused(self.kubernetes or DEFAULT_VERSION),
        )

    def demand(self) -> Demand:
        """Return what the flags alone ask for."""
        if not self.mount and not self.provision:
            raise CannotPlan("--mount-only and --provision-only exclude each other")
        if self.nodes is None:
            raise CannotPlan("how many nodes? Use --nodes, or --from-cluster")
        if self.runner not in set(RunnerKind):
            raise CannotPlan(f"--runner must be {' or '.join(RunnerKind)}")
        return Demand(
            nodes=self.nodes,
            period_seconds=_period(self.period, RunnerKind(self.runner)),
            runner=RunnerKind(self.runner),
            mount=self.mount,
            provision=self.provision,
            attach=self.attach,
            volume_bytes=_bytes(self.size, "--size"),
        )


def asked(flags: Flags, manifest: str | None) -> CostReport:
    """Return the cost without a look at a cluster. Raises CannotPlan."""
    if manifest is None:
        return report([flags.demand()], flags.cluster())
    if (nodes := flags.nodes) is None:
        raise CannotPlan("how many nodes match spec.nodeSelector? Use --nodes, or --from-cluster")
    demands = [demand_of(each, nodes, attach=flags.attach) for each in probes_in(manifest)]
    return report(demands, flags.cluster())


def probes_in(manifest: str, labels: Labels | None = None) -> list[Probe]:
    """Return the PieProbes of a manifest, which may have other objects, too. Raises CannotPlan.

    `labels` are those of the StorageClasses, by name; None: they are not known.
    """
    try:
        documents = list(yaml.safe_load_all(manifest))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CannotPlan(f"the manifest is not YAML: {error}") from None
    stored = [each for document in documents for each in _objects(document) if each.get("kind") == "PieProbe"]
    if not stored:
        raise CannotPlan("the manifest has no PieProbe")
    try:
        probes = [convert({"metadata": {}, **each}, PieProbe) for each in stored]
    except Unreadable as error:
        raise CannotPlan(f"a PieProbe of the manifest cannot be read: {error}") from None
    return [each for probe in probes for each in parsed(probe, labels)]


def _objects(document: object) -> Iterator[dict[str, object]]:
    if not isinstance(document, dict):
        return
    items = document.get("items")
    if isinstance(items, list):
        for each in items:
            yield from _objects(each)
    else:
        yield document


def parsed(stored: PieProbe, labels: Labels | None = None) -> tuple[Probe, ...]:
    """Return the spec of a PieProbe for each of its classes. Raises CannotPlan."""
    name = stored.metadata.name or "without a name"
    if labels is None and by_selector(stored):
        raise CannotPlan(f"PieProbe {name} selects StorageClasses by their labels: use --from-cluster")
    try:
        return parse_probes(stored, [each.name for each in chosen(stored, labels or {}, 0.0, ())])
    except SpecError as error:
        raise CannotPlan(f"PieProbe {name}: {error}") from None


def has_unused(version: str) -> bool:
    """Tell whether a Kubernetes of this version sets the condition `Unused` of PVCs. Raises CannotPlan."""
    found = _VERSION.match(version)
    if found is None:
        raise CannotPlan(f"{version[:32]!r} is not a version of Kubernetes; write for example 1.36")
    return (int(found[1]), int(found[2])) >= _UNUSED_SINCE


def _period(text: str, runner: RunnerKind) -> float:
    seconds = float(text) * MINUTE if re.fullmatch(r"\d{1,5}", text) else _duration(text, "--period")
    if not SHORTEST_SECONDS <= seconds <= LONGEST_MINUTES * MINUTE:
        raise CannotPlan(f"--period must be from {SHORTEST_SECONDS} seconds to {LONGEST_MINUTES} minutes")
    if runner is RunnerKind.CRON_JOB and seconds % MINUTE:
        raise CannotPlan("--period must be whole minutes with runner CronJob")
    return seconds


def _duration(text: str, flag: str) -> float:
    try:
        return duration_seconds(text, flag)
    except SpecError as error:
        raise CannotPlan(str(error)) from None


def _bytes(text: str, flag: str) -> int:
    if (found := quantity(text)) is None or found < 0:
        raise CannotPlan(f"{flag}: {text[:64]!r} is not a quantity; write for example 100Mi")
    return int(found)

"""PieProbe JSON to the model. Errors carry the path of the field and say what is wanted.

The CRD refuses most of this at `kubectl apply`; a PieProbe stored under an older CRD still gets here.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TypeVar

from pie.core import iojob
from pie.core.iojob import IoJob
from pie.core.kinds import KINDS
from pie.core.model import (
    HARD_EFFECTS,
    IMAGE_ARCHITECTURES,
    Canary,
    Mark,
    MarkKind,
    Probe,
    Requirement,
    RunnerKind,
    SuppressionRules,
    Term,
)
from pie.core.quantity import quantity
from pie.core.schedule import MINUTE_SECONDS
from pie.core.selector import FIELD_NAME, FIELD_OPERATORS, OPERATORS, integer
from pie.core.text import MOST_CHARACTERS, one_line
from pie.core.wire import PieProbe

_T = TypeVar("_T")
SHORTEST_PERIOD_SECONDS = 30
LONGEST_PERIOD_SECONDS = 3600
SMALLEST_BUDGET = 0.1
LARGEST_BUDGET = 1_000_000
RESIDENT_THRESHOLD_SECONDS = (2, 300)
"""The shortest and the longest time after which an operation on a volume that stays mounted is a stall."""
LONGEST_CANARY_PERIOD_SECONDS = 7 * 24 * 3600


class SpecError(ValueError):
    """A spec that cannot be used: `path` is the field, the message says what is wanted there."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(one_line(f"{path}: {message}"))
        self.path = path


_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_LONGEST_DURATION = 64


def go_duration_seconds(text: str) -> float | None:
    """Return the seconds of a Go duration string such as `1m30s`; None for one with a sign, and what is none.

    https://pkg.go.dev/time#ParseDuration
    """
    if len(text) > _LONGEST_DURATION or not re.fullmatch(rf"({_DURATION_PART.pattern})+", text, re.ASCII):
        return None
    return sum(float(digits) * _UNIT_SECONDS[unit] for digits, unit in _DURATION_PART.findall(text))


def duration_seconds(text: str, path: str) -> float:
    """Return the seconds of a Go duration string; raises SpecError unless it is a positive duration."""
    if not (seconds := go_duration_seconds(text)):
        raise SpecError(path, f"{text[:64]!r} is not a positive duration; write for example 30s or 1m30s")
    return seconds


def parse_probe(
    stored: PieProbe,
    minute_seconds: float = 60.0,
    architectures: tuple[str, ...] = IMAGE_ARCHITECTURES,
    *,
    storage_class: str | None = None,
) -> Probe:
    """Return the PieProbe as the model; raises SpecError naming the first field that cannot be used.

    `storage_class` is the one of several that is meant; None: `monitoringStorageClass` names the only one.

    `minute_seconds` is how long a minute of the cluster's cron schedules lasts, `architectures` are those of
    the image.
    """
    spec = stored.spec
    period_minutes = _field(spec, "probePeriod", int, 1)
    if not 1 <= period_minutes <= 59:  # noqa: PLR2004  minutes of cron's hour
        raise SpecError("spec.probePeriod", f"{period_minutes} is not within 1 and 59 minutes")
    runner = _field(spec, "runner", str, RunnerKind.CRON_JOB.value)
    if runner not in set(RunnerKind):
        raise SpecError("spec.runner", f"{runner[:64]!r} is neither CronJob nor Pod")
    period_seconds = _period_seconds(spec, 60 * period_minutes, RunnerKind(runner))
    threshold_seconds = duration_seconds(_field(spec, "probeThreshold", str, "1m"), "spec.probeThreshold")
    if threshold_seconds > period_seconds:
        raise SpecError("spec.probeThreshold", "must be no longer than the period")
    deadline = _field(spec, "deadline", str, "")
    deadline_seconds = duration_seconds(deadline, "spec.deadline") if deadline else float(period_seconds)
    if deadline_seconds < threshold_seconds:
        raise SpecError("spec.deadline", "must be no shorter than spec.probeThreshold")
    capacity = str(spec.get("pvcCapacity", "100Mi"))
    if (size := quantity(capacity)) is None or size < 0:
        raise SpecError("spec.pvcCapacity", f"{capacity[:64]!r} is not a quantity; write for example 100Mi")
    selector = _field(spec, "nodeSelector", dict, {})
    io = _field(spec, "io", dict, {})
    return Probe(
        namespace=stored.metadata.namespace,
        name=stored.metadata.name,
        uid=stored.metadata.uid,
        generation=stored.metadata.generation,
        storage_class=(_required(spec, "monitoringStorageClass") if storage_class is None else storage_class),
        node_selector=node_selector(selector, "spec.nodeSelector"),
        node_selector_json=selector,
        period_seconds=period_seconds,
        minute_seconds=minute_seconds,
        threshold_seconds=threshold_seconds,
        deadline_seconds=min(deadline_seconds, float(period_seconds)),
        pvc_capacity=capacity,
        provision_enabled=not _field(spec, "disableProvisionProbe", bool, False),
        mount_enabled=not _field(spec, "disableMountProbes", bool, False),
        provision_on_retain=_field(spec, "provisionOnRetain", bool, False),
        paused=_field(spec, "paused", bool, False),
        resources=_resources(_field(spec, "resources", dict, {}), "spec.resources"),
        tolerations=_tolerations(_field(spec, "tolerations", list, [])),
        priority_class_name=_field(spec, "priorityClassName", str, ""),
        suppression=suppression_rules(_field(spec, "suppression", dict, {}), "spec.suppression"),
        architectures=architectures,
        runner=RunnerKind(runner),
        io=_io_job(io, min(deadline_seconds, float(period_seconds))),
        max_latency_seconds=_duration(io, "maxLatency", 0.0, _IO) or None,
        integrity=_field(_field(spec, "integrity", dict, {}), "enabled", bool, True, "spec.integrity"),
        budget=_budget(spec),
        resident=_field(spec, "residentProbe", bool, False),
        resident_threshold_seconds=_resident_threshold(spec),
        canaries=_canaries(_field(spec, "canaries", dict, {}), "spec.canaries"),
    )


def _budget(spec: Mapping[str, Any]) -> float | None:
    """Return the writes and Events in a second that the PieProbe may cause; None: no limit."""
    path, value = "spec.budget", spec.get("budget")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(path, f"must be a number, not {type(value).__name__}")
    if not SMALLEST_BUDGET <= value <= LARGEST_BUDGET:
        raise SpecError(path, f"is not within {SMALLEST_BUDGET} and {LARGEST_BUDGET} writes a second")
    return float(value)


def _resident_threshold(spec: Mapping[str, Any]) -> float:
    path = "spec.residentThreshold"
    seconds = duration_seconds(_field(spec, "residentThreshold", str, "10s"), path)
    if not RESIDENT_THRESHOLD_SECONDS[0] <= seconds <= RESIDENT_THRESHOLD_SECONDS[1]:
        raise SpecError(path, "is not within 2s and 5m")
    return seconds


def _canaries(spec: Mapping[str, Any], path: str) -> dict[str, Canary]:
    """Return the canaries that are switched on; the API server drops those that this pie does not know."""
    found = {}
    for row in (each for each in KINDS.values() if each.canary):
        if (entry := _field(spec, row.name, dict, None, path)) is not None:
            where, shortest = f"{path}.{row.name}", row.shortest_period_seconds
            text = _field(entry, "period", str, row.usual_period, where)
            seconds = duration_seconds(text, f"{where}.period")
            if not shortest <= seconds <= LONGEST_CANARY_PERIOD_SECONDS:
                raise SpecError(f"{where}.period", f"is not within {shortest // 60}m and 168h")
            of_snapshots = _field(entry, "snapshotClass", str, "", where) if row.snapshots else ""
            found[row.name] = Canary(round(seconds), of_snapshots)
    return found


def _period_seconds(spec: Mapping[str, Any], by_minutes: int, runner: RunnerKind) -> int:
    """Return the period: `probePeriodSeconds`, where it is set."""
    path, seconds = "spec.probePeriodSeconds", _field(spec, "probePeriodSeconds", int, 0)
    if "probePeriodSeconds" not in spec or spec["probePeriodSeconds"] is None:
        return by_minutes
    if not SHORTEST_PERIOD_SECONDS <= seconds <= LONGEST_PERIOD_SECONDS:
        limits = f"{SHORTEST_PERIOD_SECONDS} and {LONGEST_PERIOD_SECONDS}"
        raise SpecError(path, f"{seconds} is not within {limits} seconds")
    if runner is not RunnerKind.POD:
        raise SpecError(path, "needs spec.runner Pod")
    if by_minutes != MINUTE_SECONDS:
        raise SpecError(path, "takes the place of spec.probePeriod; remove one of them")
    return seconds


def _field(spec: Mapping[str, Any], name: str, kind: type[_T], default: _T, path: str = "spec") -> _T:
    value = spec.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise SpecError(f"{path}.{name}", f"must be a {kind.__name__}, not {type(value).__name__}")
    if isinstance(value, str) and value != one_line(value, MOST_CHARACTERS):
        raise SpecError(f"{path}.{name}", f"{value[:64]!r} is not plain text on one line")
    return value


_IO = "spec.io"


def _io_job(spec: Mapping[str, Any], deadline_seconds: float) -> IoJob:
    """Return the I/O job of mount runs; raises SpecError for a value that is in none of the closed sets."""
    usual = IoJob()
    runtimes = tuple(f"{seconds}s" for seconds in iojob.RUNTIME_SECONDS)
    runtime = _one_of(spec, "runtime", runtimes, f"{usual.runtime_seconds}s")
    job = IoJob(
        block_size=_one_of(spec, "blockSize", iojob.BLOCK_SIZES, usual.block_size),
        size=_one_of(spec, "size", iojob.SIZES, usual.size),
        runtime_seconds=int(runtime.removesuffix("s")),
        read_write=_one_of(spec, "readWrite", iojob.READ_WRITE, usual.read_write),
        direct=_field(spec, "direct", bool, usual.direct, _IO),
        fsync=_one_of(spec, "fsync", iojob.FSYNC, usual.fsync),
        io_depth=_one_of(spec, "ioDepth", iojob.IO_DEPTHS, usual.io_depth),
        rate_iops=_one_of(spec, "rateIops", iojob.RATES, usual.rate_iops),
    )
    if "runtime" in spec and job.runtime_seconds >= deadline_seconds:
        raise SpecError(f"{_IO}.runtime", "must be shorter than spec.deadline")
    return job


def _one_of(spec: Mapping[str, Any], name: str, allowed: tuple[_T, ...], default: _T) -> _T:
    value = _field(spec, name, type(default), default, _IO)
    if value not in allowed:
        raise SpecError(f"{_IO}.{name}", f"must be one of {', '.join(map(str, allowed))}")
    return value


def _required(spec: Mapping[str, Any], name: str) -> str:
    if not (value := _field(spec, name, str, "")):
        raise SpecError(f"spec.{name}", "is required")
    return value


def _resources(spec: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the resources of the probe pods as they are; raises SpecError for what no pod can have."""
    sizes = {
        part: {
            name: _size(value, f"{path}.{part}.{name}")
            for name, value in _field(spec, part, dict, {}, path).items()
        }
        for part in ("requests", "limits")
    }
    for name, request in sizes["requests"].items():
        if request > sizes["limits"].get(name, request):
            raise SpecError(
                f"{path}.requests.{name}", "must not be greater than the limit of the same resource"
            )
    return spec


def _size(value: Any, path: str) -> Fraction:
    if isinstance(value, bool) or (size := quantity(str(value))) is None or size < 0:
        raise SpecError(
            path, f"{str(value)[:64]!r} is not a quantity of at least zero; write for example 100m or 64Mi"
        )
    return size


def _tolerations(listed: list[Any]) -> tuple[dict[str, Any], ...]:
    for i, each in enumerate(listed):
        if not isinstance(each, dict):
            raise SpecError(f"spec.tolerations[{i}]", "must be an object")
    return tuple(listed)


def node_selector(selector: Mapping[str, Any], path: str) -> tuple[Term, ...]:
    """Return a core/v1 NodeSelector's terms; raises SpecError for what Kubernetes would not match by."""
    terms = selector.get("nodeSelectorTerms")
    if not isinstance(terms, list) or not terms:
        raise SpecError(f"{path}.nodeSelectorTerms", "needs at least one term")
    return tuple(_term(term, f"{path}.nodeSelectorTerms[{i}]") for i, term in enumerate(terms))


def _term(term: Any, path: str) -> Term:
    if not isinstance(term, dict):
        raise SpecError(path, "must be an object")
    return Term(
        _requirements(term.get("matchExpressions"), f"{path}.matchExpressions"),
        _requirements(term.get("matchFields"), f"{path}.matchFields", fields=True),
    )


def _requirements(rules: Any, path: str, *, fields: bool = False) -> tuple[Requirement, ...]:
    if rules is None:
        return ()
    if not isinstance(rules, list):
        raise SpecError(path, "must be a list")
    return tuple(_requirement(rule, f"{path}[{i}]", fields=fields) for i, rule in enumerate(rules))


def _requirement(rule: Any, path: str, *, fields: bool) -> Requirement:
    if not isinstance(rule, dict):
        raise SpecError(path, "must be an object with key, operator and values")
    key: Any = rule.get("key")
    operator: Any = rule.get("operator")
    values: Any = rule.get("values") or []
    if not isinstance(key, str) or not key:
        raise SpecError(f"{path}.key", "is required")
    if fields and key != FIELD_NAME:
        raise SpecError(f"{path}.key", f"Kubernetes selects by the field {FIELD_NAME} only")
    known = FIELD_OPERATORS if fields else OPERATORS.keys()
    if operator not in known:
        raise SpecError(f"{path}.operator", f"must be one of {', '.join(sorted(known))}")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise SpecError(f"{path}.values", "must be a list of strings")
    _check_values(operator, values, f"{path}.values")
    return Requirement(key, operator, tuple(values))


def _check_values(operator: str, values: list[str], path: str) -> None:
    if operator in {"In", "NotIn"} and not values:
        raise SpecError(path, f"{operator} needs at least one value")
    if operator in {"Exists", "DoesNotExist"} and values:
        raise SpecError(path, f"{operator} takes no values")
    if operator in {"Gt", "Lt"} and (len(values) != 1 or integer(values[0]) is None):
        raise SpecError(path, f"{operator} needs exactly one integer")


# The field of each list of marks, what names a mark in it, and what is compared with the node's.
_MARK_LISTS = (
    ("taints", MarkKind.TAINT, "key", "value"),
    ("labels", MarkKind.LABEL, "key", "value"),
    ("annotations", MarkKind.ANNOTATION, "key", "value"),
    ("conditions", MarkKind.CONDITION, "type", "status"),
)


def suppression_rules(spec: Mapping[str, Any], path: str) -> SuppressionRules:
    """Return what marks maintenance besides what Kubernetes says of a node; raises SpecError."""
    marks = tuple(
        _mark(entry, kind, key, value, f"{path}.{name}[{i}]")
        for name, kind, key, value in _MARK_LISTS
        for i, entry in enumerate(_field(spec, name, list, [], path))
    )
    usual = SuppressionRules()
    return SuppressionRules(
        marks,
        well_known=_field(spec, "wellKnownMarks", bool, usual.well_known, path),
        reboot_grace_seconds=_grace(spec, "rebootGrace", usual.reboot_grace_seconds, path),
        new_node_grace_seconds=_grace(spec, "newNodeGrace", usual.new_node_grace_seconds, path),
        max_duration_seconds=_duration(spec, "maxDuration", usual.max_duration_seconds, path),
    )


def _mark(entry: Any, kind: MarkKind, key: str, value: str, path: str) -> Mark:
    if not isinstance(entry, dict):
        raise SpecError(path, f"must be an object with {key}")
    named = _field(entry, key, str, "", path)
    if not named:
        raise SpecError(f"{path}.{key}", "is required")
    effect = _field(entry, "effect", str, "", path) if kind is MarkKind.TAINT else ""
    if effect not in {"", *HARD_EFFECTS}:
        raise SpecError(f"{path}.effect", "must be NoSchedule or NoExecute; no other keeps pods away")
    return Mark(kind, named, _field(entry, value, str, "", path), effect)


def _duration(spec: Mapping[str, Any], name: str, default: float, path: str) -> float:
    text = _field(spec, name, str, "", path)
    return duration_seconds(text, f"{path}.{name}") if text else default


def _grace(spec: Mapping[str, Any], name: str, default: float, path: str) -> float:
    """Return a duration that may be zero: `0s` switches the grace off."""
    text = _field(spec, name, str, "", path)
    return 0.0 if re.fullmatch(r"0+(ns|us|µs|μs|ms|s|m|h)?", text) else _duration(spec, name, default, path)

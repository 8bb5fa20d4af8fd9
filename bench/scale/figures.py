"""What was measured for one size of cluster and one runner."""

import json
from pathlib import Path
from typing import Final

import msgspec

RESULTS: Final = Path(__file__).with_name("results.json")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one measurement. Counts are from the audit log; the stand-ins' writes are left out."""

    nodes: int
    runner: str
    period_minutes: int
    day: str
    """The day of the measurement, and of what machine."""
    machine: str

    objects: int
    """The desired state: a PVC for each target, and with CronJobs one of these, too."""
    objects_per_second: float
    floor_per_second: float
    """The same bodies, created by a client that does nothing else, just after."""
    create_cpu_seconds: float

    runs: int
    writes_per_run: float
    events_per_run: float
    controller_manager_writes_per_run: float
    pie_writes_per_run: float
    reads_per_run: float
    cpu_milliseconds_per_run: float
    starts: tuple[int, ...]
    """How many runs were started in each second of a period."""
    judged_p50_seconds: float
    """From the end of a pod (of a Job) in the API server until pie deletes it: then its run is counted."""
    judged_p99_seconds: float
    answer_p99_milliseconds: float
    """How long /healthz needed to answer: at least as long as the event loop was busy with something else."""

    rest_bytes: int
    """Resident memory with the desired state, before the first run."""
    busy_bytes: int
    """The most resident memory while runs ended."""
    scrape_milliseconds: float
    scrape_bytes: int
    ready_seconds: float
    """From the start of another process until it leads and has its caches; all objects are there."""

    @property
    def peak_over_mean(self) -> float:
        """The most starts in a second over the mean of all seconds of a period."""
        return max(self.starts) * len(self.starts) / sum(self.starts) if any(self.starts) else 0.0


def known() -> list[Figures]:
    """Return all figures measured so far: of each size and runner the last ones."""
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return msgspec.convert(found, list[Figures])


def keep(figures: Figures) -> list[Figures]:
    """Put figures in the place of older ones of the same size and runner; return all."""
    others = [each for each in known() if (each.nodes, each.runner) != (figures.nodes, figures.runner)]
    everything = sorted([*others, figures], key=lambda each: (each.nodes, each.runner))
    lines = ",\n".join(json.dumps(msgspec.to_builtins(each)) for each in everything)
    RESULTS.write_text(f"[\n{lines}\n]\n")
    return everything

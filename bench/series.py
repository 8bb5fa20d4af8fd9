"""How many series 5,000 nodes make, and what it costs to render them: `python bench/series.py [nodes]`."""

import statistics
import sys
import time

from pie.core.model import Kind, Target
from pie.core.result import IoStats, Latency
from pie.serve.series import TargetSeries

ROUNDS = 5
NODES = 5000
MOST_SERIES = 70_000  # for one class on so many nodes


def main() -> None:
    """Fill the table as a healthy class does, render it a few times, and print count, size and CPU time."""
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else NODES
    series = TargetSeries()
    side = Latency(
        iops=1234.5, mean_seconds=0.00081, p50_seconds=0.00072, p99_seconds=0.0031, max_seconds=0.01
    )
    targets = [Target("probe", Kind.PROVISION, "fast")]
    targets += [Target("probe", Kind.MOUNT, "fast", f"node-{number:05d}") for number in range(nodes)]
    for target in targets:
        series.add(target)
        series.count_on_time(target, on_time=True, times=1440)
        series.set_health(target, healthy=True, at_seconds=time.time())
        if target.node:
            series.set_latency(target, IoStats(read=side, write=side))
    spent, text = [], b""
    for _ in range(ROUNDS):
        began = time.process_time()
        text = series.render()
        spent.append(time.process_time() - began)
    count = sum(not line.startswith(b"#") for line in text.splitlines())
    print(f"{nodes} nodes: {count} series, {len(text) / 1e6:.1f} MB, {statistics.median(spent):.2f} s of CPU")
    assert nodes > NODES or count < MOST_SERIES


if __name__ == "__main__":
    main()

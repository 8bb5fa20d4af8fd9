"""`python -m bench.scale [--nodes 300 1000] [--runner Pod] [--minutes 4]`: writes docs/benchmarks.md."""

import argparse
import asyncio

from bench.scale import page
from bench.scale.figures import keep
from bench.scale.measure import measure

_RUNS_A_MINUTE = 150
"""As many CronJobs as a controller manager starts in time beside everything else on a small machine."""


def main() -> None:
    """Measure one size after the other, each runner on a new cluster, and write the page after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--runner", nargs="+", choices=["CronJob", "Pod"], default=["CronJob", "Pod"])
    parser.add_argument(
        "--minutes", type=int, default=0, help="the period (default: so that 150 runs start a minute)"
    )
    chosen = parser.parse_args()
    for nodes in chosen.nodes:
        for runner in chosen.runner:
            minutes = chosen.minutes or max(2, -(-nodes // _RUNS_A_MINUTE))
            print(f"{nodes} nodes, runner {runner}, period {minutes} min", flush=True)
            page.write(keep(asyncio.run(measure(nodes, runner, minutes))))


if __name__ == "__main__":
    main()

"""`make weather`: pie in hostile weather on a real control plane; it writes docs/reliability.md."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from testbed.cluster import Cluster
from tests.faults import rates
from tests.weather import page
from tests.weather.play import NODES, play
from tests.weather.rows import ROWS, Row
from tests.weather.scene import Outcome


def main(arguments: Sequence[str]) -> int:
    """Play the rows that are asked for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="", help="only these, by number: 1,5; the page keeps the others")
    chosen = {int(each) - 1 for each in parser.parse_args(arguments).rows.split(",") if each}
    rows = [row for number, row in enumerate(ROWS) if not chosen or number in chosen]
    began = time.monotonic()
    outcomes = asyncio.run(_play(rows))
    minutes = (time.monotonic() - began) / 60
    for row, outcome in zip(rows, outcomes, strict=True):
        print(page.cells(row, outcome), end="")  # noqa: T201  the command's result
        for each in outcome.miscounted[:10]:
            print(f"  {each}")  # noqa: T201  as above
    lines = page.known_lines() | {
        row.title: page.cells(row, outcome) for row, outcome in zip(rows, outcomes, strict=True)
    }
    took = "some rows earlier" if chosen else f"{minutes:.0f} minutes"
    setting = f"Run on {datetime.now(UTC).date().isoformat()}, {os.cpu_count()} cores, {took}."
    page.write([lines[row.title] for row in ROWS if row.title in lines], setting)
    rates.write()
    return 0 if all(outcome.right for outcome in outcomes) else 1


async def _play(rows: Sequence[Row]) -> list[Outcome]:
    async with Cluster(kwok_nodes=NODES) as cluster:
        return await play(cluster, rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

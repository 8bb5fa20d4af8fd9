"""`make faults`: the whole fault matrix on real nodes; writes docs/faults.md, and fails if a row is wrong."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from testbed.cluster import Cluster
from tests.faults import page, rates
from tests.faults.matrix import ROWS
from tests.faults.row import Given, Row
from tests.faults.runner import nodes_for, run


def main(arguments: Sequence[str]) -> int:
    """Run the rows that are asked for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="", help="only these, by number: 1,5,9 (the page is not written)")
    parser.add_argument("--lanes", default="", help="only these, by name (the page is not written)")
    parser.add_argument(
        "--record", type=Path, help="let the controllers record their steps in this directory"
    )
    parser.add_argument("--update", action="store_true", help="write what these rows gave into the page")
    parser.add_argument("--quick", action="store_true", help="only those that CI runs")
    chosen = parser.parse_args(arguments)
    numbers = {int(each) - 1 for each in chosen.rows.split(",") if each}
    lanes = {each for each in chosen.lanes.split(",") if each}
    rows = [
        number
        for number, row in enumerate(ROWS)
        if (not numbers or number in numbers)
        and (not lanes or row.lane.name in lanes)
        and (row.quick or not chosen.quick)
    ]
    began = time.monotonic()
    results, refused = asyncio.run(_run([ROWS[number] for number in rows], chosen.record))
    by_number = dict(zip(rows, results, strict=True))
    minutes = (time.monotonic() - began) / 60
    wrong = [number for number, given in by_number.items() if not ROWS[number].right(given)]
    print(f"{len(rows) - len(wrong)} of {len(rows)} rows are right, {minutes:.0f} min")  # noqa: T201  the command's result
    for each in refused:
        print(f"WRONG: refused: {each}")  # noqa: T201  as above
    for number in wrong:
        print(page.line(number, ROWS[number], by_number[number]), end="")  # noqa: T201  as above
    run_on = f"Run on {datetime.now(UTC).date().isoformat()}, {os.cpu_count()} cores"
    if chosen.update:
        page.update(by_number, ROWS, setting=f"{run_on}, some rows earlier.")
    elif len(rows) == len(ROWS):
        page.write(by_number, ROWS, setting=f"{run_on}, {minutes:.0f} minutes.")
        print(f"written: {page.PAGE}")  # noqa: T201  as above
    rates.write()
    return 1 if wrong or refused else 0


async def _run(rows: Sequence[Row], record: Path | None) -> tuple[list[Given], list[str]]:
    async with Cluster(nodes=nodes_for(rows), attachable=True) as cluster:
        return await run(cluster, rows, record)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

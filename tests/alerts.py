"""The alert on incidents of the storage, evaluated by promtool over what was scraped."""

import asyncio
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from prometheus_client.samples import Sample

from tests.harness import Pie

SERIES = "pie_incident_open"
RULE = f'{SERIES}{{area="storage"}} > 0'
ALERT = "StorageIncident"
GAP_SECONDS = 30.0
"""A scrape must come so soon after the one before, or nothing is known of the time between."""
_FIRING = f'ALERTS{{alertname="{ALERT}",alertstate="firing"}}'
_FAILED = re.compile(
    r'expr: "[^\n]*? # (?P<what>[^\n]*?)", time: .*?got: (?P<got>.*?)\s*(?=expr: |\Z)', re.DOTALL
)


@dataclass
class Scrapes:
    """The values of the series of incidents, scrape by scrape; times are seconds of any clock."""

    taken: list[tuple[float, dict[str, float]]] = field(default_factory=list)

    def add(self, at: float, samples: Iterable[Sample]) -> None:
        """Add a scrape; only the series of incidents are kept."""
        values = {
            _series(tuple(sorted(each.labels.items()))): each.value for each in samples if each.name == SERIES
        }
        self.taken.append((at, values))

    def between(self, since: float, until: float, **labels: str) -> "Scrapes":
        """Return the scrapes from a moment to another, with the series that have these labels."""
        wanted = [f"{name}={json.dumps(value)}" for name, value in labels.items()]
        return Scrapes(
            [
                (at, {each: value for each, value in values.items() if all(part in each for part in wanted)})
                for at, values in self.taken
                if since <= at <= until
            ]
        )


@lru_cache(maxsize=10_000)
def _series(labels: tuple[tuple[str, str], ...]) -> str:
    inner = ",".join(f"{name}={json.dumps(value)}" for name, value in labels)
    return f"{SERIES}{{{inner}}}"


@dataclass(frozen=True)
class Story:
    """Some scrapes, and from when to when a fault of the storage lasted in them; None: there was none.

    The last scrape is from a time at which all was well again.
    """

    name: str
    scrapes: Scrapes
    fault: tuple[float, float] | None = None

    @property
    def began(self) -> float:
        """When the first scrape was."""
        return self.scrapes.taken[0][0]

    @property
    def ended(self) -> float:
        """When the last scrape was."""
        return self.scrapes.taken[-1][0]

    def gap(self, since: float, until: float) -> float:
        """Return the longest time without a scrape."""
        times = [since, *(at for at, _ in self.scrapes.taken), until]
        return max(after - before for before, after in pairwise(times))

    def test(self) -> dict[str, Any]:
        """Return it as a test of promtool: what was scraped, and when the alert must fire."""
        end = self._second(self.ended)
        expected = [self._firings(0, end, self.fault is not None, "firings in all")]
        if self.fault is not None:
            since, until = map(self._second, self.fault)
            expected.append(self._firings(since, until, True, "firings during the fault"))
        expected.append(self._expect(f"count({_FIRING})", end, [], "alerts that still fire after the end"))
        return {
            "interval": "1s",
            "input_series": [
                {"series": each, "values": " ".join(self._values(each))} for each in self._all()
            ],
            "promql_expr_test": expected,
        }

    def _second(self, at: float) -> int:
        return int(at - self.began)

    def _all(self) -> list[str]:
        return sorted({each for _, values in self.scrapes.taken for each in values})

    def _values(self, series: str) -> list[str]:
        """Return the value of each second: `_` where there was no scrape, `stale` where it had vanished."""
        found = ["_"] * (self._second(self.ended) + 1)
        known = False
        for at, values in self.scrapes.taken:
            if series in values:
                found[self._second(at)] = f"{values[series]:g}"
            elif known:
                found[self._second(at)] = "stale"
            known = series in values
        return found

    def _firings(self, since: int, until: int, fires: bool, what: str) -> dict[str, Any]:
        begins = f"({_FIRING} unless {_FIRING} offset 1s)[{max(1, until - since)}s:1s]"
        expected = [{"labels": "{}", "value": 1}] if fires else []
        return self._expect(f"sum(count_over_time({begins}))", until, expected, what)

    def _expect(self, query: str, at: int, samples: Sequence[Any], what: str) -> dict[str, Any]:
        # promtool shows the query of an expectation that is not met, and so what stands behind it.
        return {"expr": f"{query} # {self.name}: {what}", "eval_time": f"{at}s", "exp_samples": samples}


def wrong(stories: Sequence[Story]) -> list[str]:
    """Return in words where the alert did not fire once during a fault of the storage, or fired else."""
    rule = {"alert": ALERT, "expr": RULE}
    tests = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1s",
        "tests": [each.test() for each in stories],
    }
    with tempfile.TemporaryDirectory() as directory:
        # JSON is YAML.
        (Path(directory) / "rules.yaml").write_text(
            json.dumps({"groups": [{"name": "pie", "rules": [rule]}]})
        )
        (Path(directory) / "tests.yaml").write_text(json.dumps(tests))
        done = subprocess.run(
            ["promtool", "test", "rules", "tests.yaml"],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
    said = done.stdout + done.stderr
    found = [f"{each['what']}: {' '.join(each['got'].split())}" for each in _FAILED.finditer(said)]
    if bool(found) != bool(done.returncode):
        raise AssertionError(said)
    return found


class Scraper:
    """Scrapes a controller once a second."""

    def __init__(self, pie: Pie) -> None:
        self._pie = pie
        self.scrapes = Scrapes()

    async def scrape(self) -> None:
        """Scrape it now."""
        samples = await self._pie.samples()
        self.scrapes.add(time.monotonic(), samples.all(SERIES))

    async def run(self) -> None:
        """Scrape without end."""
        while True:
            await self.scrape()
            await asyncio.sleep(1)

    async def wrong(
        self, name: str, since: float, fault: tuple[float, float] | None, **labels: str
    ) -> list[str]:
        """Return what was wrong with the alert from a moment until now, when all is well; see `wrong`."""
        await self.scrape()
        now = time.monotonic()
        story = Story(name, self.scrapes.between(since, now, **labels), fault)
        if (gap := story.gap(since, now)) > GAP_SECONDS:
            return [f"{name}: not scraped for {gap:.0f} s"]
        return await asyncio.to_thread(wrong, [story])

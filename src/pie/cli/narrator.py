"""What `pie demo` prints on the terminal while it runs."""

import asyncio
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from prometheus_client.parser import text_string_to_metric_families
from rich.markup import escape

from pie.controller.settings import Settings
from pie.core.text import one_line
from pie.embedded.kinds import EVENTS, PIE_PROBES, find

if TYPE_CHECKING:
    from rich.console import Console

    from pie.embedded.store import Change

_COLOURS = {"ok": "green", "suppressed": "yellow"}
QPS: Final = Settings("").kube_api_qps
"""Writes per second that the demo's controller may make at most."""
_READS = {"get", "list", "watch"}
_AGAIN_SECONDS = 20.0
_LONGEST = 160
# Not printed here: the Events of the PieProbe, the steps, or the end of the demo already say it.
_UNSAID = frozenset({"incident opened", "incident closed", "an actor died, and all others with it"})


class Narrator:
    """Turns what the controller logs and writes into lines for a person.

    `port`: where it serves its page and /metrics, once `serving` is set.
    """

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._warned: dict[str, float] = {}
        self.port = 0
        self.serving = asyncio.Event()

    def say(self, words: str, *, stamp: bool = True) -> None:
        """Print words in Rich's markup, with the time."""
        now = datetime.now().astimezone().strftime("%H:%M:%S")
        self._console.print(f"{now}  {words}" if stamp else words, soft_wrap=True)

    def listen(self) -> None:
        """Print the controller's logs as lines for a person."""
        structlog.configure(processors=[self._log], wrapper_class=structlog.make_filtering_bound_logger(20))

    def _log(self, _logger: Any, level: str, entry: Any) -> Any:
        event = entry["event"]
        if event == "serving":
            self.port = entry["metrics_port"]
            self.serving.set()
        elif event == "verdict":
            said = f"{entry['reason']} {entry['message']}".removeprefix("OK").strip()
            self._verdict(entry["verdict"], entry["target"], said)
        elif event == "suppressed":
            self._verdict(event, entry["target"], f"{entry['reason']} {entry['message']}")
        elif event == "no longer suppressed":
            self._verdict("", entry["target"], event)
        elif level in {"warning", "error", "critical"} and event not in _UNSAID:
            self._warn(event, " ".join(f"{key}={value}" for key, value in entry.items() if key != "event"))
        raise structlog.DropEvent

    def _verdict(self, verdict: str, target: str, said: str) -> None:
        colour = _COLOURS.get(verdict, "red" if verdict else "dim")
        self.say(f"[{colour}]{verdict:<10}[/] {target}  [dim]{escape(said)}[/]")

    def _warn(self, event: str, words: str) -> None:
        """Print a warning, but not the same one again too soon: seven watches break off together."""
        now = time.monotonic()
        if now - self._warned.get(event, float("-inf")) >= _AGAIN_SECONDS:
            self._warned[event] = now
            self.say(f"[dim]{escape(event)}: {escape(one_line(words, _LONGEST))}[/]")

    def changed(self, change: "Change") -> None:
        """Print what pie writes about its PieProbe: Events of incidents, and its targets by verdict."""
        new, old = change.object, change.old or {}
        about_probe = change.kind is EVENTS and find(new, "involvedObject.kind") == "PieProbe"
        if about_probe and change.type == "ADDED":
            colour = "red" if new.get("type") == "Warning" else "green"
            self.say(f"[bold {colour}]{escape(new.get('reason', ''))}[/] {escape(new.get('message', ''))}")
        targets = new.get("status", {}).get("targets") if change.kind is PIE_PROBES else None
        if targets and targets != old.get("status", {}).get("targets"):
            counts = [
                f"{count} {word}" for word, count in targets.items() if count and word not in {"total", "bad"}
            ]
            self.say(f"[dim]{targets['total']} targets: {', '.join(counts)}[/]")


class Counted(NamedTuple):
    """The counts of all runs from /metrics, and what pie itself costs.

    `write_rate`: writes per second that it allows itself now.
    """

    on_time: int
    late: int
    bad: int
    suppressed: Counter[str]
    """By reason."""
    writes: int
    write_rate: float

    @property
    def pace(self) -> str:
        """The rate of writes that pie allows itself, as text."""
        return f"allows itself {self.write_rate:.0f} of {QPS:.0f} writes a second"

    def __str__(self) -> str:
        """Return it in one line: `runs: 31 on time, 0 late, …; 120 writes to the API server`."""
        why = ", ".join(f"{reason} {count}" for reason, count in self.suppressed.most_common())
        return (
            f"runs: {self.on_time} on time, {self.late} late, {self.bad} with bad I/O,"
            f" {self.suppressed.total()} suppressed{f' ({why})' if why else ''};"
            f" pie's controller wrote to the API server {self.writes} times, and {self.pace}"
        )


def counted(metrics: str) -> Counted:
    """Read /metrics."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    write_rate = 0.0
    for family in text_string_to_metric_families(metrics):
        for name, labels, value in ((each.name, each.labels, each.value) for each in family.samples):
            if name in {"pie_mount_probe_total", "pie_provision_probe_total"}:
                counts["on time" if labels["on_time"] == "true" else "late"] += int(value)
            elif name == "pie_performance_on_mount_probe_total" and labels["succeed"] == "false":
                counts["bad"] += int(value)
            elif name == "pie_suppressed_runs_total" and value:
                reasons[labels["reason"]] += int(value)
            elif name == "pie_client_requests_total" and labels["verb"] not in _READS:
                counts["writes"] += int(value)
            elif name == "pie_client_write_rate":
                write_rate = value
    return Counted(counts["on time"], counts["late"], counts["bad"], reasons, counts["writes"], write_rate)

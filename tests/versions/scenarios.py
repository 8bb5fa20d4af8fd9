"""What is tried on every version of Kubernetes, on two real nodes, one row of the page each."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from testbed.audit import AuditEvent
from testbed.cluster import Cluster
from tests.chart.golden import GOLDEN
from tests.chart.helm import CHART, IMAGE, RELEASE, helm
from tests.faults import page
from tests.faults.breaks import Break, Fault, Place, cordoned
from tests.faults.row import NAMESPACE, Expected, Given, Lane, Moment, Row
from tests.faults.runner import Matrix
from tests.harness import GROUP, ON_TIME, until
from tests.real.conftest import Probed

NODES: Final = ("node-1", "node-2")
RIGHT: Final = "as expected"
_VOLUMES: Final = Lane(name="volumes", nodes=NODES[:1], provision=False)
_CREATION: Final = Lane(name="creation", nodes=NODES, mounts=False)
_UPKEEP: Final = Lane(name="upkeep", nodes=NODES[1:], provision=False)
_INVALID: Final = 422
_REFUSED: Final = {400, 403, _INVALID}


@dataclass(frozen=True)
class Scenario:
    """What is tried; `plays` raises an AssertionError that says what is wrong."""

    title: str
    expected: str
    plays: Callable[[Probed], Awaitable[None]]


@dataclass(frozen=True)
class Restarted(Break):
    """A process that ends and is started again at once."""

    process: str

    async def begin(self, at: Place) -> None:
        """Restart it."""
        await at.cluster.restart(self.process)

    async def end(self, at: Place) -> None:
        """Do nothing: it runs again already."""


async def install_every_option(cluster: Cluster) -> None:
    """Install the chart with every option; upgrade it, which creates a PieProbe; uninstall it."""
    where = ("--kubeconfig", str(cluster.kubeconfig), "--namespace", "everything")
    values = (
        "--values",
        str(GOLDEN / "everything.values.yaml"),
        "--set",
        "replicaCount=0,uninstall.stop=false",
    )
    await cluster.create_namespace("everything")
    await _helm("install", RELEASE, str(CHART), *where, *values)
    await until(lambda: cluster.api.find(f"{GROUP}/pieprobes"), "PieProbes are served")
    await _helm("upgrade", RELEASE, str(CHART), *where, *values)
    probes = await cluster.api.items(f"{GROUP}/namespaces/everything/pieprobes")
    assert len(probes) == 1, "the upgrade created no PieProbe"
    await _helm("uninstall", RELEASE, *where)


async def install(cluster: Cluster) -> None:
    """Install the chart with its defaults, without a pod of the controller: that runs beside the cluster."""
    await cluster.create_namespace(NAMESPACE)
    where = ("--kubeconfig", str(cluster.kubeconfig), "--namespace", NAMESPACE)
    await _helm("install", RELEASE, str(CHART), *where, *IMAGE, "--set", "replicaCount=0,crd.install=false")


async def _helm(*arguments: str) -> None:
    result = await asyncio.to_thread(helm, *arguments)
    assert result.returncode == 0, result.stderr


def _on_time_with(runner: str) -> Callable[[Probed], Awaitable[None]]:
    """Return what probes both nodes with a runner until every target had two runs on time."""

    async def plays(probed: Probed) -> None:
        probe = f"on-time-{runner.lower()}"
        await probed.probe(probe, list(NODES), runner=runner)
        try:
            places = [(ON_TIME["provision"], ""), *((ON_TIME["mount"], node) for node in NODES)]
            for metric, node in places:
                labels = {"pie_probe_name": probe, **({"node": node} if node else {})}
                await probed.pie.until_value(metric, lambda value: value >= 2, 240, **labels, on_time="true")
                late = await probed.pie.value(metric, **labels, on_time="false")
                assert not late, f"{late:g} late runs: {metric} {node}"
        finally:
            await probed.api.delete(probed.path("pieprobes", probe))

    return plays


def _asks_for_watch_list(event: AuditEvent) -> bool:
    """Tell whether an API server without WatchList refused it: pie then lists first, as the page says."""
    return event.verb == "watch" and event.response_status.code == _INVALID


async def _nothing_refused(probed: Probed) -> None:
    refused = {
        f"{event.verb} {event.resource}: {event.response_status.code}"
        for event in probed.cluster.audit.events()
        if event.user.username == f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
        and event.response_status.code in _REFUSED
        and not _asks_for_watch_list(event)
    }
    assert not refused, f"refused: {', '.join(sorted(refused))}"
    errors = [entry["event"] for entry in probed.pie.entries if entry["level"] in {"error", "critical"}]
    assert not errors, f"in the log: {', '.join(errors)}"


CHART_ACCEPTED: Final = "helm installs, upgrades and uninstalls the chart with every option"
RUNNERS: Final = tuple(
    Scenario(f"provision and mount runs with `runner: {runner}`", "on time", _on_time_with(runner))
    for runner in ("CronJob", "Pod")
)
FAULTS: Final = (
    Row(
        lane=_VOLUMES,
        title="I/O errors (filesystem shut down)",
        breaks=(Fault("io-error", NODES[:1]),),
        expected=Expected(verdict="failed", stage="io", reason="IOError", scope="node", nodes=NODES[:1]),
    ),
    Row(
        lane=_VOLUMES,
        title="node plugin gone",
        breaks=(Fault("node-plugin-gone", NODES[:1]),),
        expected=Expected(
            verdict="late",
            stage="mount",
            reason="MountFailed",
            scope="node",
            nodes=NODES[:1],
            evidence="connection refused",
        ),
    ),
    Row(
        lane=_CREATION,
        title="csi-provisioner gone",
        breaks=(Fault("provisioner-gone", NODES),),
        expected=Expected(
            verdict="late", stage="provision", reason="ProvisionerSilent", scope="class", creation=True
        ),
    ),
    Row(
        lane=_UPKEEP,
        title="node cordoned and drained in the middle of a run",
        moment=Moment.MID_RUN,
        running_on=NODES[1],
        breaks=(cordoned(NODES[1]), Fault("pods-evicted")),
        expected=Expected(verdict="suppressed", reason="NodeCordoned", nodes=NODES[1:]),
        counts_suppressed=True,
    ),
    Row(
        lane=_UPKEEP,
        title="kubelet restarts in the middle of a run",
        moment=Moment.MID_RUN,
        running_on=NODES[1],
        breaks=(Restarted(f"kubelet-{NODES[1]}"),),
        expected=Expected(verdict="ok"),
        counts_good=1,
    ),
)
LAST: Final = (
    Scenario("requests of the controller with the chart's rights, and its log", "no error", _nothing_refused),
)
EXPECTED: Final[Mapping[str, str]] = {
    CHART_ACCEPTED: "accepted",
    **{each.title: each.expected for each in RUNNERS},
    **{row.title: page.said(row.expected) for row in FAULTS},
    **{each.title: each.expected for each in LAST},
}
"""What must come of each scenario, by its title, in the order of the page."""


async def play(probed: Probed, scenarios: tuple[Scenario, ...]) -> dict[str, str]:
    """Play scenarios side by side; return the result of each in words."""
    results = await asyncio.gather(*(attempt(each.plays(probed)) for each in scenarios))
    return {each.title: result for each, result in zip(scenarios, results, strict=True)}


async def inflict(probed: Probed) -> dict[str, str]:
    """Inflict all faults; return in words what pie reported of each."""
    matrix = Matrix({NAMESPACE: probed}, FAULTS)
    matrix.begin()
    await matrix.done()
    return {
        row.title: _result(row, future.result()) for row, future in zip(FAULTS, matrix.given, strict=True)
    }


def _result(row: Row, given: Given) -> str:
    return RIGHT if row.right(given) else f"wrong: {page.words(given)}"


async def attempt(plays: Awaitable[None]) -> str:
    """Return the result of a scenario in words."""
    try:
        await plays
    except (AssertionError, TimeoutError) as error:
        return f"wrong: {str(error) or type(error).__name__}"
    return RIGHT

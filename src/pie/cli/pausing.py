"""`pie stop` and `pie resume`: pause PieProbes, and have them probe again."""

import asyncio
import math
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pie.cli.options import ContextOption, KubeconfigOption
from pie.cli.output import USAGE, complain, plain_errors

if TYPE_CHECKING:
    from pie.cli.ask import Cluster, Whom
    from pie.core.batch.wire import CronJob
    from pie.core.wire import PieProbe

_LOOK_AGAIN_SECONDS: Final = 2.0
_AT_A_TIME: Final = 20
"""CronJobs that are changed at the same time."""

NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[PROBE]...", help="Names of PieProbes. Default: all.")
]
NamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace of the PieProbes. Default: the kubeconfig's."),
]


class NotDone(Exception):  # noqa: N818  the name says what happened
    """It cannot be done; the text says why, and what to do."""


def stop(  # noqa: PLR0917  Typer reads flags from parameters
    names: NamesArgument = None,
    namespace: NamespaceOption = None,
    timeout: Annotated[
        float, typer.Option(min=0, help="Wait so many seconds until all CronJobs are suspended.")
    ] = 30.0,
    best_effort: Annotated[
        bool, typer.Option("--best-effort", help="Exit with 0 whatever happens: for an uninstall hook.")
    ] = False,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Pause PieProbes: no run starts any more. PVCs, their data and a run that goes on stay.

    It sets spec.paused of all PieProbes of the namespace, or of the named ones. The controller then suspends
    their CronJobs. If no controller leads, this command suspends them.

    \b
    Examples:
      pie stop -n pie
      pie stop -n pie local ceph-block

    Exit status: 0 all are paused, 1 not all CronJobs are suspended yet, 2 it cannot be done.
    """  # noqa: D301  \b is Click's
    from pie.cli.ask import Whom  # noqa: PLC0415  `pie --help` is quick

    whom = Whom("", namespace or "", kubeconfig, context)
    status = _run("pie stop", _stop(whom, names or [], timeout))
    raise typer.Exit(0 if best_effort else status)


def resume(
    names: NamesArgument = None,
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Resume PieProbes that are paused (pie stop): they probe again, beginning at their next due time.

    It sets spec.paused of all PieProbes of the namespace, or of the named ones, to false. The controller then
    resumes their CronJobs. If no controller leads, this command resumes them, but not those that are
    suspended because of maintenance.

    \b
    Examples:
      pie resume -n pie
      pie resume -n pie local

    Exit status: 0 none is paused any more, 2 it cannot be done.
    """  # noqa: D301  \b is Click's
    from pie.cli.ask import Whom  # noqa: PLC0415  `pie --help` is quick

    raise typer.Exit(_run("pie resume", _resume(Whom("", namespace or "", kubeconfig, context), names or [])))


def _run(command: str, work: Coroutine[None, None, int]) -> int:
    """Return the exit status of a command; print its error, if it has one."""
    try:
        with plain_errors(command):
            return asyncio.run(work)
    except NotDone as error:
        complain(command, str(error))
        return USAGE
    except typer.Exit as error:  # `plain_errors` has printed an error of the cluster
        return error.exit_code


async def _stop(whom: "Whom", names: list[str], timeout_seconds: float) -> int:
    from pie.cli.ask import cluster_of  # noqa: PLC0415
    from pie.core.batch.pausing import to_suspend  # noqa: PLC0415
    from pie.core.text import few  # noqa: PLC0415

    async with cluster_of(whom) as cluster:
        probes = await _chosen(cluster, names)
        await _set_paused(cluster, probes, paused=True)
        uids = {each.metadata.uid for each in probes}
        clock, suspended, looks = asyncio.get_running_loop().time, 0, 0
        until = clock() + timeout_seconds
        while running := to_suspend(await _cronjobs(cluster), uids):
            looks += 1
            if looks > 1 and clock() >= until:
                found = sorted(each.metadata.name for each in running)
                left = f"{len(found)} CronJobs are not suspended yet: {few(found, 3)}"
                complain("pie stop", f"{left}. To wait for them: pie stop{whom.options}")
                return 1
            if await cluster.leads():  # It suspends them as fast as --kube-api-qps allows.
                await asyncio.sleep(min(_LOOK_AGAIN_SECONDS, timeout_seconds))
            else:
                suspended += await _suspend(cluster, running, suspend=True, until=until)
    if probes:
        here = f" (no controller holds the Lease: this command suspended {suspended} CronJobs)"
        by = here if suspended else ""
        _say(f"No run starts any more{by}. PVCs and their data stay. To go on: pie resume{whom.options}")
    return 0


async def _resume(whom: "Whom", names: list[str]) -> int:
    from pie.cli.ask import cluster_of  # noqa: PLC0415
    from pie.core.batch.pausing import to_resume  # noqa: PLC0415

    async with cluster_of(whom) as cluster:
        probes = await _chosen(cluster, names)
        await _set_paused(cluster, probes, paused=False)
        if not probes:
            return 0
        if await cluster.leads():
            _say("The controller resumes their CronJobs, each at its next due time.")
        else:
            waiting = to_resume(await _cronjobs(cluster), {each.metadata.uid for each in probes})
            count = await _suspend(cluster, waiting, suspend=False)
            _say(f"No controller holds the Lease: this command resumed {count} CronJobs.")
    return 0


async def _chosen(cluster: "Cluster", names: list[str]) -> "list[PieProbe]":
    """Return the PieProbes to change; raises NotDone if a named one does not exist."""
    stored = {each.metadata.name: each for each in await cluster.stored()}
    if missing := sorted(set(names) - stored.keys()):
        known = ", ".join(sorted(stored)) or "none"
        where = f"in the namespace {cluster.namespace}"
        raise NotDone(f"there is no PieProbe {', '.join(missing)} {where}; there are: {known}")
    if not stored:
        _say(f"There is no PieProbe in the namespace {cluster.namespace}.")
    return [stored[name] for name in sorted(set(names) or stored)]


async def _set_paused(cluster: "Cluster", probes: "list[PieProbe]", *, paused: bool) -> None:
    """Set spec.paused; raises NotDone if the CRD does not know the field."""
    from pie.core.reasons import ADVICE, MEANING, Reason  # noqa: PLC0415
    from pie.core.wire import PieProbe  # noqa: PLC0415
    from pie.kube.resources import PIE_PROBES  # noqa: PLC0415

    now = "paused" if paused else "resumed"
    for each in probes:
        name = each.metadata.name
        if bool(each.spec.get("paused")) is paused:
            _say(f"PieProbe {name} was {'paused' if paused else 'not paused'} before.")
            continue
        body = {"spec": {"paused": paused}}
        written = await cluster.client.merge_patch(PIE_PROBES, name, body, cluster.namespace, decode=PieProbe)
        if bool(written.spec.get("paused")) is not paused:
            raise NotDone(f"{MEANING[Reason.CRD_OUTDATED]} {ADVICE[Reason.CRD_OUTDATED]}")
        _say(f"PieProbe {name} is {now}.")


async def _cronjobs(cluster: "Cluster") -> "list[CronJob]":
    from pie.core.batch.wire import CronJob  # noqa: PLC0415
    from pie.kube.resources import CRONJOBS  # noqa: PLC0415

    page = await cluster.client.list_page(CRONJOBS, cluster.namespace, decode=CronJob, limit=0)
    return page.items


async def _suspend(
    cluster: "Cluster", cronjobs: "list[CronJob]", *, suspend: bool, until: float = math.inf
) -> int:
    """Suspend or resume CronJobs, some at a time, until that moment; return how many are done."""
    clock, done = asyncio.get_running_loop().time, 0
    for first in range(0, len(cronjobs), _AT_A_TIME):
        some = cronjobs[first : first + _AT_A_TIME]
        done += sum(await asyncio.gather(*(_suspend_one(cluster, each, suspend=suspend) for each in some)))
        if clock() >= until:
            break
    return done


async def _suspend_one(cluster: "Cluster", cronjob: "CronJob", *, suspend: bool) -> bool:
    """Suspend or resume a CronJob; False: it is gone, or another one has its name."""
    from pie.core.batch.wire import CronJob  # noqa: PLC0415
    from pie.kube.errors import Invalid, NotFound  # noqa: PLC0415
    from pie.kube.resources import CRONJOBS  # noqa: PLC0415

    name, uid = cronjob.metadata.name, cronjob.metadata.uid
    body = {"metadata": {"uid": uid}, "spec": {"suspend": suspend}}
    try:
        await cluster.client.merge_patch(CRONJOBS, name, body, cluster.namespace, decode=CronJob)
    except (NotFound, Invalid):
        return False
    return True


def _say(line: str) -> None:
    from pie.core.text import MOST_CHARACTERS, one_line  # noqa: PLC0415

    sys.stdout.write(f"{one_line(line, MOST_CHARACTERS)}\n")

"""Story 1 on thousands of simulated nodes: the node plugin of a CSI driver crashes everywhere at once.

Runs the controller on the simulated cluster of the tests, in virtual time and in one process:

    python bench/outage.py [--nodes 5000] [--period 1] [--no-attach]

Each node probes well once, then no volume is mounted on any node. Prints what pie reads in its worst
minute, by resource, and its incidents. Ends with an error if there is not one incident with evidence, or if
pie makes more than 1,000 reads in a minute. Watches are not counted.
"""

import argparse
import logging
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import structlog

sys.path.insert(0, str(Path(__file__).parent.parent))

from pie.core.volumeobjects import CSISource, attachment_name
from tests.controller.simulation import Simulation
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, NODE, Objects, World

MOST_READS = 1_000
"""In the worst minute."""
DRIVER = "csi.example.com"
UNREGISTERED = (
    f"MountVolume.MountDevice failed: driver name {DRIVER} not found in the list of registered CSI drivers"
)
READS = {"get", "list"}

Reads = Counter[tuple[str, str]]


def crash(world: World) -> None:
    """Let no kubelet find the driver any more; each says so about each pod that waits."""
    world.storage = "does not mount"
    warned: set[str] = set()

    def warn(world: World) -> None:
        for pod in world.objects["pods"].values():
            if pod["status"]["phase"] == "Pending" and pod["metadata"]["uid"] not in warned:
                warned.add(pod["metadata"]["uid"])
                world.warn("Pod", pod, "FailedMount", UNREGISTERED)

    world.each_second["kubelets"] = warn


def install_driver(world: World, *, attaches: bool) -> None:
    """Have a CSI driver, and a volume for each PVC."""
    world.put("storageclasses", {**world.objects["storageclasses"]["c"], "provisioner": DRIVER})
    world.objects["csidrivers"] = Objects(
        {DRIVER: {"metadata": {"name": DRIVER}, "spec": {"attachRequired": attaches}}}
    )
    attachments = world.objects["volumeattachments"] = Objects()

    def bind(world: World) -> None:
        for name, claim in list(world.objects["persistentvolumeclaims"].items()):
            if not claim["spec"].get("volumeName"):
                world.put(
                    "persistentvolumeclaims", {**claim, "spec": {**claim["spec"], "volumeName": f"pv-{name}"}}
                )
                source = {"csi": {"driver": DRIVER, "volumeHandle": name}}
                node = claim["metadata"]["labels"].get("node", NODE)
                attachment = attachment_name(CSISource(DRIVER, name), node)
                attachments[attachment] = {"metadata": {"name": attachment}, "status": {"attached": True}}
                volume = {"metadata": {"name": f"pv-{name}"}, "spec": source, "status": {"phase": "Bound"}}
                world.put("persistentvolumes", volume)

    world.each_second["provisioner"] = bind


async def outage(nodes: int, period: int, *, attaches: bool) -> tuple[list[Reads], World]:
    """Live through it; return what was read in each second, and the cluster at the end."""
    simulation = Simulation(lambda _kind, _second: 0)
    world, seconds = simulation.world, 60 * period
    spec = {**BASE_SPEC, "probePeriod": period, "probeThreshold": "30s", "deadline": "50s"}
    world.begin(spec, *(f"n{number}" for number in range(2, nodes + 1)))
    install_driver(world, attaches=attaches)
    totals: list[Reads] = []

    def note(_world: World) -> None:
        asked = simulation.wire.asked
        totals.append(Counter({what: count for what, count in asked.items() if what[0] in READS}))

    world.each_second["count"] = note
    await simulation.run(4 * seconds + 60, [(2 * seconds - 5, crash)])
    return [later - sooner for sooner, later in pairwise(totals)], world


def worst_minute(reads: list[Reads]) -> Reads:
    """Return what was read in the minute in which most was read."""
    minutes = (sum(reads[first : first + 60], Reads()) for first in range(max(1, len(reads) - 59)))
    return max(minutes, key=Counter.total)


def main(nodes: int, period: int, *, attaches: bool) -> bool:
    """Play the outage, and say what it cost; tell whether all was as it should be."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    began = time.process_time()
    reads, world = in_virtual_time(outage(nodes, period, attaches=attaches))
    worst = worst_minute(reads[2 * 60 * period - 10 :])
    incidents: list[dict[str, Any]] = world.objects["pieprobes"]["p"]["status"].get("incidents") or []
    print(f"{nodes:,} nodes, period {period} min, volumes are {'' if attaches else 'not '}attached")
    print(f"  {time.process_time() - began:.0f} s of CPU, that of the simulated cluster included")
    print(f"  reads in the worst minute: {worst.total()}")
    for (verb, resource), count in worst.most_common():
        print(f"    {count:5} {verb} {resource}")
    for each in incidents:
        scope, fault = f"{each['scope']}, {each['targets']} targets", f"{each['stage']}, {each['reason']}"
        print(f"  incident: {scope}: {fault}: {each['evidence']}")
    told = [each for each in incidents if each["targets"] >= nodes and each.get("evidence")]
    return len(incidents) == len(told) == 1 and worst.total() <= MOST_READS


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--period", type=int, default=1, help="minutes")
    parser.add_argument("--no-attach", action="store_true", help="the driver does not attach volumes")
    arguments = parser.parse_args()
    sys.exit(0 if main(arguments.nodes, arguments.period, attaches=not arguments.no_attach) else 1)

"""A PieProbe that is deleted and made again under its name, between two looks at it: in a simulation."""

from tests.controller.lives import lived
from tests.controller.world import PERIOD_SECONDS, World


def break_mounts(world: World) -> None:
    world.storage = "does not mount"


def make_again(world: World) -> None:
    """Delete the PieProbe, and make it again."""
    for kind in ("cronjobs", "persistentvolumeclaims"):
        world.objects[kind].clear()
    old = world.objects["pieprobes"]["p"]
    metadata = {"name": "p", "namespace": old["metadata"]["namespace"], "generation": 1}
    world.put("pieprobes", {"metadata": metadata, "spec": old["spec"]})


def collect_garbage(world: World) -> None:
    """Delete what the first CronJobs owned, late as the garbage collector does; the storage is well."""
    world.storage = "well"
    for kind in ("jobs", "pods"):
        world.objects[kind].clear()


def test_it_inherits_nothing() -> None:
    until_bad, later = 4 * PERIOD_SECONDS, 3 * PERIOD_SECONDS
    (before,) = lived((until_bad, [(PERIOD_SECONDS, break_mounts)]))
    assert (before.value("pie_mount_probe_total", on_time="false") or 0) >= 2
    assert before.incidents

    script = [(PERIOD_SECONDS, break_mounts), (until_bad, make_again), (until_bad + 10, collect_garbage)]
    (after,) = lived((until_bad + later, script))
    assert after.value("pie_mount_probe_total", on_time="false") == 0
    assert (after.value("pie_mount_probe_total", on_time="true") or 0) >= 2
    assert after.value("pie_lost_runs_total", reason="Pruned") == 0
    assert after.incidents == []

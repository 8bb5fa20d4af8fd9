"""Hostile weather: what happens to the API server, its answers and the controller, one row each."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from testbed.api import ApiError
from tests.harness import (
    GROUP,
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    apply_probe,
    gone,
    pieprobe,
    some_at_a_time,
    until,
)
from tests.real.conftest import CRDS, install_crd
from tests.weather.proxy import FINE, Weather
from tests.weather.scene import PROBE, Scene

_UNRELATED: Final = 10_000
_PROBES: Final = 200

Happening = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Row:
    """One kind of weather. `happens` returns when it is over."""

    title: str
    happens: Happening
    alone: bool = False
    """Whether it hits the control plane, so that other rows cannot run beside it."""
    forgets: bool = False
    """Whether the PieProbe itself is deleted meanwhile: its due times end with it."""
    quick: bool = False
    """Whether CI runs it."""
    clock: bool = False
    """Whether the wall clock of the controller is one that jumps."""


def proxied(weather: Weather, seconds: float) -> Happening:
    """Return what sends all of pie's requests through this weather for a while."""

    async def happens(scene: Scene) -> None:
        scene.proxy.weather = weather
        await asyncio.sleep(seconds)
        scene.proxy.weather = FINE

    return happens


def without(component: str, seconds: float, *, frozen: bool = False) -> Happening:
    """Return what kills a component of the control plane, or freezes it, and starts or thaws it later."""

    async def happens(scene: Scene) -> None:
        cluster = scene.cluster
        await (cluster.freeze if frozen else cluster.kill)(component)
        await asyncio.sleep(seconds)
        await (cluster.thaw if frozen else cluster.start)(component)

    return happens


async def _controller_killed(scene: Scene) -> None:
    for _ in range(3):
        await scene.pie.kill()
        await asyncio.sleep(5)
        await scene.pie.start()
        await scene.pie.leads(60)
        await asyncio.sleep(15)


async def _controller_frozen(scene: Scene) -> None:
    scene.pie.freeze()
    await asyncio.sleep(40)
    scene.pie.thaw()


async def _clock_jumps(scene: Scene) -> None:
    assert scene.clock is not None
    for offset_seconds in (3600, -3600, 0):
        scene.clock.jump(offset_seconds)
        await asyncio.sleep(40)


async def _credentials_rotated(scene: Scene) -> None:
    """Rotate twice; the files that pie reads follow some seconds later."""
    for _ in range(2):
        await scene.proxy.rotate()
        await asyncio.sleep(10)
        scene.proxy.publish()
        await asyncio.sleep(80)


async def _disk_full(scene: Scene) -> None:
    filler = scene.recordings / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):  # until there is no space left
        while True:
            file.write(b"x" * 4096)
    await asyncio.sleep(100)
    filler.unlink()


async def _unrelated_pods(scene: Scene) -> None:
    """Create pods of others in pie's own namespace, which no scheduler looks at."""
    path = f"/api/v1/namespaces/{scene.namespace}/pods"
    container = {**RESTRICTED_CONTAINER, "name": "c", "image": "pie.test/none:1"}
    body = {
        "metadata": {"generateName": "other-"},
        "spec": {**RESTRICTED_POD, "schedulerName": "none", "containers": [container]},
    }
    await some_at_a_time(scene.api.create(path, body) for _ in range(_UNRELATED))


async def _many_probes(scene: Scene) -> None:
    path = f"{GROUP}/namespaces/{scene.namespace}/pieprobes"

    bodies = [pieprobe(f"many-{number}", "kwok", "no-node-has-it") for number in range(_PROBES)]
    await some_at_a_time(apply_probe(scene.api, scene.namespace, body) for body in bodies)
    await some_at_a_time(scene.api.delete(f"{path}/{body['metadata']['name']}") for body in bodies)


async def _crd_deleted(scene: Scene) -> None:
    crd = f"{CRDS}/pieprobes.pie.topolvm.io"
    await scene.api.delete(crd)
    await until(lambda: gone(scene.api, crd), "the CRD is gone", 60)
    await asyncio.sleep(20)
    await install_crd(scene.api)
    await _apply_again(scene)


async def _probe_recreated(scene: Scene) -> None:
    path = f"{GROUP}/namespaces/{scene.namespace}/pieprobes/{PROBE}"
    for _ in range(5):
        await scene.api.delete(path)
        await until(lambda: gone(scene.api, path), "the PieProbe is gone", 60)
        await _apply_again(scene)


async def _namespace_deleted(scene: Scene) -> None:
    path = f"/api/v1/namespaces/{scene.namespace}"
    await scene.api.delete(path)
    await until(lambda: gone(scene.api, path), "the namespace is gone", 180)
    await scene.cluster.create_namespace(scene.namespace)
    await _apply_again(scene)


async def _apply_again(scene: Scene) -> None:
    async def applied() -> bool:
        try:
            await scene.apply()
        except ApiError:
            return False
        return True

    await until(applied, "the PieProbe is created again", 60)


ROWS: Final = (
    Row("each request takes up to 4 s", proxied(Weather(delay_seconds=2), 100)),
    Row(
        "four in ten requests are answered 429, 500 or 503",
        proxied(Weather(refused=0.4), 100),
        quick=True,
    ),
    Row("all requests are answered 429, with Retry-After", proxied(Weather(refused=1, statuses=(429,)), 45)),
    Row(
        "all requests are answered 403",
        proxied(Weather(refused=1, statuses=(403,), retry_after_seconds=None), 45),
    ),
    Row("each watch is cut within 3 s", proxied(Weather(watch_seconds=3), 100), quick=True),
    Row(
        "each watch ends within 5 s with 410, as after a compaction of etcd",
        proxied(Weather(watch_seconds=5, gone=True), 100),
    ),
    Row("watches bring lines that no API server sends", proxied(Weather(garbled=0.3), 100)),
    Row("watches bring lines of 40 MB", proxied(Weather(oversized=0.05), 60)),
    Row("the controller is killed three times", _controller_killed, quick=True),
    Row("the controller is frozen for 40 s", _controller_frozen, quick=True),
    Row("the clock of the controller jumps an hour ahead, and back", _clock_jumps, clock=True),
    Row("CA, certificate of the API server and token are replaced twice", _credentials_rotated),
    Row("the disk of the flight recorder is full", _disk_full),
    Row("200 PieProbes are created and deleted", _many_probes),
    Row("the PieProbe is deleted and created again five times", _probe_recreated, forgets=True),
    Row("the namespace is deleted and created again", _namespace_deleted, forgets=True),
    Row("kube-apiserver is killed for 30 s", without("kube-apiserver", 30), alone=True),
    Row("kube-apiserver is frozen for 45 s", without("kube-apiserver", 45, frozen=True), alone=True),
    Row("etcd is frozen for 45 s", without("etcd", 45, frozen=True), alone=True),
    Row("10,000 pods of others in pie's namespace", _unrelated_pods, alone=True),
    Row("the CRD is deleted and created again", _crd_deleted, alone=True, forgets=True),
)

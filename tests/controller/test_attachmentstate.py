"""Whether volumes of a driver are attached is asked of its CSIDriver, and not believed for ever."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pie.controller.attachmentstate import AttachmentReader, AttachmentState
from pie.core.volumeobjects import CSISource, attachment_name
from pie.core.wire import Claim, ClaimSpec
from pie.kube.client import Client
from pie.kube.clock import ServerClock
from pie.kube.config import ClusterConfig
from pie.kube.transport import Answer, Request
from tests.controller.virtualtime import in_virtual_time
from tests.controller.wire import Wire
from tests.controller.world import World
from tests.core.build import MOUNT, claim, pod, run

DRIVER = "d.example"
HERE = pod(scheduled=1, acknowledged=1)


class Counting(Wire):
    """Counts what is read, by kind."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.reads: Counter[str] = Counter()

    async def send(self, request: Request) -> Answer:
        self.reads[request.resource.plural] += 1
        return await super().send(request)


@dataclass
class Scene:
    """A world with a bound volume, and who asks about its attachment."""

    world: World
    attachments: AttachmentReader

    async def look(self) -> AttachmentState | None:
        """Look as the controller does, only where there can be anything to see."""
        return await self.attachments.look(RUN, DRIVER) if self.attachments.may_attach(DRIVER) else None

    def driver(self, *, attach_required: bool) -> None:
        """Install the driver's object."""
        body = {"metadata": {"name": DRIVER}, "spec": {"attachRequired": attach_required}}
        self.world.objects["csidrivers"][DRIVER] = body

    def attached(self) -> None:
        """Attach the volume."""
        name = attachment_name(CSISource(DRIVER, "handle"), "n1")
        body: dict[str, Any] = {"metadata": {"name": name}, "status": {"attached": True}}
        self.world.objects["volumeattachments"][name] = body


CLAIM = claim(bound=True)
RUN = run(HERE, MOUNT, claim=Claim(CLAIM.metadata, ClaimSpec(volume_name="pv"), CLAIM.status))


CSI = {"csi": {"driver": DRIVER, "volumeHandle": "handle"}}


def played(story: Callable[[Scene], Awaitable[None]], source: dict[str, Any] = CSI) -> Counter[str]:
    """Play a story in virtual time; return what was read."""

    async def play() -> Counter[str]:
        loop = asyncio.get_running_loop()
        world = World(loop.time)
        world.objects |= {"csidrivers": {}, "volumeattachments": {}}
        metadata = {"name": "pv", "annotations": {"pv.kubernetes.io/migrated-to": DRIVER}}
        world.objects["persistentvolumes"] = {"pv": {"metadata": metadata, "spec": source}}
        client = Client(ClusterConfig(server="https://simulation"), clock=ServerClock(loop.time, loop.time))
        wire = Counting(world)
        client._transport = wire  # type: ignore[assignment]  # it has the one method that is used
        await story(Scene(world, AttachmentReader(client)))
        return wire.reads

    return in_virtual_time(play())


def test_a_driver_without_an_object_attaches_as_kubernetes_has_it() -> None:
    async def story(scene: Scene) -> None:
        assert await scene.look() == AttachmentState(missing=True)
        scene.attached()
        assert await scene.look() == AttachmentState(attached=True)

    played(story)


def test_a_volume_with_an_in_tree_name_has_the_attachment_of_its_csi_driver() -> None:
    async def story(scene: Scene) -> None:
        scene.attached()
        assert await scene.look() == AttachmentState(attached=True)

    played(story, {"awsElasticBlockStore": {"volumeID": "aws://zone/handle"}})


def test_an_object_that_is_missing_for_a_moment_decides_nothing() -> None:
    async def story(scene: Scene) -> None:
        await scene.look()
        scene.driver(attach_required=False)
        assert await scene.look() is None
        assert not scene.attachments.may_attach(DRIVER)

    played(story)


def test_a_driver_that_does_not_attach_is_asked_about_once_in_many_runs() -> None:
    async def story(scene: Scene) -> None:
        scene.driver(attach_required=False)
        for _ in range(60):
            assert await scene.look() is None
            await asyncio.sleep(5)

    assert played(story) == {"csidrivers": 1}


def test_an_object_that_is_made_anew_with_another_word_is_noticed_in_ten_minutes() -> None:
    async def story(scene: Scene) -> None:
        scene.driver(attach_required=False)
        await scene.look()
        scene.driver(attach_required=True)
        await asyncio.sleep(601)
        assert await scene.look() == AttachmentState(missing=True)

    played(story)


def test_an_object_that_goes_leaves_nothing_known() -> None:
    async def story(scene: Scene) -> None:
        scene.driver(attach_required=False)
        await scene.look()
        scene.world.objects["csidrivers"].clear()
        await asyncio.sleep(601)
        assert await scene.look() == AttachmentState(missing=True)

    played(story)


def test_volumes_of_no_csi_driver_cost_next_to_nothing() -> None:
    async def story(scene: Scene) -> None:
        for _ in range(60):
            assert await scene.look() is None
            await asyncio.sleep(5)

    assert played(story, {"nfs": {}}) == {"csidrivers": 1, "persistentvolumes": 1}

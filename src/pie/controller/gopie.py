"""Reports, once at the start, what versions of Go pie without PieProbes left behind."""

import structlog

from pie.controller.caches import Caches
from pie.core.gopie import SELECTOR, leftovers
from pie.core.wire import Metadata
from pie.kube.client import Client
from pie.kube.errors import KubeError
from pie.kube.resources import CRONJOBS, PODS, Resource
from pie.kube.watchstream import Marked

_log = structlog.get_logger()


async def report_leftovers(client: Client, caches: Caches) -> None:
    """Log what is there and is not taken over; the caches of nodes and StorageClasses must be complete."""

    async def marked(resource: Resource) -> list[Metadata]:
        # One page: the log counts what is on it.
        page = await client.list_page(resource, caches.namespace, decode=Marked, label_selector=SELECTOR)
        return [each.metadata for each in page.items]

    try:
        cronjobs, pods = await marked(CRONJOBS), await marked(PODS)
    except KubeError as error:
        _log.warning("objects of old versions of the Go implementation not looked for", error=str(error))
        return
    nodes = [each.metadata for each in caches.nodes.store.values()]
    classes = [each.metadata for each in caches.storage_classes.store.values()]
    for left in leftovers(cronjobs, pods, nodes, classes):
        _log.warning(
            "objects of the Go implementation up to version 0.10 are not taken over;"
            " docs/migrating.md has the commands that delete them",
            kind=left.kind,
            count=left.count,
            names=left.names,
            effect=left.effect,
        )

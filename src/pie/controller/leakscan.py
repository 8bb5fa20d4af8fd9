"""Finds volumes of pie whose PVC was deleted while no controller ran."""

from collections.abc import AsyncIterator
from typing import Final

from pie.controller.caches import Caches
from pie.core.leaks import made_for, to_stay
from pie.core.model import Target
from pie.core.volumeobjects import PersistentVolume
from pie.kube.client import Client
from pie.kube.resources import PVS

_PAGE: Final = 500


async def find_leaks(client: Client, caches: Caches) -> AsyncIterator[tuple[PersistentVolume, Target, str]]:
    """Yield each volume with its target, and with its node if only one can reach it."""
    token = ""
    while True:
        page = await client.list_page(PVS, decode=PersistentVolume, limit=_PAGE, continue_=token)
        for volume in page.items:
            claim = volume.spec.claim_ref
            there = caches.claims.store.get((claim.namespace, claim.name))
            claimed = there is not None and there.metadata.uid == claim.uid
            served = caches.namespace in {"", claim.namespace}
            if not served or claimed or to_stay(volume):
                continue
            made = made_for(volume, caches.probes.store.values(), caches.nodes_by_label)
            if made is not None:
                yield volume, *made
        if not (token := page.continue_):
            return

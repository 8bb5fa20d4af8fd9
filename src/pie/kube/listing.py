"""Reading all objects of a kind, page by page, whatever happens between the pages."""

from dataclasses import dataclass
from typing import Generic

from pie.kube.client import Client
from pie.kube.errors import Expired
from pie.kube.resources import Resource
from pie.kube.store import Key, key_of
from pie.kube.watchstream import Skipped, T


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """All objects of a kind, the resourceVersion they were read at, and what of them cannot be read.

    `answered_seconds`: when the API server answered with the first of them, by its own clock.
    """

    objects: dict[Key, T]
    version: str
    skipped: tuple[Skipped, ...]
    answered_seconds: float


async def list_all(
    client: Client,
    resource: Resource,
    namespace: str | None,
    *,
    decode: type[T],
    label_selector: str | None,
    field_selector: str | None,
    page_size: int,
) -> Listed[T]:
    """Return the objects that match.

    When a continue token expires (the list outlived the server's history), everything is read at once
    instead. A list goes before other reads: it serves many who wait, and the continue token of a page that
    comes late may have expired.
    """
    found: dict[Key, T] = {}
    skipped: list[Skipped] = []
    answered = 0.0
    limit, token = page_size, ""
    while True:
        try:
            page = await client.list_page(
                resource,
                namespace,
                decode=decode,
                label_selector=label_selector,
                field_selector=field_selector,
                limit=limit,
                continue_=token,
                urgent=True,
            )
        except Expired:
            if not token:
                raise
            found.clear()
            skipped.clear()
            answered = 0.0
            limit, token = 0, ""
            continue
        answered = answered or page.answered_seconds
        found.update((key_of(item), item) for item in page.items)
        skipped += page.skipped
        token = page.continue_
        if not token:
            return Listed(found, page.resource_version, tuple(skipped), answered)

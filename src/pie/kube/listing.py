"""Reading all objects of a kind, page by page, whatever happens between the pages."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from pie.kube.client import Client, Page
from pie.kube.errors import Expired, Undecodable
from pie.kube.resources import Resource
from pie.kube.store import Key, key_of
from pie.kube.watchstream import Marked, T

D = TypeVar("D")


async def list_all(
    client: Client,
    resource: Resource,
    namespace: str | None,
    *,
    decode: type[T],
    label_selector: str | None,
    field_selector: str | None,
    page_size: int,
    skip: Callable[[Marked, str], None],
) -> tuple[dict[Key, T], str]:
    """Return the objects and the resourceVersion they were read at.

    When a continue token expires (the list outlived the server's history), everything is read at once
    instead. An object that does not fit `decode` is left out and reported to `skip`.
    """

    async def page_of(kind: type[D], limit: int, token: str) -> Page[D]:
        return await client.list_page(
            resource,
            namespace,
            decode=kind,
            label_selector=label_selector,
            field_selector=field_selector,
            limit=limit,
            continue_=token,
        )

    def one(raw: msgspec.Raw) -> T | None:
        try:
            return msgspec.json.decode(raw, type=decode)
        except msgspec.ValidationError as error:
            skip(msgspec.json.decode(raw, type=Marked), str(error))
            return None

    found: dict[Key, T] = {}
    limit, token = page_size, ""
    while True:
        items: list[T]
        try:
            page = await page_of(decode, limit, token)
            items, version, following = page.items, page.resource_version, page.continue_
        except Expired:
            if not token:
                raise
            found.clear()
            limit, token = 0, ""
            continue
        except Undecodable:  # one object is odd, or the whole answer is: find out
            raw = await page_of(msgspec.Raw, limit, token)
            items = [item for item in map(one, raw.items) if item is not None]
            version, following = raw.resource_version, raw.continue_
        found.update((key_of(item), item) for item in items)
        if not following:
            return found, version
        token = following

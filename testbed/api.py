"""The testbed's own small client of the API server: JSON in, JSON out, no caches.

It does not use pie's client, so that a defect of that client cannot hide itself.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import aiohttp

from testbed.errors import TestbedError
from testbed.kubeconfig import Kubeconfig

Json = dict[str, Any]
NOT_FOUND = 404
CONFLICT = 409
TOO_MANY_REQUESTS = 429
_BUSY = {500, 503, 504}
"""For example etcd has not answered for seconds. What only reads is asked for again."""
_MOST_WAITS = 10
"""For example the storage of a CRD that was just created is not there for a moment (429 with Retry-After)."""
_PATCH_TYPES = {
    "apply": "application/apply-patch+yaml",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


class ApiError(TestbedError):
    """The API server refused a request."""

    def __init__(self, method: str, path: str, status: int, message: str) -> None:
        """`message` is the API server's own."""
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status


class Api:
    """Requests to the API server of a kubeconfig file with a token. Paths are those of the REST API."""

    def __init__(self, kubeconfig: Path, *, user_agent: str = "testbed") -> None:
        """Read the kubeconfig; it connects later."""
        config = Kubeconfig.read(kubeconfig)
        self._server = config.server
        self._tls = ssl.create_default_context(cafile=config.certificate_authority)
        self._headers = {"Authorization": f"Bearer {config.token}", "User-Agent": user_agent}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(
            headers=self._headers, connector=aiohttp.TCPConnector(ssl=self._tls)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection pool."""
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, *, parameters: Mapping[str, str] | None = None) -> Json:
        """Read an object or a list."""
        return await self._request("GET", path, parameters=parameters)

    async def find(self, path: str) -> Json | None:
        """Read an object that may not exist."""
        try:
            return await self.get(path)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def items(self, path: str, *, selector: str = "") -> list[Json]:
        """Read all objects of a collection, optionally those with certain labels."""
        parameters = {"labelSelector": selector} if selector else None
        return cast(list[Json], (await self.get(path, parameters=parameters))["items"])

    async def create(self, path: str, body: Json) -> Json:
        """POST to a collection."""
        return await self._request("POST", path, body=body)

    async def apply(self, path: str, body: Json, *, subresource: str = "") -> Json:
        """Server-side apply of a whole object at its own path, as field manager `testbed`."""
        parameters = {"fieldManager": "testbed", "force": "true"}
        where = f"{path}/{subresource}" if subresource else path
        return await self._request("PATCH", where, body=body, parameters=parameters, patch="apply")

    async def patch(self, path: str, body: Json, *, patch: str = "merge") -> Json:
        """Merge patch (or `patch="strategic"`)."""
        return await self._request("PATCH", path, body=body, patch=patch)

    async def delete(self, path: str, *, propagation: str = "") -> None:
        """Delete an object or a collection; it is no error if it does not exist.

        `propagation`, if not the server's own (which leaves the pods of a Job): `Background`, for example.
        """
        parameters = {"propagationPolicy": propagation} if propagation else None
        try:
            await self._request("DELETE", path, parameters=parameters)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise

    async def watch(self, path: str, handle: Callable[[Json], Awaitable[None]]) -> None:
        """Pass every object of a collection, and every change of it, to `handle` as a watch event.

        After an interruption it starts again, so `handle` can get an object as ADDED again. It never returns.
        """
        session = self._open_session()
        while True:
            timeout = aiohttp.ClientTimeout(total=None, sock_read=330)
            try:
                async with session.get(
                    self._server + path, params={"watch": "true", "timeoutSeconds": "300"}, timeout=timeout
                ) as response:
                    response.raise_for_status()
                    async for line in lines(response.content.iter_any()):
                        await handle(json.loads(line))
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(1)  # the API server may be stopped on purpose, or busy

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        parameters: Mapping[str, str] | None = None,
        patch: str = "",
    ) -> Json:
        headers = {"Content-Type": _PATCH_TYPES[patch] if patch else "application/json"}
        payload = None if body is None else json.dumps(body)
        for wait in range(_MOST_WAITS, -1, -1):
            try:
                async with self._open_session().request(
                    method, self._server + path, params=parameters, data=payload, headers=headers
                ) as response:
                    text = await response.text()
            except aiohttp.ClientError as error:
                raise TestbedError(f"{method} {path}: the API server does not answer: {error}") from error
            refused = response.status == TOO_MANY_REQUESTS and "Retry-After" in response.headers
            if not wait or not (refused or (method == "GET" and response.status in _BUSY)):
                break
            await asyncio.sleep(1)
        if not response.ok:
            raise ApiError(method, path, response.status, _message(text))
        try:
            return cast(Json, json.loads(text))
        except json.JSONDecodeError:
            return {"text": text}  # /readyz and similar paths answer in plain text

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise TestbedError("the client is not open: use it in `async with`")
        return self._session


async def lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the whole lines of a stream that comes in chunks of any size, without their ends."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return text[:500]

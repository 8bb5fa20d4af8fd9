"""An API server as a test asks it, embedded or real, and objects to create there."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Self

import yaml

from testbed.api import Api
from tests.specs import SMALLEST

Json = dict[str, Any]
PROBES = "/apis/pie.topolvm.io/v1alpha1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass
class Server:
    """An API server, with a namespace of the test's own."""

    api: Api
    namespace: str

    def path(self, plural: str, name: str = "", group: str = "/api/v1") -> str:
        parts = [group, "namespaces", self.namespace, plural, name]
        return "/".join(part for part in parts if part)

    def probe(self, name: str = "") -> str:
        return self.path("pieprobes", name, PROBES)

    async def send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        kind: str = "application/json",
        **query: str,
    ) -> tuple[int, Json]:
        """Send a request; return status and answer, whatever it is."""
        session, server = self.api._open_session(), self.api._server
        payload = None if body is None else json.dumps(body)
        headers = {"Content-Type": kind}
        async with session.request(
            method, server + path, params=query, data=payload, headers=headers
        ) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else {"message": text}

    async def patch(self, path: str, body: Json, **query: str) -> tuple[int, Json]:
        return await self.send("PATCH", path, body, kind="application/merge-patch+json", **query)

    async def apply(self, path: str, body: Json, manager: str, **query: str) -> tuple[int, Json]:
        query = {"fieldManager": manager, **query}
        return await self.send("PATCH", path, body, kind="application/apply-patch+yaml", **query)

    async def make(self, name: str = "p", **spec: Any) -> Json:
        return await self.api.create(self.probe(), pieprobe(name, **spec))

    def watch(self, path: str, **query: str) -> "Watch":
        return Watch(self, path, query)


class Watch:
    """One watch, as `async with`; each call returns the next event that is no bookmark."""

    def __init__(self, server: Server, path: str, query: dict[str, str]) -> None:
        self._server = server
        self._path = path
        self._query = {"watch": "true", "timeoutSeconds": "20", **query}

    async def __aenter__(self) -> Self:
        session, server = self._server.api._open_session(), self._server.api._server
        self._answer = await session.get(server + self._path, params=self._query)
        self.status = self._answer.status
        return self

    async def __aexit__(self, *_: object) -> None:
        self._answer.close()

    async def event(self) -> Json:
        async with asyncio.timeout(60):
            found: Json = json.loads(await self._answer.content.readline())
        return found

    async def __call__(self) -> tuple[str, str]:
        while (event := await self.event())["type"] == "BOOKMARK":
            pass
        return event["type"], event["object"]["metadata"]["name"]


def pieprobe(name: str = "p", **spec: Any) -> Json:
    found: Json = yaml.safe_load(json.dumps(SMALLEST))
    metadata = {"name": name}
    body = {"apiVersion": "pie.topolvm.io/v1alpha1", "kind": "PieProbe"}
    return {**body, "metadata": metadata, "spec": {**found, **spec}}


def claim(name: str, **metadata: Any) -> Json:
    resources = {"requests": {"storage": "1Gi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": resources, "storageClassName": "none"}
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    return {**body, "metadata": {"name": name, **metadata}, "spec": spec}

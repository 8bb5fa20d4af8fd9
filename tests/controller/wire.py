"""The API server of the simulated cluster, as pie's client sees it."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from pie.embedded.schema import errors
from pie.kube.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound, ServerError
from pie.kube.transport import Answer, Request
from tests.controller.world import World, owner_of


class Wire:
    """Answers requests from the simulation's objects.

    `forbidden` are the verbs and kinds that pie has no permission for; it has none for what is not `allowed`.
    """

    def __init__(self, world: World, allowed: Callable[[Request], bool] = lambda _request: True) -> None:
        self._world = world
        self.namespace = world.namespace
        self._allowed = allowed
        self.forbidden: set[tuple[str, str]] = set()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.answers_after: Callable[[Request], float] = lambda _request: 0.0

    async def send(self, request: Request) -> Answer:
        """Do what is asked, at once; count it by verb and kind. The answer may come later."""
        self.asked[request.verb, request.resource.plural] += 1
        self._permit(request)
        body = msgspec.json.decode(request.body) if request.body else {}
        now = float(math.floor(self._world.now()))  # a `Date` has whole seconds
        answer = msgspec.json.encode(self._world.written(self._answer(request, body)))
        if (seconds := self.answers_after(request)) > 0:
            await asyncio.sleep(seconds)
        return Answer(answer, 0.0, now)

    def _permit(self, request: Request) -> None:
        what = request.verb, request.resource.plural
        if what in self.forbidden or not self._allowed(request):
            words = f'{what[1]} is forbidden: User "pie" cannot {what[0]} resource "{what[1]}"'
            raise Forbidden(403, "Forbidden", f"cannot {request}: 403 Forbidden: {words}")

    def _check(self, request: Request, wanted: dict[str, str], found: dict[str, Any]) -> None:
        """Refuse a change of another object than the one that is there."""
        if any(found[key] != wanted[key] for key in ("uid", "resourceVersion") if key in wanted):
            raise Conflict(409, "Conflict", f"{request}: is another by now")

    def _hold_to_limits(self, kind: str, item: dict[str, Any]) -> None:
        """Refuse a status that breaks the CRD, and an object that is too large for etcd."""
        if kind != "pieprobes":
            return
        if broken := errors(self._world.status_schema, item["status"]):
            raise Invalid(422, "Invalid", "; ".join(broken))
        if len(msgspec.json.encode(item)) > self._world.largest_object_bytes:
            raise ServerError(500, "", "etcdserver: request is too large")

    def _page(self, request: Request) -> dict[str, Any]:
        world, kind = self._world, request.resource.plural
        items = list(world.objects.get(kind, {}).values())
        if kind == "leases":
            items = [world.lease(each) for each in world.objects["nodes"]]
        if kind == "events":
            uid = (
                (request.query.get("fieldSelector") or "")
                .partition("involvedObject.uid=")[2]
                .partition(",")[0]
            )
            items = [each for each in world.warnings if each["involvedObject"]["uid"] == uid]
        if job := (request.query.get("labelSelector") or "").partition("=")[2]:
            items = [each for each in items if owner_of(each)["uid"] == job]  # of pods, those of one Job
        first, limit = int(request.query.get("continue") or 0), int(request.query.get("limit") or 0)
        last = first + limit if limit else len(items)
        return {
            "metadata": {"continue": str(last) if last < len(items) else ""},
            "items": [world.written(each) for each in items[first:last]],
        }

    def _created(self, request: Request, body: Any) -> Any:
        """Create a Job, or a pod of its own."""
        world, metadata = self._world, body["metadata"]
        if request.resource.plural == "jobs":
            owner = metadata["ownerReferences"][0]
            return world.make_job(
                metadata["name"], metadata["labels"], metadata["annotations"], owner, body["spec"]
            )
        if metadata["name"] in world.objects["pods"]:
            raise AlreadyExists(409, "AlreadyExists", f"{request}: there is one of this name")
        if world.pods_are_refused:
            raise Forbidden(403, "Forbidden", f"{request}: pods are {world.pods_are_refused}")
        return world.make_pod({**body, "status": {"phase": "Pending"}})

    def _expanded(self, kind: str, item: dict[str, Any], spec: dict[str, Any] | None) -> dict[str, Any]:
        """Have a PVC ask for more, unless that is refused."""
        if spec is None or kind != "persistentvolumeclaims":
            return item
        if self._world.expansions_are_refused:
            raise Forbidden(403, "Forbidden", self._world.expansions_are_refused)
        return self._world.put(kind, {**item, "spec": {**item["spec"], **spec}})

    def _answer(self, request: Request, body: Any) -> Any:
        kind, name, world = request.resource.plural, request.name or "", self._world
        match request.verb:
            case "list":
                return self._page(request)
            case "create" if kind in {"jobs", "pods"}:
                return self._created(request, body)
            case "create" | "apply":
                old = world.objects[kind].get(body["metadata"]["name"], {}) if kind in world.objects else {}
                metadata = {**old.get("metadata", {}), **body["metadata"]}
                metadata["generation"] = metadata.get("generation", 0) + 1
                item = {"status": old.get("status", {}), **body, "metadata": metadata}
                return world.put(kind, item) if kind in world.objects else item
            case "delete" if name in world.objects.get(kind, {}):
                assert "uid" in body["preconditions"], "a deletion names the object that was looked at"
                self._check(request, body["preconditions"], world.objects[kind][name]["metadata"])
                if kind == "jobs":
                    world.delete_job(name)
                elif kind == "pods":
                    world.delete_pod(name)
                else:
                    del world.objects[kind][name]
                return {}
            case "patch" | "get" if name in world.objects.get(kind, {}):
                found, changed = world.objects[kind][name], (body or {}).get("metadata", {})
                self._check(request, changed, found["metadata"])
                if request.subresource == "status":
                    status = {**found.get("status", {}), **body["status"]}
                    kept = {key: value for key, value in status.items() if value is not None}
                    written = {**found, "status": kept}
                    self._hold_to_limits(kind, written)
                    found = world.put(kind, written)
                found = self._expanded(kind, found, (body or {}).get("spec"))
                return world.patch_metadata(kind, found, changed)
            case "get" if kind == "leases" and name in world.objects["nodes"]:
                return world.lease(name)
        raise NotFound(404, "NotFound", f"{request}: not found")


class TwoNamespaces:
    """Sends each request to the namespace that it is about; a list of all namespaces has what both have."""

    def __init__(self, one: Wire, other: Wire) -> None:
        self._one = one
        self._other = other

    async def send(self, request: Request) -> Answer:
        """Do what is asked."""
        if request.namespace == self._other.namespace:
            return await self._other.send(request)
        answer = await self._one.send(request)
        if request.verb != "list" or request.namespace or not request.resource.namespaced:
            return answer
        pages = [msgspec.json.decode(each.body) for each in (answer, await self._other.send(request))]
        items = [item for page in pages for item in page["items"]]
        return replace(answer, body=msgspec.json.encode({**pages[0], "items": items}))

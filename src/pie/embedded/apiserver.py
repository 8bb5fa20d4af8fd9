"""The API server: HTTP in front of the registry. It can be slow, and it can be down.

Plain HTTP on loopback, for those who have the token. Without TLS kubectl sends none but that of the address.
"""

import asyncio
import json
import re
import secrets
import socket
import uuid
from base64 import b64encode
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

import yaml
from aiohttp import web

from pie.embedded import admission, discovery, schema
from pie.embedded.errors import Refused, about, bad_request, conflict, not_found
from pie.embedded.guard import only_from_here
from pie.embedded.kinds import KINDS, PODS, Json, Kind, find
from pie.embedded.patch import apply, merge
from pie.embedded.registry import Registry
from pie.embedded.selectors import Matches, selector
from pie.embedded.tables import table
from pie.embedded.watch import Watch

_PATH: Final = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<subresource>[^/]+))?)?"
)
_BY_PATH: Final = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
_LIMIT_BYTES: Final = 3 * 1024 * 1024
_MOST_PAGES: Final = 64
_DEEPEST: Final = 64
_LONGEST_WATCH_SECONDS: Final = 3600.0
_SLOW_SECONDS: Final = 2.0
_APPLY: Final = "application/apply-patch+yaml"
_PATCHES: Final = {_APPLY, "application/merge-patch+json", "application/strategic-merge-patch+json"}
_SUCCESS: Final = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


class Place(NamedTuple):
    """What a path addresses: a kind, and if given an object of it and its subresource."""

    kind: Kind
    namespace: str
    name: str
    subresource: str


def place(path: str) -> Place:
    """Return what a path addresses; raises Refused (404) for an unknown resource."""
    match = _PATH.fullmatch(path)
    found = match.groupdict(default="") if match else {}
    kind = _BY_PATH.get((found["group"], found["version"], found["plural"])) if found else None
    if kind is None or (found["namespace"] and not kind.namespaced):
        raise Refused(404, "NotFound", "the server could not find the requested resource")
    return Place(kind, found["namespace"], found["name"], found["subresource"])


class ApiServer:
    """Answers requests from a registry, on loopback. `faults`: the names of its active faults."""

    def __init__(self, registry: Registry, bookmark_seconds: float) -> None:
        self._registry, self._store = registry, registry.store
        self._bookmark_seconds = bookmark_seconds
        self._port, self.token = 0, secrets.token_urlsafe()
        basic = b64encode(f"pie:{self.token}".encode()).decode()
        self._keys = frozenset({f"Bearer {self.token}", f"Basic {basic}"})
        self._runner: web.AppRunner | None = None
        self._pages: dict[str, tuple[int, list[Json]]] = {}
        """The remaining pages of lists, by continue token, with the version of the list."""
        self.faults: set[str] = set()

    @property
    def address(self) -> str:
        """The server's URL, with the token."""
        return f"http://pie:{self.token}@127.0.0.1:{self._port}"

    @property
    def reachable(self) -> bool:
        """Whether it listens; the actors stop while it does not."""
        return self._runner is not None

    async def start(self) -> None:
        """Listen; the first time on a free port, later on the same port."""
        listener = socket.create_server(("127.0.0.1", self._port), backlog=512, reuse_port=False)
        app = web.Application(client_max_size=_LIMIT_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        self._port = listener.getsockname()[1]
        await web.SockSite(runner, listener).start()
        self._runner = runner

    async def stop(self) -> None:
        """Close the port and break off every request."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if "api-slow" in self.faults:
            await asyncio.sleep(_SLOW_SECONDS)
        try:
            only_from_here(request, keys=self._keys)
            return await self._answer(request)
        except Refused as refused:
            return web.json_response(refused.status, status=refused.code)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if (found := discovery.document(request.path)) is not None:
            kind = discovery.AGGREGATED if request.path in {"/api", "/apis"} else "application/json"
            return web.Response(body=json.dumps(found).encode(), headers={"Content-Type": kind})
        verbs = {"GET": self._read, "POST": self._create, "PATCH": self._patch, "DELETE": self._delete}
        if request.method not in verbs:
            raise Refused(405, "MethodNotAllowed", f"{request.method} is not supported here")
        return await verbs[request.method](request, place(request.path))

    async def _read(self, request: web.Request, where: Place) -> web.StreamResponse:
        query, watching = request.query, request.query.get("watch") in {"true", "1"}
        if where.name and not watching:
            if where.subresource not in {"", "status"}:
                raise not_found(where.kind, where.name)
            return self._shown(request, where.kind, self._registry.get(*where[:3]))
        fields = f"metadata.name={where.name}" if where.name else query.get("fieldSelector")
        matches = selector(query.get("labelSelector"), fields)
        return await (self._watch if watching else self._list)(request, where, matches)

    async def _list(self, request: web.Request, where: Place, matches: Matches) -> web.StreamResponse:
        query, version = request.query, self._store.version
        items = [item for item in self._store.all(where.kind, where.namespace) if matches(item)]
        if token := query.get("continue"):
            version, items = self._pages.get(token, (0, []))
            if version < self._store.oldest:
                message = "The provided continue parameter is too old to display a consistent list result."
                raise Refused(410, "Expired", message)
        limit = _number(request, "limit") or len(items)
        metadata: Json = {"resourceVersion": str(version)}
        if rest := items[limit:]:
            metadata |= {"continue": uuid.uuid4().hex, "remainingItemCount": len(rest)}
            self._pages[metadata["continue"]] = version, rest
            if len(self._pages) > _MOST_PAGES:
                del self._pages[next(iter(self._pages))]
        if _wants_table(request):
            return web.json_response(table(where.kind, items[:limit], metadata, self._registry.now()))
        listed = {"kind": f"{where.kind.kind}List", "apiVersion": where.kind.api_version}
        return web.json_response({**listed, "metadata": metadata, "items": items[:limit]})

    async def _watch(self, request: web.Request, where: Place, matches: Matches) -> web.StreamResponse:
        """Answer a watch until its time ends, or its client disconnects."""
        query, version = request.query, _number(request, "resourceVersion")
        initial = query.get("sendInitialEvents") in {"true", "1"}
        seconds = _number(request, "timeoutSeconds") or _LONGEST_WATCH_SECONDS
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        every = self._bookmark_seconds if query.get("allowWatchBookmarks") in {"true", "1"} else None
        show = partial(self._show, request, where.kind)
        watch = Watch(self._store, where.kind, where.namespace, matches, show, response.write, every)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                await watch.run(version, initial=initial)
        return response

    def _show(self, request: web.Request, kind: Kind, item: Json) -> Json:
        return table(kind, [item], {}, self._registry.now()) if _wants_table(request) else item

    def _shown(self, request: web.Request, kind: Kind, item: Json, status: int = 200) -> web.Response:
        return web.json_response(self._show(request, kind, item), status=status)

    async def _create(self, request: web.Request, where: Place) -> web.Response:
        body = await _body(request, where)
        if where.kind is PODS and where.subresource == "binding":
            self._bind(where, find(body, "target.name"))
            return web.json_response({**_SUCCESS, "code": 201}, status=201)
        if where.name or where.kind.namespaced is not bool(where.namespace):
            raise Refused(405, "MethodNotAllowed", "create is not supported here")
        created = self._registry.create(where.kind, body, where.namespace, dry_run=_dry_run(request))
        return self._shown(request, where.kind, created, 201)

    def _bind(self, where: Place, node: Any) -> None:
        pod = self._registry.get(*where[:3])
        if not isinstance(node, str) or not node:
            raise bad_request("target.name: Required value: the node to bind the pod to")
        if pod["spec"].get("nodeName"):
            raise conflict(PODS, where.name, f"pod {where.name} is already assigned to node")
        self._registry.edit(pod, lambda copy: copy["spec"].update(nodeName=node))
        self._registry.set_condition(pod, "PodScheduled", "True")

    async def _patch(self, request: web.Request, where: Place) -> web.Response:
        how, dry_run = request.content_type, _dry_run(request)
        if where.subresource and not (where.subresource == "status" and where.kind.status):
            raise not_found(where.kind, where.name)
        body = await _body(request, where) if how in _PATCHES else {}
        if how not in _PATCHES or "$patch" in json.dumps(body):
            raise Refused(415, "UnsupportedMediaType", f"this server does not understand this patch: {how}")
        if how == _APPLY and self._registry.find(*where[:3]) is None:
            metadata = {**(body.get("metadata") or {}), "name": where.name}
            applied = _applied(request, where, {"metadata": {}}, {**body, "metadata": metadata})
            created = self._registry.create(where.kind, applied, where.namespace, dry_run=dry_run)
            return self._shown(request, where.kind, created, 201)

        def edit(item: Json) -> Any:
            return _applied(request, where, item, body) if how == _APPLY else merge(item, body)

        changed = self._registry.change(*where[:3], edit, door=where.subresource, dry_run=dry_run)
        return self._shown(request, where.kind, changed)

    async def _delete(self, request: web.Request, where: Place) -> web.Response:
        options = await _body(request, where)
        if where.subresource or not where.name:
            raise Refused(405, "MethodNotAllowed", "delete is not supported here")
        if errors := schema.errors(schema.shapes()["DeleteOptions"], options):
            raise bad_request(f"DeleteOptions: {', '.join(errors)}")
        deleted = self._registry.delete(*where[:3], options, dry_run=_dry_run(request))
        details = about(where.kind, where.name) | {"uid": deleted["metadata"]["uid"]}
        return web.json_response(self._registry.current(deleted) or {**_SUCCESS, "details": details})


def _applied(request: web.Request, where: Place, item: Json, body: Json) -> Json:
    """Return the result of a server-side apply."""
    if where.kind.status:  # spec and status are changed separately
        shut = body.keys() - {"apiVersion", "kind", "metadata", "status"} if where.subresource else {"status"}
        body = {key: value for key, value in body.items() if key not in shut}
    manager, force = request.query.get("fieldManager", "unknown"), request.query.get("force") in {"true", "1"}
    return apply(item, body, manager, where.subresource, force=force)


def _wants_table(request: web.Request) -> bool:
    return "as=Table" in request.headers.get("Accept", "")


def _dry_run(request: web.Request) -> bool:
    return request.query.get("dryRun") == "All"


def _number(request: web.Request, key: str) -> int:
    text = request.query.get(key) or "0"
    if not re.fullmatch("[0-9]{1,18}", text):
        raise bad_request(f"{key}: Invalid value: {text!r}: must be a number")
    return int(text)


def _depth(value: Any) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, below), default=0)


def _decoded(raw: bytes) -> Json:
    """Return the object in a body; raises TypeError or ValueError if there is none."""
    json_text = raw.lstrip()[:1] == b"{"
    # YAML has more types than JSON: dates become text, and other types are refused.
    found = json.loads(raw if json_text else json.dumps(yaml.safe_load(raw or b"{}"), default=str))
    if not isinstance(found, dict) or not isinstance(found.get("metadata") or {}, dict):
        raise TypeError("it is not an object, or its metadata is not")
    if _depth(found) > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    return found


async def _body(request: web.Request, where: Place) -> Json:
    """Return the body of a request; refuse unknown fields if the client asks for that."""
    try:
        found = _decoded(await request.read())
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise bad_request(f"error decoding the body of the request: {error}") from error
    if request.query.get("fieldValidation") == "Strict":
        unknown = [f'unknown field "{path}"' for path in admission.unknown_fields(where.kind, found)]
        if unknown:
            raise bad_request(f"{where.kind.kind}: strict decoding error: {', '.join(unknown)}")
    return found

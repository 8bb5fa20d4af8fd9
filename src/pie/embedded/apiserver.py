"""The API server: HTTP in front of the registry.

Plain HTTP on loopback, without authentication: whoever can reach the port may do everything.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Final

import yaml
from aiohttp import web

from pie.embedded import admission, discovery
from pie.embedded.errors import Refused, bad_request, conflict, expired, not_found
from pie.embedded.kinds import KINDS, PODS, Kind
from pie.embedded.patch import ApplyConflict, apply, merge, strategic_merge
from pie.embedded.registry import Registry
from pie.embedded.selection import Matches, selector
from pie.embedded.tables import table
from pie.embedded.watch import Watches

Json = dict[str, Any]

_BY_PATH: Final = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
_LIMIT_BYTES: Final = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """What a path addresses: a kind, and if given an object of it and its subresource."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def place(path: str) -> Place | None:
    """Return what a path addresses; None for what is no resource."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:  # noqa: PLR2004  /api/v1/…
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:  # noqa: PLR2004  /apis/group/version/…
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and (group, rest[2]) != ("", "status"):  # noqa: PLR2004
        namespace, rest = rest[1], rest[2:]
    kind = _BY_PATH.get((group, version, rest[0]))
    if kind is None or (namespace and not kind.namespaced) or len(rest) > 3:  # noqa: PLR2004
        return None
    name, subresource = (*rest[1:], "", "")[:2]
    return Place(kind, namespace, name, subresource)


class ApiServer:
    """Answers requests from a registry."""

    def __init__(self, registry: Registry, watches: Watches) -> None:
        self._registry = registry
        self._watches = watches

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request."""
        try:
            return await self._answer(request)
        except Refused as refused:
            return web.json_response(refused.status(), status=refused.code)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path in {"/healthz", "/readyz", "/livez"}:
            return web.Response(text="ok")
        if (found := discovery.document(request.path, request.host)) is not None:
            return web.json_response(found)
        where = place(request.path)
        if where is None:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        if request.method == "GET":
            return await self._read(request, where)
        if request.method == "POST":
            return await self._create(request, where)
        if request.method == "DELETE":
            return await self._delete(request, where)
        if request.method in {"PUT", "PATCH"} and where.name:
            return await self._change(request, where)
        message = "the server does not allow this method on the requested resource"
        raise Refused(405, "MethodNotAllowed", message)

    # Reading.

    async def _read(self, request: web.Request, where: Place) -> web.StreamResponse:
        query = request.query
        if where.name:
            if where.subresource == "log" and where.kind is PODS:
                return web.Response(text=self._log(where))
            if where.subresource not in {"", "status"}:
                raise not_found(where.kind, where.name)
            found = self._registry.get(where.kind, where.namespace, where.name)
            if query.get("watch") not in {"true", "1"}:
                return self._shown(request, where.kind, found)
        fields = query.get("fieldSelector")
        if where.name:
            fields = f"metadata.name={where.name}"
        matches = selector(query.get("labelSelector"), fields)
        if query.get("watch") in {"true", "1"}:
            return await self._watches.serve(
                request, where.kind, where.namespace, matches, self._show_as(request, where.kind)
            )
        return self._list(request, where, matches)

    def _log(self, where: Place) -> str:
        found = self._registry.get(where.kind, where.namespace, where.name)
        statuses = found["status"].get("containerStatuses") or [{}]
        message = statuses[0].get("state", {}).get("terminated", {}).get("message", "")
        return f"{message}\n" if message else ""

    def _list(self, request: web.Request, where: Place, matches: Matches) -> web.Response:
        query, store = request.query, self._registry.store
        self._watches.check_version(query.get("resourceVersion"))
        limit = int(query.get("limit") or 0)
        version, after = store.version, ("", "")
        if token := query.get("continue"):
            version, after = _read_token(token)
            if version < store.oldest:
                raise expired(
                    "The provided continue parameter is too old to display a consistent list result."
                )
        snapshot = store.snapshot(where.kind, version)
        keys = [key for key in sorted(snapshot) if key > after and where.namespace in {"", key[0]}]
        keys = [key for key in keys if matches(snapshot[key])]
        page = keys[:limit] if limit else keys
        metadata: Json = {"resourceVersion": str(version)}
        if len(page) < len(keys):
            metadata["continue"] = _token(version, page[-1])
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(keys) - len(page)
        items = [snapshot[key] for key in page]
        include = _table_wanted(request)
        if include is not None:
            return web.json_response(table(where.kind, items, metadata, self._registry.now(), include))
        kind = where.kind
        return web.json_response(
            {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata, "items": items}
        )

    def _show_as(self, request: web.Request, kind: Kind) -> Any:
        include = _table_wanted(request)
        if include is None:
            return lambda item: item
        return lambda item: table(kind, [item], {}, self._registry.now(), include)

    def _shown(self, request: web.Request, kind: Kind, item: Json, status: int = 200) -> web.Response:
        return web.json_response(self._show_as(request, kind)(item), status=status)

    # Writing.

    async def _create(self, request: web.Request, where: Place) -> web.Response:
        body = await _body(request)
        if where.kind is PODS and where.subresource == "binding":
            self._bind(where, body)
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
            return web.json_response(status, status=201)
        if where.name:
            raise Refused(405, "MethodNotAllowed", "create is not supported here")
        if where.kind.namespaced and not where.namespace:
            raise bad_request("an empty namespace may not be set during creation")
        headers = self._check_fields(request, where.kind, body)
        created = self._registry.create(where.kind, body, where.namespace, dry_run=_dry_run(request))
        response = self._shown(request, where.kind, created, 201)
        response.headers.update(headers)
        return response

    def _bind(self, where: Place, body: Json) -> None:
        def edit(pod: Json) -> None:
            if pod["spec"].get("nodeName"):
                raise conflict(PODS, where.name, f"pod {where.name} is already assigned to node")
            pod["spec"]["nodeName"] = body["target"]["name"]

        self._registry.change(PODS, where.namespace, where.name, edit)
        bound = {"type": "PodScheduled", "status": "True", "lastTransitionTime": self._registry.stamp()}
        pod = self._registry.get(PODS, where.namespace, where.name)
        self._registry.set_status(PODS, pod, conditions=[bound])

    async def _change(self, request: web.Request, where: Place) -> web.Response:
        body = await _body(request)
        if where.subresource not in {"", "status"} or (where.subresource and not where.kind.status):
            raise not_found(where.kind, where.name)
        kind, patch_type = where.kind, request.content_type
        known = self._registry.find(kind, where.namespace, where.name)
        headers = {}
        if request.method == "PUT" or patch_type != "application/json-patch+json":
            headers = self._check_fields(request, kind, body)
        if known is None and patch_type == "application/apply-patch+yaml" and not where.subresource:
            return self._create_applied(request, where, body)

        def edit(item: Json) -> Json:
            if request.method == "PUT":
                kept = item["metadata"]
                return {**body, "metadata": {"managedFields": kept.get("managedFields"), **body["metadata"]}}
            if patch_type == "application/apply-patch+yaml":
                return self._applied(request, where, item, body)
            if patch_type == "application/merge-patch+json":
                merged: Json = merge(item, body)
                return merged
            if patch_type == "application/strategic-merge-patch+json":
                patched: Json = strategic_merge(item, body)
                return patched
            raise Refused(
                415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {patch_type}"
            )

        changed = self._registry.change(
            kind, where.namespace, where.name, edit, subresource=where.subresource, dry_run=_dry_run(request)
        )
        response = self._shown(request, kind, changed)
        response.headers.update(headers)
        return response

    def _create_applied(self, request: web.Request, where: Place, body: Json) -> web.Response:
        wanted = {**body, "metadata": {**body.get("metadata", {}), "name": where.name}}
        if wanted["metadata"].get("uid"):
            raise conflict(where.kind, where.name, "uid mismatch: the object does not exist")
        applied = self._applied(request, where, {"metadata": {}}, wanted)
        created = self._registry.create(where.kind, applied, where.namespace, dry_run=_dry_run(request))
        return self._shown(request, where.kind, created, 201)

    def _applied(self, request: web.Request, where: Place, item: Json, body: Json) -> Json:
        manager = request.query.get("fieldManager")
        if not manager:
            raise bad_request("fieldManager is required for apply patch")
        force = request.query.get("force") in {"true", "1"}
        now = self._registry.stamp()
        if where.kind.status:
            part = {"status"} if where.subresource else body.keys() - {"status"}
            body = {
                key: value for key, value in body.items() if key in part | {"apiVersion", "kind", "metadata"}
            }
        try:
            return apply(item, body, manager, where.subresource, now, force=force)
        except ApplyConflict as clash:
            raise Refused(409, "Conflict", str(clash)) from clash

    def _check_fields(self, request: web.Request, kind: Kind, body: Json) -> dict[str, str]:
        """Hold a body to the fields that its kind has: refuse, or warn in a header, as the client asked."""
        unknown = [f'unknown field "{path}"' for path in admission.unknown_fields(kind, body)]
        mode = request.query.get("fieldValidation", "Warn")
        if not unknown or mode == "Ignore":
            return {}
        if mode == "Strict":
            what = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
            raise bad_request(f"{what}: strict decoding error: {', '.join(unknown)}")
        return {"Warning": ", ".join(f"299 - {json.dumps(words)}" for words in unknown)}

    async def _delete(self, request: web.Request, where: Place) -> web.Response:
        options = await _body(request) if request.can_read_body else {}
        for key in ("propagationPolicy", "gracePeriodSeconds"):
            if key in request.query:
                value = request.query[key]
                options[key] = int(value) if value.lstrip("-").isdigit() else value
        dry_run = _dry_run(request) or bool(options.get("dryRun"))
        if where.name:
            gone = self._registry.delete(
                where.kind, where.namespace, where.name, options=options, dry_run=dry_run
            )
            if dry_run or self._registry.find(where.kind, where.namespace, where.name) is not None:
                return web.json_response(gone)
            about = {"name": where.name, "group": where.kind.group, "kind": where.kind.plural}
            return web.json_response(
                {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "metadata": {},
                    "status": "Success",
                    "details": {**about, "uid": gone["metadata"]["uid"]},
                }
            )
        matches = selector(request.query.get("labelSelector"), request.query.get("fieldSelector"))
        items = [item for item in self._registry.store.all(where.kind, where.namespace) if matches(item)]
        for item in items:
            metadata = item["metadata"]
            namespace = metadata.get("namespace", "")
            self._registry.delete(where.kind, namespace, metadata["name"], options=options, dry_run=dry_run)
        listed = {"kind": f"{where.kind.kind}List", "apiVersion": where.kind.api_version}
        return web.json_response(
            {**listed, "metadata": {"resourceVersion": str(self._registry.store.version)}, "items": items}
        )


def _table_wanted(request: web.Request) -> str | None:
    return (
        request.query.get("includeObject", "Metadata")
        if "as=Table" in request.headers.get("Accept", "")
        else None
    )


def _dry_run(request: web.Request) -> bool:
    return request.query.get("dryRun") == "All"


async def _body(request: web.Request) -> Json:
    """Return the body of a request as an object; YAML is JSON's superset, and apply may come as YAML."""
    raw = await request.read()
    if len(raw) > _LIMIT_BYTES:
        raise Refused(413, "RequestEntityTooLarge", f"Request entity too large: limit is {_LIMIT_BYTES}")
    if not raw:
        return {}
    try:
        found = json.loads(raw) if raw.lstrip()[:1] == b"{" else yaml.safe_load(raw)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"error decoding the body of the request: {error}") from error
    if not isinstance(found, dict):
        raise bad_request("the body of the request is not an object")
    return found


def _token(version: int, key: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, *key]).encode()).decode()


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        version, namespace, name = json.loads(base64.urlsafe_b64decode(token))
        return int(version), (str(namespace), str(name))
    except (ValueError, TypeError, binascii.Error) as error:
        raise bad_request(f"continue key is not valid: {error}") from error

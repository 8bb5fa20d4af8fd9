"""The server's description of itself: its kinds by aggregated discovery, and OpenAPI without schemas.

kubectl takes the kinds from the former, and from the latter whether the server validates fields.
https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from pie.embedded.kinds import KINDS, Json, Kind

AGGREGATED: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""The content type of what stands at /api and /apis."""
VERSION: Final = "v1.35.4"
"""The version of Kubernetes whose behaviour is followed; also the server's version."""
_VERBS: Final = ["create", "delete", "get", "list", "patch", "watch"]
_OPENAPI: Final = "/openapi/v3/all"
_INFO: Final = {"title": "Kubernetes", "version": VERSION}
_PARAMETERS: Final = [{"name": name, "in": "query"} for name in ("dryRun", "fieldManager", "fieldValidation")]


def document(path: str) -> Json | None:
    """Return the answer for a discovery path; None for another path."""
    match path:
        case "/version":
            major, minor, _ = VERSION.removeprefix("v").split(".")
            return {"major": major, "minor": minor, "gitVersion": f"{VERSION}+pie"}
        case "/api" | "/apis":
            by_group = groupby(KINDS, lambda kind: kind.group)
            items = [_group(name, kinds) for name, kinds in by_group if bool(name) is (path == "/apis")]
            about = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2"}
            return {**about, "metadata": {}, "items": items}
        case "/openapi/v3":
            return {"paths": {_root(kind): {"serverRelativeURL": _OPENAPI} for kind in KINDS}}
        case "/openapi/v3/all":  # just enough for kubectl to see that PATCH knows fieldValidation
            paths = {f"/{_root(kind)}/{kind.plural}/{{name}}": {"patch": _patch(kind)} for kind in KINDS}
            return {"openapi": "3.0.0", "info": _INFO, "paths": paths}
    return None


def _root(kind: Kind) -> str:
    return f"apis/{kind.api_version}" if kind.group else f"api/{kind.api_version}"


def _about(kind: Kind) -> Json:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _patch(kind: Kind) -> Json:
    about = {"x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": _about(kind)}
    return {**about, "parameters": _PARAMETERS, "responses": {}}


def _group(name: str, kinds: Iterable[Kind]) -> Json:
    resources = []
    for kind in kinds:
        about = {"resource": kind.plural, "singularResource": kind.kind.lower(), "responseKind": _about(kind)}
        about["scope"] = "Namespaced" if kind.namespaced else "Cluster"
        status = {"subresource": "status", "responseKind": _about(kind), "verbs": ["get", "patch"]}
        more = {"shortNames": kind.short_names, "subresources": [status] if kind.status else []}
        resources.append({**about, "verbs": _VERBS, **more})
    versions = [{"version": kind.version, "resources": resources, "freshness": "Current"}]
    return {"metadata": {"name": name}, "versions": versions}

"""What the server says of itself: API groups, their resources, and OpenAPI without schemas.

kubectl takes the kinds from the group lists, and from OpenAPI whether the server validates fields.
"""

import sys
from typing import Any

import pie
from pie.embedded.kinds import KINDS, Kind

Json = dict[str, Any]

VERSION = "v1.35.4"
"""The Kubernetes whose behaviour is followed, and what the server answers as its version."""

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def document(path: str, address: str) -> Json | None:
    """Return what stands at a discovery path; None if it is none."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] in (["openapi"], ["version"]):
        return _version() if parts == ["version"] else _openapi(parts[1:])
    if parts[:1] == ["api"]:
        parts = ["apis", "", *parts[1:]]  # the core group, at a path of its own
    if parts == ["apis", ""]:
        served = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": served}
    if parts == ["apis"]:
        groups = [_group(name) for name in _groups()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    group, version = (*parts[1:], "", "")[:2]
    if len(parts) == 2 and group in _groups():  # noqa: PLR2004  /apis/group
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}
    served_here = len(parts) == 3 and (group, version) in _versions()  # noqa: PLR2004  /apis/group/version
    return _resources(group, version) if served_here else None


def _versions() -> dict[tuple[str, str], None]:
    return dict.fromkeys((kind.group, kind.version) for kind in KINDS)


def _groups() -> list[str]:
    return [group for group, _ in _versions() if group]


def _group(name: str) -> Json:
    versions = [
        {"groupVersion": f"{group}/{version}", "version": version}
        for group, version in _versions()
        if group == name
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _of(group: str, version: str) -> list[Kind]:
    return [kind for kind in KINDS if (kind.group, kind.version) == (group, version)]


def _resources(group: str, version: str) -> Json:
    resources: list[Json] = []
    for kind in _of(group, version):
        about = {"namespaced": kind.namespaced, "kind": kind.kind}
        resources.append(
            {
                "name": kind.plural,
                "singularName": kind.singular,
                **about,
                "verbs": _VERBS,
                **({"shortNames": list(kind.short_names)} if kind.short_names else {}),
            }
        )
        if kind.status:
            verbs = ["get", "patch", "update"]
            resources.append({"name": f"{kind.plural}/status", "singularName": "", **about, "verbs": verbs})
    group_version = f"{group}/{version}" if group else version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }


def _openapi(parts: list[str]) -> Json | None:
    """Return an OpenAPI document by its path below /openapi."""
    info = {"title": "Kubernetes", "version": VERSION}
    if parts == ["v2"]:
        return {"swagger": "2.0", "info": info, "paths": {}, "definitions": {}}
    if parts == ["v3"]:
        paths = [f"apis/{group}/{version}" if group else f"api/{version}" for group, version in _versions()]
        return {"paths": {each: {"serverRelativeURL": f"/openapi/v3/{each}"} for each in paths}}
    group, version = ("", "v1") if parts == ["v3", "api", "v1"] else (*parts[2:], "", "")[:2]
    return _operations(group, version) if (group, version) in _versions() else None


def _operations(group: str, version: str) -> Json:
    """Return just enough for kubectl to see that PATCH knows fieldValidation, for each kind."""
    paths: Json = {}
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string"}}
        for name in ("dryRun", "fieldManager", "fieldValidation", "force")
    ]
    for kind in _of(group, version):
        home = f"{root}/namespaces/{{namespace}}" if kind.namespaced else root
        about = {"group": group, "version": version, "kind": kind.kind}
        operation = {
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": about,
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
        }
        paths[f"{home}/{kind.plural}/{{name}}"] = {"patch": operation, "parameters": []}
    info = {"title": "Kubernetes", "version": VERSION}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}


def _version() -> Json:
    major, minor, _ = VERSION.removeprefix("v").split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"{VERSION}+pie.{pie.__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "",
        "goVersion": "",
        "compiler": f"Python {sys.version_info.major}.{sys.version_info.minor}",
        "platform": sys.platform,
    }

"""The chart gives the controller the rights that it uses, and no others."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chart.helm import rendered
from tests.rights import ADMISSION, CLUSTER, NODE_LEASES, RELEASE, USED, WITH_SNAPSHOTS, Right

# helm may have to be built first.
pytestmark = pytest.mark.timeout(900)

NAMESPACE = "storage"
ALL = ("--set", "allNamespaces=true")
PLACES = {NAMESPACE: RELEASE, NODE_LEASES: NODE_LEASES}
NAMED = {"leases", "customresourcedefinitions"}
"""Resources of which pie may touch one object only, wherever a rule can name it."""


def roles(*arguments: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rules that are bound to the controller, by where they hold."""
    manifests = rendered(*arguments, namespace=NAMESPACE)
    found: dict[str, list[dict[str, Any]]] = {}
    for binding in (each for each in manifests if each["kind"] in {"RoleBinding", "ClusterRoleBinding"}):
        role, namespace = binding["roleRef"], binding["metadata"].get("namespace")
        (rules,) = (
            each["rules"]
            for each in manifests
            if (each["kind"], each["metadata"]["name"]) == (role["kind"], role["name"])
            and each["metadata"].get("namespace") == namespace
        )
        (subject,) = binding["subjects"]
        assert subject == {"kind": "ServiceAccount", "name": "pie", "namespace": NAMESPACE}
        where = PLACES[namespace] if namespace else RELEASE if role["name"].endswith("-all") else CLUSTER
        found.setdefault(where, []).extend(rules)
    return found


def granted(*arguments: str) -> Iterator[Right]:
    for where, rules in roles(*arguments).items():
        for rule in rules:
            for resource in rule["resources"]:
                yield from (Right(where, resource, verb) for verb in rule["verbs"])


@pytest.mark.parametrize("arguments", [(), ALL], ids=["one namespace", "all namespaces"])
def test_the_chart_gives_exactly_the_rights_that_are_used_or_that_admission_wants(
    arguments: tuple[str, ...],
) -> None:
    rights = list(granted(*arguments))
    assert len(rights) == len(set(rights))
    assert set(rights) == USED.keys() | ADMISSION.keys()


@pytest.mark.parametrize("arguments", [(), ALL], ids=["one namespace", "all namespaces"])
def test_the_rights_for_snapshots_are_given_where_they_are_wanted(arguments: tuple[str, ...]) -> None:
    more = set(granted(*arguments, "--set", "snapshots=true")) - set(granted(*arguments))
    assert more == WITH_SNAPSHOTS.keys()


def test_in_all_namespaces_pie_has_the_same_rights_but_for_its_lease() -> None:
    everywhere = [each for each in rendered(*ALL, namespace=NAMESPACE) if each["kind"] == "ClusterRole"]
    (role,) = (each for each in everywhere if each["metadata"]["name"].endswith("-all"))
    rules = [(each, verb) for rule in role["rules"] for each in rule["resources"] for verb in rule["verbs"]]
    wanted = [right for right in (*USED, *ADMISSION) if right.where == RELEASE and right.resource != "leases"]
    assert sorted(Right(RELEASE, *each) for each in rules) == sorted(wanted)


def test_no_right_is_for_all_resources_or_verbs_and_none_outside_the_namespace_writes() -> None:
    assert not [right for right in granted() if "*" in right]
    reading = {"get", "list", "watch"}
    assert {right.verb for right in granted() if right.where != RELEASE} <= reading
    assert not [right for right in granted() if right.resource in {"secrets", "serviceaccounts/token"}]


def test_of_leases_and_crds_pie_may_touch_its_own_only() -> None:
    for where, rules in roles().items():
        for rule in rules:
            if where != NODE_LEASES and NAMED & set(rule["resources"]) and rule["verbs"] != ["create"]:
                assert len(rule["resourceNames"]) == 1

"""What the API server does not allow pie, as a condition."""

import pytest

from pie.core.permissions import ALL_NAMESPACES, MissingPermission, lacks_permission, permission_missing

PIE = "system:serviceaccount:pie:pie"


@pytest.mark.parametrize(
    ("message", "lacks"),
    [
        (f'leases.coordination.k8s.io "n1" is forbidden: User "{PIE}" cannot get resource "leases"', True),
        (f'pods is forbidden: User "{PIE}" cannot list resource "pods" in API group "" at the cluster', True),
        (f'pods is forbidden: User "{PIE}{"x" * 200}…', True),
        ('forbidden: User "x" cannot get path "/livez"', True),
        ('pods "p" is forbidden: exceeded quota: none, requested: pods=1', False),
        ('pods "p" is forbidden: violates PodSecurity "restricted:latest": privileged', False),
        ('jobs.batch "j" is forbidden: unable to create new content: namespace is being terminated', False),
        ("admission webhook refused: cannot run resource hogs", False),
        ("", False),
    ],
)
def test_permissions_are_told_apart_from_quotas_and_admission(message: str, *, lacks: bool) -> None:
    assert lacks_permission(message) is lacks


def test_nothing_is_missing() -> None:
    found = permission_missing([])
    assert (found["type"], found["status"], found["reason"]) == ("PermissionMissing", "False", "OK")


def test_what_is_missing_is_named_with_the_words_of_the_server_and_what_to_do() -> None:
    leases = MissingPermission("get", "leases.coordination.k8s.io", "kube-node-lease", "cannot get leases")
    nodes = MissingPermission("watch", "nodes", "", "cannot watch nodes")
    found = permission_missing([nodes, leases])
    assert (found["status"], found["reason"]) == ("True", "PermissionMissing")
    assert "get leases.coordination.k8s.io in namespace kube-node-lease, watch nodes." in found["message"]
    assert "Helm chart" in found["message"]
    everywhere = MissingPermission("list", "pods", ALL_NAMESPACES, "cannot list pods")
    assert str(everywhere) == "list pods in all namespaces"
    assert "cannot get leases" in found["message"]


def test_many_are_counted() -> None:
    many = [MissingPermission("get", f"kind{number}", "", "no") for number in range(20)]
    assert " and 15 more" in permission_missing(many)["message"]

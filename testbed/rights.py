"""Rights of service accounts. The API server's authorizer reads roles and bindings from watches."""

import asyncio
import uuid

from testbed.api import Api, Json

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_GROUP = "testbed.pie.test"
_LIMIT_SECONDS = 90


async def until_in_force(api: Api, namespace: str, account: str) -> None:
    """Return when all roles and bindings are in force that were written before.

    The authorizer learns of them in the order in which they were written. So this adds one of each kind,
    which give a right to what does not exist, and waits until they are in force.
    """
    name = f"testbed-{uuid.uuid4().hex[:8]}"
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    made = []
    for scope, prefix in ((_RBAC, "Cluster"), (f"{_RBAC}/namespaces/{namespace}", "")):
        kind = f"{prefix}Role"
        rule = {"apiGroups": [_GROUP], "resources": [kind.lower()], "verbs": ["get"]}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        binding = {"roleRef": reference, "subjects": [subject]}
        for plural, body in ((f"{kind.lower()}s", {"rules": [rule]}), (f"{kind.lower()}bindings", binding)):
            made.append(f"{scope}/{plural}")
            await api.create(made[-1], {"metadata": {"name": name}, **body})
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            for resource in ("clusterrole", "role"):
                attributes = {"group": _GROUP, "resource": resource, "verb": "get", "namespace": namespace}
                while not await _may(api, f"system:serviceaccount:{namespace}:{account}", attributes):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
    finally:
        for path in made:
            await api.delete(f"{path}/{name}")


async def _may(api: Api, user: str, attributes: Json) -> bool:
    review = await api.create(_REVIEWS, {"spec": {"user": user, "resourceAttributes": attributes}})
    return bool(review["status"]["allowed"])

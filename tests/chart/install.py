"""The chart's manifests on a real API server, without helm."""

import asyncio

from testbed.api import Api
from tests.chart.helm import rendered

KINDS = {
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/{name}",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts/{name}",
    "Service": "/api/v1/namespaces/{namespace}/services/{name}",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{name}",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/{name}",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{name}",
}


async def install(api: Api, namespace: str, *values: str) -> None:
    """Apply the chart's manifests as the API server's strict validation takes them."""
    for manifest in await asyncio.to_thread(rendered, *values, namespace=namespace):
        metadata = {"namespace": namespace, **manifest["metadata"]}
        path = KINDS[manifest["kind"]].format_map(metadata)
        await api.apply(path, manifest)

"""The chart's manifests on a real API server, without helm, and a login of the controller that they allow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from testbed.api import Api
from testbed.cluster import Cluster
from tests.chart.helm import RELEASE, rendered

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


@asynccontextmanager
async def controller_account(cluster: Cluster, namespace: str) -> AsyncIterator[Path]:
    """Give the kubeconfig of a controller that has the chart's rights and no others, and runs elsewhere.

    The CRD must be there. What the chart creates outside the namespace is deleted at the end.
    """
    values = ("--set", "replicaCount=0,crd.install=false")
    await install(cluster.api, namespace, *values)
    yield await cluster.service_account_kubeconfig(namespace, RELEASE)
    for manifest in await asyncio.to_thread(rendered, *values, namespace=namespace):
        where = {"namespace": namespace, **manifest["metadata"]}
        path = KINDS[manifest["kind"]].format_map(where)
        if where["namespace"] != namespace or manifest["kind"].startswith("Cluster"):
            await cluster.api.delete(path)


def refusals(cluster: Cluster, namespace: str) -> list[str]:
    """Return what a controller had no right to, and the pods that break the Pod Security level.

    Whoever creates the pods: the controller itself, or Kubernetes for its CronJobs.
    """
    user = f"system:serviceaccount:{namespace}:{RELEASE}"
    return [
        f"{event.verb} {event.request_uri}: {event.response_status.message}"
        for event in cluster.audit.events()
        if (event.unauthorized and event.user.username == user)
        or (event.insecure and event.object_ref.namespace == namespace)
    ]

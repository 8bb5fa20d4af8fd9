"""An application that has had its volume for long, and writes to it all the time."""

from testbed.api import ApiError
from testbed.cluster import Cluster
from tests.harness import until

_SCRIPT = """
import os, time
while True:
    with open("/data/x", "w") as file:
        file.write(str(time.time()))
        file.flush()
        os.fsync(file.fileno())
    print("wrote at", time.time(), flush=True)
    time.sleep(0.5)
"""


class Application:
    """A pod on a node with a volume of its own. It logs each write once it is synced."""

    def __init__(self, cluster: Cluster, namespace: str, node: str) -> None:
        self._api = cluster.api
        self._node = node
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._path = f"{self._pods}/application-{node}"

    async def start(self) -> None:
        """Start it; return when it runs."""
        await self._api.create(self._pods, self._manifest())
        await until(self._runs, "the application runs", 120)

    async def writes(self) -> bool:
        """Tell whether it goes on writing."""
        before = await self._last_write()

        async def wrote() -> bool:
            return await self._last_write() != before

        try:
            return bool(await until(wrote, "the application goes on writing", 60))
        except (AssertionError, ApiError):
            return False

    async def stop(self) -> None:
        """Delete it."""
        await self._api.delete(self._path)

    async def _runs(self) -> bool:
        return bool((await self._api.get(self._path))["status"]["phase"] == "Running")

    async def _last_write(self) -> str:
        return str((await self._api.get(f"{self._path}/log", parameters={"tailLines": "1"}))["text"])

    def _manifest(self) -> dict[str, object]:
        claim = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "local",
            "resources": {"requests": {"storage": "50Mi"}},
        }
        container = {
            "name": "application",
            "image": "pie.test/pie:dev",
            "command": ["python3", "-c", _SCRIPT],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self._path.rsplit("/", 1)[1]},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": self._node},
                "terminationGracePeriodSeconds": 0,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 1001,
                    "fsGroup": 1001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
                "volumes": [{"name": "data", "ephemeral": {"volumeClaimTemplate": {"spec": claim}}}],
            },
        }

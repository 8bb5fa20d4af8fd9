"""`python -m testbed.sweeper KUBECONFIG NAMESPACE LABELS WHAT ONE_IN`: deletes Jobs or pods of others.

Clean-up jobs, deschedulers and people do this, too. WHAT is `jobs`, `pods` or `evictions` (by the Eviction
API). It deletes as soon as the pod has a node, with a probability of 1 in ONE_IN. A probe that runs can still
end well in the grace period of its pod.
"""

import asyncio
import random
import sys
from pathlib import Path

from testbed.api import Api, Json
from testbed.errors import TestbedError
from testbed.pod_faults import Pods


class Sweeper:
    """Deletes what belongs to some pods."""

    def __init__(self, api: Api, pods: Pods, what: str, one_in: int) -> None:
        self._api = api
        self._labels = pods.labels.items()
        self._what = what
        self._one_in = one_in
        self._chance = random.Random(0)  # noqa: S311  not for security, and the same order each time is best
        self._met: set[str] = set()
        self._pods = f"/api/v1/namespaces/{pods.namespace}/pods"
        self._jobs = f"/apis/batch/v1/namespaces/{pods.namespace}/jobs"

    async def run(self) -> None:
        """Delete; never returns."""
        await self._api.watch(self._pods, self.on_pod)

    async def on_pod(self, event: Json) -> None:
        """Decide at random whether to delete a pod, when it is first seen with a node."""
        pod = event["object"]
        metadata = pod["metadata"]
        if (
            event["type"] in ("ADDED", "MODIFIED")
            and self._labels <= metadata.get("labels", {}).items()
            and "nodeName" in pod["spec"]
            and metadata["uid"] not in self._met
        ):
            self._met.add(metadata["uid"])
            if self._chance.randrange(self._one_in) == 0:
                try:
                    await self._hit(pod)
                except TestbedError as error:  # it was deleted meanwhile, or the API server was stopped
                    print(error, flush=True)

    async def _hit(self, pod: Json) -> None:
        name = pod["metadata"]["name"]
        if self._what == "jobs":
            for owner in pod["metadata"].get("ownerReferences") or ():
                await self._api.delete(f"{self._jobs}/{owner['name']}", propagation="Background")
        elif self._what == "evictions":
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
            await self._api.create(f"{self._pods}/{name}/eviction", body)
        else:
            await self._api.delete(f"{self._pods}/{name}")


async def run(kubeconfig: Path, pods: Pods, what: str, one_in: int) -> None:
    """Run until the process is ended."""
    async with Api(kubeconfig, user_agent="testbed-sweeper") as api:
        await Sweeper(api, pods, what, one_in).run()


if __name__ == "__main__":
    asyncio.run(
        run(Path(sys.argv[1]), Pods.parse(f"{sys.argv[2]}/{sys.argv[3]}"), sys.argv[4], int(sys.argv[5]))
    )

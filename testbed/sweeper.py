"""`python -m testbed.sweeper KUBECONFIG NAMESPACE SELECTOR WHAT ONE_IN`: deletes Jobs or pods of others.

It does what janitors, deschedulers and impatient people do. WHAT is `jobs`, `pods` or `evictions` (by the
Eviction API); a pod is hit while it runs, a Job while it has a pod that runs. Twice a second, each is hit
with a chance of 1 in ONE_IN.
"""

import asyncio
import random
import sys
from collections.abc import Callable
from pathlib import Path

from testbed.api import Api, Json
from testbed.errors import TestbedError

EVERY_SECONDS = 0.5


class Sweeper:
    """Deletes what belongs to the pods with certain labels. `hits` says whether one is hit now."""

    def __init__(self, api: Api, namespace: str, selector: str, hits: Callable[[], bool]) -> None:
        self._api = api
        self._selector = selector
        self._hits = hits
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"

    async def sweep(self, what: str) -> None:
        """Hit what is there."""
        for pod in await self._api.items(self._pods, selector=self._selector):
            alive = not pod["metadata"].get("deletionTimestamp")
            if alive and pod["status"]["phase"] == "Running" and self._hits():
                await self._hit(pod, what)

    async def _hit(self, pod: Json, what: str) -> None:
        name = pod["metadata"]["name"]
        if what == "jobs":
            for owner in pod["metadata"].get("ownerReferences") or ():
                await self._api.delete(f"{self._jobs}/{owner['name']}", propagation="Background")
        elif what == "evictions":
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
            await self._api.create(f"{self._pods}/{name}/eviction", body)
        else:
            await self._api.delete(f"{self._pods}/{name}")


async def run(kubeconfig: Path, namespace: str, selector: str, what: str, one_in: int) -> None:
    """Sweep until ended."""
    chance = random.Random(0)  # noqa: S311  any order will do, and the same each time is best
    async with Api(kubeconfig, user_agent="testbed-sweeper") as api:
        sweeper = Sweeper(api, namespace, selector, lambda: chance.randrange(one_in) == 0)
        while True:
            try:
                await sweeper.sweep(what)
            except TestbedError as error:  # the pod went away meanwhile, or the API server did
                print(error, flush=True)
            await asyncio.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])))

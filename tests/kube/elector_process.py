"""A process that stands for election, and once it leads writes a pod as often as it can. Run by a test.

Arguments: the server's URL, and the identity. Prints a line when it leads. Exits with 3 when it is deposed,
but not at once: its writers are slow to notice.
"""

import asyncio
import sys
from contextlib import suppress

import structlog

from pie.core.wire import Pod
from pie.kube.client import Client
from pie.kube.config import ClusterConfig
from pie.kube.errors import KubeError
from pie.kube.leader import Deposed, Elector, LeaseTiming
from pie.kube.resources import PODS

TIMING = LeaseTiming(2, renew_deadline_seconds=1.2, renew_period_seconds=0.3, retry_period_seconds=0.2)
DEPOSED = 3
SLOW_SECONDS = 0.3


async def write_for_ever(client: Client) -> None:
    """Write without asking whether that is allowed: the fence must know."""
    while True:
        with suppress(KubeError):
            await client.create(PODS, {"metadata": {"name": "x"}}, "ns", decode=Pod)
        await asyncio.sleep(0.001)


async def main(server: str, identity: str) -> int:
    """Stand for election."""
    config = ClusterConfig(server=server)
    async with (
        Elector(config, namespace="ns", name="pie", identity=identity, timing=TIMING) as elector,
        Client(config, before_write=elector.check) as client,
    ):
        standing = asyncio.create_task(elector.run())
        writers = [asyncio.create_task(write_for_ever(client)) for _ in range(3)]
        await elector.leading.wait()
        sys.stdout.write("leading\n")
        sys.stdout.flush()
        try:
            await standing
        except Deposed as deposed:
            sys.stderr.write(f"{deposed}\n")
        await asyncio.wait(writers, timeout=SLOW_SECONDS)
        for writer in writers:
            writer.cancel()
        return DEPOSED


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    sys.exit(asyncio.run(main(*sys.argv[1:])))

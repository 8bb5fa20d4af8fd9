"""The central part of the node-local storage: it expands volumes, with the real external-resizer beside it.

The processes are `csi-central` and `csi-resizer-central`. Faults of `ControllerExpandVolume` are those of
node `central`. The filesystems grow on the nodes, by the driver there. TopoLVM is built like this, too.
"""

import sys
from pathlib import Path

from testbed.build import binary
from testbed.janitor import ROOT
from testbed.processes import Processes
from testbed.storage import DRIVER, RETRY_INTERVAL_MAX, wait_until_listening

NAME = "central"


class Central:
    """The central part of the node-local storage of one testbed."""

    def __init__(self, directory: Path, processes: Processes, kubeconfig: Path, *, pool_bytes: int) -> None:
        """Nothing is started yet. `directory` is the testbed's, `pool_bytes` the capacity of each node."""
        self._testbed = directory
        self._directory = directory / NAME
        self._processes = processes
        self._kubeconfig = kubeconfig
        self._pool_bytes = pool_bytes

    async def start(self) -> None:
        """Start both processes."""
        self._directory.mkdir(exist_ok=True)
        socket = self._directory / "csi.sock"
        driver = [
            *(sys.executable, "-m", "testbed.csi", "serve", f"--driver={DRIVER}", "--services=controller"),
            *(f"--node={NAME}", f"--state={self._directory / 'csi'}", f"--socket={socket}"),
            *(f"--pool={self._testbed}", f"--pool-bytes={self._pool_bytes}", "--all-pools"),
        ]
        await self._processes.start(f"csi-{NAME}", driver, env={"PYTHONPATH": str(ROOT)})
        await wait_until_listening(socket, self._processes, f"csi-{NAME}")
        resizer = [
            *(str(await binary("csi-resizer")), f"--kubeconfig={self._kubeconfig}"),
            *(f"--csi-address={socket}", "--handle-volume-inuse-error=false"),
            f"--retry-interval-max={RETRY_INTERVAL_MAX}",
        ]
        await self._processes.start(f"csi-resizer-{NAME}", resizer)

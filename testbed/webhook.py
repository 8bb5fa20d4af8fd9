"""`python -m testbed.webhook DIRECTORY`: a mutating webhook that changes pods and Jobs when they are created.

Meshes, agents and policies do the same in real clusters. The path of a request names the change, see CHANGES.
When it answers, its address and its certificate are in `DIRECTORY`.
"""

import asyncio
import base64
import json
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from aiohttp import web

from testbed import images
from testbed.api import Json
from testbed.errors import TestbedError

PROCESS = "testbed-webhook"
LINGERS = "testbed-lingers"
"""The suffix of the name of a container that runs on when the others have ended. KWOK knows it, too."""
FIRST = "a-testbed-lingers"
"""As LINGERS, and sorted before `probe`: kubelets sort the statuses of containers by name."""
_URL_FILE, _CERTIFICATE_FILE, _KEY_FILE = "url", "tls.crt", "tls.key"
_START_TIMEOUT_SECONDS = 90
_TOO_MUCH_CPU = "1000"
_TTL_SECONDS = 2

Change = Callable[[Json], None]
"""Changes the `spec` of an object in place."""


def _container(name: str, image: str, *command: str) -> Json:
    """Return a container that the level `restricted` of Pod Security allows."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {"name": name, "image": image, "securityContext": security} | (
        {"command": list(command)} if command else {}
    )


def _lingers(spec: Json) -> None:
    spec["containers"].append(_container(LINGERS, images.PAUSE))


def _lingers_first(spec: Json) -> None:
    spec["containers"].insert(0, _container(FIRST, images.PAUSE))


def _ends(spec: Json) -> None:
    """Add one that ends well before `probe`, and one that fails."""
    spec["containers"].insert(0, _container("a-testbed-ends", images.PIE, "true"))
    spec["containers"].append(_container("testbed-fails", images.PIE, "false"))


def _native(spec: Json) -> None:
    """Add a sidecar as Kubernetes has them: an init container that is restarted."""
    sidecar = {**_container("testbed-native", images.PAUSE), "restartPolicy": "Always"}
    spec["initContainers"] = [*(spec.get("initContainers") or []), sidecar]


def _short_lived(spec: Json) -> None:
    spec["ttlSecondsAfterFinished"] = _TTL_SECONDS


def _overcommit(spec: Json) -> None:
    """Bind a pinned pod without the scheduler, with more CPU than a node has: the kubelet refuses it."""
    if node := _pinned_to(spec):
        spec["nodeName"] = node
        much = {"cpu": _TOO_MUCH_CPU}
        for container in spec["containers"]:
            resources = container.get("resources") or {}
            container["resources"] = {
                each: {**(resources.get(each) or {}), **much} for each in ("requests", "limits")
            }


def _misplace(spec: Json) -> None:
    """Bind a pinned pod without the scheduler, and pin it to another node: the kubelet refuses it."""
    if node := _pinned_to(spec):
        spec["nodeName"] = node
        spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), "testbed.pie.test/elsewhere": "true"}


def _pinned_to(spec: Json) -> str:
    """Return the node to which a pod is pinned by name; empty: to none."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms")
    named = [rule for term in terms or [] for rule in term.get("matchFields") or []]
    return str(named[0]["values"][0]) if len(named) == 1 and named[0]["operator"] == "In" else ""


CHANGES: Mapping[str, Change] = {
    "lingers": _lingers,
    "lingers-first": _lingers_first,
    "ends": _ends,
    "native": _native,
    "short-lived": _short_lived,
    "overcommit": _overcommit,
    "misplace": _misplace,
}
"""The changes of a pod, or of a Job (`short-lived`), by the path of the request."""


def answer(review: Json, change: Change) -> Json:
    """Return the answer to an AdmissionReview: it replaces the object's `spec` by the changed one."""
    request = review["request"]
    spec = request["object"]["spec"]
    change(spec)
    patch = json.dumps([{"op": "replace", "path": "/spec", "value": spec}])
    response = {
        "uid": request["uid"],
        "allowed": True,
        "patchType": "JSONPatch",
        "patch": base64.b64encode(patch.encode()).decode(),
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


@dataclass(frozen=True)
class Address:
    """The address of the webhook, and its certificate."""

    url: str
    certificate: bytes

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read what the webhook wrote."""
        return cls((directory / _URL_FILE).read_text(), (directory / _CERTIFICATE_FILE).read_bytes())

    def client(self, change: str) -> Json:
        """Return the `clientConfig` of the webhook for this change."""
        bundle = base64.b64encode(self.certificate).decode()
        return {"url": f"{self.url}/{change}", "caBundle": bundle}


class HostCluster(Protocol):
    """A testbed, which runs processes."""

    @property
    def directory(self) -> Path:
        """The directory with its files."""

    async def processes(self) -> dict[str, bool]:
        """Return which processes run."""

    async def run(self, name: str, argv: list[str]) -> None:
        """Run one more process in the testbed."""


async def start(cluster: HostCluster) -> Address:
    """Start the webhook, unless it runs; return when it answers."""
    directory = cluster.directory / "webhook"
    if not (await cluster.processes()).get(PROCESS):
        (directory / _URL_FILE).unlink(missing_ok=True)
        await cluster.run(PROCESS, [sys.executable, "-m", "testbed.webhook", str(directory)])
    try:
        async with asyncio.timeout(_START_TIMEOUT_SECONDS):
            while not (directory / _URL_FILE).exists():  # noqa: ASYNC110  the other side is a process
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise TestbedError(f"{PROCESS} does not answer after {_START_TIMEOUT_SECONDS} s") from None
    return Address.read(directory)


async def serve(directory: Path) -> None:
    """Answer until the process is ended."""
    directory.mkdir(exist_ok=True)  # noqa: ASYNC240  a few small files
    await _make_certificate(directory)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(directory / _CERTIFICATE_FILE, directory / _KEY_FILE)
    application = web.Application()
    application.router.add_post("/{change}", _handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    port = runner.addresses[0][1]
    unnamed = directory / f"{_URL_FILE}.new"
    unnamed.write_text(f"https://127.0.0.1:{port}")
    unnamed.rename(directory / _URL_FILE)
    await asyncio.Event().wait()


async def _handle(request: web.Request) -> web.Response:
    change = CHANGES.get(request.match_info["change"])
    if change is None:
        raise web.HTTPNotFound
    review: dict[str, Any] = await request.json()
    return web.json_response(answer(review, change))


async def _make_certificate(directory: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=testbed-webhook"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(directory / _KEY_FILE), "-out", str(directory / _CERTIFICATE_FILE)),
    )
    if await process.wait() != 0:
        raise TestbedError("openssl could not make the certificate of the webhook")


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))

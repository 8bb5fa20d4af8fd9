"""Asks the controller through its JSON API: at an address, or through the API server at the leader's pod."""

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import aiohttp
import msgspec
from yarl import URL

from pie.controller.settings import LEASE_NAME
from pie.core.apitypes import Failure
from pie.core.decode import Unreadable, decode
from pie.core.text import MOST_CHARACTERS, one_line
from pie.core.wire import Metadata, PieProbe, parse_seconds
from pie.kube.client import Client
from pie.kube.config import load
from pie.kube.errors import ApiError, ConfigError, Forbidden, KubeError, NotFound, Undecodable
from pie.kube.lease import Lease
from pie.kube.resources import LEASES, PIE_PROBES, PODS

T = TypeVar("T")

_PORT_NAME: Final = "metrics"
_USUAL_PORT: Final = 8080
_WEB_CONFIG: Final = "--web-config-file"
_TIMEOUT_SECONDS: Final = 15.0


class NoAnswer(Exception):  # noqa: N818  the name says what happened
    """The controller cannot be reached; says why.

    `barred`: the API server refused to proxy; the controller itself may be healthy.
    """

    def __init__(self, message: str, *, barred: bool = False) -> None:
        super().__init__(one_line(message, MOST_CHARACTERS))
        self.barred = barred


class Asker(Protocol):
    """A controller to ask."""

    async def ask(self, path: str, kind: type[T], **query: str) -> T:
        """Return what `/api/v1/<path>` answers. Raises NoAnswer."""


@dataclass(frozen=True, slots=True)
class Whom:
    """Where to look for a controller: at `server`, or in the cluster of the kubeconfig."""

    server: str = ""
    namespace: str = ""
    kubeconfig: str | None = None
    context: str | None = None

    @property
    def options(self) -> str:
        """The same as options, for a command to paste; kubectl's options have the same meaning."""
        given = {
            "--server": self.server,
            "-n": self.namespace,
            "--kubeconfig": self.kubeconfig,
            "--context": self.context,
        }
        return "".join(f" {name} {shlex.quote(value)}" for name, value in given.items() if value)


class Server:
    """A controller at an address, for example of a port-forward or `pie demo`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._shown = _without_user(self._url)

    async def ask(self, path: str, kind: type[T], **query: str) -> T:
        """Return what `/api/v1/<path>` answers. Raises NoAnswer."""
        path = f"/api/v1/{path}"
        url = self._shown + path
        try:
            async with self._session.get(self._url + path, params=query) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NoAnswer(f"{url} does not answer: {error or type(error).__name__}") from error
        try:
            if status != 200:  # noqa: PLR2004  HTTP's OK
                raise NoAnswer(f"{url}: {_words(decode(body, Failure))}")
            return decode(body, kind)
        except Unreadable as error:
            raise NoAnswer(f"{url} does not answer as a pie controller does: {status} {error}") from error


def _without_user(url: str) -> str:
    """Return the address without user and password, for messages."""
    try:
        return str(URL(url).with_user(None))
    except ValueError:
        return "the address"


def _words(failure: Failure) -> str:
    return f"{failure.error}{f': {failure.leader}' if failure.leader else ''}"


class Cluster:
    """The controller that leads in a namespace, asked through the API server."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self._pod = ""

    async def ask(self, path: str, kind: type[T], **query: str) -> T:
        """Return what `/api/v1/<path>` answers. Raises NoAnswer."""
        self._pod = self._pod or await self._leader()
        try:
            return await self.client.get(
                PODS,
                self._pod,
                self.namespace,
                decode=kind,
                subresource=f"proxy/api/v1/{path}",
                query=query,
            )
        except (ApiError, Undecodable) as error:
            self._pod = ""  # it may have ended, or may no longer lead
            # Errors of the API server have a reason; an error of a controller that does not lead has none.
            raise NoAnswer(str(error), barred=isinstance(error, ApiError) and bool(error.reason)) from error

    async def stored(self) -> list[PieProbe]:
        """Return the PieProbes of the namespace, with their statuses. Raises KubeError."""
        try:
            page = await self.client.list_page(PIE_PROBES, self.namespace, decode=PieProbe, limit=0)
        except NotFound as error:
            raise ConfigError("pie is not installed here: the cluster knows no PieProbes") from error
        return page.items

    async def led_at(self) -> float | None:
        """Return when a controller last held the Lease, epoch seconds; None: never, or not readable."""
        try:
            lease = await self.client.get_or_none(LEASES, LEASE_NAME, self.namespace, decode=Lease)
        except ApiError:
            return None
        return parse_seconds(lease.spec.renew_time or "") if lease is not None else None

    async def leads(self) -> bool:
        """Tell whether a controller leads now. Raises KubeError."""
        lease = await self.client.get_or_none(LEASES, LEASE_NAME, self.namespace, decode=Lease)
        renewed = parse_seconds(lease.spec.renew_time or "") if lease is not None else None
        if lease is None or renewed is None or not lease.spec.holder_identity:
            return False
        lasts_seconds = lease.spec.lease_duration_seconds or 0
        return self.client.now() - renewed <= lasts_seconds

    async def elsewhere(self) -> set[str]:
        """Return the namespaces that have PieProbes, as far as reading them is allowed."""
        try:
            page = await self.client.list_page(PIE_PROBES, decode=PieProbe, limit=500)
        except KubeError:
            return set()
        return {each.metadata.namespace for each in page.items}

    async def _leader(self) -> str:
        """Return the leader's pod and port, as the proxy wants them."""
        try:
            lease = await self.client.get_or_none(LEASES, LEASE_NAME, self.namespace, decode=Lease)
            # The holder is <pod>_<uuid>, see `pie.kube.leader.own_identity`.
            holder = ((lease.spec.holder_identity or "") if lease is not None else "").rpartition("_")[0]
            if not holder:
                raise NoAnswer(
                    f"no controller leads: no replica holds the Lease {self.namespace}/{LEASE_NAME};"
                    " a controller of all namespaces is asked in its own: -n"
                )
            pod = await self.client.get(PODS, holder, self.namespace, decode=_Pod)
        except ApiError as error:
            raise NoAnswer(str(error), barred=isinstance(error, Forbidden)) from error
        # With a web config file it serves TLS; the API server does not verify the certificate of a pod.
        arguments = (each for container in pod.spec.containers for each in container.args)
        encrypted = any(each.startswith(_WEB_CONFIG) for each in arguments)
        ports = (port for container in pod.spec.containers for port in container.ports)
        number = next((port.container_port for port in ports if port.name == _PORT_NAME), _USUAL_PORT)
        return f"{'https:' if encrypted else ''}{holder}:{number}"


class _Port(msgspec.Struct, rename="camel"):
    container_port: int = 0
    name: str = ""


class _Container(msgspec.Struct):
    args: tuple[str, ...] = ()
    ports: tuple[_Port, ...] = ()


class _PodSpec(msgspec.Struct, frozen=True):
    containers: tuple[_Container, ...] = ()


class _Pod(msgspec.Struct):
    metadata: Metadata
    spec: _PodSpec = _PodSpec()


@asynccontextmanager
async def asking(whom: Whom) -> AsyncIterator[Server | Cluster]:
    """Yield the controller to ask. Raises ConfigError if no cluster is configured."""
    if whom.server:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield Server(session, whom.server)
        return
    async with cluster_of(whom) as cluster:
        yield cluster


@asynccontextmanager
async def cluster_of(whom: Whom) -> AsyncIterator[Cluster]:
    """Yield the cluster of the kubeconfig. Raises ConfigError if none is configured."""
    config = load(whom.kubeconfig, whom.context)
    async with Client(config, timeout_seconds=_TIMEOUT_SECONDS, attempts=2) as client:
        yield Cluster(client, whom.namespace or config.namespace)

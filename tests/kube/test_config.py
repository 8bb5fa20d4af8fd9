"""Finding the cluster: kubeconfigs as kubectl reads them, and the files of a service account."""

import os
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pie.kube import config as config_module
from pie.kube.config import EXEC_VERSIONS, ClusterConfig, ExecPlugin, load
from pie.kube.errors import ConfigError
from pie.kube.proxy import proxy_from_environment


def kubeconfig(**changes: Any) -> dict[str, Any]:
    """Make a kubeconfig with one of everything; `cluster`, `user` and `context` replace those parts."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [
            {"name": "c", "cluster": changes.get("cluster", {"server": "https://example.test:6443"})}
        ],
        "users": [{"name": "u", "user": changes.get("user", {"token": "secret"})}],
        "contexts": [{"name": "here", "context": changes.get("context", {"cluster": "c", "user": "u"})}],
    }


def write(path: Path, content: Any) -> str:
    """Write YAML and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away what this machine's environment says."""
    for name in list(os.environ):
        if "proxy" in name.lower() or name.startswith("KUBE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(config_module, "SERVICE_ACCOUNT", tmp_path / "serviceaccount")


def test_a_kubeconfig_names_everything(tmp_path: Path) -> None:
    cluster = {
        "server": "https://example.test:6443",
        "certificate-authority-data": b64encode(b"ca").decode(),
        "tls-server-name": "kubernetes",
        "proxy-url": "http://proxy.test:3128",
    }
    user = {
        "client-certificate-data": b64encode(b"cert").decode(),
        "client-key-data": b64encode(b"key").decode(),
        "as": "someone",
        "as-uid": "7",
        "as-groups": ["g1", "g2"],
        "as-user-extra": {"Scopes/a%": ["x", "y"], "none": None},
    }
    context = {"cluster": "c", "user": "u", "namespace": "storage"}
    found = load(write(tmp_path / "config", kubeconfig(cluster=cluster, user=user, context=context)))
    assert found == ClusterConfig(
        server="https://example.test:6443",
        namespace="storage",
        ca_pem=b"ca",
        tls_server_name="kubernetes",
        proxy_url="http://proxy.test:3128",
        client_certificate_pem=b"cert",
        client_key_pem=b"key",
        impersonate_user="someone",
        impersonate_uid="7",
        impersonate_groups=("g1", "g2"),
        impersonate_extra=(("Scopes/a%", ("x", "y")), ("none", ())),
    )


@pytest.mark.parametrize(
    "data",
    [
        "|\n      c29tZSBs\n      b25nIENB",
        "|-\n      c29tZSBsb25nIENB",
        ">-\n      c29tZSBs\n      b25nIENB",
        '"c29tZSBs\\r\\nb25nIENB\\r\\n"',
        "!!binary |\n      YzI5dFpT\n      QnNiMjVuSUVOQg==",
    ],
)
def test_base64_may_stand_in_several_lines(tmp_path: Path, data: str) -> None:
    path = tmp_path / "config"
    path.write_text(
        f"""
current-context: 2026-11-30
contexts:
- name: 2026-11-30
  context: {{cluster: c, user: u}}
clusters:
- name: c
  cluster:
    server: https://example.test
    certificate-authority-data: {data}
users:
- name: u
  user:
    client-certificate-data: {data}
    client-key-data: {data}
"""
    )
    found = load(str(path))
    assert (found.ca_pem, found.client_certificate_pem, found.client_key_pem) == (b"some long CA",) * 3


PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "p", "interactiveMode": "Never"}

NULLS = {
    "preferences": None,
    "clusters": [
        {
            "name": "c",
            "cluster": {
                "server": "https://example.test",
                "certificate-authority": None,
                "certificate-authority-data": None,
                "insecure-skip-tls-verify": None,
                "tls-server-name": None,
                "proxy-url": None,
                "extensions": None,
            },
        },
        None,
    ],
    "users": [
        None,
        {
            "name": "u",
            "user": {
                "token": None,
                "tokenFile": None,
                "client-certificate-data": None,
                "client-key-data": None,
                "username": None,
                "as": None,
                "as-uid": None,
                "as-groups": None,
                "as-user-extra": None,
                "auth-provider": None,
                "exec": PLUGIN
                | {"args": [None, "x"], "env": None, "installHint": None, "provideClusterInfo": None},
            },
        },
    ],
    "contexts": [
        {"name": None, "context": None},
        {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": None}},
    ],
}


def test_null_in_a_kubeconfig_is_nothing_as_for_kubectl(tmp_path: Path) -> None:
    first = write(
        tmp_path / "first", {"current-context": None, "clusters": None, "users": None, "contexts": None}
    )
    second = write(tmp_path / "second", NULLS | {"current-context": "here"})
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECONFIG", os.pathsep.join((first, second)))
        found = load()
    plugin = ExecPlugin(EXEC_VERSIONS[0], "p", args=("", "x"), interactive_mode="Never")
    assert found == ClusterConfig(server="https://example.test", exec_plugin=plugin)


def test_paths_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    cluster = {"server": "https://example.test", "certificate-authority": "ca.crt"}
    user = {
        "tokenFile": "../token",
        "client-certificate": "/abs/tls.crt",
        "client-key": "tls.key",
        "exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "./plugin", "args": None},
    }
    found = load(write(tmp_path / "kube" / "config", kubeconfig(cluster=cluster, user=user)))
    assert Path(found.ca_file) == tmp_path / "kube" / "ca.crt"
    assert Path(found.token_file).resolve() == tmp_path / "token"
    assert found.client_certificate_file == "/abs/tls.crt"
    assert Path(found.client_key_file) == tmp_path / "kube" / "tls.key"
    assert found.exec_plugin is not None
    assert Path(found.exec_plugin.command) == tmp_path / "kube" / "plugin"
    assert found.exec_plugin.interactive_mode == "IfAvailable"


def test_of_several_files_the_first_to_set_a_name_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kubeconfig(cluster={"server": "https://first.test"})
    first["users"] = None
    second = kubeconfig(cluster={"server": "https://second.test"}, user={"token": "second"})
    second["current-context"] = "other"
    second["contexts"].append({"name": "other", "context": {"cluster": "c", "user": "u", "namespace": "n"}})
    files = [write(tmp_path / "1", first), str(tmp_path / "missing"), write(tmp_path / "2", second)]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(files))
    found = load()
    assert (found.server, found.token, found.namespace) == ("https://first.test", "second", "default")
    assert load(context="other").namespace == "n"


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make this a pod with a service account."""
    directory = tmp_path / "serviceaccount"
    write(directory / "token", "t")
    (directory / "namespace").write_text("pie\n")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return directory


def test_a_pod_without_a_kubeconfig_uses_its_service_account(account: Path) -> None:
    found = load()
    assert (found.server, found.namespace) == ("https://[fd00::1]:443", "pie")
    assert (found.token_file, found.ca_file) == (str(account / "token"), str(account / "ca.crt"))


@pytest.mark.usefixtures("account")
def test_a_kubeconfig_comes_before_the_service_account_as_for_kubectl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / ".kube" / "config"
    write(home, kubeconfig())
    assert load().server == "https://example.test:6443"
    assert load(context="here").server == "https://example.test:6443"
    own = write(tmp_path / "own", kubeconfig(cluster={"server": "https://own.test"}))
    monkeypatch.setenv("KUBECONFIG", own)
    assert load().server == "https://own.test", "KUBECONFIG replaces the file at home"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    assert load().server == "https://[fd00::1]:443", "the file at home is not read where KUBECONFIG is set"
    monkeypatch.setenv("KUBECONFIG", write(tmp_path / "empty", {"current-context": None, "clusters": []}))
    assert load().server == "https://[fd00::1]:443", "without a current context there is no kubeconfig"
    with pytest.raises(ConfigError, match="no context named 'here'"):
        load(context="here")
    with pytest.raises(ConfigError, match="no current-context"):
        load(str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("example.test:6443", "http://example.test:6443"),
        ("example.test", "http://example.test"),
        ("10.0.0.1:6443/", "http://10.0.0.1:6443/"),
        ("[fd00::1]:6443", "http://[fd00::1]:6443"),
        ("http://example.test", "http://example.test"),
    ],
)
def test_a_server_without_tls_is_sent_no_credentials_as_by_kubectl(
    tmp_path: Path, server: str, url: str
) -> None:
    user = {"token": "secret", "as": "someone", "exec": PLUGIN}
    authority = b64encode(b"ca").decode()
    cluster = {"server": server, "certificate-authority-data": authority}
    found = load(write(tmp_path / "config", kubeconfig(cluster=cluster, user=user)))
    assert found == ClusterConfig(server=url, ca_pem=b"ca", impersonate_user="someone")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (["x"], "Expected `object`, got `array`"),
        ({"clusters": [{"cluster": {}}]}, "no current-context"),
        ({"clusters": [{"name": 3}]}, "Expected `str`, got `int` - at `$.clusters[0].name`"),
        (kubeconfig(cluster=None), "cluster 'c' has no server"),
        (
            kubeconfig(cluster={"server": "https://a", "certificate-authority-data": "?"}),
            "the kubeconfig's certificate-authority-data is not base64",
        ),
        (
            kubeconfig(user={"exec": {**PLUGIN, "command": None}}),
            "the exec plugin of the kubeconfig has no command",
        ),
        ({}, "no current-context"),
        ({"current-context": "gone"}, "no context named 'gone'; there are: none"),
        (kubeconfig(context={"cluster": "x"}), "no cluster named 'x'; there are: c"),
        (kubeconfig(context={"cluster": "c", "user": "x"}), "no user named 'x'; there are: u"),
        (kubeconfig(cluster={}), "cluster 'c' has no server"),
        (kubeconfig(cluster={"server": "ftp://example.test"}), "is not an http or https URL"),
        (kubeconfig(cluster={"server": "example.test:6443/path"}), "not host:port"),
        (kubeconfig(user={"token": "t", "as-groups": ["system:masters"]}), "need a user to impersonate"),
        (kubeconfig(user={"token": "t", "as-uid": "7"}), "need a user to impersonate"),
        (kubeconfig(user={"token": "t", "as-user-extra": {"a": ["b"]}}), "need a user to impersonate"),
        (kubeconfig(user={"token": "t\n"}), "has a line break"),
        (kubeconfig(user={"as": "a", "as-groups": ["b\r\nAuthorization: x"]}), "has a line break"),
        ({"users": [{"name": "u"}, {"name": "u"}]}, "two entries for user 'u'"),
        (kubeconfig(cluster={"server": "http://host:99999"}), "is not a URL: Port out of range"),
        (kubeconfig(cluster={"server": "https://host:abc"}), "is not a URL"),
        (kubeconfig(cluster={"server": "https://[::1"}), "is not a URL"),
        (kubeconfig(cluster={"server": "https://a..b"}), "is not a URL"),
        (kubeconfig(cluster={"server": "https://a", "proxy-url": "http://b:x"}), "the proxy 'http://b:x'"),
        (
            kubeconfig(cluster={"server": "https://a", "proxy-url": "socks5://b"}),
            "no other kind is supported",
        ),
        (kubeconfig(user={"auth-provider": {"name": "gcp"}}), "use an exec plugin"),
        (kubeconfig(user={"username": "u", "password": "p"}), "use a token"),
        (kubeconfig(user={"exec": PLUGIN | {"apiVersion": "v1alpha1"}}), "is not one of client.auth"),
        (kubeconfig(user={"exec": {**PLUGIN, "interactiveMode": ""}}), "interactiveMode is required"),
        (kubeconfig(user={"exec": {**PLUGIN, "interactiveMode": "Maybe"}}), "not one of Never"),
        (
            kubeconfig(
                cluster={
                    "server": "https://a",
                    "insecure-skip-tls-verify": True,
                    "certificate-authority": "ca",
                }
            ),
            "contradict each other",
        ),
    ],
)
def test_what_is_wrong_with_a_kubeconfig_is_told(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path / "config", content))
    assert words in str(caught.value)


def test_missing_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no cluster is configured: set KUBECONFIG"):
        load()
    with pytest.raises(ConfigError, match="nowhere: No such file"):
        load(str(tmp_path / "nowhere"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="none of the files in KUBECONFIG exists"):
        load()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    content=st.fixed_dictionaries(
        {},
        optional={"clusters": JSON, "users": JSON, "contexts": JSON, "current-context": JSON, "other": JSON},
    )
)
def test_any_kubeconfig_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        load(write(tmp_path_factory.getbasetemp() / "any-config", content))


@given(text=st.text(alphabet=st.sampled_from("htps:/[]@.%0123456789abcxyzü \t-_?#"), max_size=40))
def test_any_server_is_taken_or_refused_in_words(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any-server"
    for server in (text, f"https://{text}"):
        with suppress(ConfigError):
            load(write(path, kubeconfig(cluster={"server": server})))


def test_secrets_do_not_show_in_a_representation() -> None:
    assert "secret" not in repr(ClusterConfig(server="https://a", token="secret"))  # noqa: S106  a test's


PROXY = {"HTTPS_PROXY": "http://proxy.test:3128"}


@pytest.mark.parametrize(
    ("server", "environment", "proxy"),
    [
        ("https://api.test:6443", PROXY, "http://proxy.test:3128"),
        ("https://api.test:6443", {"https_proxy": "proxy.test:3128"}, "http://proxy.test:3128"),
        ("http://api.test", PROXY, None),
        ("https://api.test", {}, None),
        ("https://127.0.0.1:6443", PROXY, None),
        ("https://[::1]:6443", PROXY, None),
        ("https://localhost:6443", PROXY, None),
        ("https://10.96.0.1", PROXY | {"NO_PROXY": "10.96.0.0/12"}, None),
        ("https://10.96.0.1", PROXY | {"NO_PROXY": "192.168.0.0/16,bad/range"}, "http://proxy.test:3128"),
        ("https://10.96.0.1", PROXY | {"no_proxy": "10.96.0.1"}, None),
        ("https://[fd00::1]", PROXY | {"NO_PROXY": "[fd00::1]"}, None),
        ("https://api.cluster.test", PROXY | {"NO_PROXY": "x, .cluster.test"}, None),
        ("https://api.cluster.test", PROXY | {"NO_PROXY": "cluster.test"}, None),
        ("https://api.cluster.test", PROXY | {"NO_PROXY": "*.cluster.test"}, None),
        ("https://apicluster.test", PROXY | {"NO_PROXY": "cluster.test"}, "http://proxy.test:3128"),
        ("https://api.test:6443", PROXY | {"NO_PROXY": "api.test:6443"}, None),
        ("https://api.test:6443", PROXY | {"NO_PROXY": "api.test:443"}, "http://proxy.test:3128"),
        ("https://api.test", PROXY | {"NO_PROXY": "*"}, None),
    ],
)
def test_proxies_follow_the_environment_as_with_kubectl(
    server: str, environment: dict[str, str], proxy: str | None
) -> None:
    assert proxy_from_environment(server, environment) == proxy

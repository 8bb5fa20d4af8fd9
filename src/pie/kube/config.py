"""Address of the API server and credentials: from a kubeconfig, or from the files of a service account.

Reads the environment, as kubectl does: KUBECONFIG, KUBERNETES_SERVICE_HOST, the proxy variables.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yarl import URL

from pie.kube import kubeconfig as files
from pie.kube.errors import ConfigError
from pie.kube.proxy import proxy_from_environment

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where kubelet mounts the service account's token, CA and namespace."""

EXEC_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
"""The supported versions of the exec plugin protocol."""

INTERACTIVE_MODES: Final = ("Never", "IfAvailable", "Always")

_NO_HEADER: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What the value of an HTTP header cannot have."""


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A program that prints an ExecCredential; `command` is absolute, or a name to find in PATH."""

    api_version: str
    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    install_hint: str = ""
    interactive_mode: str = "IfAvailable"
    provide_cluster_info: bool = False


@dataclass(frozen=True, slots=True, repr=False)  # no repr: it would show secrets
class ClusterConfig:
    """How to reach one API server. Empty means not set; where both a file and its content are, content wins.

    `proxy_url` is None for a direct connection. `token_file` is read again as it changes and wins over
    `token`, which is used while the file cannot be read. The plugin runs only where there is no token and no
    client certificate. `impersonate_extra`: names, and the values of each.
    """

    server: str
    namespace: str = "default"
    ca_file: str = ""
    ca_pem: bytes = b""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str | None = None
    token: str = ""
    token_file: str = ""
    client_certificate_file: str = ""
    client_certificate_pem: bytes = b""
    client_key_file: str = ""
    client_key_pem: bytes = b""
    impersonate_user: str = ""
    impersonate_uid: str = ""
    impersonate_groups: tuple[str, ...] = ()
    impersonate_extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exec_plugin: ExecPlugin | None = None

    def __post_init__(self) -> None:
        """Refuse values that would fail later with a less clear error."""
        url = _url("server", self.server)
        if url.scheme not in {"http", "https"} or not url.host:
            raise ConfigError(f"the server {self.server!r} is not an http or https URL")
        proxy_scheme = _url("proxy", self.proxy_url).scheme if self.proxy_url else "http"
        if proxy_scheme not in {"http", "https"}:
            raise ConfigError(
                f"the proxy {self.proxy_url!r} is not an http or https proxy; no other kind is supported"
            )
        if self.insecure_skip_tls_verify and (self.ca_file or self.ca_pem):
            raise ConfigError("insecure-skip-tls-verify and a certificate authority contradict each other")
        if not self.impersonate_user and (
            self.impersonate_uid or self.impersonate_groups or self.impersonate_extra
        ):
            raise ConfigError("as-uid, as-groups and as-user-extra need a user to impersonate: set `as`")
        extra = (value for _, values in self.impersonate_extra for value in values)
        named = (self.impersonate_user, self.impersonate_uid, *self.impersonate_groups, *extra)
        if any(map(_NO_HEADER.search, (self.token, *named))):
            raise ConfigError("the token, or a name to impersonate, has a line break or a control character")


def _url(what: str, text: str) -> URL:
    """Return an address with a valid host name. Raises ConfigError."""
    try:
        url = URL(text)
        (url.host or "").encode("idna")
    except ValueError as error:
        raise ConfigError(f"the {what} {text!r} is not a URL: {error}") from error
    return url


def load(kubeconfig: str | None = None, context: str | None = None) -> ClusterConfig:
    """Find the cluster as kubectl does.

    It is in the given file; else in the files of $KUBECONFIG, or in ~/.kube/config where that is not set;
    else, where these have no current context, it is the cluster of the service account. A given context rules
    the service account out, since only a kubeconfig has contexts.
    """
    listed = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    paths = [Path(kubeconfig)] if kubeconfig else listed or [Path.home() / ".kube" / "config"]
    choice = files.choose(paths, context)
    if choice is not None:
        return _from_kubeconfig(choice)
    if not kubeconfig and context is None and in_cluster():
        return _from_service_account(SERVICE_ACCOUNT)
    where = ", ".join(map(str, paths))
    if any(path.exists() for path in paths):
        raise ConfigError(f"kubeconfig {where}: no current-context; name a context, or set current-context")
    if kubeconfig:
        raise ConfigError(f"kubeconfig {where}: No such file or directory")
    if listed:
        raise ConfigError(f"none of the files in KUBECONFIG exists: {where}")
    raise ConfigError(
        f"no cluster is configured: set KUBECONFIG, put a kubeconfig at {where}, "
        "or run in a pod with a service account"
    )


def in_cluster() -> bool:
    """Whether this process runs in a pod that has a service account."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (SERVICE_ACCOUNT / "token").exists()


def _from_service_account(directory: Path) -> ClusterConfig:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    namespace = directory / "namespace"
    return ClusterConfig(
        server=server,
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
        ca_file=str(directory / "ca.crt"),
        token_file=str(directory / "token"),
        proxy_url=_proxy_to(server),
    )


def _from_kubeconfig(choice: files.Choice) -> ClusterConfig:
    cluster, user, server = choice.cluster, choice.user, _with_scheme(choice.cluster.server)
    if user.auth_provider is not None:
        raise ConfigError(
            "the kubeconfig's user has an auth-provider, which kubectl dropped in 1.26; use an exec plugin"
        )
    if user.username:
        raise ConfigError(
            "the kubeconfig's user has a password, which Kubernetes dropped in 1.19; use a token"
        )
    plugin = _exec_plugin(user.exec) if user.exec else None
    if server.startswith("http:"):  # kubectl sends no credentials in clear text, so they are not read either
        user, plugin = _without_credentials(user), None
    return ClusterConfig(
        server=server,
        namespace=choice.namespace or "default",
        ca_file=cluster.certificate_authority,
        ca_pem=files.pem("certificate-authority-data", cluster.certificate_authority_data),
        insecure_skip_tls_verify=cluster.insecure_skip_tls_verify,
        tls_server_name=cluster.tls_server_name,
        proxy_url=cluster.proxy_url or _proxy_to(server),
        token=user.token,
        token_file=user.token_file,
        client_certificate_file=user.client_certificate,
        client_certificate_pem=files.pem("client-certificate-data", user.client_certificate_data),
        client_key_file=user.client_key,
        client_key_pem=files.pem("client-key-data", user.client_key_data),
        impersonate_user=user.impersonate,
        impersonate_uid=user.impersonate_uid,
        impersonate_groups=user.impersonate_groups,
        impersonate_extra=tuple(user.impersonate_extra.items()),
        exec_plugin=plugin,
    )


def _with_scheme(server: str) -> str:
    """Return a server's URL; what has no scheme is `host:port`, reached without TLS, as for kubectl."""
    if "://" in server:
        return server
    url = _url("server", f"http://{server}")
    if url.path != "/" or url.query_string or url.fragment:
        raise ConfigError(f"the server {server!r} is not an http or https URL, and not host:port")
    return f"http://{server}"


def _without_credentials(user: files.User) -> files.User:
    return files.User(
        impersonate=user.impersonate,
        impersonate_uid=user.impersonate_uid,
        impersonate_groups=user.impersonate_groups,
        impersonate_extra=user.impersonate_extra,
    )


def _proxy_to(server: str) -> str | None:
    _url("server", server)
    return proxy_from_environment(server, os.environ)


def _exec_plugin(plugin: files.Exec) -> ExecPlugin:
    if not plugin.command:
        raise ConfigError("the exec plugin of the kubeconfig has no command")
    if plugin.api_version not in EXEC_VERSIONS:
        raise ConfigError(
            f"exec plugin {plugin.command}: apiVersion {plugin.api_version!r} "
            f"is not one of {', '.join(EXEC_VERSIONS)}"
        )
    mode = plugin.interactive_mode
    if not mode and plugin.api_version == EXEC_VERSIONS[0]:
        raise ConfigError(
            f"exec plugin {plugin.command}: interactiveMode is required by {plugin.api_version}"
        )
    if mode and mode not in INTERACTIVE_MODES:
        raise ConfigError(
            f"exec plugin {plugin.command}: interactiveMode {mode!r} "
            f"is not one of {', '.join(INTERACTIVE_MODES)}"
        )
    return ExecPlugin(
        api_version=plugin.api_version,
        command=plugin.command,
        args=plugin.args or (),
        env=tuple((variable.name, variable.value) for variable in plugin.env or ()),
        install_hint=plugin.install_hint,
        interactive_mode=mode or "IfAvailable",
        provide_cluster_info=plugin.provide_cluster_info,
    )

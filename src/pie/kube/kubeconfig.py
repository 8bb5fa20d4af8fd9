"""kubeconfig files: reading, merging and choosing a context, as kubectl does.

The rules are those of "Organizing Cluster Access Using kubeconfig Files" in the Kubernetes documentation:
of several files the first one to set a name wins; a relative path is relative to the file it stands in; a
file that is missing is skipped. What kubectl refuses is refused here, too.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from pie.core.decode import Unreadable, convert
from pie.kube.errors import ConfigError


class Cluster(msgspec.Struct, rename="kebab", frozen=True):
    """clusters[].cluster."""

    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class ExecVariable(msgspec.Struct, frozen=True):
    """users[].user.exec.env[]."""

    name: str = ""
    value: str = ""


class Exec(msgspec.Struct, rename="camel", frozen=True):
    """users[].user.exec: a program that prints credentials."""

    api_version: str = ""
    command: str = ""
    args: tuple[str, ...] | None = None
    env: tuple[ExecVariable, ...] | None = None
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = ""


class User(msgspec.Struct, rename="kebab", frozen=True):
    """users[].user."""

    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    username: str = ""
    impersonate: str = msgspec.field(default="", name="as")
    impersonate_uid: str = msgspec.field(default="", name="as-uid")
    impersonate_groups: tuple[str, ...] = msgspec.field(default=(), name="as-groups")
    impersonate_extra: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict, name="as-user-extra")
    auth_provider: dict[str, Any] | None = None
    exec: Exec | None = None


class Context(msgspec.Struct, frozen=True):
    """contexts[].context."""

    cluster: str = ""
    user: str = ""
    namespace: str = ""


class NamedCluster(msgspec.Struct, frozen=True):
    """clusters[]."""

    name: str = ""
    cluster: Cluster = Cluster()


class NamedUser(msgspec.Struct, frozen=True):
    """users[]; without credentials where `user` is missing or null."""

    name: str = ""
    user: User | None = None


class NamedContext(msgspec.Struct, frozen=True):
    """contexts[]."""

    name: str = ""
    context: Context = Context()


class _File(msgspec.Struct, rename="kebab", frozen=True):
    clusters: tuple[NamedCluster, ...] | None = None
    users: tuple[NamedUser, ...] | None = None
    contexts: tuple[NamedContext, ...] | None = None
    current_context: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The contents of a context, with absolute paths."""

    cluster: Cluster
    user: User
    namespace: str


def choose(paths: Sequence[Path], context: str | None) -> Choice | None:
    """Read the files, in order of precedence, and return the `context` (default: the current one).

    Returns None if no file exists, or if there is no context to return. Raises ConfigError.
    """
    files = [(path, found) for path in dict.fromkeys(paths) if (found := _read(path)) is not None]
    where = ", ".join(str(path) for path, _ in files)
    wanted = context or next((file.current_context for _, file in files if file.current_context), "")
    if not files or not wanted:
        return None
    chosen = _named(wanted, "context", where, (found for _, file in files for found in file.contexts or ()))
    cluster_name, user_name = chosen.context.cluster, chosen.context.user
    clusters = [_absolute_cluster(path, found) for path, file in files for found in file.clusters or ()]
    users = [_absolute_user(path, found) for path, file in files for found in file.users or ()]
    cluster = _named(cluster_name, "cluster", where, clusters).cluster
    user = _named(user_name, "user", where, users).user if user_name else None
    if not cluster.server:
        raise ConfigError(f"kubeconfig {where}: cluster {cluster_name!r} has no server")
    return Choice(cluster=cluster, user=user or User(), namespace=chosen.context.namespace)


_Named = TypeVar("_Named", NamedCluster, NamedUser, NamedContext)


def _named(name: str, what: str, where: str, candidates: Iterable[_Named]) -> _Named:
    known = []
    for candidate in candidates:
        if candidate.name == name:
            return candidate
        known.append(candidate.name)
    raise ConfigError(
        f"kubeconfig {where}: no {what} named {name!r}; there are: {', '.join(known) or 'none'}"
    )


class _Loader(yaml.SafeLoader):
    """YAML as kubectl reads it: a date is text, and so is what `!!binary` stands for."""

    def text(self, node: yaml.ScalarNode) -> str:
        return str(self.construct_scalar(node))

    def binary_text(self, node: yaml.ScalarNode) -> str:
        return self.construct_yaml_binary(node).decode(errors="replace")


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.text)
_Loader.add_constructor("tag:yaml.org,2002:binary", _Loader.binary_text)


def pem(field: str, text: str) -> bytes:
    """Return the content of a `…-data` field, which may stand in several lines. Raises ConfigError."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"the kubeconfig's {field} is not base64: {error}") from error


def _read(path: Path) -> _File | None:
    try:
        content = yaml.load(path.read_bytes(), _Loader)  # noqa: S506  a safe one
        file = convert(content or {}, _File)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"kubeconfig {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, Unreadable) as error:
        raise ConfigError(f"kubeconfig {path}: {error}") from error
    for what, named in (("cluster", file.clusters), ("user", file.users), ("context", file.contexts)):
        names = [each.name for each in named or ()]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"kubeconfig {path}: there are two entries for {what} {min(twice)!r}")
    return file


def _absolute_cluster(origin: Path, named: NamedCluster) -> NamedCluster:
    cluster = named.cluster
    authority = _absolute(origin, cluster.certificate_authority)
    return NamedCluster(named.name, msgspec.structs.replace(cluster, certificate_authority=authority))


def _absolute_user(origin: Path, named: NamedUser) -> NamedUser:
    user = named.user
    if user is None:
        return named
    plugin = user.exec
    if plugin is not None and "/" in plugin.command:  # a bare name is looked up in PATH instead
        plugin = msgspec.structs.replace(plugin, command=_absolute(origin, plugin.command))
    absolute = msgspec.structs.replace(
        user,
        token_file=_absolute(origin, user.token_file),
        client_certificate=_absolute(origin, user.client_certificate),
        client_key=_absolute(origin, user.client_key),
        exec=plugin,
    )
    return NamedUser(named.name, absolute)


def _absolute(origin: Path, path: str) -> str:
    return str(origin.absolute().parent / path) if path else ""

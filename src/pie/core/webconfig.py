"""The web config file of Prometheus' exporters: what it may hold, and what of it pie cannot obey.

Its format: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

import re
from typing import Any, Final, Literal

import msgspec

from pie.core.decode import Unreadable, convert

_HASH: Final = re.compile(r"\$2[abxy]\$(0[4-9]|1[0-9])\$[./A-Za-z0-9]{53}")
"""A bcrypt hash that takes at most minutes to check."""

_HEADERS: Final = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)


class WebConfigError(ValueError):
    """The web config file, or a file that it names, cannot be used; says why."""


class TlsServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """tls_server_config. File names are relative to the web config file."""

    cert_file: str = ""
    key_file: str = ""
    client_auth_type: str = "NoClientCert"
    client_ca_file: str = ""
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS12", "TLS13"] = "TLS13"

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it names."""
        return tuple(each for each in (self.cert_file, self.key_file, self.client_ca_file) if each)


class HttpServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """http_server_config. `http2` only allows HTTP/2, which pie does not speak."""

    http2: bool = True
    headers: dict[str, str] = {}


class WebConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. `basic_auth_users`: the bcrypt hash of each user's password."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[str, str] = {}


def web_config(found: Any) -> WebConfig:
    """Return what a file holds, given as YAML has it. Raises WebConfigError."""
    try:
        config = convert(found if found is not None else {}, WebConfig)
    except Unreadable as error:
        raise WebConfigError(str(error)) from None
    if config.tls_server_config is not None:
        _check_tls(config.tls_server_config)
    for header in config.http_server_config.headers:
        if header not in _HEADERS:
            raise WebConfigError(
                f"http_server_config.headers: {header!r} cannot be set; {', '.join(_HEADERS)} can"
            )
    for user, hashed in config.basic_auth_users.items():
        if not user or ":" in user:
            raise WebConfigError(f"basic_auth_users: {user!r} cannot be a user's name")
        if not _HASH.fullmatch(hashed):
            raise WebConfigError(
                f"basic_auth_users.{user}: this is not a bcrypt hash; `htpasswd -nBC 10 NAME` writes one"
            )
    return config


def _check_tls(tls: TlsServer) -> None:
    for field in ("cert_file", "key_file"):
        if not getattr(tls, field):
            raise WebConfigError(f"tls_server_config.{field} is missing")
    verifies = tls.client_auth_type in {"VerifyClientCertIfGiven", "RequireAndVerifyClientCert"}
    if not verifies and tls.client_auth_type not in {"", "NoClientCert"}:
        raise WebConfigError(
            f"tls_server_config.client_auth_type: {tls.client_auth_type!r} is none of NoClientCert,"
            " VerifyClientCertIfGiven and RequireAndVerifyClientCert; pie takes no certificate that it has"
            " not verified"
        )
    if verifies != bool(tls.client_ca_file):
        raise WebConfigError(
            "tls_server_config: client_ca_file needs a client_auth_type that verifies, and such a type needs"
            " client_ca_file"
        )
    if tls.min_version > tls.max_version:
        raise WebConfigError("tls_server_config: min_version is greater than max_version")

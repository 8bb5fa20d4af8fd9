"""The web config file, read again when it or a file that it names changes."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
import yaml

from pie.core.text import one_line
from pie.core.webconfig import TlsServer, WebConfig, WebConfigError, web_config

_log = structlog.get_logger()

_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENTS: Final = {
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve now: without a context no TLS, without users no passwords."""

    context: ssl.SSLContext | None = None
    users: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class WebFile:
    """How to serve, by a file. Raises WebConfigError if it cannot be used at the start.

    A change that cannot be used is logged, and what was read before stays in force.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: dict[Path, tuple[int, ...]] = {}
        """The files, as they were when they were read."""
        self._serving = self._load()

    def serving(self) -> Serving:
        """Return how to serve now."""
        if any(_stamp(path) != stamp for path, stamp in self._read.items()):
            try:
                self._serving = self._load()
                _log.info("web config file was read again", file=str(self._path))
            except WebConfigError as error:
                _log.error("web config file cannot be used: the earlier one stays in force", error=str(error))
        return self._serving

    def _load(self) -> Serving:
        # A file that changes from now on is read again.
        self._read = {each: _stamp(each) for each in (self._path, *self._read)}
        config = _config(self._path)
        tls, folder = config.tls_server_config, self._path.parent
        named = (folder / each for each in (tls.files if tls is not None else ()))
        self._read = {self._path: self._read[self._path], **{each: _stamp(each) for each in named}}
        context = _context(tls, folder) if tls is not None else None
        return Serving(context, config.basic_auth_users, config.http_server_config.headers)


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when a file does; a Secret's mount replaces its files."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _config(path: Path) -> WebConfig:
    try:
        return web_config(yaml.safe_load(path.read_bytes()))
    except (OSError, yaml.YAMLError, WebConfigError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise WebConfigError(f"{path}: {one_line(str(said))}") from None


def _context(tls: TlsServer, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.maximum_version = _VERSIONS[tls.max_version]
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A password would be asked for on a terminal; a key with one cannot be used.
        context.load_cert_chain(folder / tls.cert_file, folder / tls.key_file, password=str)
        if tls.client_ca_file:
            context.verify_mode = _CLIENTS[tls.client_auth_type]
            context.load_verify_locations(folder / tls.client_ca_file)
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(str(folder / each) for each in tls.files)
        raise WebConfigError(f"the TLS files {files} cannot be used: {error.strerror or error}") from None
    return context

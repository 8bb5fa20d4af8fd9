"""Credentials for the API server: bearer tokens, client certificates, exec plugins; renewed if needed."""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pie.kube.clock import boottime
from pie.kube.config import ClusterConfig
from pie.kube.errors import CredentialsError
from pie.kube.execplugin import ExecCredential, run_plugin
from pie.kube.tls import context_for

REREAD_SECONDS: Final = 60.0
"""How long a token or certificate file is used before it is read again; as client-go's for token files."""

_EXPIRY_LEEWAY_SECONDS: Final = 10.0
"""A credential is renewed this long before it expires, so that it does not expire during a request."""

_SAFE_IN_A_NAME: Final = "!#$&'*+^`|"
"""What the name of an HTTP header may have besides letters, digits and `-._~`, without `%`."""


@dataclass(frozen=True, slots=True, repr=False)  # no repr: it would show secrets
class Access:
    """The credentials of one request. `context` is None for plain HTTP."""

    headers: tuple[tuple[str, str], ...]
    context: ssl.SSLContext | None


class Credentials:
    """The current `Access` to a cluster, and its renewal.

    Files are looked at again after `reread_seconds`. An exec plugin runs again when its credential is about
    to expire by its `expirationTimestamp`, which is compared with the local wall clock. After `reject`,
    everything is obtained anew.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = boottime,
        reread_seconds: float = REREAD_SECONDS,
    ) -> None:
        self._config = config
        certificate = config.client_certificate_file or config.client_certificate_pem
        given = config.token or config.token_file or certificate
        self._plugin = None if given else config.exec_plugin
        self._now = now
        self._monotonic = monotonic
        self._reread_seconds = reread_seconds
        self._lock = asyncio.Lock()
        self._access: Access | None = None
        self._checked_at = 0.0
        self._token = config.token
        self._credential: ExecCredential | None = None
        self._fingerprint: tuple[object, ...] = ()

    async def current(self) -> Access:
        """Return the current credentials. Raises CredentialsError or ConfigError."""
        if self._access is not None and not self._stale():
            return self._access
        async with self._lock:  # one plugin run at a time
            if self._access is None or self._stale():
                self._access = await self._obtain()
            return self._access

    def reject(self, access: Access) -> bool:
        """Mark this access as refused (401); return whether another try makes sense."""
        if access is not self._access:
            return True  # renewed meanwhile
        if not (self._plugin or self._config.token_file):
            return False
        self._access = self._credential = None
        return True

    def _stale(self) -> bool:
        if self._credential is not None and self._credential.expires_within(
            _EXPIRY_LEEWAY_SECONDS, self._now()
        ):
            return True
        return self._monotonic() - self._checked_at >= self._reread_seconds

    async def _obtain(self) -> Access:
        if self._plugin is not None:
            credential = self._credential
            if credential is None or credential.expires_within(_EXPIRY_LEEWAY_SECONDS, self._now()):
                self._credential = await run_plugin(self._plugin, self._config)
        self._checked_at = self._monotonic()
        return Access(headers=self._headers(), context=self._context())

    def _headers(self) -> tuple[tuple[str, str], ...]:
        config = self._config
        token = config.token
        if config.token_file:
            token = self._token = _read_token(config.token_file, last=self._token)
        if self._credential is not None and self._credential.token:
            token = self._credential.token
        headers = [("Authorization", f"Bearer {token}")] if token else []
        if config.impersonate_user:
            headers.append(("Impersonate-User", config.impersonate_user))
            headers += [("Impersonate-Uid", config.impersonate_uid)] if config.impersonate_uid else []
            headers += [("Impersonate-Group", group) for group in config.impersonate_groups]
            headers += [
                (f"Impersonate-Extra-{quote(name, safe=_SAFE_IN_A_NAME)}", value)
                for name, values in config.impersonate_extra
                for value in values
            ]
        return tuple(headers)

    def _context(self) -> ssl.SSLContext | None:
        """Return the TLS context; it stays the same while the certificates do not change."""
        config, credential = self._config, self._credential
        if config.server.startswith("http:"):
            return None
        certificate = (credential.certificate, credential.key) if credential is not None else (b"", b"")
        files = (config.ca_file, config.client_certificate_file, config.client_key_file)
        fingerprint = (certificate, *map(_modified, files))
        if self._access is not None and self._access.context and fingerprint == self._fingerprint:
            return self._access.context
        self._fingerprint = fingerprint
        return context_for(config, *certificate)


def _modified(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns if path else 0
    except OSError:
        return 0  # creating the context reports the error


def _read_token(path: str, *, last: str) -> str:
    """Read the token; while the file is being replaced, the last token is used."""
    try:
        token = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        if last:
            return last
        raise CredentialsError(f"cannot read the token file {path}: {error}") from error
    if not token and not last:
        raise CredentialsError(f"the token file {path} is empty")
    return token or last

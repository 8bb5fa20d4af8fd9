"""Errors between pie and the API server, one class for each case that a caller may handle differently.

`KubeError` is the root. Every message names the request and the object, then the server's own words, and
is one clean line of at most 512 characters; the cause is chained.
"""

# ruff: noqa: N818  the names are the reasons of the API, and what a handler reads as

from typing import Final

import msgspec

from pie.core.decode import Unreadable, decode
from pie.core.text import PlainText, one_line

MESSAGE_LENGTH: Final = 512
"""Longest message of an error, in characters: server messages can carry whole objects."""


class KubeError(Exception):
    """The base class of all errors of this package."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, MESSAGE_LENGTH))


class ConfigError(KubeError):
    """The kubeconfig or the in-cluster files do not describe how to reach a cluster."""


class CredentialsError(KubeError):
    """The credentials could not be obtained: a token file or an exec plugin failed."""


class Unreachable(KubeError):
    """No answer: connection refused, reset, cut in the middle, or timed out. A write may have been done."""


class Silent(Unreachable):
    """Nothing came on a watch for too long: the connection is dead, or there was not even a bookmark to send.

    An API server sends no bookmarks for a kind of which nothing changed since that server started.
    """


class Undecodable(KubeError):
    """The server's answer is not the expected JSON."""


class WriteRefused(KubeError):
    """A write was not sent, because the process may not write (any more)."""


class ApiError(KubeError):
    """The API server answered with an error.

    `status` is the HTTP code and `reason` the CamelCase reason of the Status object, empty if there was none.
    `retry_after_seconds` is what the server asked for, if it did.
    """

    def __init__(
        self, status: int, reason: str, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = one_line(message, MESSAGE_LENGTH)
        self.retry_after_seconds = retry_after_seconds


class BadRequest(ApiError):
    """400: the request itself is wrong."""


class Unauthorized(ApiError):
    """401: the credentials are missing, wrong or expired."""


class Forbidden(ApiError):
    """403: RBAC or an admission plugin refused the request."""


class NotFound(ApiError):
    """404: no such object, or no such resource (its CRD is not installed)."""


class Conflict(ApiError):
    """409: a precondition failed (uid, resourceVersion), or the object changed meanwhile."""


class AlreadyExists(Conflict):
    """409 on create: an object with this name exists."""


class Expired(ApiError):
    """410: the resourceVersion or the continue token is too old; a fresh list is needed."""


class Invalid(ApiError):
    """422: the object breaks its schema, or a rule of the API server."""


class TooManyRequests(ApiError):
    """429: the server sheds load (nothing was done), or an eviction must wait."""


class ServerError(ApiError):
    """5xx: the server, or something between, failed. A write may have been done."""


class ServiceUnavailable(ServerError):
    """503: the server is starting, is stopping, or cannot reach its storage."""


class ServerTimeout(ServerError):
    """504, or reason Timeout or ServerTimeout: the server gave up waiting. A write may have been done."""


class Status(msgspec.Struct, frozen=True):
    """The Status object that the API server answers errors with (meta/v1)."""

    message: PlainText = ""
    reason: PlainText = ""
    code: int = 0


_BY_REASON: Final[dict[str, type[ApiError]]] = {
    "AlreadyExists": AlreadyExists,
    "Expired": Expired,
    "Gone": Expired,
    "ServerTimeout": ServerTimeout,
    "Timeout": ServerTimeout,
}

_BY_STATUS: Final[dict[int, type[ApiError]]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    422: Invalid,
    429: TooManyRequests,
    503: ServiceUnavailable,
    504: ServerTimeout,
}

_SERVER_ERRORS: Final = 500


def api_error(
    request: str, status: int, body: bytes | msgspec.Raw, *, retry_after_seconds: float | None = None
) -> ApiError:
    """Return the error for an answer: `request` describes the request, `body` is a Status or other text."""
    answer = bytes(body)
    try:
        said = decode(answer, Status)
    except Unreadable:
        said = Status(message=one_line(answer.decode(errors="replace"), MESSAGE_LENGTH))
    code = status or said.code
    fallback = ServerError if code >= _SERVER_ERRORS else ApiError
    kind = _BY_REASON.get(said.reason) or _BY_STATUS.get(code, fallback)
    words = f"{code} {said.reason}".strip()
    message = f"cannot {request}: {words}: {said.message or 'no message'}"
    return kind(code, said.reason, message, retry_after_seconds=retry_after_seconds)

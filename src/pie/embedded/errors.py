"""Refusals in the words and codes of the API server."""

from typing import Any

from pie.embedded.kinds import Kind

Json = dict[str, Any]


class Refused(Exception):  # noqa: N818  the API server's no, on purpose
    """A request that is refused: HTTP code, CamelCase reason, and a message for a person."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details or {}

    def status(self) -> Json:
        """Return the Status object that answers the request."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


def _about(kind: Kind, name: str) -> Json:
    return {"name": name, "group": kind.group, "kind": kind.plural}


def not_found(kind: Kind, name: str) -> Refused:
    """Say that there is no such object."""
    return Refused(404, "NotFound", f'{kind.qualified} "{name}" not found', _about(kind, name))


def already_exists(kind: Kind, name: str) -> Refused:
    """Say that the name is taken."""
    return Refused(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists', _about(kind, name))


def conflict(kind: Kind, name: str, why: str) -> Refused:
    """Say that a precondition does not hold."""
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return Refused(409, "Conflict", message, _about(kind, name))


def modified(kind: Kind, name: str) -> Refused:
    """Say that the resourceVersion that was given is not the current one."""
    return conflict(
        kind,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )


def invalid(kind: Kind, name: str, errors: list[str]) -> Refused:
    """Say that the object breaks rules; each error begins with its field."""
    words = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
    what = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    causes = [{"field": error.partition(":")[0], "message": error.partition(": ")[2]} for error in errors]
    details = {"name": name, "group": kind.group, "kind": kind.kind, "causes": causes}
    return Refused(422, "Invalid", f'{what} "{name}" is invalid: {words}', details)


def bad_request(message: str) -> Refused:
    """Say that the request itself makes no sense."""
    return Refused(400, "BadRequest", message)


def expired(message: str) -> Refused:
    """Say that a resourceVersion or continue token is older than the history that is kept."""
    return Refused(410, "Expired", message)

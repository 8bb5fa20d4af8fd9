"""Errors with the messages and codes of the API server."""

from pie.embedded.kinds import Json, Kind


class Refused(Exception):  # noqa: N818  the API server refused the request
    """A refused request: HTTP code, CamelCase reason, and a message."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        about = {"message": message, "reason": reason, "details": details or {}, "code": code}
        self.status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", **about}
        """The Status object that answers the request."""


class ActorDied(Exception):  # noqa: N818  the name says what happened
    """An actor failed, and all others ended with it: a defect of the embedded cluster."""


def about(kind: Kind, name: str) -> Json:
    """Return the details that a Status gives of an object."""
    return {"name": name, "group": kind.group, "kind": kind.plural}


def not_found(kind: Kind, name: str) -> Refused:
    """Return the error for an object that does not exist."""
    return Refused(404, "NotFound", f'{kind.qualified} "{name}" not found', about(kind, name))


def conflict(kind: Kind, name: str, why: str) -> Refused:
    """Return the error for a failed precondition."""
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return Refused(409, "Conflict", message, about(kind, name))


def invalid(kind: Kind, name: str, errors: list[str]) -> Refused:
    """Return the error for an invalid object; each error begins with its field."""
    words = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
    what = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    causes = [{"field": error.partition(":")[0], "message": error.partition(": ")[2]} for error in errors]
    details = {**about(kind, name), "kind": kind.kind, "causes": causes}
    return Refused(422, "Invalid", f'{what} "{name}" is invalid: {words}', details)


def bad_request(message: str) -> Refused:
    """Return the error for an invalid request."""
    return Refused(400, "BadRequest", message)

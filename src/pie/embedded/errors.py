"""Refusals in the words and codes of the API server."""

from pie.embedded.kinds import Json, Kind


class Refused(Exception):  # noqa: N818  the API server's no, on purpose
    """A request that is refused: HTTP code, CamelCase reason, and a message for a person."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        about = {"message": message, "reason": reason, "details": details or {}, "code": code}
        self.status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", **about}
        """The Status object that answers the request."""


class ActorDied(Exception):  # noqa: N818  the name says what happened
    """An actor met what it did not expect, and all others ended with it: a defect of the embedded cluster."""


def about(kind: Kind, name: str) -> Json:
    """Return the details that a Status gives of an object."""
    return {"name": name, "group": kind.group, "kind": kind.plural}


def not_found(kind: Kind, name: str) -> Refused:
    """Say that there is no such object."""
    return Refused(404, "NotFound", f'{kind.qualified} "{name}" not found', about(kind, name))


def conflict(kind: Kind, name: str, why: str) -> Refused:
    """Say that a precondition does not hold."""
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return Refused(409, "Conflict", message, about(kind, name))


def invalid(kind: Kind, name: str, errors: list[str]) -> Refused:
    """Say that the object breaks rules; each error begins with its field."""
    words = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
    what = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    causes = [{"field": error.partition(":")[0], "message": error.partition(": ")[2]} for error in errors]
    details = {**about(kind, name), "kind": kind.kind, "causes": causes}
    return Refused(422, "Invalid", f'{what} "{name}" is invalid: {words}', details)


def bad_request(message: str) -> Refused:
    """Say that the request itself makes no sense."""
    return Refused(400, "BadRequest", message)

"""Which program wrote what: counts from the API server's audit log."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})
FIRST_ERROR_CODE = 400


class ObjectReference(msgspec.Struct, rename="camel", frozen=True):
    """What a request was about. `resource` is the plural; of a collection the name is empty."""

    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class _Status(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""


class _User(msgspec.Struct, frozen=True):
    username: str = ""


class AuditEvent(msgspec.Struct, rename="camel", frozen=True):
    """One request that the API server has answered, or a watch that it has begun to answer."""

    verb: str
    request_received_timestamp: datetime
    user: _User
    user_agent: str = ""
    request_uri: str = msgspec.field(default="", name="requestURI")
    object_ref: ObjectReference = ObjectReference()
    response_status: _Status = _Status()
    stage: str = ""
    annotations: dict[str, str] = {}
    request_object: dict[str, Any] | None = None
    """What was sent; only of a kubelet's report on a pod."""

    @property
    def agent(self) -> str:
        """The program: `kube-controller-manager`, `kubelet`, `kwok`, `testbed-binder`, `pie`, and so on."""
        return self.user_agent.partition("/")[0]

    @property
    def unauthorized(self) -> bool:
        """Whether the user lacks the right."""
        return self.annotations.get("authorization.k8s.io/decision") == "forbid"

    @property
    def insecure(self) -> bool:
        """Whether the Pod Security level of the namespace forbids the pod."""
        return "violates PodSecurity" in self.response_status.message

    @property
    def resource(self) -> str:
        """The plural resource with its subresource: `pods/status`."""
        reference = self.object_ref
        return (
            f"{reference.resource}/{reference.subresource}" if reference.subresource else reference.resource
        )


class Write(NamedTuple):
    """A kind of write, as counted by `Audit.count_writes`."""

    agent: str
    verb: str
    resource: str


class Audit:
    """The audit log of one testbed."""

    def __init__(self, path: Path) -> None:
        """Read the file `path`, which may be created later."""
        self.path = path

    @staticmethod
    def now() -> datetime:
        """Return a moment to count from, or up to."""
        return datetime.now(UTC)

    def events(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[AuditEvent]:
        """Yield the requests received in `[since, until)`, in the order in which they were answered.

        Requests that the server has not answered yet are not included.
        """
        decode = msgspec.json.Decoder(AuditEvent).decode
        with self.path.open("rb") as log:
            for line in log:
                if not line.endswith(b"\n"):
                    return  # the server is writing this line right now
                event = decode(line)
                received = event.request_received_timestamp
                if (since is None or received >= since) and (until is None or received < until):
                    yield event

    def count_writes(
        self, since: datetime | None = None, until: datetime | None = None, *, namespace: str | None = None
    ) -> Counter[Write]:
        """Count the writes that succeeded, by program, verb and resource; optionally of one namespace only.

        Events are writes, too: resource `events`. Reviews of tokens and of access store nothing and do not
        count.
        """
        return Counter(
            Write(event.agent, event.verb, event.resource)
            for event in self.events(since, until)
            if event.verb in WRITE_VERBS
            and event.stage == "ResponseComplete"
            and event.response_status.code < FIRST_ERROR_CODE
            and not event.object_ref.resource.endswith("reviews")
            and namespace in (None, event.object_ref.namespace)
        )

"""Names as hashes, in a recording that others may read.

Each string is hashed unless it is listed here as a word of Kubernetes or of pie. So a new field is hashed
until it is listed. In longer texts, known names are hashed, and whatever looks like a uid, an IP address or a
name that pie created. The same name has the same hash in all files of a recorder.
"""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, Final, cast

import msgspec
from msgspec.structs import replace

from pie.core.naming import (
    ANNOTATION_IDENTITY,
    ANNOTATION_IDENTITY_OF,
    ANNOTATION_REPLACED_BY,
    ANNOTATION_SELECTED_NODE,
    ANNOTATION_USUAL_LATENCY,
    CONTAINER,
)
from pie.core.record.records import TakenStep
from pie.core.result import Result, ResultError, decode, encode
from pie.core.timeline import ANNOTATION_PROVISIONER
from pie.core.wire import ContainerStatus, StateTerminated

_WORDS: Final = frozenset(
    {
        # Words of Kubernetes, and of pie.
        *("kind", "phase", "status", "type", "reason", "cause", "tool", "why", "discardable"),
        *("discard_ordered", "operator", "effect", "pvc_capacity"),
        # Random numbers of pie's own, and a time.
        *("identity", "replaced_by", "renewal"),
    }
)
_NAMED: Final = frozenset(
    {
        *("probe", "storage_class", "node", "namespace", "name", "uid", "id", "follows", "without"),
        *(
            "node_name",
            "volume_name",
            "storage_class_name",
            "claim_uid",
            "run",
            "histories",
            "matching",
            "driver",
        ),
    }
)
"""What is a name in texts, too."""
_TEXTS: Final = frozenset({"message", "evidence", "attach_error", "backend"})
_ANNOTATIONS: Final = frozenset({"annotations", "remembered"})
_NUMBERS: Final = frozenset({ANNOTATION_IDENTITY, ANNOTATION_REPLACED_BY, ANNOTATION_USUAL_LATENCY})
_NAMING: Final = frozenset({ANNOTATION_SELECTED_NODE, ANNOTATION_PROVISIONER, ANNOTATION_IDENTITY_OF})
_DROPPED: Final = frozenset({"labels", "finalizers", "resource_version"})
_COMPOSED: Final = (Mapping, tuple, list, frozenset)

_SHORTEST: Final = 8
_MOST_NAMES: Final = 500_000
_TOKEN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_UID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_LOOKS_LIKE_A_NAME: Final = re.compile(r"(?:mount|provision|pie-pvc|pie-check)-.*|(?:\d{1,3}\.){3}\d{1,3}")
"""Names that pie gave, and addresses."""


class Anonymous:
    """Hashes names with a secret key. Without the key, names cannot be guessed."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._names: set[str] = set()
        self._hashes: dict[str, str] = {}
        self._done: dict[int, tuple[Any, Any]] = {}

    def step(self, taken: TakenStep) -> TakenStep:
        """Return a step without names."""
        while True:
            known = len(self._names)
            self._done.clear()
            found: TakenStep = self._value(taken)
            if len(self._names) == known:
                return found
            # Names that were new are hashed in the texts before them, too.

    def _value(self, value: Any, field: str = "") -> Any:
        if isinstance(value, str) and not isinstance(value, Enum):
            if field in _TEXTS:
                return self._text(value)
            if field in _NAMED:
                self._names.add(value)
            return value if field in _WORDS else self._hash(value)
        if not isinstance(value, _COMPOSED) and not _fields(cast(Any, type(value))):
            return value
        if (done := self._done.get(id(value))) is None:
            # The value is kept, too: so nothing else has its id.
            done = self._done[id(value)] = value, self._composed(value, field)
        return done[1]

    def _composed(self, value: Any, field: str) -> Any:
        if isinstance(value, Mapping):
            if field in _ANNOTATIONS:
                return self._annotations(value)
            return {self._value(key, field): self._value(each, field) for key, each in value.items()}
        if isinstance(value, _COMPOSED):
            kind: Any = type(value)
            return kind(self._value(each, field) for each in value)
        if isinstance(value, Result):
            return self._result(value)
        changed = {name: self._value(getattr(value, name), name) for name in _fields(cast(Any, type(value)))}
        changed |= {name: type(getattr(value, name))() for name in _DROPPED & changed.keys()}
        if isinstance(value, ContainerStatus) and value.name == CONTAINER:
            changed["name"] = CONTAINER
        if isinstance(value, StateTerminated):
            changed["message"] = self._termination(value.message)
        return type(value)(**changed)

    def _annotations(self, value: Mapping[str, str]) -> dict[str, str]:
        """Return the annotations that pie reads."""
        found = {key: each for key, each in value.items() if key in _NUMBERS}
        return found | {key: self._hash(value[key]) for key in sorted(_NAMING & value.keys())}

    def _termination(self, message: str) -> str:
        try:
            return encode(self._result(decode(message))).decode()
        except ResultError:
            return self._text(message)

    def _result(self, result: Result) -> Result:
        records = result.records
        if records is not None:
            records = replace(records, corrupted_detail=self._text(records.corrupted_detail))
        return replace(result, message=self._text(result.message), records=records)

    def _text(self, text: str) -> str:
        return _TOKEN.sub(self._token, _UID.sub(lambda found: self._hash(found[0]), text))

    def _token(self, found: re.Match[str]) -> str:
        token = found[0]
        if token in self._names or _LOOKS_LIKE_A_NAME.fullmatch(token):
            return self._hash(token)
        return token

    def _hash(self, name: str) -> str:
        """Return the hash of a name, as long as the name; a short one becomes longer."""
        if (known := self._hashes.get(name)) is not None or not name:
            return known or name
        if len(self._hashes) >= _MOST_NAMES:
            self._hashes.clear()
            self._names.clear()
        size = max(_SHORTEST, len(name))
        digest = hashlib.shake_128(self._key + name.encode()).hexdigest(size)
        found = self._hashes[name] = digest[:size]
        return found


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    return tuple(kind.__struct_fields__) if issubclass(kind, msgspec.Struct) else ()

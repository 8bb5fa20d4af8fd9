"""The ring of Warning Events: bounded, and about pie's own pods and claims only."""

from pathlib import Path

from pie.controller import evidence
from pie.controller.evidence import Evidence
from pie.core.objects import Event, InvolvedObject, Metadata
from pie.kube.client import Client
from pie.kube.config import ClusterConfig


def ring() -> Evidence:
    return Evidence(Client(ClusterConfig(server="http://127.0.0.1:1")), "pie", lambda _about: None)


def event(uid: str, message: str, kind: str = "Pod", reason: str = "FailedMount") -> Event:
    about = InvolvedObject(kind=kind, namespace="pie", name=f"pod-{uid}", uid=uid)
    return Event(metadata=Metadata(), involved_object=about, reason=reason, message=message)


def messages(heard: Evidence, *uids: str) -> list[str]:
    return [each.message for each in heard.about(*uids)]


def test_what_is_said_about_a_pod_and_its_claim_is_told_in_order() -> None:
    heard = ring()
    heard._note(event("pod", "first"))
    heard._note(event("claim", "second", kind="PersistentVolumeClaim"))
    heard._note(event("pod", "third"))
    assert messages(heard, "pod", "claim") == ["first", "second", "third"]


def test_what_is_said_about_anything_else_is_not_kept() -> None:
    heard = ring()
    heard._note(event("node", "x", kind="Node"))
    assert messages(heard, "node") == []


def test_a_repeated_event_moves_to_the_end() -> None:
    heard = ring()
    for text in ("a", "b", "a"):
        heard._note(event("pod", text))
    assert messages(heard, "pod") == ["b", "a"]


def test_texts_are_bounded_in_length_and_number_and_the_objects_too() -> None:
    heard = ring()
    for number in range(100):
        heard._note(event("pod", f"{number} " + "x" * 5000))
    assert len(messages(heard, "pod")) == evidence._MOST_TEXTS
    assert max(map(len, messages(heard, "pod"))) <= evidence._MOST_CHARACTERS
    for number in range(evidence._MOST_OBJECTS):
        heard._note(event(f"other-{number}", "x"))
    assert messages(heard, "pod") == []
    assert len(heard._ring) == evidence._MOST_OBJECTS


def test_the_package_says_where_its_parts_are() -> None:
    words = (Path(evidence.__file__).parent / "__init__.py").read_text()
    for part in ("observe", "queue", "targets", "runs", "incidents", "evidence", "teardown"):
        assert f"`{part}`" in words

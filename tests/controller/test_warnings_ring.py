"""The ring of Warning Events: bounded, and about pie's own pods and claims only."""

from pathlib import Path

import pytest

from pie.controller import warnings
from pie.controller.warnings import WarningEvents
from pie.core.wire import Event, InvolvedObject, Metadata
from pie.kube.client import Client
from pie.kube.config import ClusterConfig


def ring(targets: int = 1) -> WarningEvents:
    client = Client(ClusterConfig(server="http://127.0.0.1:1"))
    heard = WarningEvents(client, "pie", lambda _about: None)
    heard.make_room(targets)
    return heard


def event(uid: str, message: str, kind: str = "Pod", reason: str = "FailedMount") -> Event:
    about = InvolvedObject(kind=kind, namespace="pie", name=f"pod-{uid}", uid=uid)
    return Event(metadata=Metadata(), involved_object=about, reason=reason, message=message)


def note(heard: WarningEvents, event: Event) -> None:
    heard._note(event, heard._client.now())


def messages(heard: WarningEvents, *uids: str) -> list[str]:
    return [each.message for each in heard.about("pie", *uids)]


def test_what_is_said_about_a_pod_and_its_claim_is_told_in_order() -> None:
    heard = ring()
    note(heard, event("pod", "first"))
    note(heard, event("claim", "second", kind="PersistentVolumeClaim"))
    note(heard, event("pod", "third"))
    assert messages(heard, "pod", "claim") == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("kind", "name", "reason", "kept"),
    [
        ("Pod", "mount-p-n-c-1-x", "FailedMount", True),
        ("PersistentVolumeClaim", "pie-pvc-p-n-c-1", "ProvisioningFailed", True),
        ("Job", "mount-p-n-c-1-29000000", "FailedCreate", True),
        ("CronJob", "provision-p-c-1", "FailedCreate", True),
        ("Job", "mount-p-n-c-1-29000000", "BackoffLimitExceeded", False),
        ("Job", "nightly-backup", "FailedCreate", False),
        ("Node", "n", "FailedMount", False),
    ],
)
def test_only_what_can_explain_a_run_of_pies_is_kept(kind: str, name: str, reason: str, kept: bool) -> None:
    about = InvolvedObject(kind=kind, namespace="pie", name=name, uid="uid")
    heard = Event(metadata=Metadata(), involved_object=about, reason=reason, message="x")
    assert warnings._matters(heard) is kept


def test_a_repeated_event_moves_to_the_end() -> None:
    heard = ring()
    for text in ("a", "b", "a"):
        note(heard, event("pod", text))
    assert messages(heard, "pod") == ["b", "a"]


def test_texts_are_bounded_in_length_and_number_and_the_objects_too() -> None:
    heard = ring()
    for number in range(100):
        note(heard, event("pod", f"{number} " + "x" * 5000))
    assert len(messages(heard, "pod")) == warnings._MOST_TEXTS
    assert max(map(len, messages(heard, "pod"))) <= warnings._MOST_CHARACTERS
    for number in range(100_000):
        note(heard, event(f"other-{number}", "x"))
    assert messages(heard, "pod") == []
    assert len(heard._ring) < 5_000


def test_every_target_of_a_large_cluster_can_fail_at_once_and_its_warnings_are_kept() -> None:
    count = 5_000
    heard = ring(count)
    for number in range(count):
        note(heard, event(f"pod-{number}", f"mount {number}"))
        note(heard, event(f"pvc-{number}", f"provision {number}", kind="PersistentVolumeClaim"))
        note(heard, event(f"job-{number}", f"create {number}", kind="Job"))
    for number in range(count):
        found = messages(heard, f"pod-{number}", f"pvc-{number}", f"job-{number}")
        assert found == [f"mount {number}", f"provision {number}", f"create {number}"]


def test_the_package_says_where_its_parts_are() -> None:
    words = (Path(warnings.__file__).parent / "__init__.py").read_text()
    for part in ("caches", "queue", "targets", "perform", "probeturns", "warnings", "teardown"):
        assert f"`{part}`" in words

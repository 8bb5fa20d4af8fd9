"""Conditions and counters, and that time alone is no change."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.decode import decode
from pie.core.incidents.incident import Closing, Incident, Scope
from pie.core.incidents.stored import from_status, to_status
from pie.core.model import Kind, Stage, Verdict
from pie.core.preflight import Pause
from pie.core.reasons import ADVICE, Reason
from pie.core.shorter import SHORTEST, refuses_content, shortened
from pie.core.status import not_started, status
from pie.core.wire import PieProbe
from pie.embedded.schema import errors, pieprobe_schema
from tests.examples import examples
from tests.hostile import HOSTILE, assert_fit

OK = (Kind.MOUNT, "n1", Verdict.OK, Reason.OK)
BAD = (Kind.MOUNT, "n2", Verdict.FAILED, Reason.IO_ERROR)
PROVISIONED = (Kind.PROVISION, "", Verdict.OK, Reason.OK)


def made(*targets: tuple[str, str, Verdict, Reason], now: str = "t1", **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"generation": 1, "problem": None, "paused": {}, "stored": {}}
    return status(targets=targets, now=now, **(fields | changes))


def conditions(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {condition["type"]: condition for condition in found["conditions"]}


def test_all_well() -> None:
    found = made(OK, PROVISIONED)
    assert {kind: each["status"] for kind, each in conditions(found).items()} == {
        "Ready": "True",
        "ProvisionHealthy": "True",
        "MountHealthy": "True",
    }
    assert found["targets"] == {
        "total": 2, "bad": 0, "ok": 2, "late": 0, "failed": 0, "hung": 0,
        "inconclusive": 0, "suppressed": 0, "pending": 0, "unknown": 0,
    }  # fmt: skip


def test_a_bad_node_is_named_with_its_reason() -> None:
    mount = conditions(made(OK, BAD, PROVISIONED))["MountHealthy"]
    assert (mount["status"], mount["reason"]) == ("False", "IOError")
    assert mount["message"].startswith("1 of 2 targets are bad: n2 (IOError). ")
    assert ADVICE[Reason.IO_ERROR] in mount["message"]


def test_late_failed_and_hung_targets_are_bad() -> None:
    bad = [(Kind.MOUNT, f"n{i}", verdict, Reason.HUNG) for i, verdict in enumerate(Verdict)]
    assert made(*bad)["targets"]["bad"] == 3


def test_a_long_list_of_bad_nodes_is_cut() -> None:
    many = [(Kind.MOUNT, f"n{i}", Verdict.FAILED, Reason.IO_ERROR) for i in range(5000)]
    assert conditions(made(*many))["MountHealthy"]["message"].startswith(
        "5000 of 5000 targets are bad: n0 (IOError)"
    )
    assert "and 4995 more" in conditions(made(*many))["MountHealthy"]["message"]


def test_a_target_that_is_refused_its_objects_says_nothing_about_the_others() -> None:
    words = 'cannot create persistentvolumeclaims: 403 Forbidden: exceeded quota: "q"'
    found = made(OK, PROVISIONED, refused=(Reason.CLAIM_REFUSED, words))
    ready = conditions(found)["Ready"]
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "ClaimRefused", words)
    assert conditions(found)["MountHealthy"]["status"] == "True"
    assert found["summary"] == "some targets are not probed: ClaimRefused"


def test_no_run_yet_is_unknown() -> None:
    found = conditions(made((Kind.MOUNT, "n1", Verdict.PENDING, Reason.PENDING)))
    assert found["MountHealthy"]["status"] == "Unknown"


UNHEARD = [(kind, node, Verdict.PENDING, Reason.PENDING) for kind, node, *_ in (OK, BAD, PROVISIONED)]


def words(found: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    return {
        kind: (each["status"], each["message"], each["lastTransitionTime"])
        for kind, each in conditions(found).items()
    }


@pytest.mark.parametrize("verdicts", [(OK, PROVISIONED), (OK, BAD, PROVISIONED)])
def test_the_last_word_stands_until_the_next_controller_has_judged_a_run(verdicts: Any) -> None:
    before = made(*verdicts)
    after = made(*UNHEARD, stored=before, now="t2")
    assert words(after) == words(before)
    assert after["summary"] == before["summary"]
    judged = made(*UNHEARD[:2], (*PROVISIONED[:2], Verdict.LATE, Reason.HUNG), stored=before, now="t2")
    assert conditions(judged)["ProvisionHealthy"]["status"] == "False"


def test_the_last_word_on_another_spec_says_nothing() -> None:
    found = made(*UNHEARD, stored=made(OK, PROVISIONED), generation=2)
    assert conditions(found)["MountHealthy"]["status"] == "Unknown"
    assert found["summary"] == "no result yet"


def test_who_was_judged_well_so_far_does_not_outweigh_an_open_incident() -> None:
    on_n2 = Incident("i", Scope.NODE, Stage.IO, Reason.IO_ERROR, "", 0.0, frozenset({"n2"}), targets=1)
    before = made(OK, BAD, PROVISIONED, incidents=[on_n2])
    heard = (OK, UNHEARD[1], PROVISIONED)
    after = made(*heard, stored=before, now="t2", incidents=[on_n2])
    assert words(after) == words(before)
    assert conditions(made(*heard, incidents=[on_n2]))["MountHealthy"]["status"] == "False"
    assert conditions(made(*heard, stored=before))["MountHealthy"]["status"] == "True"
    left = replace(on_n2, stage=Stage.TEARDOWN)
    assert conditions(made(OK, PROVISIONED, incidents=[left]))["MountHealthy"]["status"] == "True"


def suppressed(*reasons: Reason) -> list[tuple[str, str, Verdict, Reason]]:
    nodes = [(Kind.MOUNT, f"n{i}", Verdict.SUPPRESSED, reason) for i, reason in enumerate(reasons)]
    return [*nodes, (Kind.PROVISION, "", Verdict.SUPPRESSED, Reason.NO_USABLE_NODE)]


@pytest.mark.parametrize(
    ("reasons", "said", "reason"),
    [
        (
            [Reason.NODE_CORDONED],
            "not probed: all matching nodes are under maintenance (NodeCordoned)",
            "NodeCordoned",
        ),
        (
            [Reason.NODE_CORDONED, Reason.NODE_NOT_READY, Reason.NODE_NOT_READY],
            "not probed: all matching nodes are under maintenance (NodeNotReady and others)",
            "NodeNotReady",
        ),
        (
            [Reason.NODE_NEW],
            "no verdict yet: all matching nodes are new, have just booted or are under maintenance (NodeNew)",
            "NodeNew",
        ),
    ],
)
def test_where_all_nodes_are_suppressed_the_status_says_so_and_why(
    reasons: list[Reason], said: str, reason: str
) -> None:
    found = made(*suppressed(*reasons))
    assert found["summary"] == said
    mount, provision = (conditions(found)[kind] for kind in ("MountHealthy", "ProvisionHealthy"))
    assert (mount["status"], mount["reason"]) == ("Unknown", reason)
    assert mount["message"].startswith(f"{said}. ")
    assert ADVICE[Reason(reason)] in mount["message"]
    assert (provision["status"], provision["reason"]) == ("Unknown", "NoUsableNode")
    assert provision["message"].startswith(
        "not probed: all matching nodes are under maintenance (NoUsableNode). "
    )


def test_a_provision_probe_alone_says_that_no_node_is_usable() -> None:
    off = {Kind.MOUNT: Pause(Reason.DISABLED, "off")}
    found = made(*suppressed(), paused=off)
    assert found["summary"] == "not probed: all matching nodes are under maintenance (NoUsableNode)"


@pytest.mark.parametrize(
    ("targets", "summary", "healthy"),
    [
        ([], "no result yet", "Unknown"),
        ([(Kind.MOUNT, "n1", Verdict.PENDING, Reason.PENDING)], "no result yet", "Unknown"),
        ([*suppressed(Reason.NODE_NEW)[:1], OK, PROVISIONED], "fine", "True"),
        (
            [*suppressed(Reason.NODE_NEW)[:1], (Kind.MOUNT, "n1", Verdict.PENDING, Reason.PENDING)],
            "no result yet",
            "Unknown",
        ),
    ],
)
def test_what_is_new_is_not_known_yet_and_one_node_in_maintenance_is_no_news(
    targets: list[tuple[str, str, Verdict, Reason]], summary: str, healthy: str
) -> None:
    found = made(*targets)
    assert found["summary"] == summary
    assert conditions(found)["MountHealthy"]["status"] == healthy


def test_a_paused_probe_is_not_ready_and_unknown() -> None:
    pause = Pause(Reason.RECLAIM_POLICY_RETAIN, "why")
    found = conditions(made(OK, paused={Kind.PROVISION: pause}))
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "ReclaimPolicyRetain")
    assert found["ProvisionHealthy"]["status"] == "Unknown"
    assert found["MountHealthy"]["status"] == "True"


def test_a_probe_switched_off_is_ready() -> None:
    found = conditions(made(OK, paused={Kind.PROVISION: Pause(Reason.DISABLED, "off")}))
    assert found["Ready"]["status"] == "True"


def test_a_bad_spec_is_not_ready_with_the_fields_name() -> None:
    found = conditions(made(problem=(Reason.INVALID_SPEC, "spec.probePeriod: bad")))
    assert (found["Ready"]["reason"], found["Ready"]["message"]) == ("InvalidSpec", "spec.probePeriod: bad")


def test_time_alone_is_no_change() -> None:
    first = made(OK, PROVISIONED)
    assert made(OK, PROVISIONED, now="t2", stored=first) == first


def test_a_transition_gets_a_new_time_and_the_others_keep_theirs() -> None:
    second = conditions(made(BAD, PROVISIONED, now="t2", stored=made(OK, PROVISIONED)))
    assert second["MountHealthy"]["lastTransitionTime"] == "t2"
    assert second["ProvisionHealthy"]["lastTransitionTime"] == "t1"


NOW = "2026-01-02T03:04:05Z"
TEXT = st.text(max_size=20).flatmap(lambda text: st.sampled_from([text, text * 2000, text + "\ud800"]))


def incident(number: int, evidence: str, closed_at: float | None) -> Incident:
    return Incident(
        id=f"i{number}",
        scope=Scope.NODE,
        stage=Stage.MOUNT,
        reason=Reason.MOUNT_FAILED,
        evidence=evidence,
        opened_at=number,
        nodes=frozenset(f"n{i}" for i in range(number)),
        targets=number,
        closed_at=closed_at,
        closed_because=None if closed_at is None else Closing.SUPPRESSED,
        closed_message="" if closed_at is None else evidence,
    )


@examples(0.3)
@given(TEXT, TEXT, st.lists(st.tuples(TEXT, st.none() | st.floats(0, 1e9)), max_size=30))
def test_a_status_keeps_to_the_crd_whatever_it_is_told_and_shrinks_when_it_has_to(
    problem: str, pause: str, told: list[tuple[str, float | None]]
) -> None:
    incidents = [incident(number, *each) for number, each in enumerate(told)]
    still_open = [each for each in incidents if each.closed_at is None]
    full = made(
        OK,
        BAD,
        now=NOW,
        problem=(Reason.INVALID_SPEC, problem),
        paused={Kind.PROVISION: Pause(Reason.NO_MATCHING_NODE, pause)},
        incidents=still_open,
    ) | {"incidents": to_status(incidents)}
    assert msgspec.json.decode(msgspec.json.encode(full)) == full, "or it is written again and again"
    sizes = []
    for step in range(SHORTEST + 1):
        found = shortened(full, step)
        assert errors(pieprobe_schema()["properties"]["status"], found) == []
        assert {kind: each["status"] for kind, each in conditions(found).items()} == {
            kind: each["status"] for kind, each in conditions(full).items()
        }
        kept = {each.id for each in from_status(found)}
        if step < SHORTEST:
            assert kept >= {each["id"] for each in full["incidents"] if "closedAt" not in each}
        sizes.append(len(msgspec.json.encode(found)))
    assert sizes[-1] < 1500


@pytest.mark.parametrize(
    ("code", "message", "refused"),
    [
        (422, 'PieProbe "p" is invalid: status.incidents[0].evidence: Too long', True),
        (413, "Request entity too large: limit is 3145728", True),
        (500, "etcdserver: request is too large", True),
        (500, "rpc error: code = ResourceExhausted desc = trying to send message larger than max", True),
        (500, "failed calling webhook: connection refused", False),
        (403, "pieprobes is forbidden", False),
        (409, "the object has been modified", False),
        (503, "etcdserver: leader changed", False),
    ],
)
def test_only_what_a_shorter_status_can_mend_asks_for_one(code: int, message: str, refused: bool) -> None:
    assert refuses_content(code, message) is refused


def test_while_pie_cannot_start_what_was_good_is_unknown_and_what_was_bad_stays() -> None:
    stored = {
        "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "before"},
            {"type": "ProvisionHealthy", "status": "False", "reason": "MountSlow", "message": "bad"},
            {"type": "MountHealthy", "status": "True", "reason": "OK", "message": "good"},
            {"type": "RunsDeleted", "status": "False", "reason": "OK", "message": "none"},
        ]
    }
    found = not_started(stored, 2, (Reason.PERMISSION_MISSING, "no list of nodes"), "now")
    said = {each["type"]: (each["status"], each["reason"]) for each in found["conditions"]}
    assert said == {
        "Ready": ("False", "PermissionMissing"),
        "MountHealthy": ("Unknown", "PermissionMissing"),
        "ProvisionHealthy": ("False", "MountSlow"),
        "RunsDeleted": ("False", "OK"),
    }
    assert found["conditions"][0]["lastTransitionTime"] == "now"
    again = not_started(found, 2, (Reason.PERMISSION_MISSING, "no list of nodes"), "later")
    assert again["conditions"][0] == found["conditions"][0], "the time alone is no change"


@pytest.mark.parametrize("text", ["two  blanks", HOSTILE, "", "größer … → ✓"])
def test_what_was_written_is_no_change_when_it_is_read_back(text: str) -> None:
    problem = (Reason.INVALID_SPEC, text)
    written = made(OK, problem=problem)
    assert_fit(written, 4096)
    read = decode(msgspec.json.encode({"metadata": {}, "status": written}), PieProbe).status
    assert read == written
    assert made(OK, problem=problem, stored=read) == written


@pytest.mark.parametrize("odd", [None, "x", 3, [None, "x", {}, {"type": None}, {"type": ["x"]}]])
def test_a_status_that_makes_no_sense_is_written_anew(odd: Any) -> None:
    assert made(OK, stored={"conditions": odd, "summary": odd})["targets"]["ok"] == 1

"""What ended claims leave behind: whose it was, why it stays, and where it could be deleted."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.batch.naming import cronjob_names
from pie.core.leaks import NodesByLabel, made_for, may_be_held, reachable_from, to_stay, why_left, words
from pie.core.model import Kind, Requirement, Target, Term
from pie.core.naming import claim_names
from pie.core.reasons import Reason
from pie.core.selector import matches
from pie.core.volumeobjects import PersistentVolume, VolumeSpec, VolumeStatus
from pie.core.wire import Metadata, Node, ObjectReference, PieProbe
from tests.linecount import lines_of_pie

ANYWHERE: dict[str, Any] = {}
PROVISION = Target("p", Kind.PROVISION, "c")


def nodes(*names: str) -> NodesByLabel:
    return NodesByLabel(
        {("", name): Node(metadata=Metadata(name=name, labels={"host": name, "zone": "a"})) for name in names}
    )


def only_from(key: str, *values: str) -> dict[str, Any]:
    rule = {"key": key, "operator": "In", "values": list(values)}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}}


def volume(
    affinity: dict[str, Any] | None = None, *, claim: str = "x", policy: str = "Delete"
) -> PersistentVolume:
    spec = VolumeSpec(
        claim_ref=ObjectReference(name=claim),
        storage_class_name="c",
        persistent_volume_reclaim_policy=policy,
        node_affinity=affinity,
    )
    return PersistentVolume(
        metadata=Metadata(name="pv"), spec=spec, status=VolumeStatus(phase="Failed", message="no such pool")
    )


def probe(name: str, storage_class: str = "c") -> PieProbe:
    return PieProbe(metadata=Metadata(name=name), spec={"monitoringStorageClass": storage_class})


@pytest.mark.parametrize(
    ("affinity", "node", "reason"),
    [
        (only_from("host", "n1"), "n1", Reason.VOLUME_LEAKED),
        (only_from("host", "n1"), "", Reason.VOLUME_LEAKED),
        (only_from("host", "n9"), "n9", Reason.NODE_GONE),
        (only_from("host", "n9"), "", Reason.NODE_GONE),
        # Another node of the zone can delete it; and a node that lost its label is there all the same.
        (only_from("zone", "a"), "n9", Reason.VOLUME_LEAKED),
        (only_from("host", "lost"), "n1", Reason.VOLUME_LEAKED),
        (None, "n9", Reason.VOLUME_LEAKED),
        (ANYWHERE, "n9", Reason.VOLUME_LEAKED),
        ({"required": {"nodeSelectorTerms": "?"}}, "n9", Reason.VOLUME_LEAKED),
    ],
)
def test_a_volume_leaked_unless_no_node_that_reaches_it_is_left(
    affinity: dict[str, Any] | None, node: str, reason: Reason
) -> None:
    assert why_left(volume(affinity), node, nodes("n1", "n2")) is reason


@pytest.mark.parametrize(
    ("node", "reason"),
    [("n1", Reason.TEARDOWN_STUCK), ("", Reason.TEARDOWN_STUCK), ("n9", Reason.NODE_GONE)],
)
def test_a_claim_is_stuck_unless_its_node_is_gone(node: str, reason: Reason) -> None:
    assert why_left(None, node, nodes("n1")) is reason


STILL_ATTACHED = [
    # external-provisioner; aws-ebs-csi-driver; azuredisk-csi-driver
    "persistentvolume pvc-1 is still attached to node n9",
    'rpc error: code = FailedPrecondition desc = volume "vol-1" is still attached to node n9.',
    "error deleting volume: disk(d) still attached to node n9, retry later",
]


@pytest.mark.parametrize(
    ("affinity", "node", "message", "held"),
    [
        (only_from("zone", "a"), "n9", "no such pool", True),
        (None, "n9", "", True),
        # The node is there, or there was none: nothing holds the volume.
        (only_from("zone", "a"), "n1", "", False),
        (only_from("zone", "a"), "", "", False),
        # Nobody will ever detach or delete it.
        (only_from("host", "n9"), "n9", "", False),
        # What the driver says counts more than where the volume was made.
        *((only_from("zone", "a"), "", text, True) for text in STILL_ATTACHED),
        (only_from("zone", "a"), "n9", "still attached to node n1", False),
    ],
)
def test_a_volume_may_be_attached_to_a_node_that_went_without_a_word(
    affinity: dict[str, Any] | None, node: str, message: str, held: bool
) -> None:
    there = nodes("n1", "n2")
    left = msgspec.structs.replace(volume(affinity), status=VolumeStatus(phase="Failed", message=message))
    assert may_be_held(left, node, there, known=True) is held
    assert may_be_held(left, node, there, known=False) is (held or (not node and not message))
    assert not may_be_held(None, node, there, known=True)


@given(
    st.dictionaries(
        st.sampled_from(["required", "preferred"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(["nodeSelectorTerms", "matchExpressions", "key", "operator", "values"]),
                    inner,
                    max_size=3,
                )
            ),
        ),
    )
)
def test_an_affinity_that_cannot_be_read_keeps_nobody_out(affinity: dict[str, Any]) -> None:
    assert [*(reachable_from(volume(affinity), nodes("n1")) or ())] in ([], ["n1"])


RULES = st.builds(
    Requirement,
    st.sampled_from(["host", "zone", "none"]),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(st.sampled_from(["n1", "n2", "n9", "a"]), max_size=3).map(tuple),
)
NAMES = st.builds(
    Requirement,
    st.just("metadata.name"),
    st.sampled_from(["In", "NotIn"]),
    st.lists(st.sampled_from(["n1", "n9"]), min_size=1, max_size=2).map(tuple),
)
TERMS = st.builds(Term, st.lists(RULES, max_size=3).map(tuple), st.lists(NAMES, max_size=2).map(tuple))


@given(st.lists(TERMS, max_size=3).map(tuple))
def test_the_index_finds_what_a_look_at_every_node_finds(terms: tuple[Term, ...]) -> None:
    names = [f"n{number}" for number in range(4)]
    wanted = [name for name in names if matches(terms, name, {"host": name, "zone": "a"})]
    assert sorted(nodes(*names).matching(terms)) == wanted


@pytest.mark.parametrize("affinity", [only_from("host", "gone"), only_from("zone", "a")])
def test_more_nodes_are_no_more_work_for_the_next_volume(affinity: dict[str, Any]) -> None:
    left = volume(affinity, claim=claim_names(Target("p", Kind.MOUNT, "c", "n1"))[0])
    work = []
    for count in (10, 1000):
        there = nodes(*(f"n{number}" for number in range(count)))
        why_left(left, "gone", there)
        with lines_of_pie() as lines:
            why_left(left, "gone", there)
            made_for(left, [probe("p")], there)
        work.append(lines[0])
    assert work[0] == work[1]


@pytest.mark.parametrize("name", ["p", "a-very-long-name.of.a-probe", "a.b"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_volume_is_known_by_the_name_of_its_claim(name: str, which: int) -> None:
    others, here = [probe("other"), probe(name, "d")], nodes("n1", "n2")
    provision, mount = Target(name, Kind.PROVISION, "c"), Target(name, Kind.MOUNT, "c", "n1")
    of_a_run = volume(only_from("host", "n1"), claim=f"{cronjob_names(provision)[which]}-123-abcde-volume")
    of_a_target = volume(only_from("host", "n1"), claim=claim_names(mount)[which])
    assert made_for(of_a_run, [*others, probe(name)], here) == (provision, "n1")
    assert made_for(of_a_target, [*others, probe(name)], here) == (mount, "n1")
    assert made_for(of_a_run, others, here) is made_for(of_a_target, others, here) is None


def test_a_mount_volume_that_no_node_or_many_reach_counts_as_the_classs() -> None:
    claim = claim_names(Target("p", Kind.MOUNT, "c", "n1"))[0]
    for affinity in (None, only_from("zone", "a"), only_from("host", "n9")):
        assert made_for(volume(affinity, claim=claim), [probe("p")], nodes("n1", "n2")) == (PROVISION, "")


def test_a_mount_volume_of_a_node_that_is_gone_is_not_that_of_the_last_node_of_the_zone() -> None:
    claim = claim_names(Target("p", Kind.MOUNT, "c", "n9"))[0]
    assert made_for(volume(only_from("zone", "a"), claim=claim), [probe("p")], nodes("n1")) == (PROVISION, "")


def test_only_what_is_not_retained_is_to_go() -> None:
    assert [to_stay(volume(policy=policy)) for policy in ("Retain", "Delete", "Recycle")] == [
        True,
        False,
        False,
    ]


def test_the_words_name_what_is_there_and_what_it_says() -> None:
    assert words("x", None) == "PVC x still exists"
    assert words("x", volume()) == "PersistentVolume pv still exists (phase Failed): no such pool"

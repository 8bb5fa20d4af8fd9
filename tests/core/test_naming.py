"""Names and labels: compatible with Go pie, legal, and never two targets' at once."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.batch.naming import cronjob_names
from pie.core.model import Kind, Target
from pie.core.naming import ANNOTATION_TARGET, Names, claim_names, label_value, labels, target_of
from pie.core.wire import Metadata

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")

names = st.from_regex(
    r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?){0,3}", fullmatch=True
)
targets = st.one_of(
    st.builds(Target, names, st.just(Kind.PROVISION), names),
    st.builds(Target, names, st.just(Kind.MOUNT), names, names),
)


def mount(probe: str = "p1", node: str = "node-00000", storage_class: str = "fake-sc") -> Target:
    return Target(probe, Kind.MOUNT, storage_class, node)


def test_names_are_those_that_go_pie_gave() -> None:
    assert cronjob_names(mount())[0] == "mount-p1-node-00000-fake-sc-815c42"
    assert claim_names(mount())[0] == "pie-pvc-p1-node-00000-fake-sc-815c42"
    assert cronjob_names(Target("p1", Kind.PROVISION, "fake-sc"))[0] == "provision-p1-fake-sc-108c58"


def test_parts_are_cut_as_go_pie_cuts_them() -> None:
    target = mount("a-long-probe-name", "a-very-long-node-name", "a-very-long-class-name")
    assert cronjob_names(target)[0].startswith("mount-a-long-pro-a-very-long-nod-a-very-long--")
    assert claim_names(target)[0].startswith("pie-pvc-a-long-pro-a-very-long-a-very-long-cl-")


@pytest.mark.parametrize(
    "target",
    [
        mount(node="rack-012345678.example"),
        mount(probe="012345678.x"),
        mount(storage_class="rook-ceph-b.lock"),
    ],
)
def test_a_cut_that_would_be_illegal_is_shortened_and_gets_twelve_digits(target: Target) -> None:
    name, unambiguous = cronjob_names(target)
    assert SUBDOMAIN.fullmatch(name)
    assert name == unambiguous
    assert re.search(r"-[0-9a-f]{12}$", name)


@given(targets)
def test_every_name_is_legal_and_short_enough_for_a_cronjob(target: Target) -> None:
    for name in cronjob_names(target):
        assert SUBDOMAIN.fullmatch(name)
        assert len(name) <= 52
    for name in claim_names(target) if target.node else ():
        assert SUBDOMAIN.fullmatch(name)


@given(targets)
def test_labels_are_legal_and_the_annotation_tells_the_target(target: Target) -> None:
    assert all(LABEL.fullmatch(value) and len(value) <= 63 for value in labels(target).values())
    assert target_of(Metadata(name="x", annotations={ANNOTATION_TARGET: str(target)})) == target


def test_a_target_is_read_from_the_labels_that_go_pie_set() -> None:
    assert target_of(Metadata(name="x", labels=labels(mount()))) == mount()
    assert target_of(Metadata(name="x", labels={"pie-probe": "p1"})) is None


def test_a_long_label_is_cut_and_stays_apart_from_its_neighbour() -> None:
    one, other = label_value("n" * 70 + "1"), label_value("n" * 70 + "2")
    assert one != other
    assert len(one) <= 63


def test_a_taken_name_falls_back_to_the_unambiguous_one_and_stays() -> None:
    registry = Names()
    first, second = mount(node="a"), mount(node="b")
    assert registry.claim(first, ("same", "long-a")) == "same"
    assert registry.claim(second, ("same", "long-b")) == "long-b"
    registry.release(first)
    assert registry.claim(second, ("same", "long-b")) == "long-b"


def test_an_existing_object_keeps_its_name_after_a_restart() -> None:
    registry = Names()
    registry.seed(mount(node="b"), "same")
    assert registry.claim(mount(node="a"), ("same", "long-a")) == "long-a"
    assert registry.claim(mount(node="b"), ("same", "long-b")) == "same"


@given(st.lists(targets, unique=True, max_size=20))
def test_no_two_targets_ever_share_a_name(many: list[Target]) -> None:
    registry = Names()
    given_names = [
        registry.claim(target, (cronjob_names(target)[0][:8], cronjob_names(target)[1])) for target in many
    ]
    assert len(set(given_names)) == len(many)

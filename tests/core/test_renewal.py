"""Which PVC of a class that has changed is replaced next."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.renewal import KeptClaim, class_changed, class_hash, next_renewal
from pie.core.wire import Metadata, StorageClass
from tests.examples import examples

OLD, NEW = "old", "new"
A = KeptClaim("a", "uid-a", OLD, proven=True)
B = KeptClaim("b", "uid-b", OLD, proven=True)
RENEWED = KeptClaim("c", "uid-c", NEW, proven=True)


@pytest.mark.parametrize(
    ("claims", "wanted", "found"),
    [
        ([B, A], NEW, A),
        ([B, A], OLD, None),
        # The class is gone: nothing is known of the next one.
        ([B, A], "", None),
        # Another PVC is being deleted or created, or no run has yet used the new volume.
        ([A, replace(B, ending=True)], NEW, None),
        ([A, None], NEW, None),
        ([A, replace(RENEWED, proven=False)], NEW, None),
        ([A, RENEWED], NEW, A),
        # No run can prove a volume on a node under maintenance, nor would one on it be seen.
        ([A, replace(RENEWED, proven=False, suppressed=True)], NEW, A),
        ([replace(A, suppressed=True), B], NEW, B),
        ([replace(A, suppressed=True)], NEW, None),
        # A PVC that does not say for which class it was created stays.
        ([replace(A, made_for="")], NEW, None),
        ([RENEWED], NEW, None),
        ([], NEW, None),
    ],
)
def test_the_next_pvc_is_replaced_when_the_one_before_it_works(
    claims: list[KeptClaim | None], wanted: str, found: KeptClaim | None
) -> None:
    assert next_renewal(claims, wanted) == found


def test_the_warning_counts_the_pvcs_with_former_volumes() -> None:
    (warning,) = class_changed("fast", [A, B, RENEWED], NEW)
    assert warning.message.endswith("2 of 3 PVCs still have volumes of the former one")
    assert class_changed("fast", [RENEWED], NEW) == ()


def test_the_hash_depends_on_provisioner_and_parameters_only() -> None:
    one = StorageClass(Metadata(name="a", uid="1"), "csi.example.com", {"b": "2", "a": "1"})
    same = StorageClass(
        Metadata(name="a", uid="2", labels={"x": ""}), "csi.example.com", {"a": "1", "b": "2"}
    )
    assert class_hash(one) == class_hash(same)
    others = [
        StorageClass(one.metadata, "other.example.com", one.parameters),
        StorageClass(one.metadata, one.provisioner, {"a": "1"}),
    ]
    assert len({class_hash(each) for each in (one, *others)}) == 3
    assert class_hash(None) == ""


@examples(1)
@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_all_are_replaced_and_never_two_at_the_same_time(suppressed: list[bool]) -> None:
    claims: list[KeptClaim | None] = [
        KeptClaim(f"pvc-{n}", f"uid-{n}", OLD, proven=True, suppressed=each)
        for n, each in enumerate(suppressed)
    ]
    for _ in suppressed:
        if (found := next_renewal(claims, NEW)) is None:
            break
        place = claims.index(found)
        for state in (replace(found, ending=True), None, replace(found, made_for=NEW, proven=False)):
            claims[place] = state
            assert next_renewal(claims, NEW) is None
        claims[place] = replace(found, uid="another", made_for=NEW)
    left = [each for each in claims if each is not None and each.made_for == OLD]
    assert all(each.suppressed for each in left)

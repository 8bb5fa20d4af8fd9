"""A CRD that is older than pie is noticed, with the fields and values that it lacks."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.crd import crd_outdated, lacking
from pie.packaged import pieprobe_crd

OURS = pieprobe_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
SMALL = {
    "properties": {
        "spec": {
            "properties": {
                "runner": {"type": "string", "enum": ["CronJob", "Pod"]},
                "marks": {"type": "array", "items": {"properties": {"key": {}, "value": {}}}},
            }
        }
    }
}


def changed(*path: str, to: Any = None) -> dict[str, Any]:
    """Return the small schema with something else at a path; None: with nothing there."""
    copy = deepcopy(SMALL)
    *parents, last = path
    at: Any = copy
    for each in parents:
        at = at[each]
    if to is None:
        del at[last]
    else:
        at[last] = to
    return copy


SPEC = ("properties", "spec")
FIELDS = (*SPEC, "properties")


@pytest.mark.parametrize(
    ("served", "lacks"),
    [
        (SMALL, ()),
        (changed(*SPEC), ("spec",)),
        (changed(*FIELDS, "runner"), ("spec.runner",)),
        (changed(*FIELDS, "runner", "enum", to=["CronJob"]), ("spec.runner: Pod",)),
        (changed(*FIELDS, "runner", "enum"), ()),
        (changed(*FIELDS, "marks", "items", "properties", "value"), ("spec.marks[].value",)),
        (changed(*SPEC, to={"x-kubernetes-preserve-unknown-fields": True}), ()),
        (changed(*FIELDS, "more", to={}), ()),
        ({"properties": []}, ("spec",)),
        ({}, ("spec",)),
    ],
)
def test_it_names_what_the_served_schema_lacks(served: dict[str, Any], lacks: tuple[str, ...]) -> None:
    assert lacking(SMALL, served) == lacks


def test_the_own_crd_lacks_nothing_and_an_old_one_is_named_with_the_command() -> None:
    assert lacking(OURS, OURS) == ()
    assert crd_outdated(())["status"] == "False"
    old = deepcopy(OURS)
    del old["properties"]["spec"]["properties"]["paused"]
    found = crd_outdated(lacking(OURS, old))
    assert (found["status"], found["reason"]) == ("True", "CRDOutdated")
    assert "The CRD lacks spec.paused." in found["message"]
    assert "kubectl apply --server-side --force-conflicts -f crd.yaml" in found["message"]


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["properties", "items", "enum", "spec", "status"]), inner, max_size=4
        )
    ),
)


@given(st.dictionaries(st.sampled_from(["properties", "items", "enum"]), JSON, max_size=3))
def test_whatever_is_served_is_no_error(served: dict[str, Any]) -> None:
    assert len(lacking(OURS, served)) <= 200

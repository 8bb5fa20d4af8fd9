"""What the author of a PieProbe may ask for is bounded by flags; without flags nothing is."""

from typing import Any

import pytest

from pie.core.authorbounds import (
    AuthorBounds,
    TaintRule,
    check_spec,
    check_targets,
    names,
    size,
    sizes,
    taint_rules,
)
from pie.core.parse import SpecError
from tests.core.build import probe

EXISTS = {"operator": "Exists"}
GPU = {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}
TEAM = {"key": "team", "value": "a", "effect": "NoExecute"}
MUCH = {"requests": {"cpu": "4", "memory": "64Mi"}, "limits": {"cpu": "64", "example.com/gpu": 8}}


def refusal(bounds: AuthorBounds, **asked: Any) -> str:
    """Return why a PieProbe is refused; empty: it is not."""
    try:
        check_spec(probe(**asked), bounds)
    except SpecError as error:
        return str(error)
    return ""


def test_without_bounds_everything_is_allowed() -> None:
    bounds = AuthorBounds()
    asked = {"priority_class_name": "system-node-critical", "tolerations": (EXISTS,), "resources": MUCH}
    assert not refusal(bounds, pvc_capacity="1Pi", **asked)
    check_targets(probe(), [1_000_000], bounds)


@pytest.mark.parametrize(
    ("allowed", "asked", "words"),
    [
        (("low",), "", ""),
        (("low", "lower"), "lower", ""),
        (
            ("low", "lower"),
            "high",
            "spec.priorityClassName: high is not allowed; the controller allows low, lower",
        ),
        ((), "low", "the controller allows none"),
        ((), "", ""),
    ],
)
def test_priority_classes(allowed: tuple[str, ...], asked: str, words: str) -> None:
    found = refusal(AuthorBounds(priority_classes=allowed), priority_class_name=asked)
    assert words in found
    assert bool(words) is bool(found)


@pytest.mark.parametrize(
    ("allowed", "asked", "fit"),
    [
        ("gpu", GPU, True),
        ("gpu", {"key": "gpu", "value": "x"}, True),
        ("gpu", TEAM, False),
        ("gpu", EXISTS, False),
        ("gpu", {"key": "gpu-2", "operator": "Exists"}, False),
        ("*", EXISTS, True),
        ("*", TEAM, True),
        ("*:NoSchedule", EXISTS, False),
        ("example.com/*", {"key": "example.com/a", "operator": "Exists"}, True),
        ("example.com/*", {"key": "example.org/a", "operator": "Exists"}, False),
        ("gpu:NoSchedule", GPU, True),
        ("gpu:NoSchedule", {"key": "gpu", "operator": "Exists"}, False),
        ("gpu:NoExecute", GPU, False),
        ("team=a", TEAM, True),
        ("team=a", {"key": "team", "operator": "Exists"}, False),
        ("team=b", TEAM, False),
        ("team=a:NoExecute,gpu", TEAM, True),
        ("", TEAM, False),
    ],
)
def test_a_toleration_is_allowed_if_all_that_it_tolerates_is(
    allowed: str, asked: dict[str, Any], *, fit: bool
) -> None:
    found = refusal(AuthorBounds(tolerations=taint_rules(allowed)), tolerations=(asked,))
    assert (not found) is fit
    assert fit or "spec.tolerations[0]: is not allowed; the controller allows to tolerate" in found


def test_no_toleration_is_always_allowed() -> None:
    assert not refusal(AuthorBounds(tolerations=()))


@pytest.mark.parametrize(("asked", "fit"), [("1Gi", True), ("1024Mi", True), ("1.1Gi", False), ("1T", False)])
def test_the_size_of_volumes(asked: str, *, fit: bool) -> None:
    found = refusal(AuthorBounds(pvc_capacity="1Gi"), pvc_capacity=asked)
    assert found == (
        "" if fit else f"spec.pvcCapacity: {asked} is more than 1Gi, which the controller allows"
    )


@pytest.mark.parametrize(
    ("most", "words"),
    [
        ({"cpu": "64"}, ""),
        ({"cpu": "5"}, "spec.resources.limits.cpu: 64 is more than 5"),
        ({"cpu": "3"}, "spec.resources.requests.cpu: 4 is more than 3"),
        (
            {"memory": "64Mi", "example.com/gpu": "0"},
            "spec.resources.limits.example.com/gpu: 8 is more than 0",
        ),
    ],
)
def test_resources(most: dict[str, str], words: str) -> None:
    found = refusal(AuthorBounds(resources=most), resources=MUCH)
    assert words in found
    assert bool(words) is bool(found)


def test_the_number_of_targets() -> None:
    bounds = AuthorBounds(targets=4)
    check_targets(probe(), [3], bounds)
    with pytest.raises(SpecError, match="matches 4 nodes, which makes 5 targets; the controller allows 4"):
        check_targets(probe(), [4], bounds)
    check_targets(probe(provision_enabled=False), [4], bounds)
    check_targets(probe(mount_enabled=False), [1000], bounds)


def test_flags_are_read() -> None:
    assert names(" a, b,") == ("a", "b")
    assert names("") == ()
    assert taint_rules("a,b=c:NoExecute") == (TaintRule("a"), TaintRule("b", "c", "NoExecute"))
    assert sizes("cpu=500m,memory=1Gi") == {"cpu": "500m", "memory": "1Gi"}
    assert size("") == ""


@pytest.mark.parametrize("text", [":NoExecute", "a:Never", "a:", "=b"])
def test_what_is_no_taint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a taint"):
        taint_rules(text)


@pytest.mark.parametrize("text", ["cpu", "cpu=", "=1", "cpu=much", "cpu=-1"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        sizes(text)

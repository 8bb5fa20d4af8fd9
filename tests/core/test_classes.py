"""Which StorageClasses a PieProbe probes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.classes import KEEP_SECONDS, Chosen, again_at, chosen, parse_probes
from pie.core.parse import SpecError
from pie.core.wire import MOST_CLASSES, Metadata, PieProbe, rfc3339
from tests.core.build import T0
from tests.examples import examples

NODES = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}
FAST: dict[str, Any] = {"matchLabels": {"tier": "fast"}}
EXISTING = {"a": {"tier": "fast"}, "b": {"tier": "fast", "old": ""}, "c": {}}
names = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6)


def pieprobe(status: dict[str, Any] | None = None, **spec: Any) -> PieProbe:
    return PieProbe(
        Metadata(name="p", namespace="pie", uid="u"), {"nodeSelector": NODES, **spec}, status or {}
    )


def selecting(selector: dict[str, Any], status: dict[str, Any] | None = None) -> PieProbe:
    return pieprobe(status, monitoringStorageClassSelector=selector)


def rule(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"monitoringStorageClass": "c"}, ["c"]),
        ({"monitoringStorageClass": "gone"}, ["gone"]),
        ({"monitoringStorageClasses": ["b", "a", "b"]}, ["b", "a"]),
        ({"monitoringStorageClassSelector": FAST}, ["a", "b"]),
        ({"monitoringStorageClassSelector": {**FAST, **rule("old", "DoesNotExist")}}, ["a"]),
        ({"monitoringStorageClassSelector": rule("tier", "NotIn", "fast")}, ["c"]),
        ({"monitoringStorageClassSelector": {}}, ["a", "b", "c"]),
        ({"monitoringStorageClassSelector": {"matchLabels": {"tier": "slow"}}}, []),
    ],
)
def test_a_spec_names_its_classes_or_selects_them(spec: dict[str, Any], found: list[str]) -> None:
    assert [each.name for each in chosen(pieprobe(**spec), EXISTING, T0)] == found


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "spec.monitoringStorageClass"),
        ({"monitoringStorageClass": "a", "monitoringStorageClasses": ["b"]}, "spec.monitoringStorageClasses"),
        (
            {"monitoringStorageClasses": ["a"], "monitoringStorageClassSelector": {}},
            "spec.monitoringStorageClassSelector",
        ),
        ({"monitoringStorageClass": ""}, "spec.monitoringStorageClass"),
        ({"monitoringStorageClasses": []}, "spec.monitoringStorageClasses"),
        ({"monitoringStorageClasses": "a"}, "spec.monitoringStorageClasses"),
        ({"monitoringStorageClasses": ["a", 1]}, "spec.monitoringStorageClasses"),
        ({"monitoringStorageClasses": ["a\nb"]}, "spec.monitoringStorageClasses"),
        ({"monitoringStorageClasses": [str(n) for n in range(17)]}, "spec.monitoringStorageClasses"),
        ({"monitoringStorageClassSelector": ["a"]}, "spec.monitoringStorageClassSelector"),
        (
            {"monitoringStorageClassSelector": {"matchLabels": ["a"]}},
            "spec.monitoringStorageClassSelector",
        ),
        (
            {"monitoringStorageClassSelector": rule("tier", "Near", "fast")},
            "spec.monitoringStorageClassSelector.nodeSelectorTerms[0].matchExpressions[0].operator",
        ),
    ],
)
def test_a_spec_that_names_no_classes_or_names_them_twice_is_refused(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(SpecError) as refused:
        chosen(pieprobe(**spec), {}, T0)
    assert refused.value.path == path


def test_a_selector_that_selects_too_many_classes_is_refused() -> None:
    many = {f"class-{number}": {"tier": "fast"} for number in range(MOST_CLASSES + 1)}
    with pytest.raises(SpecError, match="selects 17 StorageClasses; a PieProbe may have 16"):
        chosen(selecting(FAST), many, T0)


def test_a_selected_class_that_is_deleted_is_kept_for_a_day() -> None:
    probe, known = selecting(FAST), (Chosen("a"), Chosen("b"))
    left = {"a": EXISTING["a"]}
    gone = chosen(probe, left, T0, known)
    assert gone == (Chosen("a"), Chosen("b", T0))
    assert again_at(probe, gone) == T0 + KEEP_SECONDS
    assert chosen(probe, left, T0 + KEEP_SECONDS - 1, gone) == gone
    assert chosen(probe, left, T0 + KEEP_SECONDS, gone) == (Chosen("a"),)


def test_a_selected_class_that_loses_the_label_is_not_kept() -> None:
    without = {**EXISTING, "b": {}}
    assert chosen(selecting(FAST), without, T0, (Chosen("a"), Chosen("b"))) == (Chosen("a"),)


def test_a_class_of_a_list_is_kept_until_it_is_removed_from_the_list() -> None:
    both, one = (pieprobe(monitoringStorageClasses=each) for each in (["a", "b"], ["a"]))
    left = {"a": EXISTING["a"]}
    gone = chosen(both, left, T0)
    assert gone == chosen(both, left, T0 + 10 * KEEP_SECONDS, gone) == (Chosen("a"), Chosen("b", T0))
    assert again_at(both, gone) is None
    assert chosen(one, left, T0, gone) == (Chosen("a"),)


def test_after_a_restart_the_status_says_which_selected_class_is_gone_and_since_when() -> None:
    stored = {"storageClasses": [{"name": "a"}, {"name": "b", "goneSince": rfc3339(T0 - 60)}, {"no": "name"}]}
    assert chosen(selecting(FAST, stored), {"a": EXISTING["a"]}, T0) == (Chosen("a"), Chosen("b", T0 - 60))


@examples(1)
@given(names, st.sets(st.sampled_from("abcdef")), st.lists(st.booleans(), max_size=5))
def test_a_list_gives_each_of_its_classes_once_whatever_exists(
    listed: list[str], existing: set[str], again: list[bool]
) -> None:
    probe, known = pieprobe(monitoringStorageClasses=listed), None
    for number, there in enumerate([True, *again]):
        found = chosen(probe, {name: {} for name in existing if there}, T0 + number, known)
        assert [each.name for each in found] == list(dict.fromkeys(listed))
        for each in found:
            assert (each.gone_since is None) == (there and each.name in existing)
        known = found


def test_a_pieprobe_is_parsed_once_for_each_class() -> None:
    stored = pieprobe(monitoringStorageClasses=["b", "a"], probePeriod=3)
    found = parse_probes(stored, ["b", "a"])
    assert [(each.id, each.storage_class, each.period_seconds) for each in found] == [
        (("pie", "p"), "b", 180),
        (("pie", "p"), "a", 180),
    ]

"""Schedules, selectors, quantities, rules and patches, apart from the cluster."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.batch.cron import cron, cron_schedule
from pie.core.model import Kind, Target
from pie.core.quantity import quantity
from pie.embedded.actors.cronjobs import last_due
from pie.embedded.cel import CelError, compiled
from pie.embedded.errors import Refused
from pie.embedded.kinds import LEASES
from pie.embedded.patch import ApplyConflict, apply, merge
from pie.embedded.selectors import selector
from pie.embedded.store import Store
from tests.examples import examples

WORD = st.text("abcxyz-", min_size=1, max_size=4)
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(WORD, below, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(WORD, JSON, max_size=4)


@given(
    st.integers(1, 59),
    st.text(min_size=1, max_size=20),
    st.integers(0, 2**32),
    st.sampled_from([60.0, 10.0, 7.0, 4.0, 2.5]),
)
def test_a_schedule_is_due_when_the_controller_expects_it_however_long_a_minute_lasts(
    minutes: int, node: str, after: int, minute_seconds: float
) -> None:
    target = Target("p", Kind.MOUNT, "c", node)
    schedule = cron_schedule(target, 60 * minutes)
    due = cron(target, 60 * minutes, minute_seconds).next_due(after)
    first, number = int(after // minute_seconds), int(due // minute_seconds)
    assert number * minute_seconds == due
    assert last_due(schedule, first, number) == number
    assert last_due(schedule, first, number - 1) is None
    assert cron(target, 60 * minutes, minute_seconds).next_due(due) > due


@pytest.mark.parametrize(
    ("text", "moment", "due"),
    [
        ("* * * * *", "2026-01-01T00:00", True),
        ("5,10-12 * * * *", "2026-01-01T03:11", True),
        ("5,10-12 * * * *", "2026-01-01T03:13", False),
        ("*/15 2 * * *", "2026-01-01T02:45", True),
        ("3/20 * * * *", "2026-01-01T02:43", True),
        ("0 0 1 * 0", "2026-01-04T00:00", True),  # a Sunday: either day will do
        ("0 0 1 * *", "2026-01-04T00:00", False),
        ("0 0 1 1 *", "2026-02-01T00:00", False),
    ],
)
def test_cron_expressions(text: str, moment: str, due: bool) -> None:
    minute = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) // 60
    assert last_due(text, minute - 1, minute) == (minute if due else None)


@given(st.text(max_size=12))
def test_what_is_no_schedule_is_refused_and_nothing_else_happens(text: str) -> None:
    try:
        last_due(text, 0, 1)
    except ValueError as error:
        assert str(error)


@given(st.dictionaries(WORD, WORD, max_size=3), WORD, st.lists(WORD, min_size=1, max_size=3))
def test_label_selectors_mean_what_they_say(labels: dict[str, str], key: str, values: list[str]) -> None:
    item = {"metadata": {"labels": labels}}
    listed = ", ".join(values)
    assert selector(f"{key} in ({listed})", None)(item) is (labels.get(key) in values)
    assert selector(f"{key} notin ({listed})", None)(item) is (labels.get(key) not in values)
    assert selector(f"{key}={values[0]}", None)(item) is (labels.get(key) == values[0])
    assert selector(key, None)(item) is (key in labels)
    assert selector(f"!{key}", None)(item) is (key not in labels)


@given(st.text(max_size=10), st.text(max_size=10))
def test_any_text_is_a_selector_or_refused(labels: str, fields: str) -> None:
    try:
        selector(labels, fields)({"metadata": {}})
    except Refused as refused:
        assert refused.code == 400


@pytest.mark.parametrize(
    ("text", "value"),
    [("1Ki", 1024), ("1.5Gi", 1610612736), ("100m", 0.1), ("-1k", -1000), ("1e3", 1000), ("12", 12)],
)
def test_quantities(text: str, value: float) -> None:
    found = quantity(text)
    assert found is not None
    assert float(found) == value


@pytest.mark.parametrize("text", ["", "MB", "100 MB", "1KiB", "1e", "--1", "\u0661"])
def test_what_is_no_quantity(text: str) -> None:
    assert quantity(text) is None


@pytest.mark.parametrize(
    ("text", "scope", "value"),
    [
        ("1 + 2 * 3 == 7 && !(1 > 2)", {}, True),
        ("self.a.b", {"self": {"a": {"b": 5}}}, 5),
        ("has(self.a) && self.a > 1", {"self": {}}, False),
        ("self in ['x', 'y']", {"self": "y"}, True),
        ("self.all(each, each > 1)", {"self": [2, 3]}, True),
        ("self.exists(each, each > 2)", {"self": {"a": 1}.values()}, False),
        ("self[0].matches('^a+$')", {"self": ["aaa\n"]}, False),
        ("string(self).startsWith('-')", {"self": -1}, True),
        ("['a', 'b'].all(name, name in self)", {"self": {"a": 1}}, False),
        ("size(self) > 1 && 'a && b' == self[0]", {"self": ["a && b", ""]}, True),
        ("quantity('1Ki').compareTo(quantity('1024')) == 0", {}, True),
        ("duration('1m30s').getMilliseconds() == 90000", {}, True),
        ("duration('1.001s').getMilliseconds() == 1001", {}, True),
        ("duration('0s') < duration('1ns')", {}, True),
        ("'it''s' == self", None, CelError),
        ("self +", None, CelError),
        ("size(self) > 1 ? 'many' : 'few'", None, CelError),
        ("[each for each in self]", None, CelError),
        ("self.__class__()", None, CelError),
        ("self.unknown()", None, CelError),
    ],
)
def test_rules(text: str, scope: dict[str, Any] | None, value: Any) -> None:
    if scope is None:
        with pytest.raises(value):
            compiled(text)
    else:
        assert compiled(text)(scope) == value


@examples(0.3)
@given(OBJECT, OBJECT)
def test_a_merge_patch_holds_what_it_says_and_leaves_the_rest(
    target: dict[str, Any], patch: dict[str, Any]
) -> None:
    result = merge(target, patch)
    for key in target.keys() | patch.keys():
        if key not in patch:
            assert result[key] == target[key]
        elif patch[key] is None:
            assert key not in result
        elif not isinstance(patch[key], dict):
            assert result[key] == patch[key]


@given(st.dictionaries(WORD, st.integers(), min_size=1), st.dictionaries(WORD, st.integers(), min_size=1))
def test_who_applies_owns_and_takes_back(first: dict[str, int], second: dict[str, int]) -> None:
    def applied(
        existing: dict[str, Any], spec: dict[str, int], manager: str, *, force: bool
    ) -> dict[str, Any]:
        body = {"metadata": {"name": "x"}, "spec": spec}
        return apply(existing, body, manager, force=force)

    one = applied({"metadata": {}}, first, "one", force=False)
    assert one["spec"] == first
    assert applied(one, second, "one", force=False)["spec"] == second
    clash = any(first[key] != second[key] for key in first.keys() & second.keys())
    if clash:
        with pytest.raises(ApplyConflict):
            applied(one, second, "two", force=False)
    assert applied(one, second, "two", force=True)["spec"] == first | second


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=20))
def test_who_follows_the_changes_from_any_version_has_what_there_is(changes: list[tuple[str, bool]]) -> None:
    store = Store()
    seen: dict[int, dict[str, Any]] = {store.version: {}}
    for i, (name, keep) in enumerate(changes):
        item = {"metadata": {"namespace": "n", "name": name, "mark": i}}
        if keep:
            store.write(LEASES, item)
        elif store.get(LEASES, "n", name) is not None:
            store.write(LEASES, item, remove=True)
        seen[store.version] = {each["metadata"]["name"]: each for each in store.all(LEASES)}
    for version, followed in seen.items():
        for change in store.since(version):
            followed.pop(change.object["metadata"]["name"], None)
            if change.type != "DELETED":
                followed[change.object["metadata"]["name"]] = change.object
        assert followed == {each["metadata"]["name"]: each for each in store.all(LEASES)}

"""When and for whom rules hold."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.engines.replies.conditions import (
    Audience,
    Condition,
    Hours,
    Situation,
    condition,
    may_both_hold,
)
from app.engines.replies.matcher import Lapse
from tests.rules import reference

SHANGHAI = ZoneInfo("Asia/Shanghai")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        (
            {"from": "2026-10-01", "until": "2026-10-07"},
            ["2026-10-01T00:00", "2026-10-07T23:59:59"],
            ["2026-09-30T23:59:59", "2026-10-08T00:00"],
        ),
        ({"weekdays": [6, 7]}, ["2026-10-03T12:00", "2026-10-04T12:00"], ["2026-10-05T00:00"]),
        (
            {"daily": [["09:00", "12:00"], ["14:00", "24:00"]]},
            ["2026-10-01T09:00", "2026-10-01T11:59:59", "2026-10-01T23:59"],
            ["2026-10-01T08:59:59", "2026-10-01T12:00", "2026-10-01T00:00"],
        ),
        (
            {"weekdays": [5], "daily": [["22:00", "02:00"]]},
            ["2026-10-02T22:00", "2026-10-03T01:59"],  # the night that begins on Friday
            ["2026-10-02T01:00", "2026-10-03T02:00", "2026-10-03T23:00"],
        ),
        (
            {"until": "2026-10-02", "daily": [["22:00", "02:00"]]},
            ["2026-10-03T01:00"],
            ["2026-10-03T22:00"],
        ),
        ({}, ["2026-10-01T03:00"], []),
    ],
)
def test_hours(hours: dict[str, Any], inside: list[str], outside: list[str]) -> None:
    made = Hours.model_validate(hours)
    assert [one for one in inside if not made.holds(at(one), SHANGHAI)] == []
    assert [one for one in outside if made.holds(at(one), SHANGHAI)] == []


def test_the_account_s_time_zone_counts() -> None:
    evening = Hours.model_validate({"daily": [["18:00", "22:00"]]})
    moment = datetime(2026, 10, 1, 11, 0, tzinfo=UTC)
    assert evening.holds(moment, SHANGHAI)
    assert not evening.holds(moment, ZoneInfo("Europe/Berlin"))


def test_the_hour_that_comes_twice_and_the_one_that_never_comes() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    night = Hours.model_validate({"daily": [["02:00", "03:00"]]})
    autumn = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30, and an hour later 02:30 again
    assert [night.holds(autumn + timedelta(hours=n), berlin) for n in (-1, 0, 1, 2)] == [
        False,
        True,
        True,
        False,
    ]
    spring = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # 01:30, then 03:30
    assert not any(night.holds(spring + timedelta(hours=n), berlin) for n in (0, 1))


times = st.integers(0, 1439).map(lambda m: f"{m // 60:02}:{m % 60:02}")
days = st.integers(1, 20).map(lambda d: f"2026-10-{d:02}")
hours: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "from": days,
        "until": days,
        "weekdays": st.lists(st.integers(1, 7), max_size=4),
        "daily": st.lists(
            st.tuples(times, times | st.just("24:00")).filter(lambda w: w[0] != w[1]), max_size=3
        ),
    },
)


@given(hours, st.integers(0, 20 * 1440))
def test_hours_as_written_plainly(drawn: dict[str, Any], minute: int) -> None:
    assume(drawn.get("from", "") <= drawn.get("until", "z"))
    moment = at("2026-10-01T00:00") + timedelta(minutes=minute)
    made = Hours.model_validate(drawn)
    assert made.holds(moment, SHANGHAI) is reference.in_time(drawn, moment)
    again = made.written()
    assert Hours.model_validate(again or {}) == made


@pytest.mark.parametrize(
    ("audience", "tags", "applies"),
    [
        ({}, set(), True),
        ({"tags": ["a", "b"]}, {"b"}, True),
        ({"tags": ["a", "b"]}, {"c"}, False),
        ({"without": ["a"]}, set(), True),
        ({"without": ["a"]}, {"a", "b"}, False),
        ({"tags": ["a"], "without": ["b"]}, {"a", "b"}, False),
        ({"tags": [" a "]}, {"a"}, True),
    ],
)
def test_audience(audience: dict[str, Any], tags: set[str], applies: bool) -> None:
    assert Audience.model_validate(audience).applies(tags) is applies


def test_what_lapses_is_named_and_nothing_means_always() -> None:
    assert condition(None, None) is None
    assert condition({}, {}) is None
    both = condition({"daily": [["09:00", "10:00"]]}, {"tags": ["vip"]})
    assert both is not None

    def lapse(hour: int, *tags: str) -> Lapse | None:
        now = at(f"2026-10-01T{hour:02}:30")
        return both.lapse(Situation(now, "Asia/Shanghai", tags))

    assert lapse(9, "vip") is None
    assert lapse(10, "vip") is Lapse.HOURS
    assert lapse(10) is Lapse.AUDIENCE


@pytest.mark.parametrize(
    ("model", "written", "problem"),
    [
        (Hours, {"from": "2026-10-02", "until": "2026-10-01"}, "from is after until"),
        (Hours, {"daily": [["09:00", "09:00"]]}, "begins where it ends"),
        (Hours, {"daily": [["9:00", "10:00"]]}, "pattern"),
        (Hours, {"daily": [["09:00", "24:01"]]}, "pattern"),
        (Hours, {"weekdays": [0]}, "greater than or equal to 1"),
        (Hours, {"weekdays": [8]}, "less than or equal to 7"),
        (Hours, {"from": "tomorrow"}, "valid date"),
        (Hours, {"until_": "2026-10-01"}, "Extra inputs"),
        (Audience, {"tags": ["a"], "without": [" a"]}, "both in tags and in without"),
        (Audience, {"tags": [" "]}, "visible character"),
    ],
)
def test_what_is_refused(model: Any, written: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        model.model_validate(written)


ranges: list[dict[str, Any] | None] = [
    None,
    {"until": "2026-10-02"},
    {"from": "2026-10-03"},
    {"weekdays": [1, 2]},
    {"weekdays": [3]},
    {"daily": [["09:00", "12:00"]]},
    {"daily": [["12:00", "18:00"]]},
    {"daily": [["18:00", "09:30"]]},
]
people: list[dict[str, Any] | None] = [
    None,
    {"tags": ["a"]},
    {"tags": ["a", "b"]},
    {"without": ["a"]},
]


def test_who_never_meets_is_told_apart_only_where_it_is_certain() -> None:
    made = [condition(h, a) for h in ranges for a in people]
    moments = [at("2026-10-01T00:00") + timedelta(minutes=30 * n) for n in range(48 * 8)]
    situations = [
        Situation(moment, "Asia/Shanghai", tags)
        for moment in moments
        for tags in ((), ("a",), ("b",), ("a", "b"))
    ]
    hold = [
        {n for n, s in enumerate(situations) if one is None or one.lapse(s) is None} for one in made
    ]
    apart = 0
    for first, held in zip(made, hold, strict=True):
        for second, also in zip(made, hold, strict=True):
            if not may_both_hold(first, second):
                apart += 1
                assert not held & also, (first, second)
    assert apart > 50
    day = Condition(hours=Hours.model_validate({"daily": [["09:00", "12:00"]]}))
    assert may_both_hold(day, None)

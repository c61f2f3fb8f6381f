from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.incoming import Grant
from app.delivery.window import (
    BOT_RESERVE,
    QUOTAS,
    STILL_FRESH,
    WindowRow,
    choose,
    is_fresh,
    live,
    reserve_of,
    why_not,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def row(bucket: str, used: int = 0, seconds: float = 30, quota: int = 3) -> WindowRow:
    return WindowRow(bucket, "k", NOW, NOW + timedelta(seconds=seconds), quota, used)


def test_the_platforms_allowances() -> None:
    assert {g.value: (n, life.total_seconds()) for g, (n, life) in QUOTAS.items()} == {
        "message": (5, 48 * 3600),
        "menu": (3, 60),
        "subscribe": (3, 60),
        "scan": (3, 60),
    }


def test_the_one_that_ends_first_is_spent_first() -> None:
    rows = [row("message", seconds=9000, quota=5), row("menu", seconds=50), row("scan", seconds=40)]
    assert choose(rows, NOW, automatic=False) == "scan"
    rows[2] = row("scan", used=3, seconds=40)
    assert choose(rows, NOW, automatic=False) == "menu"
    assert [(w.bucket, w.left) for w in live(rows, NOW)] == [
        ("scan", 0),
        ("menu", 3),
        ("message", 5),
    ]


def test_a_grant_is_over_at_its_very_end() -> None:
    assert choose([row("menu", seconds=0)], NOW, automatic=False) is None
    assert live([row("menu", seconds=0)], NOW) == ()


def test_only_automatic_messages_leave_a_reserve_and_only_in_the_message_bucket() -> None:
    assert reserve_of("message", automatic=True) == BOT_RESERVE
    assert reserve_of("message", automatic=False) == 0
    assert reserve_of("menu", automatic=True) == 0
    assert choose([row("message", used=3, quota=5)], NOW, automatic=True) is None
    assert choose([row("message", used=3, quota=5)], NOW, automatic=True, reserve=1) == "message"


@pytest.mark.parametrize(
    ("rows", "automatic", "code"),
    [
        ([], False, "NO_WINDOW"),
        ([row("menu", seconds=-1)], False, "WINDOW_OVER"),
        ([row("menu", used=3)], False, "QUOTA_USED"),
        ([row("message", used=4, quota=5)], True, "KEPT_FOR_PEOPLE"),
        ([row("message", used=5, quota=5)], True, "QUOTA_USED"),
    ],
)
def test_it_says_why_not_in_both_languages(
    rows: list[WindowRow], automatic: bool, code: str
) -> None:
    why = why_not(rows, NOW, automatic)
    assert why is not None
    assert (why.code, bool(why.zh), bool(why.en)) == (code, True, True)
    assert len(why.code) <= 24, "outbound.error_code"


ROWS = st.lists(
    st.builds(
        row,
        bucket=st.sampled_from([g.value for g in Grant]),
        used=st.integers(0, 5),
        seconds=st.integers(-100, 100),
        quota=st.sampled_from([3, 5]),
    ).filter(lambda r: r.used <= r.quota),
    max_size=4,
    unique_by=lambda r: r.bucket,
)


@given(rows=ROWS, automatic=st.booleans())
def test_there_is_a_bucket_or_a_reason_and_never_both(
    rows: list[WindowRow], automatic: bool
) -> None:
    bucket = choose(rows, NOW, automatic)
    assert (bucket is None) == (why_not(rows, NOW, automatic) is not None)
    if bucket is not None:
        (chosen,) = [r for r in rows if r.bucket == bucket]
        assert chosen.expires_at > NOW
        assert chosen.used < chosen.quota - reserve_of(bucket, automatic=automatic)
        assert bucket in {w.bucket for w in live(rows, NOW)}


@pytest.mark.parametrize(
    ("bucket", "used", "later", "fresh"),
    [
        ("message", 0, timedelta(0), True),
        ("message", 0, STILL_FRESH - timedelta(microseconds=1), True),
        ("message", 0, STILL_FRESH, False),
        ("message", 0, timedelta(seconds=-1), False),
        ("message", 1, timedelta(seconds=1), False),
        ("menu", 0, timedelta(0), False),
    ],
)
def test_only_an_unused_young_grant_of_days_need_not_be_given_again(
    bucket: str, used: int, later: timedelta, fresh: bool
) -> None:
    quota, life = QUOTAS[Grant(bucket)]
    granted = WindowRow(bucket, "k", NOW, NOW + life, quota, used)
    assert is_fresh(granted, NOW + later) is fresh


def test_a_grant_that_was_ended_is_not_fresh() -> None:
    quota, _ = QUOTAS[Grant.MESSAGE]
    ended = WindowRow("message", "k", NOW, NOW + timedelta(seconds=1), quota, 0)
    assert not is_fresh(ended, NOW)

import sqlite3

import pytest

from app.delivery.verdict import Kind, judge
from app.wechat.errors import WechatError
from app.wechat.failures import NotReached, OutcomeUnknown


def busy() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


@pytest.mark.parametrize(
    ("error", "kind", "code", "seconds", "pause"),
    [
        (WechatError(-1), Kind.AGAIN, "-1", 1, 0),
        (WechatError(40001), Kind.AGAIN, "40001", 1, 0),
        (WechatError(45011), Kind.AGAIN, "45011", 60, 60),
        (WechatError(45009), Kind.AGAIN, "45009", 600, 600),
        (WechatError(45015), Kind.BLOCKED, "45015", 0, 0),
        (WechatError(45047), Kind.BLOCKED, "45047", 0, 0),
        (WechatError(43004), Kind.FAILED, "43004", 0, 0),
        (WechatError(424242), Kind.FAILED, "424242", 0, 0),
        (NotReached(reason="x"), Kind.AGAIN, "WECHAT_NOT_REACHED", 1, 0),
        (busy(), Kind.AGAIN, "DATABASE", 1, 0),
        (OutcomeUnknown(reason="x"), Kind.UNKNOWN, "WECHAT_OUTCOME_UNKNOWN", 0, 0),
        (TimeoutError(), Kind.UNKNOWN, "TimeoutError", 0, 0),
        (sqlite3.IntegrityError("a bug"), Kind.UNKNOWN, "IntegrityError", 0, 0),
    ],
)
def test_what_a_failure_means(
    error: Exception, kind: Kind, code: str, seconds: float, pause: float
) -> None:
    judged = judge(error, tries=1)
    assert (judged.kind, judged.code, judged.again_seconds, judged.pause_seconds) == (
        kind,
        code,
        seconds,
        pause,
    )
    assert len(judged.code) <= 24, "outbound.error_code"


def test_only_what_was_certainly_not_sent_gives_its_window_back() -> None:
    assert judge(WechatError(-1), 5).certainly_not_sent
    assert judge(NotReached(reason="x"), 1).certainly_not_sent
    assert not judge(OutcomeUnknown(reason="x"), 1).certainly_not_sent
    assert not judge(WechatError(45047), 1).certainly_not_sent


def test_after_five_tries_it_is_over_and_a_used_up_quota_still_stops_the_account() -> None:
    last = judge(WechatError(45009), tries=5)
    assert (last.kind, last.pause_seconds) == (Kind.FAILED, 600)

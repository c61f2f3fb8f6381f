"""Whether what a follower sent answers a question, and what is said when it does not. Pure."""

from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import re2

from app.core.decisions import Snapshot
from app.core.incoming import Incoming, Kind
from app.engines.replies import understanding
from app.engines.replies.plans import Question
from app.engines.replies.understanding import Value

_ANSWERS = frozenset(
    {
        Kind.TEXT,
        Kind.IMAGE,
        Kind.VOICE,
        Kind.VIDEO,
        Kind.POSITION,
        Kind.LINK,
        Kind.FILE,
        Kind.MINI_PROGRAM,
    }
)
_RETRY: Mapping[str, str] = {
    "text": "请用文字回复（{limit} 字以内）。",
    "number": "请回复一个数字，例如 2。",
    "phone": "请回复 11 位手机号码，例如 13800138000。",
    "date": "请回复日期，例如 明天、5月1日 或 2026-05-01。",
    "choice": "请从下面选一项，回复序号即可。",
    "picture": "请发送一张图片。",
    "position": "请点「+」，选择「位置」发送。",
}


def is_answer(incoming: Incoming) -> bool:
    """Whether a dialogue takes this contact; taps, scans and follows are not meant for it."""
    return incoming.kind in _ANSWERS


def today_of(snap: Snapshot) -> date:
    """The day it is for the account."""
    return snap.now.astimezone(ZoneInfo(snap.account.timezone)).date()


def day_bound(written: str, today: date) -> str:
    """`today`, `+30d` or an ISO date as ISO date; empty where the calendar ends."""
    if written == "today":
        return today.isoformat()
    if not written.endswith("d"):
        return written
    try:
        return (today + timedelta(days=int(written[:-1]))).isoformat()
    except OverflowError:
        return ""


def understood(question: Question, words: str, snap: Snapshot) -> Value | None:
    """The answer as it is kept, or None when it is not what the question expects."""
    today = today_of(snap)
    value = _read(question, words, snap.incoming, today)
    return value if value is not None and accepts(question, value, today) else None


def _read(question: Question, words: str, incoming: Incoming, today: date) -> Value | None:
    match question.expect:
        case "text":
            return understanding.free_text(words)
        case "number":
            return understanding.number(words)
        case "phone":
            return understanding.phone(words)
        case "date":
            return understanding.day(words, today)
        case "choice":
            return understanding.choice(words, question.choices)
        case "picture":
            return understanding.picture(incoming)
        case "position":
            return understanding.position(incoming)


def accepts(question: Question, value: Value, today: date) -> bool:
    """Whether an answer of the right kind is within the question's limits."""
    if question.expect == "number" and isinstance(value, int | float):
        low, high = question.minimum, question.maximum
        return (low is None or value >= low) and (high is None or value <= high)
    if question.expect == "date" and isinstance(value, str):
        first, last = question.earliest, question.latest
        return (first is None or value >= day_bound(first, today)) and (
            last is None or value <= day_bound(last, today)
        )
    if question.expect == "text" and isinstance(value, str):
        return len(value) <= question.max_length and _matches(question.pattern, value)
    return True


def _matches(pattern: str, text: str) -> bool:
    return not pattern or compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """Ready to use. Raises `re2.error`."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return re2.compile(pattern, options)


def retry_words(question: Question, today: date) -> str:
    """What helps a follower whose answer was not understood."""
    if question.retry:
        return question.retry
    words = _RETRY[question.expect].replace("{limit}", str(question.max_length))
    limits = _limits(question, today)
    return f"{words}（{limits}）" if limits else words


def _limits(question: Question, today: date) -> str:
    low: str | None = None if question.minimum is None else f"{question.minimum:g}"
    high: str | None = None if question.maximum is None else f"{question.maximum:g}"
    less, more = "不小于", "不大于"
    if question.expect == "date":
        low = question.earliest and day_bound(question.earliest, today)
        high = question.latest and day_bound(question.latest, today)
        less, more = "不早于", "不晚于"
    if low and high:
        return f"{low} 到 {high}"
    return f"{less} {low}" if low else f"{more} {high}" if high else ""

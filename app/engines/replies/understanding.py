"""What a follower's answer to a question means. Pure.

Kind rather than strict: full-width digits, a measure word behind a number and the words of a choice
inside a sentence are understood.
"""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, TypeAlias

from app.core.incoming import Incoming, Kind
from app.core.text import normalise

Value: TypeAlias = str | int | float | dict[str, Any]
"""JSON-ready."""

UNSUPPORTED = "【收到不支持的消息类型，暂无法显示】"
"""What the platform delivers as a text in place of a sticker and other things it keeps to itself
(sample `msg_text_unsupported_placeholder`; seen by developers, not documented)."""
TEXT_LIMIT = 500
"""Characters of a written answer."""

_MEASURE = (
    r"(?:个人|个|位|人|杯|份|件|张|只|瓶|盒|袋|碗|块|元|号|点|岁|天|次|间|桌|斤|米|cm|kg|g)?"
    r"(?:左右|吧|啊|哦|呢|的)?[。.!！~]?"
)
_NUMBER = re.compile(rf"([+-]?\d{{1,12}}(?:\.\d{{1,6}})?) ?{_MEASURE}")
_CHINESE_NUMBER = re.compile(
    rf"([零一二两三四五六七八九]?十?[零一二两三四五六七八九]?) ?{_MEASURE}"
)
_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"两": 2}
_PHONE = re.compile(r"(?:\+?86)?(1[3-9]\d{9})")
_FULL_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})[日号]?")
_SHORT_DATE = re.compile(r"(\d{1,2})[-/.月](\d{1,2})[日号]?")
_COURTESY = re.compile(r"[我想要来选就给那一个份杯的吧呢啊哦呀嘛好谢请，,。.!！~、 ]*")
_DAYS = {"今天": 0, "今日": 0, "明天": 1, "明日": 1, "后天": 2, "大后天": 3}


def is_unsupported(incoming: Incoming) -> bool:
    return incoming.kind is Kind.TEXT and incoming.text.strip() == UNSUPPORTED


def typed(incoming: Incoming) -> str:
    """The words of a text, or of a voice where the platform recognised some; else empty."""
    if incoming.kind in (Kind.TEXT, Kind.VOICE) and not is_unsupported(incoming):
        return incoming.text.strip()
    return ""


def free_text(text: str) -> str | None:
    return text if 0 < len(text) <= TEXT_LIMIT else None


def number(text: str) -> int | float | None:
    """`3`, `３`, `3.5`, `3杯`, `两位`, `十二`."""
    text = normalise(text)
    found = _NUMBER.fullmatch(text)
    if found:
        value = float(found[1])
        return int(value) if value.is_integer() else value
    found = _CHINESE_NUMBER.fullmatch(text)
    return _chinese(found[1]) if found and found[1] else None


def _chinese(word: str) -> int | None:
    """Up to 九十九."""
    if "十" not in word:
        return _DIGITS[word] if len(word) == 1 else None
    tens, _, ones = word.partition("十")
    return _DIGITS.get(tens, 1) * 10 + _DIGITS.get(ones, 0)


def phone(text: str) -> str | None:
    """A mobile number of mainland China, its eleven digits."""
    found = _PHONE.fullmatch(re.sub(r"[ \-()]", "", normalise(text)))
    return found[1] if found else None


def day(text: str, today: date) -> str | None:
    """A day as ISO date. One without a year is the next such day, today included."""
    text = normalise(text).rstrip("。.!吧")
    if text in _DAYS:
        return (today + timedelta(days=_DAYS[text])).isoformat()
    text = text.replace(" ", "")
    found = _FULL_DATE.fullmatch(text)
    if found:
        return _iso(int(found[1]), int(found[2]), int(found[3]))
    found = _SHORT_DATE.fullmatch(text)
    if not found:
        return None
    for year in range(today.year, today.year + 5):  # far enough to meet a 29 February
        iso = _iso(year, int(found[1]), int(found[2]))
        if iso is not None and iso >= today.isoformat():
            return iso
    return None


def _iso(year: int, month: int, of_month: int) -> str | None:
    try:
        return date(year, month, of_month).isoformat()
    except ValueError:
        return None


def choice(text: str, choices: Sequence[str]) -> str | None:
    """The choice meant: its number, its words, or its words among nothing but courtesies.

    `来个大杯吧` is 大杯; `不要大杯`, `特大杯` and `大杯还是中杯` are no answer.
    """
    place = number(re.sub("^(?:选择|选|第)", "", normalise(text)))
    words = choice_by_words(text, choices)
    if words is None and isinstance(place, int) and 1 <= place <= len(choices):
        return choices[place - 1]
    return words


def choice_by_words(text: str, choices: Sequence[str]) -> str | None:
    """As `choice`, but a number means nothing unless a choice reads so."""
    text = normalise(text)
    comparable = {normalise(one): one for one in choices}
    if text in comparable:
        return comparable[text]
    meant = [
        word
        for word in comparable
        if word in text and _COURTESY.fullmatch(text.replace(word, "", 1))
    ]
    return comparable[meant[0]] if len(meant) == 1 else None


def picture(incoming: Incoming) -> str | None:
    """Its media id, good for three days."""
    return (incoming.media_id or None) if incoming.kind is Kind.IMAGE else None


def position(incoming: Incoming) -> dict[str, Any] | None:
    if incoming.kind is not Kind.POSITION:
        return None
    data = incoming.data
    return {
        "label": incoming.text,
        "latitude": data.get("latitude"),
        "longitude": data.get("longitude"),
    }


def shown(value: Value) -> str:
    """An answer in words, for placeholders."""
    if isinstance(value, dict):
        return str(value.get("label") or "")
    return str(value)

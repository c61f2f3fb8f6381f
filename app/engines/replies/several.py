"""One message that answers several questions: `订位 明天 3人 13800138000`. Pure, and never a guess.

Every part has to be understood by exactly one of the questions, by its kind: a day by one that asks
for a day, a number by one that asks for so many of just that (`3人`: 几位？), a mobile number, the
words of a choice. Nothing but courtesies may be left over; else nothing of the message counts.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from app.core.text import normalise
from app.engines.replies import understanding
from app.engines.replies.answers import accepts
from app.engines.replies.placeholders import without
from app.engines.replies.plans import Question
from app.engines.replies.understanding import Value

MOST_CHARACTERS = 200
"""A longer message is prose."""

_BLANKS = re.compile(r"[\s,、;。!]+")
_COURTESY = re.compile(
    "我们|我|想要|想|要|请|帮我|帮忙|麻烦|谢谢|您好|你好|好的|一下|一共|总共|共|来|吧|呢|啊|哦|呀|嘛|的"
)
_SPACED_PHONE = re.compile(r"(?<![\d.])(?:\+?86[ -]?)?(1[3-9]\d)[ -]?(\d{4})[ -]?(\d{4})(?![\d.])")
_PHONE = re.compile(r"(?:(?:联系)?电话|手机号?码?|号码|联系方式)?[是:]?(1[3-9]\d{9})(?!\d)")
_DAY = re.compile(
    r"大后天|后天|今天|今日|明天|明日"
    r"|\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}[日号]?(?!\d)"
    r"|(?<!\d)\d{1,2}月\d{1,2}[日号]?(?!\d)"
)
_MEASURES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("个人", "人", "位", "口"), ("个人", "人", "位", "口")),
    **dict.fromkeys(("块钱", "块", "元"), ("块钱", "块", "元", "钱")),
    **{word: (word,) for word in "个杯份件张只瓶盒袋碗间桌斤晚号点岁天次米"},
    "cm": ("cm",),
    "kg": ("kg",),
}
"""Measure words, each with those that ask for the same."""
_COUNTED = re.compile(
    r"(?P<value>\d{1,12}(?:\.\d{1,6})?|[零一二两三四五六七八九]?十[一二三四五六七八九]?|[零一二两三四五六七八九])"
    f" ?(?P<measure>{'|'.join(sorted(_MEASURES, key=len, reverse=True))})"
)
_YES_AND_NO = frozenset(
    {"好的", "可以", "是的", "不是", "不要", "不用", "没有", "需要", "不需要", "不行", "对的"}
    | {"确认", "确定", "取消"}
)
"""Choices that words of any sentence may be."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A question answered by a part of a message."""

    place: int
    value: Value
    words: str
    """What the follower wrote for it."""


@dataclass(frozen=True, slots=True)
class _Part:
    words: str
    value: Value | None
    """None for what only looks like an answer, such as the 30th of February."""
    places: tuple[int, ...]
    """The questions of its kind."""


def several(
    text: str,
    questions: Mapping[int, Question],
    today: date,
    *,
    asked: int | None = None,
    called_by: str = "",
) -> tuple[Filled, ...]:
    """The questions that `text` answers; empty when a part of it is not clear.

    `questions` are those that may still come, by place; `asked` is the one that the follower has
    before them, of which more is taken for an answer. `called_by`: words that began it all.
    """
    text = _compact(text, called_by)
    if not text or len(text) > MOST_CHARACTERS:
        return ()
    parts: list[_Part] = []
    for chunk in filter(None, _BLANKS.split(text)):
        found = _Chunk(chunk, questions, today, asked).parts()
        if found is None:
            return ()
        parts.extend(found)
    return _assigned(parts, questions, today)


def _compact(text: str, called_by: str) -> str:
    text = normalise(text)
    if called_by:
        text = text.replace(normalise(called_by), " ", 1)
    return _SPACED_PHONE.sub(r"\1\2\3", text).strip()


def _assigned(
    parts: Sequence[_Part], questions: Mapping[int, Question], today: date
) -> tuple[Filled, ...]:
    filled: dict[int, Filled] = {}
    for part in parts:
        if part.value is None or not part.places:
            return ()
        if len({questions[place].save_as for place in part.places}) > 1:
            return ()
        for place in part.places:
            if place in filled or not accepts(questions[place], part.value, today):
                return ()
            filled[place] = Filled(place, part.value, part.words)
    return tuple(filled[place] for place in sorted(filled))


class _Chunk:
    """A stretch of the message without blanks or commas."""

    def __init__(
        self, text: str, questions: Mapping[int, Question], today: date, asked: int | None
    ) -> None:
        self._text = text
        self._questions = questions
        self._today = today
        self._asked = asked

    def parts(self) -> list[_Part] | None:
        """What stands in it; None when something is not understood, or in two ways."""
        scanned = self._scanned()
        ways = [way for way in (self._as_asked(), self._as_choice(), scanned) if way]
        if not ways and scanned is not None:
            return []  # courtesies alone
        meant = [way for way in ways if all(part.places for part in way)]
        distinct = {tuple((part.value, part.places) for part in way) for way in meant}
        return meant[0] if len(distinct) == 1 else None

    def _of_kind(self, expect: str) -> dict[int, Question]:
        return {n: q for n, q in self._questions.items() if q.expect == expect}

    def _as_asked(self) -> list[_Part]:
        """A bare number, the place of a choice, or a short date: for the question just asked."""
        question = self._questions.get(self._asked) if self._asked is not None else None
        if question is None or self._asked is None:
            return []
        value: Value | None = None
        if question.expect == "number" and re.fullmatch(r"\d{1,9}(?:\.\d{1,6})?", self._text):
            value = understanding.number(self._text)
        elif question.expect == "choice":
            value = understanding.choice(self._text, question.choices)
        elif question.expect == "date":
            value = understanding.day(self._text, self._today)
        return [] if value is None else [_Part(self._text, value, (self._asked,))]

    def _as_choice(self) -> list[_Part]:
        found: dict[int, str] = {}
        for place, question in self._of_kind("choice").items():
            word = understanding.choice_by_words(self._text, question.choices)
            if word is not None and (place == self._asked or _is_telling(word)):
                found[place] = word
        values = set(found.values())
        if len(values) > 1:
            return [_Part(self._text, None, tuple(found))]
        return [_Part(self._text, values.pop(), tuple(found))] if values else []

    def _scanned(self) -> list[_Part] | None:
        """Days, counted things and mobile numbers, with courtesies between; None for anything else."""
        parts: list[_Part] = []
        at = 0
        while at < len(self._text):
            step = self._at(at)
            if step is None:
                return None
            end, part = step
            if part is not None:
                parts.append(part)
            at = end
        return parts

    def _at(self, at: int) -> tuple[int, _Part | None] | None:
        for end, part in self._readings(at):
            return end, part
        courtesy = _COURTESY.match(self._text, at)
        return (courtesy.end(), None) if courtesy else None

    def _readings(self, at: int) -> Iterator[tuple[int, _Part]]:
        phone = _PHONE.match(self._text, at)
        if phone:
            yield phone.end(), _Part(phone[0], phone[1], tuple(self._of_kind("phone")))
        day = _DAY.match(self._text, at)
        if day:
            value = understanding.day(day[0], self._today)
            yield day.end(), _Part(day[0], value, tuple(self._of_kind("date")))
        counted = _COUNTED.match(self._text, at)
        if counted:
            places = [
                place
                for place, question in self._of_kind("number").items()
                if asks_for(question.ask, counted["measure"])
            ]
            number = understanding.number(counted["value"])
            yield counted.end(), _Part(counted[0], number, tuple(places))


def asks_for(ask: str, measure: str) -> bool:
    """Whether a question asks how many of these: 几位, 多少人, 人数."""
    words = "|".join(_MEASURES[measure])
    found = re.search(rf"(?:几|多少)(?:{words})|(?:{words})数", normalise(without(ask)))
    return found is not None


def _is_telling(word: str) -> bool:
    return len(normalise(word)) > 1 and normalise(word) not in _YES_AND_NO

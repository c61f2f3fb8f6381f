"""One message for several questions: what is taken, and the far longer list of what is not."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engines.replies.answers import accepts
from app.engines.replies.plans import Question
from app.engines.replies.several import asks_for, several

TODAY = date(2026, 2, 10)


def ask(words: str, save_as: str, expect: str, **other: Any) -> Question:
    return Question.model_validate({"ask": words, "save_as": save_as, "expect": expect, **other})


SIZE = ask("几位一起来？", "size", "number", minimum=1, maximum=20)
DAY = ask("哪一天来？", "day", "date", earliest="today", latest="+60d")
PHONE = ask("手机号？", "phone", "phone")
ROOM = ask("坐哪儿？", "room", "choice", choices=["包间", "大厅", "好的"])
NOTE = ask("还有什么要交代？", "note", "text")
CUPS = ask("要几杯？", "cups", "number")
BOOKING = {0: SIZE, 1: DAY, 2: PHONE, 3: ROOM, 4: NOTE}


def taken(
    text: str, questions: dict[int, Question] = BOOKING, asked: int | None = None, by: str = ""
) -> dict[str, Any]:
    found = several(text, questions, TODAY, asked=asked, called_by=by)
    return {questions[one.place].save_as: one.value for one in found}


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("订位 明天 3人 13800138000", {"size": 3, "day": "2026-02-11", "phone": "13800138000"}),
        ("订位明天3人13800138000", {"size": 3, "day": "2026-02-11", "phone": "13800138000"}),
        ("３位，后天，订位", {"size": 3, "day": "2026-02-12"}),
        ("我想订位，明天，我们两个人，谢谢", {"size": 2, "day": "2026-02-11"}),
        ("订位 大后天 一共十二位 包间", {"size": 12, "day": "2026-02-13", "room": "包间"}),
        ("订位：3月1日，要包间", {"day": "2026-03-01", "room": "包间"}),
        ("订位 2026-03-01 三口", {"size": 3, "day": "2026-03-01"}),
        ("订位 138 0013 8000", {"phone": "13800138000"}),
        ("订位 +86 138-0013-8000 明天", {"phone": "13800138000", "day": "2026-02-11"}),
        ("订位 电话13800138000", {"phone": "13800138000"}),
        ("订位 手机号是13800138000 明天", {"phone": "13800138000", "day": "2026-02-11"}),
        ("订位 大厅", {"room": "大厅"}),
        ("订位", {}),
        ("订位 谢谢", {}),
    ],
)
def test_what_is_understood(text: str, answers: dict[str, Any]) -> None:
    text = text.replace("：", " ")
    assert taken(text, by="订位") == answers


@pytest.mark.parametrize(
    "text",
    [
        "订位 明天 3",  # a bare number may be an hour
        "订位 3号 4人",  # a day of the month
        "订位 3点",
        "订位 下午3点 4人",
        "订位 明天下午 3人",
        "订位 明天 后天 3人",  # two days for one question
        "订位 3人 4人",
        "订位 3人或4人",
        "订位 3-5人",
        "订位 3~5人",
        "订位 3-5",
        "订位 5/1 3人",
        "订位 不要明天 3人",
        "订位 明天还是后天",
        "订位 30人 明天",  # beyond what the question takes
        "订位 0位",
        "订位 2月30日 3人",  # no such day
        "订位 昨天 3人",
        "订位 2026-02-09 3人",  # before today
        "订位 5月1日 3人",  # beyond the latest
        "订位 明天 3杯",  # nobody asked for cups
        "订位 不要包间",
        "订位 包间 大厅",
        "订位 包间还是大厅",
        "订位 小包间",
        "订位 好的",  # a yes is not a choice nobody has seen
        "订位 12800138000",
        "订位 1380013800",
        "订位 138001380000 明天",
        "订位 明天 张三",
        "订位 三人行 明天",
        "订位 明天3人好吗",
        "取消订位 明天",
        "怎么订位 明天",
        "订位 " + "明天 " * 100,
    ],
)
def test_what_is_never_guessed(text: str) -> None:
    assert taken(text, by="订位") == {}


class TestTheQuestionJustAsked:
    @pytest.mark.parametrize(
        ("asked", "text", "answers"),
        [
            (0, "3 明天", {"size": 3, "day": "2026-02-11"}),
            (0, "3位 明天", {"size": 3, "day": "2026-02-11"}),
            (0, "明天 3", {"size": 3, "day": "2026-02-11"}),
            (1, "2/11 13800138000", {"day": "2026-02-11", "phone": "13800138000"}),
            (1, "2月11日吧 3人", {"size": 3, "day": "2026-02-11"}),
            (3, "1 明天", {"room": "包间", "day": "2026-02-11"}),
            (3, "好的 明天", {"room": "好的", "day": "2026-02-11"}),
            (0, "3 4", {}),
            (0, "3 4人", {}),
            (0, "21 明天", {}),
            (3, "4 明天", {}),
        ],
    )
    def test_takes_more(self, asked: int, text: str, answers: dict[str, Any]) -> None:
        assert taken(text, asked=asked) == answers

    def test_a_short_date_may_also_be_something_else(self) -> None:
        days = {0: DAY, 1: ask("几号？", "number", "choice", choices=["2/11", "2/12"])}
        assert taken("2/11", days, asked=0) == {}


class TestSeveralOfAKind:
    def test_two_numbers_are_told_apart_by_what_is_counted(self) -> None:
        both = {0: SIZE, 1: CUPS}
        assert taken("3人 5杯", both) == {"size": 3, "cups": 5}
        assert taken("5杯 3人", both) == {"size": 3, "cups": 5}
        assert taken("3人 5", both) == {}

    def test_two_that_ask_for_the_same_are_not(self) -> None:
        more = ask("孩子几位？", "children", "number")
        assert taken("3人", {0: SIZE, 1: more}) == {}
        assert taken("明天", {0: DAY, 1: ask("哪天走？", "until", "date")}) == {}

    def test_the_same_answer_asked_for_on_two_ways_is(self) -> None:
        other = ask("哪天送到？", "day", "date", name="送货日")
        assert taken("明天", {0: DAY, 1: other}) == {"day": "2026-02-11"}

    def test_a_text_takes_nothing_by_itself(self) -> None:
        assert taken("3人", {0: NOTE}) == {}
        assert taken("随便", {0: NOTE, 1: SIZE}) == {}

    def test_words_of_a_choice_that_are_also_a_day_are_in_doubt(self) -> None:
        when = ask("什么时候？", "when", "choice", choices=["明天", "以后"])
        assert taken("明天 3人", {0: SIZE, 1: DAY, 2: when}) == {}
        assert taken("明天 3人", {0: SIZE, 2: when}) == {"size": 3, "when": "明天"}


@pytest.mark.parametrize(
    ("words", "measure", "asks"),
    [
        ("几位一起来？", "人", True),
        ("有多少人？", "位", True),
        ("请填人数", "人", True),
        ("预算多少钱？", "元", True),
        ("要几杯？", "杯", True),
        ("要几杯？", "人", False),
        ("{size} 位，要几把椅子？", "位", False),
        ("数量？", "个", False),
    ],
)
def test_what_a_question_counts(words: str, measure: str, asks: bool) -> None:
    assert asks_for(words, measure) is asks


_WORDS = st.sampled_from(
    [
        "明天",
        "3人",
        "三位",
        "13800138000",
        "包间",
        "好的",
        "，",
        " ",
        "不",
        "3",
        "5月1日",
        "订位",
        "吧",
    ]
)


@given(st.lists(_WORDS, max_size=8).map("".join) | st.text(max_size=40))
def test_never_raises_and_every_value_fits(text: str) -> None:
    for asked in (None, 0, 1, 3):
        found = several(text, BOOKING, TODAY, asked=asked, called_by="订位")
        assert len({one.place for one in found}) == len(found)
        assert 4 not in {one.place for one in found}
        for one in found:
            assert accepts(BOOKING[one.place], one.value, TODAY)

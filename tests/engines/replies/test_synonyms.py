"""Words that mean the same, against the obvious way of replacing them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.engines.replies.book_settings import BookSettings
from app.engines.replies.matcher import Matcher, RuleKind, RuleWords
from app.engines.replies.synonyms import Synonyms
from tests.rules import reference

GROUPS = (("营业时间", "几点开门", "Opening Hours"), ("wifi", "无线网"), ("钱", "价", "价格"))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("请问几点开门啊", "请问营业时间啊"),
        ("opening hours", "营业时间"),
        ("价格", "钱"),
        ("价格价", "钱钱"),
        ("无线网", "wifi"),
        ("营业时间", "营业时间"),
        ("没有", "没有"),
        ("", ""),
    ],
)
def test_the_first_word_of_a_group_is_meant(text: str, meant: str) -> None:
    assert Synonyms(GROUPS).applied(text) == meant


def test_the_longest_word_goes_first_and_nothing_is_replaced_twice() -> None:
    synonyms = Synonyms([("甲", "乙乙"), ("乙", "丙")])
    assert synonyms.applied("乙乙乙") == "甲乙"
    assert synonyms.applied("丙丙乙") == "乙乙乙"


def test_ascii_words_are_whole_words() -> None:
    synonyms = Synonyms([("application", "app"), ("x", "y")])
    assert synonyms.applied("app") == "application"
    assert synonyms.applied("下载app吧") == "下载application吧"
    assert synonyms.applied("apple my app") == "apple my application"
    assert synonyms.applied("yy y") == "yy x"


words = st.text(alphabet="ab甲乙 -", min_size=1, max_size=4).filter(str.strip)
groups = st.lists(st.lists(words, min_size=2, max_size=3), max_size=4)


@given(groups, st.text(alphabet="ab甲乙 -", max_size=10))
def test_as_written_plainly(drawn: Sequence[Sequence[str]], text: str) -> None:
    seen: set[str] = set()
    unique = []
    for group in drawn:  # a word stands in one group only, as the settings see to
        fresh = {w: reference.compared(w, ()) for w in group}
        kept = [w for w, c in fresh.items() if c not in seen]
        seen |= set(fresh.values())
        if kept:
            unique.append(kept)
    assert Synonyms(unique).applied(text) == reference.with_meanings(text, unique)


@pytest.mark.parametrize("kind", [RuleKind.EXACT, RuleKind.CONTAINS, RuleKind.WILDCARD])
def test_they_hold_for_texts_and_for_the_words_of_rules(kind: RuleKind) -> None:
    matcher = Matcher([RuleWords(1, "r", kind, ("几点开门！",))], Synonyms(GROUPS))
    for text in ("营业时间", "几点开门！", "OPENING  HOURS"):
        assert matcher.find(text) is not None, text
    assert matcher.find("几点") is None


def test_patterns_see_the_text_as_it_was_typed() -> None:
    matcher = Matcher([RuleWords(1, "r", RuleKind.PATTERN, (r"开门\?$",))], Synonyms(GROUPS))
    assert matcher.find("几点开门？") is not None
    assert matcher.find("几点开门") is None
    assert matcher.find("营业时间?") is None


@pytest.mark.parametrize(
    ("synonyms", "problem"),
    [
        ([["一"]], "at least 2 items"),
        ([["一", "*"]], "no \\* and no \\?"),
        ([["一", "？"]], "no \\* and no \\?"),
        ([["一", " "]], "nothing is left"),
        ([["一", "二"], ["三", "二！"]], "stands among the synonyms twice"),
        ([["一", "a\x00"]], "U\\+0000"),
    ],
)
def test_what_can_be_no_synonym(synonyms: list[list[str]], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        BookSettings.model_validate({"synonyms": synonyms})

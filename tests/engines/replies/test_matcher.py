"""The matcher against a slow, obvious one, and the order among rules spelt out."""

import re
import string
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.text import normalise
from app.engines.replies import patterns
from app.engines.replies.matcher import Hit, Matcher, RuleKind, RuleWords, compile_rules
from app.engines.replies.patterns import BadPattern, check_pattern

ORDER = [RuleKind.EXACT, RuleKind.WILDCARD, RuleKind.CONTAINS, RuleKind.PATTERN]


def rule(number: int, kind: str, *words: str, priority: int = 0) -> RuleWords:
    return RuleWords(number, f"rule {number}", RuleKind(kind), words, priority)


def obvious(rules: Sequence[RuleWords], text: str) -> list[tuple[int, str]]:
    """Every match of the rules, best first, each rule once."""
    text = normalise(text)
    found: list[tuple[int, int, int, int, str]] = []
    for one in rules:
        for raw in one.words:
            word = raw if one.kind is RuleKind.PATTERN else normalise(raw)
            if word and occurs(one.kind, word, text):
                place = ORDER.index(one.kind)
                found.append((-one.priority, place, -len(word), one.id, word))
    best: dict[int, str] = {}
    for *_, number, word in sorted(found):
        best.setdefault(number, word)
    return list(best.items())


def occurs(kind: RuleKind, word: str, text: str) -> bool:
    if kind is RuleKind.EXACT:
        return word == text
    if kind is RuleKind.CONTAINS:
        return word in text
    if kind is RuleKind.PATTERN:
        return re.search(word, text, re.IGNORECASE) is not None
    python = "".join(
        ".*" if c == "*" else "." if c == "?" else re.escape(c) for c in normalise(word)
    )
    return re.fullmatch(python, text, re.DOTALL) is not None


letters = st.text(alphabet="ab咖啡豆 ＡB", max_size=5)
wild = st.text(alphabet="ab咖啡*?", min_size=1, max_size=5)
simple_patterns = st.sampled_from(
    ["a", "咖.豆", "b+", "^咖", "豆$", "[ab]啡", "a|豆", "(咖啡){2}", "A"]
)
kinds = st.sampled_from(ORDER)


@st.composite
def rule_lists(draw: st.DrawFn) -> list[RuleWords]:
    rules = []
    for number in range(1, draw(st.integers(0, 12)) + 1):
        kind = draw(kinds)
        words = {RuleKind.WILDCARD: wild, RuleKind.PATTERN: simple_patterns}.get(kind, letters)
        rules.append(
            RuleWords(
                number,
                f"rule {number}",
                kind,
                tuple(draw(st.lists(words, max_size=3))),
                draw(st.integers(-1, 1)),
            )
        )
    return rules


@given(rule_lists(), st.text(alphabet="ab咖啡豆 Ａ", max_size=8))
def test_finds_what_an_obvious_matcher_finds(rules: list[RuleWords], text: str) -> None:
    matcher = compile_rules(rules)
    expected = obvious(rules, text)
    hit = matcher.find(text)
    assert (None if hit is None else (hit.rule_id, hit.word)) == (expected[0] if expected else None)
    explained = matcher.explain(text, limit=20)
    assert explained.winner == hit
    every = [h for h in (explained.winner, *explained.runners_up) if h is not None]
    assert [(h.rule_id, h.word) for h in every] == expected


@given(st.permutations(range(6)))
def test_the_order_rules_come_in_does_not_matter(order: list[int]) -> None:
    rules = [
        rule(1, "contains", "咖啡"),
        rule(2, "contains", "咖啡"),
        rule(3, "wildcard", "*咖啡*"),
        rule(4, "pattern", "咖."),
        rule(5, "contains", "喝咖啡"),
        rule(6, "exact", "喝咖啡吧", priority=-1),
    ]
    matcher = compile_rules([rules[place] for place in order])
    explained = matcher.explain("喝咖啡吧")
    assert explained.winner is not None
    assert [explained.winner.rule_id, *(h.rule_id for h in explained.runners_up)] == [
        3,
        5,
        1,
        2,
        4,
        6,
    ]


def winner(rules: Sequence[RuleWords], text: str) -> int | None:
    hit = compile_rules(rules).find(text)
    return hit.rule_id if hit else None


def test_priority_beats_kind() -> None:
    assert winner([rule(1, "exact", "价格"), rule(2, "pattern", "价", priority=1)], "价格") == 2


@pytest.mark.parametrize(("first", "second"), list(pairwise(ORDER)))
def test_kinds_have_an_order(first: RuleKind, second: RuleKind) -> None:
    assert winner([rule(1, second, "价格"), rule(2, first, "价格")], "价格") == 2


def test_the_longer_word_wins_then_the_older_rule() -> None:
    rules = [
        rule(3, "contains", "咖啡"),
        rule(2, "contains", "咖啡"),
        rule(9, "contains", "冰咖啡"),
    ]
    assert winner(rules, "来杯冰咖啡") == 9
    assert winner(rules, "来杯咖啡") == 2


@pytest.mark.parametrize(
    ("word", "text", "matches"),
    [
        ("Coffee", "ｃｏｆｆｅｅ", True),
        ("  Hello   World ", "hello world", True),
        ("STRASSE", "straße", True),
        ("价格？", "价格?", True),
        ("价格", "价 格", False),
    ],
)
def test_width_case_and_blanks_do_not_matter(word: str, text: str, matches: bool) -> None:
    assert (winner([rule(1, "exact", word)], text) == 1) is matches


@pytest.mark.parametrize(
    ("word", "text", "matches"),
    [
        ("*", "", True),
        ("*", "什么都行", True),
        ("??", "两字", True),
        ("??", "三个字", False),
        ("我要*", "我要", True),
        ("我要*", "不，我要咖啡", False),
        ("*多少钱", "这个多少钱", True),
        ("*多少钱", "多少钱一杯", False),
        ("a.c", "abc", False),
        ("第?号", "第🍵号", True),
        ("订*位*人", "订 6 点的位子 两人", True),
    ],
)
def test_wildcards_cover_the_whole_text(word: str, text: str, matches: bool) -> None:
    assert (winner([rule(1, "wildcard", word)], text) == 1) is matches


def test_patterns_keep_their_capitals() -> None:
    digits_only = [rule(1, "pattern", r"^\D+$")]
    assert winner(digits_only, "no digits") == 1
    assert winner(digits_only, "no 1") is None
    assert winner([rule(1, "pattern", "WiFi")], "有wifi吗") == 1


def test_one_character_words_and_texts() -> None:
    rules = [rule(1, "contains", "糖"), rule(2, "contains", "糖水")]
    assert winner(rules, "糖") == 1
    assert winner(rules, "加糖吗") == 1
    assert winner(rules, "糖水") == 2
    assert winner(rules, "") is None


def test_words_that_are_empty_once_normalised_match_nothing() -> None:
    matcher = compile_rules([rule(1, "contains", "  ", "")])
    assert len(matcher) == 0
    assert matcher.find("") is None
    assert matcher.explain("a").reason() == "没有规则匹配"
    assert matcher.explain("a").reason("en") == "no rule matches"


def test_a_pattern_python_would_hang_on_is_linear() -> None:
    assert winner([rule(1, "pattern", "(a+)+$")], "a" * 600 + "b") is None


def test_bad_patterns_are_named() -> None:
    with pytest.raises(BadPattern, match="missing \\)"):
        compile_rules([rule(1, "contains", "a"), rule(2, "pattern", "(a")])
    with pytest.raises(BadPattern, match="too large"):
        check_pattern(r"\pL{900}" * 12)
    check_pattern(r"1[3-9]\d{9}")


def test_a_set_too_large_for_its_memory_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set out of memory matches nothing without a word; the answers must stay the same."""
    monkeypatch.setattr(patterns, "SET_BYTES", 24 * 1024)
    rules = [rule(n, "pattern", f"{c}{{3}}号{c}+") for n, c in enumerate(string.ascii_lowercase)]
    matcher = compile_rules(rules)
    for n, c in enumerate(string.ascii_lowercase):
        hit = matcher.find(f"在{c * 3}号{c}")
        assert hit is not None
        assert hit.rule_id == n


def test_many_patterns_keep_their_order_over_several_sets() -> None:
    rules = [rule(n, "pattern", f"号{n:04}$|共同") for n in range(600)]
    matcher = compile_rules(rules)
    assert matcher.find("共同") == Hit(0, "rule 0", RuleKind.PATTERN, "号0000$|共同", 0)
    hit = matcher.find("号0599")
    assert hit is not None
    assert hit.rule_id == 599


def test_ten_thousand_words_with_one_beginning() -> None:
    matcher = Matcher([rule(n, "contains", f"商品{n:05}") for n in range(10_000)])
    hit = matcher.find("请问商品07654还有吗")
    assert hit is not None
    assert hit.rule_id == 7654


@pytest.mark.parametrize(
    ("rules", "reason", "english"),
    [
        ([rule(1, "exact", "价格")], "只有这条规则匹配", "only this rule matches"),
        (
            [rule(1, "exact", "价格"), rule(2, "contains", "价格", priority=5)],
            "优先级 5 高于「rule 1」的 0",
            "priority 5 is above the 0 of “rule 1”",
        ),
        (
            [rule(1, "exact", "价格"), rule(2, "contains", "价格")],
            "优先级相同，完全匹配先于「rule 2」的包含",
            "of equal priority, exact goes before the contains of “rule 2”",
        ),
        (
            [rule(1, "contains", "价格"), rule(2, "contains", "价")],
            "优先级和方式相同，「价格」比「价」长",
            "of equal priority and kind, “价格” is longer than “价”",
        ),
        (
            [rule(1, "contains", "价"), rule(2, "contains", "格")],
            "优先级、方式和词长相同，比「rule 2」更早建立",
            "of equal priority, kind and length, and older than “rule 2”",
        ),
    ],
)
def test_the_reason_names_what_decided(rules: list[RuleWords], reason: str, english: str) -> None:
    explained = compile_rules(rules).explain("价格")
    assert (explained.reason(), explained.reason("en")) == (reason, english)


def test_runners_up_are_bounded() -> None:
    matcher = compile_rules([rule(n, "contains", "咖啡") for n in range(50)])
    assert len(matcher.explain("咖啡", limit=3).runners_up) == 3

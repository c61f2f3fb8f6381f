"""What is said of rules in each other's way is true; and the usual ways are found."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.text import Language
from app.engines.replies.compiled import Stored, StoredRule, compile_words
from app.engines.replies.conflicts import NAMED, Finding, FindingKind, find_conflicts
from tests.rules.reference import Reference, Rule

NEVER, WORD, TIE, SWALLOWS = FindingKind


def rule(number: int, kind: str, *words: str, priority: int = 0, **when: Any) -> Rule:
    return Rule(number, kind, words, priority, **when)


def found(rules: Sequence[Rule], synonyms: Sequence[Sequence[str]] = ()) -> list[Finding]:
    stored = Stored(
        1,
        [
            StoredRule(
                one.id, 1, f"规则{one.id}", one.kind, one.words, one.priority, None,
                one.hours or None, one.audience or None,
            )
            for one in rules
        ],
        settings={"synonyms": synonyms} if synonyms else None,
    )  # fmt: skip
    compiled = compile_words(stored)
    assert compiled.broken == ()
    return find_conflicts(compiled)


def told(rules: Sequence[Rule], synonyms: Sequence[Sequence[str]] = ()) -> list[tuple[str, Any]]:
    """Kind and ids of the rules."""
    return [(one.kind.value, [named.id for named in one.rules]) for one in found(rules, synonyms)]


MONDAYS: dict[str, Any] = {"weekdays": [1]}
VIP = {"tags": ["vip"]}
DEAD: list[tuple[str, list[Rule]]] = [
    ("the same exact word", [rule(2, "exact", "价格"), rule(1, "exact", "价格！")]),
    ("contained", [rule(2, "contains", "问价格"), rule(1, "contains", "价格", priority=1)]),
    ("exact under contains", [rule(2, "exact", "问价格"), rule(1, "contains", "价格", priority=1)]),
    ("exact under a wildcard", [rule(2, "exact", "问价格"), rule(1, "wildcard", "问*", priority=1)]),
    ("contains under a wildcard", [rule(2, "contains", "价格"), rule(1, "wildcard", "*价?*")]),
    ("wildcard under contains", [rule(2, "wildcard", "?价格*"), rule(1, "contains", "价格", priority=1)]),
    ("wildcard under a wildcard", [rule(2, "wildcard", "a?b*c"), rule(1, "wildcard", "a*c", priority=1)]),
    ("all under the star", [rule(2, "pattern", r"^\d+$"), rule(1, "wildcard", "*")]),
    ("exact under a pattern", [rule(2, "exact", "第12号"), rule(1, "pattern", r"\d+", priority=1)]),
    ("contains under a pattern", [rule(2, "contains", "wifi"), rule(1, "pattern", "Wi.i", priority=1)]),
    ("the same pattern", [rule(2, "pattern", r"^\d$"), rule(1, "pattern", r"^\d$")]),
    ("a plain pattern", [rule(2, "pattern", "价格表"), rule(1, "pattern", "价.", priority=1)]),
    ("a pattern of capitals", [rule(2, "pattern", "WiFi"), rule(1, "pattern", "wi(f|g)i", priority=1)]),
    (
        "one with hours under one without",
        [rule(2, "exact", "价格", hours={"weekdays": [1]}), rule(1, "exact", "价格")],
    ),
    (
        "each word under another rule",
        [rule(3, "exact", "甲", "乙"), rule(1, "exact", "甲"), rule(2, "contains", "乙", priority=1)],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("_", "rules"), DEAD, ids=[name for name, _ in DEAD])
def test_rules_that_never_answer_are_found(_: str, rules: list[Rule]) -> None:
    dead = [ids[0] for kind, ids in told(rules) if kind == "never_wins"]
    assert dead == [rules[0].id]


ALIVE: list[tuple[str, list[Rule]]] = [
    ("the longer word", [rule(2, "contains", "问价格"), rule(1, "contains", "价格")]),
    ("exact before contains", [rule(2, "exact", "价格"), rule(1, "contains", "价格")]),
    ("one that has hours does not cover", [rule(2, "exact", "a"), rule(1, "exact", "a", hours=MONDAYS)]),
    ("nor one for some", [rule(2, "exact", "a"), rule(1, "wildcard", "*", priority=1, audience=VIP)]),
    ("one word lives", [rule(2, "exact", "甲", "乙"), rule(1, "contains", "甲", priority=1)]),
    ("a pattern that minds the end", [rule(2, "exact", "价格"), rule(1, "pattern", "价格$", priority=1)]),
    ("a pattern across a blank", [rule(2, "exact", "价格，表"), rule(1, "pattern", "格 表", priority=1)]),
    ("? is not nothing", [rule(2, "contains", "价"), rule(1, "wildcard", "*价?*")]),
    ("? is not anything", [rule(2, "wildcard", "a*b"), rule(1, "wildcard", "a?b", priority=1)]),
    ("* may be nothing", [rule(2, "wildcard", "a*b"), rule(1, "wildcard", "a?*b", priority=1)]),
    ("its own words", [rule(1, "contains", "咖啡", "冰咖啡", priority=1)]),
]  # fmt: skip


@pytest.mark.parametrize(("_", "rules"), ALIVE, ids=[name for name, _ in ALIVE])
def test_rules_that_live_are_left_alone(_: str, rules: list[Rule]) -> None:
    assert [ids[0] for kind, ids in told(rules) if kind == "never_wins"] == []


def test_synonyms_count() -> None:
    rules = [rule(2, "exact", "几点开门"), rule(1, "exact", "营业时间")]
    assert told(rules) == []
    assert told(rules, [["营业时间", "几点开门"]]) == [("never_wins", [2, 1]), ("tie", [1, 2])]
    typed = [rule(2, "exact", "几点开门"), rule(1, "pattern", "营业时间", priority=1)]
    assert told(typed, [["营业时间", "几点开门"]]) == []  # who types 几点开门 gets rule 2


def test_one_dead_word_of_a_living_rule() -> None:
    rules = [rule(2, "contains", "价格", "菜单"), rule(1, "contains", "价", priority=1)]
    (one,) = found(rules)
    assert one.kind is WORD
    assert one.words == ("价格", "价")
    assert one.say() == "「规则2」的「价格」不起作用：总是先由「规则1」的「价」回复"
    assert one.say("en") == "“价格” of “规则2” is of no use: “价” of “规则1” always goes before it"


def test_ties_are_told_where_both_may_hold() -> None:
    morning: Any = {"daily": [["08:00", "12:00"]]}
    noon: Any = {"daily": [["12:00", "18:00"]]}
    apart = [rule(1, "exact", "a", hours=morning), rule(2, "exact", "a", hours=noon)]
    assert told(apart) == []
    assert told([*apart, rule(3, "exact", "a")]) == [("tie", [1, 3])]
    assert told([rule(1, "exact", "a"), rule(2, "exact", "a", priority=-1)]) == [
        ("never_wins", [2, 1])
    ]


def test_what_swallows_others_is_named_with_a_few_of_them() -> None:
    rules = [rule(n, "contains", f"词{n}") for n in range(1, 31)]
    star = rule(99, "wildcard", "*", priority=9)
    findings = found([*rules, star])
    assert Counter(one.kind for one in findings) == {NEVER: 30, SWALLOWS: 1}
    swallower = findings[-1]
    assert swallower.rules[0].id == 99
    assert (len(swallower.rules), swallower.count) == (NAMED + 1, 30)
    assert swallower.say() == "「规则99」的「*」盖住了其他规则的 30 个词"
    assert told([*rules, rule(99, "contains", "词")]) == []  # shorter, so it comes last


def test_every_kind_has_its_sentence() -> None:
    rules = [
        rule(1, "contains", "价", priority=1),
        rule(2, "contains", "价格"),
        rule(3, "exact", "菜单"),
        rule(4, "exact", "菜单"),
        rule(5, "exact", "一", "价一", "价二"),
    ]
    findings = found(rules)
    assert {one.kind for one in findings} == set(FindingKind)
    for one in findings:
        for lang in get_args(Language):
            said = one.say(lang)
            assert one.rules[0].name in said
            assert one.words[0] in said


kinds = st.sampled_from(["exact", "wildcard", "contains", "pattern"])
plain = st.text(alphabet="ab甲乙 .，", min_size=1, max_size=4).filter(str.strip)
wild = st.text(alphabet="a甲乙*?", min_size=1, max_size=4)
patterns = st.sampled_from(
    [
        "a",
        "甲.",
        "^甲",
        "乙$",
        "[甲乙]",
        "a+b",
        "甲乙",
        "(a|甲)乙",
        ".",
        r"\w",
        "",
        "b",
        "A",
        "甲 乙",
    ]
)
groups = st.sampled_from([(), (("甲", "b"),), (("甲乙", "ab"), ("a", "乙")), (("乙", "甲", "a"),)])
NO_HOURS: dict[str, Any] = {}
when = st.sampled_from([NO_HOURS, NO_HOURS, NO_HOURS, MONDAYS])


@st.composite
def books(draw: st.DrawFn) -> list[Rule]:
    made = []
    for number in range(1, draw(st.integers(2, 7)) + 1):
        kind = draw(kinds)
        words = {"wildcard": wild, "pattern": patterns}.get(kind, plain)
        drawn = tuple(draw(st.lists(words, min_size=1, max_size=2)))
        made.append(Rule(number, kind, drawn, draw(st.integers(0, 1)), draw(when)))
    return made


texts = st.lists(st.text(alphabet="abA甲乙 .，！", max_size=7), min_size=5, max_size=30)


@given(books(), groups, texts)
def test_what_is_called_dead_never_wins(
    rules: list[Rule], synonyms: Sequence[Sequence[str]], drawn: list[str]
) -> None:
    reference = Reference(rules, synonyms)
    findings = found(rules, synonyms)
    rules_dead = {one.rules[0].id for one in findings if one.kind is NEVER}
    words_dead = {(one.rules[0].id, one.words[0]) for one in findings if one.kind is WORD}
    near = [
        text
        for one in rules
        for word in one.words
        for middle in ("", "甲", "a乙")
        for text in (
            word.replace("*", middle).replace("?", "b"),
            f"甲{word}",
            f"{word}！",
            f"{word}b",
        )
    ]
    for text in [*drawn, *near]:
        ranked = reference.ranked(text)
        always = [(one, word) for one, word in ranked if not one.hours]
        for one, word in (*ranked[:1], *always[:1]):  # while those with hours hold, and while not
            assert one.id not in rules_dead, (text, findings)
            assert (one.id, word) not in words_dead, (text, findings)


@pytest.mark.parametrize(
    "made",
    [
        lambda n: rule(n, "contains", chr(0x4E00 + n)),
        lambda n: rule(n, "contains", "好"),
        lambda n: rule(n, "wildcard", "?"),
        lambda n: rule(n, "contains", "好" * (1 + n % 100)),
    ],
    ids=["one character each", "all the same", "all one wildcard", "each in the next"],
)
def test_ten_thousand_rules(made: Any) -> None:
    rules = [made(n) for n in range(10_000)]
    dead = sum(one.kind is NEVER for one in found(rules))
    different = len({one.words for one in rules})
    assert dead == 10_000 - different

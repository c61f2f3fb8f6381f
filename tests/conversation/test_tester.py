"""Conversations over a book that stands still."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.cli.demo import shop as demo
from app.conversation.filters import Keyword
from app.conversation.report import report
from app.conversation.router import Router
from app.conversation.script import CONVERSATIONS, STEPS, read_script
from app.conversation.tester import Outcome
from app.conversation.verdict import differences, judge
from app.core.decisions import AccountView, Decision, Snapshot
from app.core.ids import AccountId
from app.engines.replies.compiled import Stored
from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.replies.mistakes import Mistakes
from app.handlers.offline import Offline
from tests.books import stored

NOW = datetime(2026, 10, 1, 4, 0, tzinfo=UTC)
ACCOUNT = AccountView(AccountId(1), "shop", "店", "Asia/Shanghai", may_send=True, contact="找我")
SAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "valley.yaml"


def say(text: str, *others: dict[str, Any]) -> list[list[dict[str, Any]]]:
    return [[*others, {"do": "reply", "with": {"kind": "text", "text": text}}]]


def rule(word: str, answers: list[list[dict[str, Any]]], **more: Any) -> RuleInput:
    given = {"name": word, "kind": "exact", "words": [word], "answers": answers}
    return RuleInput.model_validate({**given, **more})


BOOKING = FlowInput(
    name="订位",
    plan={
        "steps": [
            {"ask": "几位？", "expect": "number", "save_as": "size"},
            {
                "ask": "{size} 位，什么口味？",
                "expect": "choice",
                "choices": ["甜", "咸"],
                "save_as": "taste",
            },
        ],
        "expires_seconds": 600,
        "finish": [
            {"do": "tag", "with": {"names": ["爱吃{taste}"]}},
            {"do": "reply", "with": {"kind": "text", "text": "订好了：{size} 位，{taste}。"}},
        ],
    },
)
TAG = {"do": "tag", "with": {"names": ["会员"]}}
UNTAG = {"do": "untag", "with": {"names": ["会员"]}}
BOOK = stored(
    rules=[
        rule("你好", say("您好")),
        rule("入会", say("欢迎", TAG)),
        rule("退会", say("再见", UNTAG)),
        rule("会员价", say("八折"), audience={"tags": ["会员"]}),
        rule("早餐", say("有的"), hours={"daily": [["07:00", "10:00"]]}),
        rule("订位", [[{"do": "start_flow", "with": {"flow": "订位"}}]]),
    ],
    bindings=[
        BindingInput.model_validate({"on": "menu", "key": "today", "answers": say("今日")}),
        BindingInput.model_validate({"on": "scan", "key": "door", "answers": say("进门")}),
        BindingInput.model_validate({"on": "follow", "answers": say("欢迎关注")}),
        BindingInput.model_validate({"on": "type", "key": "image", "answers": say("好图")}),
    ],
    flows=[BOOKING],
)


def run(text: str, book: Stored = BOOK, **more: Any) -> list[Outcome]:
    tester = Offline(book, ACCOUNT, **more).player
    return [tester.run(one, NOW) for one in read_script(text.encode()).conversations]


def failures(text: str, book: Stored = BOOK, **more: Any) -> list[tuple[int, str]]:
    """Number of the step and what of it was not as expected."""
    return [
        (step.step.number, failure.what)
        for outcome in run(text, book, **more)
        for step in judge(outcome).steps
        for failure in step.failures
    ]


def texts(text: str, book: Stored = BOOK, **more: Any) -> list[str]:
    (outcome,) = run(text, book, **more)
    return [step.came.text for step in outcome.steps if step.came is not None]


def test_the_sample_of_the_documents_passes_against_the_demo_s_shop() -> None:
    book = stored(rules=demo.rules("wifi"), bindings=demo.bindings(), flows=demo.flows())
    shop = AccountView(
        AccountId(1), demo.SLUG, demo.NAME, "Asia/Shanghai", may_send=True, contact=demo.CONTACT
    )
    offline = Offline(book, shop)
    assert offline.broken == ()
    script = read_script(SAMPLE.read_bytes())
    outcomes = [offline.player.run(one, NOW) for one in script.conversations]
    found = report(outcomes, None, (), "zh")
    wrong = [
        (one.name, step.number, failure)
        for one in found.conversations
        for step in one.steps
        for failure in step.failures
    ]
    assert wrong == []
    assert found.passed
    assert found.expected > 20
    assert (found.failed, found.changes) == (0, None)


class TestState:
    def test_a_dialogue_from_end_to_end(self) -> None:
        (outcome,) = run(
            "[{name: 订, steps: [{say: 订位}, {say: 许多}, {say: 3}, {tap: 'taste:2'}]}]"
        )
        came = [step.came for step in outcome.steps]
        assert [(one.flow, one.step) for one in came if one] == [
            ("订位", "size"),
            ("订位", "size"),
            ("订位", "taste"),
            (None, None),
        ]
        last = came[-1]
        assert last is not None
        assert (last.text, last.tags) == ("订好了：3 位，咸。", ("爱吃咸",))
        assert last.effects == ({"kind": "tag", "name": "爱吃咸"},)

    def test_time_passes(self) -> None:
        steps = "{say: 订位}, {wait: 9m}, {say: 2}, {wait: 10m}, {say: 甜}, {wait: 2h}, {say: 甜}"
        said = texts(f"[{{name: 等, steps: [{steps}]}}]")
        assert said[1].startswith("2 位")
        assert "已经结束了" in said[2]
        assert "没听懂" in said[3]

    def test_hours_hold_in_the_account_s_zone(self) -> None:
        for at, heard in (
            ("2026-10-01T07:00", "有的"),
            ("2026-10-01T12:00", "抱歉"),
            ("2026-10-01T00:30:00+00:00", "有的"),
        ):
            (said,) = texts(f"[{{name: 早, at: {at}, steps: [{{say: 早餐}}]}}]")
            assert said.startswith(heard), at
        (said,) = texts("[{name: 早, steps: [{say: 早餐}]}]")
        assert said.startswith("抱歉"), "the moment that was given"

    def test_tags_come_and_go(self) -> None:
        steps = "{say: 会员价}, {say: 入会}, {say: 会员价}, {say: 退会}, {say: 会员价}"
        said = texts(f"[{{name: 会, steps: [{steps}]}}]")
        assert [words[:2] for words in said] == ["抱歉", "欢迎", "八折", "再见", "抱歉"]
        assert texts("[{name: 会, follower: {tags: [会员]}, steps: [{say: 会员价}]}]") == ["八折"]

    def test_of_a_tag_given_and_taken_at_once_the_last_word_stands(self) -> None:
        both = [
            {"do": "untag", "with": {"names": ["会员"]}},
            {"do": "tag", "with": {"names": ["会员"]}},
        ]
        for order, tags in ((both, ("会员",)), (both[::-1], ())):
            book = stored(rules=[rule("换", [order])])
            (outcome,) = run("[{name: x, steps: [{say: 换}]}]", book)
            assert outcome.steps[0].came is not None
            assert outcome.steps[0].came.tags == tags

    def test_misses_in_a_row(self) -> None:
        said = texts("[{name: x, steps: [{say: 嗯}, {say: 哦}, {say: 你好}, {say: 嗯}]}]")
        assert ["找我" in words for words in said] == [False, True, False, False]

    def test_taps_scans_follows_and_kinds(self) -> None:
        assert (
            failures(
                """
            - name: 各种
              follower: {new: true}
              steps:
                - {scan: door, expect: {binding: door, text: 进门}}
                - {scan: door, expect: {binding: scan door}}
                - {tap: today, expect: {binding: today, text: 今日}}
                - {send: picture, expect: {binding: type image}}
                - {unfollow: true, expect: {nothing: true}}
                - {follow: true, expect: {binding: follow, text: 欢迎关注}}
                - {send: sticker, expect: {missed: false, contains: 表情}}
            """
            )
            == []
        )

    def test_alternatives_are_chosen_by_the_key(self) -> None:
        book = stored(rules=[rule("抽", [say(str(n))[0] for n in range(10)])])
        steps = ", ".join(f"{{say: 抽, key: 'w:m:{n}'}}" for n in range(40))
        one = texts(f"[{{name: x, steps: [{steps}]}}]", book)
        assert texts(f"[{{name: y, steps: [{steps}]}}]", book) == one
        assert len(set(one)) > 5
        listed = ", ".join(str(n) for n in range(10))
        assert (
            failures(f"[{{name: x, steps: [{{say: 抽, expect: {{text: [{listed}]}}}}]}}]", book)
            == []
        )


class TestHandlers:
    def test_apart_ones_are_named_and_not_run(self) -> None:
        plugin = Router("weather")

        @plugin.apart(Keyword("天气"))
        async def today(_: Any) -> None:
            raise AssertionError("the tester must not run it")

        text = "[{name: x, steps: [{say: 嗯}, {say: 天气, expect: {apart: weather.today}}, {say: 嗯}]}]"
        assert failures(text, routers=[plugin]) == []
        said = texts(text, routers=[plugin])
        assert said[1] == ""
        assert "找我" not in said[2], "an answer ends the misses"
        assert failures(text) == [(2, "apart")]

    def test_one_that_fails_is_an_apology(self) -> None:
        plugin = Router("broken")

        @plugin.decide(Keyword("坏"))
        def broken(_: Snapshot) -> Decision:
            raise ZeroDivisionError

        (outcome,) = run("[{name: x, steps: [{say: 坏}]}]", routers=[plugin])
        came = outcome.steps[0].came
        assert came is not None
        assert "出了点问题" in came.text
        assert came.why["fault"] == "ZeroDivisionError"

    def test_what_cannot_be_used_is_named(self) -> None:
        book = stored(rules=[rule("飞", [[{"do": "fly"}]]), rule("走", say("好"))])
        offline = Offline(book, ACCOUNT)
        assert [(one.what, one.name) for one in offline.broken] == [("rule", "飞")]


class TestExpectations:
    @pytest.mark.parametrize(
        "met",
        [
            "text: 您好",
            "text: [您好, 别的]",
            "contains: 您",
            "contains: [您, 好]",
            "matches: ^您.$",
            "rule: 你好",
            "rule: 你好, missed: false, nothing: false",
            "binding: null",
            "flow: null",
            "apart: null",
            "tags: []",
        ],
    )
    def test_met(self, met: str) -> None:
        assert failures(f"[{{name: x, steps: [{{say: 你好, expect: {{{met}}}}}]}}]") == []

    @pytest.mark.parametrize(
        "unmet",
        [
            "text: 你好",
            "text: [你好, 别的]",
            "contains: [您, 坏]",
            "matches: ^好",
            "rule: 别的",
            "rule: null",
            "binding: menu today",
            "flow: 订位",
            "step: size",
            "missed: true",
            "tags: 会员",
            "nothing: true",
            "apart: weather.today",
        ],
    )
    def test_not_met(self, unmet: str) -> None:
        what = unmet.partition(":")[0]
        assert failures(f"[{{name: x, steps: [{{say: 你好, expect: {{{unmet}}}}}]}}]") == [
            (1, what)
        ]

    def test_a_failure_says_what_came_and_why(self) -> None:
        (outcome,) = run("[{name: x, steps: [{say: 你好, expect: {text: 别的}}]}]")
        (failure,) = judge(outcome).steps[0].failures
        assert (failure.wanted, failure.came) == ("别的", "您好")
        found = report([outcome], None, (), "en")
        came = found.conversations[0].steps[0].came
        assert came is not None
        assert (came.rule, came.reason) == ("你好", "only this rule matches")
        assert (found.passed, found.failed, found.expected) == (False, 1, 1)


class TestDifferences:
    def test_only_what_the_follower_or_the_shop_would_notice(self) -> None:
        text = "[{name: x, steps: [{say: 你好}, {say: 入会}, {say: 没有}, {say: 订位}]}]"
        now = stored(
            rules=[
                rule("你好", say("您好"), name="另一个名字"),
                rule("入会", say("欢迎")),
                rule("没有", say("有了")),
                rule("订位", [[{"do": "start_flow", "with": {"flow": "订位"}}]]),
            ],
            flows=[BOOKING],
        )
        found = differences(run(text), run(text, now))
        assert [(one.number, one.label) for one in found] == [(2, "say 入会"), (3, "say 没有")]
        assert found[1].before.missed
        assert found[1].now.text == "有了"
        assert differences(run(text), run(text)) == []


class TestFiles:
    def mistakes(self, text: str) -> list[tuple[str, str]]:
        with pytest.raises(Mistakes) as raised:
            read_script(text.encode())
        return [(one.place, one.problem) for one in raised.value.shown]

    def test_every_mistake_is_listed_with_its_place_and_line(self) -> None:
        text = """
- name: 一
  steps:
    - {say: 你好, tap: x}
    - {say: true}
    - {wait: soon}
- name: 二
  at: tomorrow
  fellower: {}
  steps:
    - {say: 你好, expect: {rules: x, matches: "("}}
    - {wait: 1h, expect: {text: x}}
- name: 三
  steps: []
"""
        with pytest.raises(Mistakes) as raised:
            read_script(text.encode())
        found = [(one.line, one.place) for one in raised.value.shown]
        assert found == [
            (4, "[0].steps[0]"),
            (5, "[0].steps[1].say"),
            (6, "[0].steps[2].wait"),
            (8, "[1].at"),
            (9, "[1].fellower"),
            (11, "[1].steps[0].expect.matches"),
            (11, "[1].steps[0].expect.rules"),
            (12, "[1].steps[1]"),
            (14, "[2].steps"),
        ]
        chinese = [one.chinese for one in raised.value.shown]
        assert chinese[1] == "请加引号，否则会被读作“是/否”"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "just words",
            "{name: x}",
            "[]",
            "conversations: []",
            "{conversations: [{name: x, steps: [{say: y}]}], rules: []}",
            "- &a {name: x, steps: [{say: y}]}\n- *a",
            "[{name: x, steps: [{say: y}]}",
            '{"conversations": [{"name": "x", "steps": [{"say": "y"}]}], "conversations": []}',
        ],
    )
    def test_what_is_no_script(self, text: str) -> None:
        assert self.mistakes(text)

    def test_bounds(self) -> None:
        step = "{say: x}"
        most = f"[{{name: x, steps: [{', '.join([step] * STEPS)}]}}]"
        assert len(read_script(most.encode()).conversations[0].steps) == STEPS
        over = f"[{{name: x, steps: [{', '.join([step] * (STEPS + 1))}]}}]"
        assert self.mistakes(over)[0][0] == "[0].steps"
        one = "{name: x, steps: [{say: y}]}"
        assert self.mistakes(f"[{', '.join([one] * (CONVERSATIONS + 1))}]")

    def test_numbers_are_what_was_typed(self) -> None:
        script = read_script(b"[{name: 1, steps: [{say: 3}, {say: '8.50'}, {say: 007}]}]")
        steps = script.conversations[0].steps
        assert [step.say for step in steps] == ["3", "8.50", "007"]
        ((place, problem),) = self.mistakes("[{name: 1, steps: [{say: 8.50}]}]")
        assert (place, problem) == (
            "[0].steps[0].say",
            "put it in quotes: 8.50 would be read as 8.5",
        )

    def test_json_is_taken_too(self) -> None:
        script = read_script(
            '{"conversations": [{"name": "x", "steps": [{"say": "你好"}]}]}'.encode()
        )
        assert script.conversations[0].steps[0].say == "你好"

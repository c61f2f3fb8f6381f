"""The built-in handlers in their order, over compiled rules."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.conversation.router import Routing
from app.core.actions import ActionRegistry
from app.core.decisions import KEEP, Decision, FlowState, Snapshot
from app.core.ids import AccountId
from app.core.incoming import Incoming, Kind
from app.core.replies import MenuReply, TextReply
from app.core.rng import pick
from app.engines.replies.actions import register
from app.engines.replies.book import Book
from app.engines.replies.compiled import (
    Stored,
    StoredBinding,
    StoredFlow,
    StoredRule,
    compile_book,
)
from app.engines.replies.flows import Flow
from app.engines.replies.options import OPTIONS
from app.engines.replies.understanding import UNSUPPORTED
from app.handlers import builtin, fallback
from tests.snapshots import CONTACT, NOW, snapshot


def say(*texts: str) -> list[list[dict[str, Any]]]:
    return [[{"do": "reply", "with": {"kind": "text", "text": text}}] for text in texts]


MENU = [
    [
        {
            "do": "reply",
            "with": {
                "kind": "menu",
                "head": "想喝什么？",
                "options": [{"id": "hot", "words": "热饮"}, {"id": "cold", "words": "冷饮"}],
            },
        }
    ]
]
FLOW = {
    "steps": [{"ask": "几杯？", "expect": "number", "save_as": "count"}],
    "finish": say("好")[0],
}
RULES: Sequence[tuple[str, str, list[list[dict[str, Any]]]]] = (
    ("exact", "营业时间", say("九点到九点")),
    ("contains", "咖啡", say("拿铁", "美式", "摩卡")),
    ("exact", "点单", [[{"do": "start_flow", "with": {"flow": "点单"}}]]),
    ("exact", "菜单", MENU),
    ("exact", "热饮", say("热的来了")),
)
BINDINGS: Mapping[tuple[str, str], list[list[dict[str, Any]]]] = {
    ("menu", "today"): say("今日特价"),
    ("menu", "cold"): say("冷的来了"),
    ("scan", "table-1"): say("一号桌"),
    ("follow", ""): say("欢迎"),
    ("follow", "expo"): say("展会欢迎"),
    ("type", "image"): say("好看"),
}


class Shop(Book):
    """A book whose pages are given, not read."""

    def __init__(self, bindings: Mapping[tuple[str, str], Any] = BINDINGS) -> None:
        registry = ActionRegistry()
        register(registry, self)
        self.compiled = compile_book(
            Stored(
                1,
                [
                    StoredRule(n, 1, words, kind, [words], 0, answers)
                    for n, (kind, words, answers) in enumerate(RULES, 1)
                ],
                [
                    StoredBinding(100 + n, 1, on, key, answers)
                    for n, ((on, key), answers) in enumerate(bindings.items())
                ],
                [StoredFlow(200, 1, "点单", FLOW)],
            ),
            registry,
        )
        assert self.compiled.broken == ()

    def current(self, account_id: AccountId) -> Any:
        return self.compiled

    def find_flow(self, account_id: AccountId, name: str, version: int = 0) -> Flow | None:
        return self.compiled.flows.get(name)


routing = Routing(builtin(Shop()))


def decide(incoming: Incoming | str, **how: Any) -> Decision:
    return routing.decide(snapshot(incoming, **how))


def said(decision: Decision) -> str:
    return "|".join(
        step.text if isinstance(step, TextReply) else step.head
        for step in decision.steps
        if isinstance(step, TextReply | MenuReply)
    )


def running(minutes: int = 10, flow: str = "点单") -> FlowState:
    return FlowState(flow, 0, {}, NOW + timedelta(minutes=minutes))


class TestRules:
    def test_answer_and_say_why(self) -> None:
        decision = decide(" 营业时间 ")
        assert said(decision) == "九点到九点"
        assert decision.why == {
            "handler": "keywords.rule",
            "rule": "1",
            "name": "营业时间",
            "kind": "exact",
            "word": "营业时间",
        }
        assert not decision.missed

    def test_one_of_several_answers_by_the_key(self) -> None:
        answers = ["拿铁", "美式", "摩卡"]
        seen = set()
        for n in range(40):
            key = f"w:m:{n}"
            words = said(decide("咖啡", key=key))
            assert words == pick(answers, key) == said(decide("咖啡", key=key))
            seen.add(words)
        assert seen == set(answers)

    def test_only_texts_are_asked(self) -> None:
        assert decide(Incoming(Kind.LINK, text="营业时间")).missed


class TestFlows:
    def test_a_running_dialogue_takes_the_answer_before_any_rule(self) -> None:
        assert said(decide("咖啡", flow=running())).startswith("请回复一个数字")
        done = decide("2", flow=running())
        assert said(done) == "好"
        assert done.flow is None
        assert done.why["handler"] == "flows.step"

    def test_cancel_words_mean_something_only_inside(self) -> None:
        assert said(decide("取消", flow=running())) == "好的，已取消。"
        assert decide("取消").missed

    def test_taps_scans_and_follows_go_past_it(self) -> None:
        tap = decide(Incoming(Kind.MENU, key="today"), flow=running())
        assert (said(tap), tap.flow) == ("今日特价", KEEP)
        follow = decide(Incoming(Kind.FOLLOW), flow=running())
        assert (said(follow), follow.flow) == ("欢迎", None)
        assert decide(Incoming(Kind.UNFOLLOW), flow=running()).flow is None

    def test_one_that_has_expired_or_is_gone_is_not_asked(self) -> None:
        assert said(decide("营业时间", flow=running(-1))) == "九点到九点"
        assert said(decide("营业时间", flow=running(flow="旧的"))) == "九点到九点"

    def test_a_late_answer_is_told_so_once_it_fits_nothing_else(self) -> None:
        late = decide("2", flow=running(-1))
        assert (said(late), late.flow, late.missed) == (fallback.TIMED_OUT, None, False)
        assert decide("2", flow=running(-61)).missed

    def test_rules_start_them(self) -> None:
        decision = decide("点单")
        assert said(decision) == "几杯？"
        assert isinstance(decision.flow, FlowState)


class TestOptions:
    def remembered(self, words: str) -> Decision:
        flow = decide("菜单").flow
        assert isinstance(flow, FlowState)
        assert flow.flow == OPTIONS
        return decide(words, flow=flow)

    def test_a_number_stands_for_the_option(self) -> None:
        assert said(self.remembered("1")) == "热的来了"
        assert said(self.remembered("２")) == "冷的来了"
        assert self.remembered("1").why["handler"] == "options.option"

    def test_other_words_are_taken_as_ever(self) -> None:
        assert said(self.remembered("营业时间")) == "九点到九点"
        assert self.remembered("3").missed
        assert said(self.remembered("菜单")) == "想喝什么？"

    def test_an_expired_menu_is_no_late_answer(self) -> None:
        over = FlowState(OPTIONS, 0, {"1": ["hot", "热饮"]}, NOW - timedelta(minutes=1))
        assert decide("1", flow=over).missed

    def test_an_option_nobody_answers_is_a_miss(self) -> None:
        lost = FlowState(OPTIONS, 0, {"1": ["gone", "没有"]}, NOW + timedelta(minutes=1))
        assert decide("1", flow=lost).missed
        assert said(decide(Incoming(Kind.IMAGE), flow=lost)) == "好看"


@pytest.mark.parametrize(
    ("incoming", "words", "place"),
    [
        (Incoming(Kind.MENU, key="today"), "今日特价", ("menu", "today")),
        (Incoming(Kind.SCAN, key="table-1"), "一号桌", ("scan", "table-1")),
        (Incoming(Kind.SCAN, key="expo"), "展会欢迎", ("follow", "expo")),
        (Incoming(Kind.SCAN, key="unknown"), "欢迎", ("follow", "")),
        (Incoming(Kind.FOLLOW), "欢迎", ("follow", "")),
        (Incoming(Kind.FOLLOW, key="expo"), "展会欢迎", ("follow", "expo")),
        (Incoming(Kind.FOLLOW, key="table-1"), "一号桌", ("scan", "table-1")),
        (Incoming(Kind.FOLLOW, key="unknown"), "欢迎", ("follow", "")),
        (Incoming(Kind.IMAGE, media_id="m"), "好看", ("type", "image")),
        (Incoming(Kind.TEXT, text="要冷的", key="cold"), "冷的来了", ("menu", "cold")),
    ],
)
def test_bindings(incoming: Incoming, words: str, place: tuple[str, str]) -> None:
    decision = decide(incoming)
    assert said(decision) == words
    assert (decision.why["on"], decision.why["key"]) == place
    assert decision.why["handler"] == "bindings.bound"


def test_bindings_for_any_key() -> None:
    book = Shop(
        {
            ("menu", ""): say("任何按钮"),
            ("scan", ""): say("任何码"),
            ("location", ""): say("您在附近"),
            ("type", ""): say("任何消息"),
        }
    )
    every = Routing(builtin(book))
    for incoming, words in (
        (Incoming(Kind.MENU, key="x"), "任何按钮"),
        (Incoming(Kind.SCAN, key="x"), "任何码"),
        (Incoming(Kind.LOCATION), "您在附近"),
        (Incoming(Kind.VOICE), "任何消息"),
        (Incoming(Kind.TEXT, text="嗯"), "任何消息"),
        (Incoming(Kind.TEXT, text=UNSUPPORTED), fallback.STICKER),
        (Incoming(Kind.FOLLOW), fallback.WELCOME),
    ):
        assert said(every.decide(snapshot(incoming))) == words


class TestFallback:
    def test_first_a_kind_word_then_the_contact(self) -> None:
        first, second, third = (decide("嗯？", misses=n) for n in (0, 1, 5))
        assert first.missed
        assert second.missed
        assert said(first) == fallback.NOT_UNDERSTOOD
        assert said(second) == f"{fallback.NOT_UNDERSTOOD_AGAIN}\n{CONTACT}"
        assert said(third) == said(second)
        assert second.why["misses"] == 2

    def test_a_shop_without_contact_words(self) -> None:
        assert said(decide("嗯？", misses=1, contact="")) == fallback.NOT_UNDERSTOOD_AGAIN

    @pytest.mark.parametrize("kind", [Kind.VOICE, Kind.VIDEO, Kind.POSITION, Kind.LINK, Kind.FILE])
    def test_what_is_no_text_is_received(self, kind: Kind) -> None:
        decision = decide(Incoming(kind))
        assert (said(decision), decision.missed) == (fallback.RECEIVED, True)
        assert CONTACT in said(decide(Incoming(kind), misses=1))

    @pytest.mark.parametrize("kind", [Kind.LOCATION, Kind.MENU_LINK, Kind.UNFOLLOW, Kind.OTHER])
    def test_silence_where_nobody_asked(self, kind: Kind) -> None:
        decision = decide(Incoming(kind))
        assert decision.steps == ()
        assert not decision.missed
        assert decision.flow is KEEP

    def test_silence_where_nothing_would_be_shown(self) -> None:
        unseen = Incoming(Kind.MENU, key="photo", answerable=False)
        assert decide(unseen).steps == ()
        assert not decide(unseen).missed

    def test_stickers_get_a_friendly_word(self) -> None:
        decision = decide(UNSUPPORTED)
        assert (said(decision), decision.missed) == (fallback.STICKER, False)

    def test_never_a_dead_end_without_any_binding(self) -> None:
        bare = Routing(builtin(Shop({})))

        def words(incoming: Incoming) -> str:
            snap: Snapshot = snapshot(incoming, flow=running())
            return said(bare.decide(snap))

        assert words(Incoming(Kind.FOLLOW)) == fallback.WELCOME
        assert words(Incoming(Kind.SCAN, key="x")) == fallback.SCANNED
        assert words(Incoming(Kind.MENU, key="x")) == fallback.TAPPED

    @pytest.mark.parametrize("kind", list(Kind))
    @pytest.mark.parametrize("misses", [0, 3])
    def test_every_answerable_contact_is_answered(self, kind: Kind, misses: int) -> None:
        decision = decide(Incoming(kind), misses=misses)
        silent = kind in (Kind.LOCATION, Kind.MENU_LINK, Kind.UNFOLLOW, Kind.OTHER)
        assert bool(decision.steps) is not silent


def test_the_same_snapshot_is_always_decided_alike() -> None:
    snap = snapshot("咖啡")
    assert routing.decide(snap) == routing.decide(replace(snap))


class TestFlowsThatCannotBeCarriedOn:
    """Their plugin was not loaded, or another process knows a newer book."""

    def test_say_so_and_wait(self) -> None:
        decision = decide("2", flow=replace(running(flow="修车"), version=77))
        assert said(decision) == fallback.CUT_OFF
        assert decision.flow is KEEP
        assert (decision.missed, decision.why["cut_off"]) == (True, "修车")

    def test_rules_are_asked_meanwhile(self) -> None:
        assert (
            said(decide("营业时间", flow=replace(running(flow="修车"), version=77))) == "九点到九点"
        )

    def test_a_tap_is_answered_as_ever(self) -> None:
        tapped = Incoming(Kind.MENU, key="none")
        assert (
            said(decide(tapped, flow=replace(running(flow="修车"), version=77))) == fallback.TAPPED
        )

"""Rules and bindings that hold at times or for some; what is switched off; who is left in peace."""

from datetime import timedelta
from typing import Any

import pytest

from app.conversation.router import Routing
from app.core.actions import ActionRegistry
from app.core.decisions import KEEP, Decision, FlowState
from app.core.ids import AccountId
from app.core.incoming import Incoming, Kind
from app.core.replies import TextReply
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
from app.handlers import builtin, fallback
from tests.snapshots import NOW, snapshot

NIGHT = {"daily": [["20:00", "08:00"]]}
"""`NOW` is noon in Shanghai."""
VIP = {"tags": ["vip"]}
FLOW = {"steps": [{"ask": "几杯？", "expect": "number", "save_as": "count"}]}


def say(text: str) -> list[list[dict[str, Any]]]:
    return [[{"do": "reply", "with": {"kind": "text", "text": text}}]]


class Shop(Book):
    def __init__(self, **settings: Any) -> None:
        registry = ActionRegistry()
        register(registry, self)
        rules = [
            StoredRule(1, 1, "贵宾价", "exact", ["价格"], 9, say("贵宾八折"), None, VIP),
            StoredRule(2, 1, "夜间价", "exact", ["价格"], 5, say("夜里九折"), NIGHT, None),
            StoredRule(3, 1, "价格", "contains", ["价格"], 0, say("原价")),
            StoredRule(4, 1, "只在夜里", "exact", ["夜宵"], 0, say("有夜宵"), NIGHT, None),
        ]
        bindings = [
            StoredBinding(11, 1, "menu", "today", say("贵宾今日"), None, VIP),
            StoredBinding(12, 1, "menu", "", say("任何按钮")),
            StoredBinding(13, 1, "follow", "", say("夜里好"), NIGHT, None),
            StoredBinding(14, 1, "menu", "night", say("晚安"), NIGHT, None),
        ]
        stored = Stored(1, rules, bindings, [StoredFlow(20, 1, "点单", FLOW)], settings=settings)
        self.compiled = compile_book(stored, registry)
        assert self.compiled.broken == ()

    def current(self, account_id: AccountId) -> Any:
        return self.compiled

    def find_flow(self, account_id: AccountId, name: str, version: int = 0) -> Flow | None:
        return self.compiled.find_flow(name, version)


def decide(incoming: Incoming | str, settings: Any = None, **how: Any) -> Decision:
    return Routing(builtin(Shop(**(settings or {})))).decide(snapshot(incoming, **how))


def said(decision: Decision) -> str:
    return "|".join(step.text for step in decision.steps if isinstance(step, TextReply))


def menu(key: str) -> Incoming:
    return Incoming(Kind.MENU, key=key)


def running() -> FlowState:
    return FlowState("点单", 0, {}, NOW + timedelta(minutes=10))


class TestRules:
    def test_the_next_best_answers_for_one_that_does_not_hold(self) -> None:
        assert said(decide("价格", tags=["vip"])) == "贵宾八折"
        assert said(decide("价格", now=NOW + timedelta(hours=9))) == "夜里九折"
        noon = decide("价格")
        assert said(noon) == "原价"
        assert noon.why["passed_rules"] == [
            {"rule": "1", "name": "贵宾价", "why": "audience"},
            {"rule": "2", "name": "夜间价", "why": "hours"},
        ]

    def test_the_trace_names_them_also_when_nobody_answers(self) -> None:
        decision = decide("夜宵")
        assert (said(decision), decision.missed) == (fallback.NOT_UNDERSTOOD, True)
        assert decision.why == {
            "handler": "fallback.fallback",
            "passed_rules": [{"rule": "4", "name": "只在夜里", "why": "hours"}],
            "fallback": "missed",
            "misses": 1,
            "missed": True,
        }

    def test_one_that_holds_behind_the_winner_is_not_named(self) -> None:
        assert "passed_rules" not in decide("价格", tags=["vip"]).why


class TestBindings:
    def test_the_next_closest_place_is_tried(self) -> None:
        assert said(decide(menu("today"), tags=["vip"])) == "贵宾今日"
        decision = decide(menu("today"))
        assert said(decision) == "任何按钮"
        assert decision.why["binding"] == "12"
        assert decision.why["passed_bindings"] == [
            {"binding": "11", "on": "menu", "key": "today", "why": "audience"}
        ]
        assert said(decide(menu("night"), now=NOW + timedelta(hours=9))) == "晚安"

    def test_none_that_holds_leaves_it_to_the_fallback(self) -> None:
        decision = decide(Incoming(Kind.FOLLOW))
        assert said(decision) == fallback.WELCOME
        assert decision.why["passed_bindings"][0]["why"] == "hours"
        assert said(decide(Incoming(Kind.FOLLOW), now=NOW + timedelta(hours=9))) == "夜里好"

    def test_an_option_of_a_menu_in_numbers_is_bound_alike(self) -> None:
        flow = FlowState(OPTIONS, 0, {"1": ["today", "今日"]}, NOW + timedelta(minutes=1))
        decision = decide("1", flow=flow)
        assert decision.missed  # `menu` without a key is for taps of the menu
        told = decide("1", flow=flow, tags=["vip"])
        assert (said(told), told.why["handler"]) == ("贵宾今日", "options.option")


class TestSwitches:
    def test_all_off_leaves_the_fallback_and_running_flows(self) -> None:
        off = {"enabled": False}
        decision = decide("价格", off)
        assert (said(decision), decision.missed) == (fallback.NOT_UNDERSTOOD, True)
        assert decision.why["switched_off"] is True
        assert said(decide(menu("today"), off, tags=["vip"])) == fallback.TAPPED
        assert said(decide("2", off, flow=running())) == "好的，已收到。"

    @pytest.mark.parametrize(
        "incoming", ["价格", "没人懂", menu("today"), Incoming(Kind.IMAGE), Incoming(Kind.SCAN)]
    )
    def test_silence_for_some(self, incoming: Incoming | str) -> None:
        silent = {"silent_for": ["vip", "员工"]}
        decision = decide(incoming, silent, tags=["vip", "新客"])
        assert (decision.steps, decision.missed, decision.flow) == ((), False, KEEP)
        assert decision.why == {"handler": "silence.tagged", "silent": "tag", "tag": "vip"}
        assert decide(incoming, silent, tags=["新客"]).steps

    def test_their_running_flow_goes_on_and_their_follow_ends_it(self) -> None:
        silent = {"silent_for": ["vip"]}
        assert said(decide("2", silent, tags=["vip"], flow=running())) == "好的，已收到。"
        for kind in (Kind.FOLLOW, Kind.UNFOLLOW):
            decision = decide(Incoming(kind), silent, tags=["vip"], flow=running())
            assert (decision.steps, decision.flow) == ((), None)


def test_conditions_and_settings_that_cannot_be_read_are_left_out_and_named() -> None:
    registry = ActionRegistry()
    register(registry, Shop())
    compiled = compile_book(
        Stored(
            1,
            [StoredRule(1, 1, "坏", "exact", ["坏"], 0, say("x"), {"weekdays": [9]}, None)],
            [StoredBinding(2, 1, "menu", "k", say("x"), None, {"tags": "vip"})],
            settings={"synonyms": [["一"]], "silent_for": ["vip"]},
        ),
        registry,
    )
    assert [(one.what, one.id) for one in compiled.broken] == [
        ("rule", 1),
        ("settings", 0),
        ("binding", 2),
    ]
    assert compiled.matcher.find("坏") is None
    assert compiled.bindings == {}
    assert not compiled.silent_for

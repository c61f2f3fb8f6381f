from datetime import UTC, datetime, timedelta

import pytest

from app.conversation.filters import InFlow, Keyword, MenuKey, OfKind, Pattern, Scene
from app.conversation.router import Router, Routing
from app.core.decisions import (
    AccountView,
    ConversationView,
    Decision,
    FlowState,
    FollowerView,
    Snapshot,
)
from app.core.ids import AccountId, ConversationId, FollowerId
from app.core.incoming import Incoming, Kind
from app.core.replies import TextReply

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def snapshot(incoming: Incoming, flow: FlowState | None = None) -> Snapshot:
    return Snapshot(
        account=AccountView(AccountId(1), "shop", "Shop", "Asia/Shanghai", may_send=True),
        key="w:m:1",
        incoming=incoming,
        follower=FollowerView(FollowerId(2), new=False, subscribed=True),
        conversation=ConversationView(ConversationId(3), "bot"),
        flow=flow,
        now=NOW,
    )


def text(words: str) -> Snapshot:
    return snapshot(Incoming(Kind.TEXT, text=words))


def running(flow: str, minutes: int) -> FlowState:
    return FlowState(flow, 0, {}, NOW + timedelta(minutes=minutes))


class TestFilters:
    def test_keyword_is_the_whole_text_however_it_is_typed(self) -> None:
        matches = Keyword("领券", "Menu")
        assert matches(text(" 领券 "))
        assert matches(text("ＭＥＮＵ"))
        assert not matches(text("我要领券"))
        assert not matches(snapshot(Incoming(Kind.IMAGE, text="领券")))

    def test_pattern_is_searched_in_the_text(self) -> None:
        assert Pattern(r"订单\s?\d+")(text("我的订单 123 呢"))
        assert not Pattern(r"订单\d+")(text("订单"))

    def test_keys_and_scenes(self) -> None:
        assert MenuKey("today")(snapshot(Incoming(Kind.MENU, key="today")))
        assert not MenuKey("today")(snapshot(Incoming(Kind.SCAN, key="today")))
        assert Scene("door")(snapshot(Incoming(Kind.SCAN, key="door")))
        assert Scene("door")(snapshot(Incoming(Kind.FOLLOW, key="door")))
        assert not Scene("door")(snapshot(Incoming(Kind.MENU, key="door")))
        assert OfKind(Kind.IMAGE, Kind.VOICE)(snapshot(Incoming(Kind.VOICE)))

    def test_an_expired_dialogue_does_not_count(self) -> None:
        incoming = Incoming(Kind.TEXT, text="x")
        assert InFlow()(snapshot(incoming, running("order", 1)))
        assert InFlow("order")(snapshot(incoming, running("order", 1)))
        assert not InFlow("other")(snapshot(incoming, running("order", 1)))
        assert not InFlow()(snapshot(incoming, running("order", 0)))
        assert not InFlow()(snapshot(incoming))


class TestRouting:
    def test_the_first_that_decides_wins_and_is_named(self) -> None:
        first, second = Router("first"), Router("second")

        @first.decide(Keyword("hi"))
        def passes(_: Snapshot) -> Decision | None:
            return None

        @second.decide(Keyword("hi"))
        def answers(_: Snapshot) -> Decision:
            return Decision.say(TextReply("hello"), rule="7")

        @second.decide()
        def never(_: Snapshot) -> Decision:
            raise AssertionError

        decision = Routing([first, second]).decide(text("hi"))
        assert decision.steps == (TextReply("hello"),)
        assert decision.why == {"handler": "second.answers", "rule": "7"}

    def test_nobody_is_a_value(self) -> None:
        assert Routing([Router("empty")]).decide(text("hi")) == Decision(
            missed=True, why={"handler": None, "missed": True}
        )

    def test_an_apart_handler_is_named_in_the_decision(self) -> None:
        router = Router("weather")

        @router.apart(Keyword("天气"))
        async def today(_: object) -> None:
            return None

        routing = Routing([router])
        assert routing.decide(text("天气")).apart == "weather.today"
        assert routing.aparts == {"weather.today": today}

    def test_two_apart_handlers_of_one_name_are_refused(self) -> None:
        def make() -> Router:
            router = Router("weather")

            @router.apart()
            async def today(_: object) -> None:
                return None

            return router

        with pytest.raises(ValueError, match=r"weather\.today"):
            Routing([make(), make()])

"""While a person is wanted, or there: who answers then, and what becomes of a dialogue."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.core.decisions import KEEP, ConversationView, Decision, FlowState
from app.core.incoming import Incoming, Kind
from app.core.replies import TextReply
from app.engines.replies.options import OPTIONS
from app.engines.support.moves import ReturnToBot
from app.handlers.held import WAITS_FOR
from app.handlers.queued import NOBODY_CAME, RETURNED, STILL_WAITING, WAITED
from tests.handlers.test_handlers import routing, running, said
from tests.snapshots import CONTACT, NOW, snapshot


def decide(
    incoming: Incoming | str, state: str, *, flow: FlowState | None = None, **view: Any
) -> Decision:
    snap = snapshot(incoming, flow=flow)
    conversation = ConversationView(snap.conversation.id, state, **view)
    return routing.decide(replace(snap, conversation=conversation))


class TestHeld:
    @pytest.mark.parametrize("state", ["assigned", "snoozed"])
    @pytest.mark.parametrize("kind", [k for k in Kind if k is not Kind.UNFOLLOW])
    def test_nothing_automatic_answers(self, state: str, kind: Kind) -> None:
        decision = decide(Incoming(kind, text="营业时间", key="today"), state)
        assert decision == Decision(why={"handler": "held.held", "held": state})

    def test_an_unfollow_ends_everything(self) -> None:
        assert decide(Incoming(Kind.UNFOLLOW), "assigned", flow=running()).flow is None

    def test_a_dialogue_waits(self) -> None:
        flow = decide("2", "assigned", flow=running(1)).flow
        assert flow == replace(running(1), paused=True, expires_at=NOW + WAITS_FOR)

    def test_one_that_is_over_stays_so(self) -> None:
        assert decide("2", "assigned", flow=running(-1)).flow is KEEP
        assert decide("2", "assigned", flow=running(5, OPTIONS)).flow is KEEP

    def test_afterwards_the_question_comes_again(self) -> None:
        waiting = replace(running(), paused=True)
        decision = decide("谢谢", "bot", flow=waiting)
        assert said(decision) == "我们接着刚才的：\n几杯？"
        assert isinstance(decision.flow, FlowState)
        assert not decision.flow.paused
        assert said(decide("2", "bot", flow=waiting)) == "好"

    def test_a_tap_is_answered_and_leaves_it_waiting(self) -> None:
        tapped = Incoming(Kind.MENU, key="today")
        assert decide(tapped, "bot", flow=replace(running(), paused=True)).flow is KEEP


class TestQueued:
    def test_what_is_said_is_for_a_person(self) -> None:
        decision = decide("营业时间", "queued", queued_at=NOW)
        assert said(decision) == f"{STILL_WAITING}\n{CONTACT}"
        assert not decision.missed
        assert decision.why["queued"] is True

    def test_at_most_every_five_minutes(self) -> None:
        just = decide("在吗", "queued", queued_at=NOW, said_at=NOW - timedelta(seconds=299))
        assert just.steps == ()
        assert not just.missed
        later = decide("在吗", "queued", queued_at=NOW, said_at=NOW - timedelta(minutes=5))
        assert later.steps != ()

    def test_only_in_the_passive_place(self) -> None:
        unheard = Incoming(Kind.TEXT, text="在吗", answerable=False)
        assert decide(unheard, "queued", queued_at=NOW).steps == ()

    def test_taps_and_scans_are_answered_as_ever(self) -> None:
        assert said(decide(Incoming(Kind.MENU, key="today"), "queued")) == "今日特价"
        assert said(decide(Incoming(Kind.SCAN, key="table-1"), "queued")) == "一号桌"

    def test_an_option_is_a_tap_also_by_its_number(self) -> None:
        tapped = Incoming(Kind.TEXT, text="冷饮", key="cold")
        assert said(decide(tapped, "queued", queued_at=NOW)) == "冷的来了"
        offered = replace(running(5, OPTIONS), answers={"1": ["cold", "冷饮"]})
        assert said(decide("1", "queued", queued_at=NOW, flow=offered)) == "冷的来了"
        assert said(decide("2", "queued", queued_at=NOW, flow=offered)).startswith(STILL_WAITING)

    @pytest.mark.parametrize("words", ["取消", "0", " ０ "])
    def test_who_would_rather_not_wait(self, words: str) -> None:
        decision = decide(words, "queued", queued_at=NOW)
        follower = snapshot("x").follower.id
        assert decision.steps == (TextReply(RETURNED), ReturnToBot(follower, "asked"))

    def test_a_day_without_anybody(self) -> None:
        decision = decide("在吗", "queued", queued_at=NOW - WAITED)
        assert said(decision) == f"{NOBODY_CAME}\n{CONTACT}"
        assert isinstance(decision.steps[1], ReturnToBot)
        assert decision.steps[1].trigger == "waited"

    def test_a_dialogue_begun_meanwhile_goes_on(self) -> None:
        assert said(decide("2", "queued", queued_at=NOW, flow=running())) == "好"

    def test_one_that_a_person_interrupted_goes_on_waiting(self) -> None:
        waiting = replace(running(1), paused=True)
        decision = decide("2", "queued", queued_at=NOW, flow=waiting)
        assert decision.flow == replace(waiting, expires_at=NOW + WAITS_FOR)
        assert said(decision).startswith(STILL_WAITING)

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.core.actions import ActionRegistry
from app.core.decisions import Decision, FlowState, Snapshot
from app.core.errors import Invalid
from app.core.ids import AccountId
from app.core.incoming import Incoming, Kind
from app.core.replies import ArticleReply, MenuReply, TextReply
from app.engines.followers.effects import TagFollower, UntagFollower
from app.engines.replies.actions import NOT_OPEN, register
from app.engines.replies.answers import is_answer
from app.engines.replies.flows import Flow, prepare
from app.engines.replies.placeholders import fill_text
from app.engines.replies.plan_checks import checked
from app.engines.replies.understanding import UNSUPPORTED
from app.engines.replies.walking import advance, begin
from tests.snapshots import NOW, snapshot

ORDER: Mapping[str, Any] = {
    "name": "点单",
    "steps": [
        {"ask": "要多大？", "expect": "choice", "choices": ["中杯", "大杯"], "save_as": "size"},
        {
            "ask": "{size}要几杯？",
            "expect": "number",
            "save_as": "count",
            "minimum": 1,
            "maximum": 9,
        },
    ],
    "expires_seconds": 600,
    "finish": [
        {"do": "tag", "with": {"names": ["点过{size}"]}},
        {"do": "reply", "with": {"kind": "text", "text": "{count} 杯{size}，马上好。{other}"}},
    ],
}


class Shelf:
    """Flows by name, as the book has them."""

    def __init__(self) -> None:
        self.flows: dict[str, Flow] = {}
        self.registry = ActionRegistry()
        register(self.registry, self)

    def find_flow(self, account_id: AccountId, name: str, version: int = 0) -> Flow | None:
        return self.flows.get(name)

    def add(self, written: Mapping[str, Any]) -> Flow:
        flow = prepare(checked(written), self.registry)
        self.flows[flow.plan.name] = flow
        return flow


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def order(**other: object) -> dict[str, Any]:
    written = {**ORDER, **other}
    if "finish" not in other:
        written["finish"] = [ORDER["finish"][0], {**SAY_ORDER}]
    return written


SAY_ORDER = {"do": "reply", "with": {"kind": "text", "text": "{count} 杯{size}，马上好。"}}


def one_step(**step: object) -> dict[str, Any]:
    return {"name": "问", "steps": [{"ask": "请回答", "save_as": "answer", **step}]}


def said(decision: Decision | None) -> str:
    assert decision is not None
    (step,) = [s for s in decision.steps if isinstance(s, TextReply | MenuReply)]
    return step.text if isinstance(step, TextReply) else step.head


def state_of(decision: Decision | None) -> FlowState:
    assert decision is not None
    assert isinstance(decision.flow, FlowState)
    return decision.flow


def answered(flow: Flow, state: FlowState, words: str | Incoming) -> Decision:
    decision = advance(flow, state, snapshot(words))
    assert decision is not None
    return decision


class TestTwoSteps:
    def test_from_the_first_question_to_the_end(self, shelf: Shelf) -> None:
        flow = shelf.add(order())
        first = begin(flow, snapshot("点单"))
        assert first.steps == (MenuReply("要多大？", (("size:1", "中杯"), ("size:2", "大杯"))),)
        assert first.flow == FlowState("点单", 0, {}, NOW + timedelta(minutes=10))
        assert first.why == {
            "flow": "点单",
            "step": "size",
            "outcome": "begun",
            "begins": "0",
        }

        second = answered(flow, state_of(first), "2")
        assert second.steps == (TextReply("大杯要几杯？"),)
        assert state_of(second).answers == {"size": "大杯"}
        assert state_of(second).step == 1

        last = answered(flow, state_of(second), "两杯")
        follower = snapshot("x").follower.id
        assert last.steps == (
            TagFollower(follower, "点过大杯", "w:m:1"),
            TextReply("2 杯大杯，马上好。"),
        )
        assert last.flow is None
        assert last.why == {"flow": "点单", "step": "count", "outcome": "finished"}

    def test_an_answer_that_does_not_fit_is_asked_for_again_with_a_way_out(
        self, shelf: Shelf
    ) -> None:
        flow = shelf.add(order())
        first = state_of(begin(flow, snapshot("点单")))
        again = answered(flow, first, "特大杯？")
        assert isinstance(again.steps[0], MenuReply)
        assert said(again) == "请从下面选一项，回复序号即可。\n（回复「取消」可以退出）"
        assert state_of(again).step == 0
        second = state_of(answered(flow, first, "大杯"))
        assert said(answered(flow, second, "10")).startswith("请回复一个数字，例如 2。（1 到 9）")
        assert state_of(answered(flow, second, "0")).answers == {"size": "大杯"}

    def test_each_answer_gives_the_full_time_anew(self, shelf: Shelf) -> None:
        flow = shelf.add(order())
        first = state_of(begin(flow, snapshot("点单")))
        later = replace(snapshot("大杯"), now=NOW + timedelta(minutes=9))
        assert state_of(advance(flow, first, later)).expires_at == NOW + timedelta(minutes=19)

    @pytest.mark.parametrize("words", ["取消", " 取消 ", "ＱＵＩＴ"])
    def test_cancel_words_end_it(self, shelf: Shelf, words: str) -> None:
        flow = shelf.add(order(cancel_words=["取消", "quit"], cancelled="下次再来。"))
        decision = answered(flow, state_of(begin(flow, snapshot("点单"))), words)
        assert decision.steps == (TextReply("下次再来。"),)
        assert decision.flow is None
        assert decision.why["outcome"] == "cancelled"

    def test_a_state_beyond_a_shortened_flow_is_passed_on(self, shelf: Shelf) -> None:
        flow = shelf.add(order())
        assert advance(flow, FlowState("点单", 2, {}, NOW), snapshot("2")) is None
        assert advance(flow, FlowState("点单", -1, {}, NOW), snapshot("2")) is None


@pytest.mark.parametrize(
    ("step", "answer", "saved"),
    [
        ({}, "随便写", "随便写"),
        ({"expect": "phone"}, "138 0013 8000", "13800138000"),
        ({"expect": "date"}, "明天", "2026-01-02"),
        ({"expect": "number"}, "三", 3),
        ({"expect": "picture"}, Incoming(Kind.IMAGE, media_id="m"), "m"),
    ],
)
def test_answers_reach_the_finish(
    shelf: Shelf, step: dict[str, Any], answer: str | Incoming, saved: object
) -> None:
    text = {"do": "reply", "with": {"kind": "text", "text": "收到：{answer}"}}
    flow = shelf.add(one_step(**step) | {"finish": [text]})
    decision = answered(flow, state_of(begin(flow, snapshot("x"))), answer)
    assert decision.steps == (TextReply(f"收到：{saved}"),)


def test_the_day_is_that_of_the_account(shelf: Shelf) -> None:
    text = {"do": "reply", "with": {"kind": "text", "text": "{answer}"}}
    flow = shelf.add(one_step(expect="date") | {"finish": [text]})
    state = state_of(begin(flow, snapshot("x")))
    late = replace(snapshot("今天"), now=NOW.replace(hour=17))
    assert said(advance(flow, state, late)) == "2026-01-02"


def test_a_position_is_shown_by_its_label(shelf: Shelf) -> None:
    text = {"do": "reply", "with": {"kind": "text", "text": "送到{answer}"}}
    flow = shelf.add(one_step(expect="position") | {"finish": [text]})
    place = Incoming(Kind.POSITION, text="人民广场", data={"latitude": 1.0, "longitude": 2.0})
    state = state_of(begin(flow, snapshot("x")))
    assert said(answered(flow, state, place)) == "送到人民广场"
    assert said(answered(flow, state, "人民广场")).startswith("请点「+」")


def test_a_sticker_is_no_answer(shelf: Shelf) -> None:
    flow = shelf.add(one_step())
    decision = answered(flow, state_of(begin(flow, snapshot("x"))), UNSUPPORTED)
    assert decision.why["outcome"] == "asked again"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"retry": "再来一次"}, "再来一次"),
        ({"expect": "number", "minimum": 2}, "请回复一个数字，例如 2。（不小于 2）"),
        ({"expect": "number", "maximum": 8}, "请回复一个数字，例如 2。（不大于 8）"),
        ({"expect": "number"}, "请回复一个数字，例如 2。"),
    ],
)
def test_retry_words(shelf: Shelf, step: dict[str, Any], words: str) -> None:
    flow = shelf.add(one_step(**step))
    decision = answered(flow, state_of(begin(flow, snapshot("x"))), Incoming(Kind.LINK))
    assert said(decision) == f"{words}\n（回复「取消」可以退出）"


def test_without_finish_actions_it_is_still_no_dead_end(shelf: Shelf) -> None:
    flow = shelf.add(one_step())
    decision = answered(flow, state_of(begin(flow, snapshot("x"))), "好")
    assert said(decision) == "好的，已收到。"
    assert decision.flow is None


def test_a_flow_may_end_in_another(shelf: Shelf) -> None:
    shelf.add(order())
    flow = shelf.add(one_step() | {"finish": [{"do": "start_flow", "with": {"flow": "点单"}}]})
    decision = answered(flow, state_of(begin(flow, snapshot("x"))), "好")
    assert said(decision) == "要多大？"
    assert state_of(decision).flow == "点单"
    del shelf.flows["点单"]
    decision = answered(flow, state_of(begin(flow, snapshot("x"))), "好")
    assert decision.steps == (TextReply(NOT_OPEN),)
    assert decision.flow is None


def test_what_a_follower_writes_is_never_a_placeholder(shelf: Shelf) -> None:
    steps = [{"ask": "名字？", "save_as": "name"}, {"ask": "{name}，电话？", "save_as": "phone"}]
    text = {"do": "reply", "with": {"kind": "text", "text": "{name} {phone}"}}
    flow = shelf.add({"name": "问", "steps": steps, "finish": [text]})
    second = answered(flow, state_of(begin(flow, snapshot("x"))), "{phone} {0.__class__} %s")
    assert said(second) == "{phone} {0.__class__} %s，电话？"
    assert said(answered(flow, state_of(second), "1")) == "{phone} {0.__class__} %s 1"
    assert fill_text("{unknown} {Size} {}", {"size": 1}) == "{unknown} {Size} {}"


def test_texts_at_any_depth_of_an_action_are_filled(shelf: Shelf) -> None:
    article = {
        "do": "reply",
        "with": {
            "kind": "article",
            "title": "给{answer}",
            "url": "https://shop.example/?n={answer}",
        },
    }
    menu = {
        "do": "reply",
        "with": {"kind": "menu", "head": "好", "options": [{"id": "a", "words": "再来{answer}"}]},
    }
    flow = shelf.add(one_step() | {"finish": [article, menu]})
    decision = answered(flow, state_of(begin(flow, snapshot("x"))), "小王")
    assert decision.steps == (
        ArticleReply("给小王", "", "", "https://shop.example/?n=小王"),
        MenuReply("好", (("a", "再来小王"),)),
    )


def test_filled_tags_fit_their_column(shelf: Shelf) -> None:
    tags = {"do": "tag", "with": {"names": ["{answer}", " {answer} "]}}
    untag = {"do": "untag", "with": {"names": ["{answer}"]}}
    flow = shelf.add(one_step() | {"finish": [tags, untag]})
    decision = answered(flow, state_of(begin(flow, snapshot("x"))), "长" * 40)
    names = [s.name for s in decision.steps if isinstance(s, TagFollower | UntagFollower)]
    assert names == ["长" * 30, "长" * 30]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"steps": []}, "at least 1"),
        ({"steps": [{"ask": " ", "save_as": "a"}]}, "visible"),
        ({"steps": [{"ask": "a\x00", "save_as": "a"}]}, r"U\+0000"),
        ({"steps": [{"ask": "问", "save_as": "A"}]}, "pattern"),
        ({"steps": [{"ask": "问", "save_as": "a", "expect": "choice"}]}, "choices are needed"),
        ({"steps": [{"ask": "问", "save_as": "a", "choices": ["甲"]}]}, "choices are needed"),
        (
            {"steps": [{"ask": "问", "save_as": "a", "expect": "choice", "choices": ["A", "ａ"]}]},
            "read the same",
        ),
        ({"steps": [{"ask": "问", "save_as": "a", "minimum": 1}]}, "for expect: number"),
        (
            {
                "steps": [
                    {"ask": "问", "save_as": "a", "expect": "number", "minimum": 2, "maximum": 1}
                ]
            },
            "above maximum",
        ),
        ({"steps": [{"ask": "问", "save_as": "a"}] * 2}, "two steps save as a"),
        ({"steps": [{"ask": "{later}", "save_as": "later"}]}, "no earlier step saves {later}"),
        (
            {"finish": [{"do": "tag", "with": {"names": ["{typo}"]}}]},
            "no earlier step saves {typo}",
        ),
        ({"expires_seconds": 5}, "greater than or equal to 60"),
        ({"cancel_words": []}, "at least 1"),
        ({"name": "~options"}, "pattern"),
        ({"surplus": 1}, "not permitted"),
    ],
)
def test_plans_that_are_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(Invalid, match=problem.replace("{", r"\{")):
        checked({**order(), **change})


def test_finishing_actions_are_checked(shelf: Shelf) -> None:
    with pytest.raises(Invalid, match=r"finish\[0\]\.do: unknown action 'dance'"):
        shelf.add(order(finish=[{"do": "dance"}]))


@pytest.mark.parametrize("kind", list(Kind))
def test_taps_scans_and_follows_are_no_answers(kind: Kind) -> None:
    spoken = {"text", "image", "voice", "video", "position", "link", "file", "mini_program"}
    assert is_answer(Incoming(kind)) is (kind.value in spoken)


def test_snapshots_are_not_touched(shelf: Shelf) -> None:
    flow = shelf.add(order())
    state = FlowState("点单", 0, {}, NOW)
    snap: Snapshot = snapshot("大杯", flow=state)
    advance(flow, state, snap)
    assert state.answers == {}
    assert snap == snapshot("大杯", flow=state)

"""Branches, ways back, several answers, hand-overs: the way through a dialogue."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from app.core.actions import Action, ActionRegistry
from app.core.decisions import Decision, FlowState, Snapshot
from app.core.errors import Invalid
from app.core.ids import AccountId
from app.core.incoming import Incoming, Kind
from app.core.replies import MenuReply, TextReply
from app.engines.followers.effects import TagFollower
from app.engines.replies.actions import register
from app.engines.replies.flows import Flow, prepare
from app.engines.replies.plan_checks import checked
from app.engines.replies.walking import DONE, NESTED_LIMIT, PATH_LIMIT, advance, begin
from app.engines.support import actions as support
from app.engines.support.actions import HANDED_OVER
from app.engines.support.moves import HandOver
from tests.snapshots import CONTACT, NOW, snapshot


def say(text: str) -> dict[str, Any]:
    return {"do": "reply", "with": {"kind": "text", "text": text}}


def tag(name: str) -> dict[str, Any]:
    return {"do": "tag", "with": {"names": [name]}}


SIZE: Mapping[str, Any] = {"ask": "几位？", "expect": "number", "minimum": 1, "save_as": "size"}
DAY: Mapping[str, Any] = {"ask": "哪天？", "expect": "date", "save_as": "day"}
PHONE: Mapping[str, Any] = {"ask": "手机号？", "expect": "phone", "save_as": "phone"}
DONE_SAY = say("{size} 位 {day} {phone}")
BIG = [{"if": {"answer": "size", "at_least": 8}, "go": "room"}, {"else": "day"}]
ROOM: Mapping[str, Any] = {
    "ask": "坐哪儿？",
    "expect": "choice",
    "choices": ["包间", "大厅"],
    "save_as": "room",
}


class Chat:
    """One follower with some flows, the way the house would carry them on."""

    def __init__(
        self,
        *flows: dict[str, Any],
        hands_over: bool = True,
        actions: Sequence[type[Action]] = (),
    ) -> None:
        registry = ActionRegistry(actions)
        register(registry, self)
        if hands_over:
            support.register(registry)
        self.flows: dict[str, Flow] = {}
        for number, written in enumerate(flows, 1):
            plan = checked({"name": f"流程{number}", **written})
            self.flows[plan.name] = prepare(plan, registry, number=number, version=1)
        self.state: FlowState | None = None
        self.now = NOW
        self.last: Decision = Decision()

    def find_flow(self, account_id: AccountId, name: str, version: int = 0) -> Flow | None:
        return self.flows.get(name)

    def start(self, text: str = "订位", by: str = "订位", name: str = "流程1") -> str:
        snap = replace(snapshot(text, now=self.now), called_by=by)
        return self._took(begin(self.flows[name], snap))

    def say(self, what: str | Incoming) -> str:
        assert self.state is not None
        snap = snapshot(what, now=self.now, flow=self.state)
        decision = advance(self.flows[self.state.flow], self.state, snap)
        assert decision is not None
        return self._took(decision)

    def _took(self, decision: Decision) -> str:
        self.last = decision
        if decision.flow is None or isinstance(decision.flow, FlowState):
            self.state = decision.flow
        return "|".join(
            step.text if isinstance(step, TextReply) else step.head
            for step in decision.steps
            if isinstance(step, TextReply | MenuReply)
        )

    @property
    def tags(self) -> list[str]:
        return [step.name for step in self.last.steps if isinstance(step, TagFollower)]

    @property
    def why(self) -> Mapping[str, Any]:
        return self.last.why


class TestBranches:
    BOOKING: Mapping[str, Any] = {
        "steps": [{**SIZE, "next": BIG}, ROOM, DAY],
        "finish": [say("{size} 位{room}，{day}")],
    }

    def test_one_way(self) -> None:
        chat = Chat(dict(self.BOOKING))
        chat.start()
        assert chat.say("9") == "坐哪儿？"
        assert chat.why["branch"] == "size at_least 8"
        assert chat.why["to"] == "room"
        assert chat.say("包间") == "哪天？"
        assert chat.say("明天") == "9 位包间，2026-01-02"

    def test_the_other(self) -> None:
        chat = Chat(dict(self.BOOKING))
        chat.start()
        assert chat.say("2") == "哪天？"
        assert (chat.why["outcome"], chat.why["branch"]) == ("saved", "else")
        assert chat.say("明天") == "2 位，2026-01-02", "what was passed by reads as nothing"

    @pytest.mark.parametrize(
        ("condition", "answer", "holds"),
        [
            ({"is": "大杯"}, "大杯", True),
            ({"is": "大杯"}, "中杯", False),
            ({"in": ["小杯", "中杯"]}, "中杯", True),
            ({"in": ["小杯"]}, "中杯", False),
            ({"given": True}, "中杯", True),
            ({"given": False}, "中杯", False),
            ({"is": "大杯", "given": True}, "大杯", True),
        ],
    )
    def test_conditions(self, condition: dict[str, Any], answer: str, holds: bool) -> None:
        branches = [{"if": {"answer": "cup", **condition}, "go": "yes"}, {"else": "no"}]
        chat = Chat(
            {
                "steps": [
                    {
                        "ask": "要哪种？",
                        "expect": "choice",
                        "choices": ["小杯", "中杯", "大杯"],
                        "save_as": "cup",
                        "next": branches,
                    },
                    {"ask": "是", "save_as": "yes"},
                    {"ask": "否", "save_as": "no"},
                ]
            }
        )
        chat.start()
        assert chat.say(answer) == ("是" if holds else "否")

    @pytest.mark.parametrize(
        ("condition", "answer", "holds"),
        [
            ({"at_most": "+7d"}, "2026-01-08", True),
            ({"at_most": "+7d"}, "2026-01-09", False),
            ({"at_least": "2026-02-01"}, "2026-02-01", True),
            ({"at_least": "today"}, "2025-12-31", False),
        ],
    )
    def test_days(self, condition: dict[str, Any], answer: str, holds: bool) -> None:
        branches = [{"if": {"answer": "day", **condition}, "go": "yes"}, {"else": "no"}]
        yes, no = {"ask": "是", "save_as": "yes"}, {"ask": "否", "save_as": "no"}
        chat = Chat({"steps": [{**DAY, "next": branches}, yes, no]})
        chat.start()
        assert chat.say(answer) == ("是" if holds else "否")

    def test_an_answer_that_was_passed_by_is_not_given(self) -> None:
        asked = [{"if": {"answer": "room", "given": True}, "go": "end"}, {"else": "phone"}]
        chat = Chat({"steps": [{**SIZE, "next": BIG}, ROOM, {**DAY, "next": asked}, PHONE]})
        chat.start()
        chat.say("2")
        assert chat.say("明天") == "手机号？"


class TestDoing:
    STEPS: Mapping[str, Any] = {
        "steps": [
            SIZE,
            {"name": "记", "do": [tag("{size} 位"), say("记下 {size} 位")]},
            DAY,
        ],
        "finish": [tag("订过"), say("好")],
    }

    def test_is_done_on_the_way(self) -> None:
        chat = Chat(dict(self.STEPS))
        chat.start()
        assert chat.say("3") == "记下 3 位|哪天？"
        assert chat.tags == ["3 位"]
        assert chat.say("明天") == "好"
        assert chat.tags == ["订过"]

    def test_nobody_goes_back_before_it(self) -> None:
        chat = Chat(dict(self.STEPS))
        chat.start()
        chat.say("3")
        assert chat.state is not None
        assert chat.state.path == (0, DONE)
        assert chat.say("上一步") == "前面没有可以改的了。\n哪天？"
        assert chat.tags == []

    def test_words_alone_are_no_border(self) -> None:
        chat = Chat({"steps": [SIZE, {"do": [say("好的")]}, DAY]})
        chat.start()
        assert chat.say("3") == "好的|哪天？"
        assert chat.say("返回") == "几位？"

    def test_the_first_step_may_do_something(self) -> None:
        chat = Chat({"steps": [{"do": [tag("问过")]}, SIZE]})
        assert chat.start() == "几位？"
        assert chat.tags == ["问过"]
        assert chat.why["step"] == "size"


class TestBack:
    def test_to_the_question_before_and_forth_again(self) -> None:
        chat = Chat({"steps": [SIZE, DAY, PHONE], "finish": [DONE_SAY]})
        chat.start()
        chat.say("2")
        chat.say("明天")
        assert chat.say("上一步") == "哪天？"
        assert chat.why["outcome"] == "back"
        assert chat.say("返回") == "几位？"
        assert chat.state is not None
        assert chat.state.answers == {}
        assert chat.say("返回") == "前面没有可以改的了。\n几位？"
        assert chat.say("5") == "哪天？"
        assert chat.say("后天") == "手机号？"
        assert chat.say("13800138000") == "5 位 2026-01-03 13800138000"

    def test_another_branch_is_taken_then(self) -> None:
        chat = Chat({"steps": [{**SIZE, "next": BIG}, ROOM, DAY], "finish": [say("{room}好")]})
        chat.start()
        chat.say("9")
        chat.say("包间")
        chat.say("上一步")
        chat.say("上一步")
        assert chat.say("2") == "哪天？"
        assert chat.say("明天") == "好"

    def test_a_choice_of_the_same_words_goes_first(self) -> None:
        way = {"ask": "怎么走？", "expect": "choice", "choices": ["返回", "继续"], "save_as": "way"}
        chat = Chat({"steps": [SIZE, way], "finish": [say("{way}了")]})
        chat.start()
        chat.say("1")
        assert chat.say("上一步") == "几位？"
        chat.say("1")
        assert chat.say("返回") == "返回了"

    def test_the_words_are_the_shop_s(self) -> None:
        chat = Chat({"steps": [SIZE, {"ask": "备注？", "save_as": "note"}], "back_words": []})
        chat.start()
        chat.say("1")
        assert chat.say("上一步") == "好的，已收到。"


class TestSeveral:
    BOOKING: Mapping[str, Any] = {"steps": [SIZE, DAY, PHONE], "finish": [DONE_SAY]}

    def test_all_at_once(self) -> None:
        chat = Chat(dict(self.BOOKING))
        assert chat.start("订位 明天 3人 13800138000") == (
            "记下了：3人、明天（2026-01-02）、13800138000。|3 位 2026-01-02 13800138000"
        )
        assert chat.state is None
        assert chat.why["filled"] == ["size", "day", "phone"]

    def test_some_are_said_back_and_the_rest_is_asked(self) -> None:
        chat = Chat(dict(self.BOOKING))
        assert chat.start("订位 明天") == "记下了：明天（2026-01-02）。\n几位？"
        assert chat.say("2") == "手机号？"
        assert chat.say("13800138000") == "2 位 2026-01-02 13800138000"

    def test_an_answer_may_tell_more(self) -> None:
        chat = Chat(dict(self.BOOKING))
        chat.start()
        assert chat.say("3位 明天") == "记下了：3位、明天（2026-01-02）。\n手机号？"
        assert chat.why["filled"] == ["size", "day"]

    def test_but_it_has_to_answer_what_was_asked(self) -> None:
        chat = Chat(dict(self.BOOKING))
        chat.start()
        assert chat.say("明天 13800138000").startswith("请回复一个数字")
        assert chat.state is not None
        assert chat.state.answers == {}

    def test_what_is_not_clear_fills_nothing(self) -> None:
        chat = Chat(dict(self.BOOKING))
        assert chat.start("订位 明天下午三点 3人") == "几位？"
        assert chat.state is not None
        assert chat.state.answers == {}

    def test_going_back_passes_what_was_given_ahead(self) -> None:
        chat = Chat(dict(self.BOOKING))
        chat.start("订位 明天")
        chat.say("2")
        assert chat.say("上一步") == "哪天？"
        assert chat.say("上一步") == "几位？"
        assert chat.say("4") == "哪天？", "what was gone back over is asked again"

    def test_a_branch_is_taken_by_what_was_given_ahead(self) -> None:
        chat = Chat({"steps": [{**SIZE, "next": BIG}, ROOM, DAY]})
        assert chat.start("订位 12人 明天") == "记下了：12人、明天（2026-01-02）。\n坐哪儿？"
        assert chat.why["branch"] == "size at_least 8"

    def test_a_tapped_option_is_not_read(self) -> None:
        chat = Chat(dict(self.BOOKING))
        tapped = Incoming(Kind.TEXT, text="明天 3人", key="help.book")
        decision = begin(chat.flows["流程1"], snapshot(tapped))
        assert decision.steps == (TextReply("几位？"),)

    def test_what_answered_one_flow_does_not_answer_the_next(self) -> None:
        other = {"do": "start_flow", "with": {"flow": "流程2"}}
        chat = Chat({"steps": [DAY], "finish": [other]}, {"steps": [{**DAY, "ask": "到哪天？"}]})
        chat.start()
        assert chat.say("明天") == "到哪天？"
        assert chat.state is not None
        assert chat.state.answers == {}

    def test_a_loop_asks_again_what_was_given_ahead(self) -> None:
        again = [{"if": {"answer": "ok", "is": "对"}, "go": "end"}, {"else": "size"}]
        confirm = {
            "ask": "{size} 位，对吗？",
            "expect": "choice",
            "choices": ["对", "不对"],
            "save_as": "ok",
            "next": again,
        }
        chat = Chat({"steps": [SIZE, confirm], "finish": [say("{size} 位")]})
        assert chat.start("订位 3人").endswith("3 位，对吗？")
        assert chat.say("不对") == "几位？"
        assert chat.say("4") == "4 位，对吗？"
        assert chat.say("对") == "4 位"


class TestNotUnderstood:
    def test_never_the_same_words_and_an_end(self) -> None:
        chat = Chat({"steps": [SIZE, DAY]})
        chat.start()
        heard = [chat.say("很多") for _ in range(4)]
        assert len(set(heard)) == 4
        assert "几位？" in heard[1]
        assert "回复「人工」" in heard[2]
        assert "回复「取消」" in heard[2]
        assert CONTACT in heard[2]
        assert CONTACT in heard[3]
        assert chat.state is None
        assert chat.why["outcome"] == "given up"

    def test_an_understood_answer_starts_anew(self) -> None:
        chat = Chat({"steps": [SIZE, DAY]})
        chat.start()
        first = chat.say("很多")
        chat.say("很多")
        chat.say("2")
        assert chat.state is not None
        assert chat.state.misses == 0
        chat.say("上一步")
        assert chat.say("很多") == first

    def test_without_anybody_to_hand_over_to_none_is_offered(self) -> None:
        chat = Chat({"steps": [SIZE]}, hands_over=False)
        chat.start()
        heard = [chat.say("很多") for _ in range(3)]
        assert "人工」" not in heard[2]
        assert CONTACT in chat.say("人工")
        assert chat.state is None


class TestHandingOver:
    def test_a_step_hands_over(self) -> None:
        person = {"name": "人", "hand_over": "{size} 位太多了，请稍候。"}
        branches = [{"if": {"answer": "size", "at_least": 50}, "go": "人"}, {"else": "end"}]
        chat = Chat({"steps": [{**SIZE, "next": branches}, person]})
        chat.start()
        assert chat.say("60") == f"60 位太多了，请稍候。\n{CONTACT}"
        assert chat.last.steps[-1] == HandOver(snapshot("x").follower.id, "action")
        assert chat.state is None
        assert chat.last.flow is None
        assert chat.why["outcome"] == "handed over"

    @pytest.mark.parametrize("words", ["人工", " 转人工 "])
    def test_so_do_words_also_in_a_text_question(self, words: str) -> None:
        chat = Chat({"steps": [{"ask": "备注？", "save_as": "note"}]})
        chat.start()
        assert chat.say(words) == f"{HANDED_OVER}\n{CONTACT}"
        assert chat.state is None

    def test_so_does_an_action(self) -> None:
        chat = Chat({"steps": [SIZE, {"do": [tag("急"), {"do": "handoff"}]}, DAY]})
        chat.start()
        assert chat.say("3") == f"{HANDED_OVER}\n{CONTACT}"
        assert chat.tags == ["急"]
        assert chat.state is None


class TestRoundAndRound:
    def test_a_loop_with_a_question_is_bounded(self) -> None:
        chat = Chat({"steps": [{**SIZE, "next": "size"}]})
        chat.start()
        for _ in range(PATH_LIMIT - 1):
            assert chat.say("2") == "几位？"
        assert chat.say("2").startswith("抱歉，这里绕了一大圈")
        assert isinstance(chat.last.steps[-1], HandOver)
        assert chat.state is None
        assert chat.why["lost"] == "path"

    def test_a_flow_that_starts_itself_anew(self) -> None:
        again = {"do": "start_flow", "with": {"flow": "流程1"}}
        chat = Chat({"steps": [SIZE], "finish": [say("{size} 位"), again]})
        chat.start()
        assert chat.say("2") == "2 位|几位？"
        assert chat.state is not None
        assert (chat.state.path, chat.state.answers) == ((), {})
        assert chat.why["begins"] == "1"
        assert chat.why["outcome"] == "finished"

    def test_flows_that_start_each_other_without_a_question(self) -> None:
        def other(name: str) -> dict[str, Any]:
            return {"steps": [{"do": [tag("绕"), {"do": "start_flow", "with": {"flow": name}}]}]}

        chat = Chat(other("流程2"), other("流程1"))
        assert chat.start().startswith("抱歉，这里绕了一大圈")
        assert len(chat.tags) == NESTED_LIMIT
        assert chat.state is None

    def test_the_rest_of_the_list_is_done_after_a_start(self) -> None:
        start = {"do": "start_flow", "with": {"flow": "流程2"}}
        chat = Chat({"steps": [{"do": [start, tag("后")]}, SIZE]}, {"steps": [DAY]})
        assert chat.start() == "哪天？"
        assert chat.tags == ["后"]
        assert chat.state is not None
        assert chat.state.flow == "流程2"


class TestAfterAPerson:
    def paused(self, chat: Chat) -> None:
        assert chat.state is not None
        chat.state = replace(chat.state, paused=True)

    def test_the_question_is_asked_again(self) -> None:
        chat = Chat({"steps": [SIZE, DAY]})
        chat.start()
        self.paused(chat)
        assert chat.say("谢谢你们") == "我们接着刚才的：\n几位？"
        assert chat.why["outcome"] == "resumed"
        assert chat.state is not None
        assert not chat.state.paused
        assert chat.say("2") == "哪天？"

    def test_unless_it_is_clearly_answered(self) -> None:
        chat = Chat({"steps": [SIZE, DAY]})
        chat.start()
        self.paused(chat)
        assert chat.say("2位") == "哪天？"
        assert chat.state is not None
        assert not chat.state.paused

    def test_words_are_no_clear_answer_to_a_text_question(self) -> None:
        chat = Chat({"steps": [{"ask": "备注？", "save_as": "note"}]})
        chat.start()
        self.paused(chat)
        assert chat.say("好的谢谢") == "我们接着刚才的：\n备注？"
        assert chat.say("不要辣") == "好的，已收到。"

    def test_cancelling_is_heard(self) -> None:
        chat = Chat({"steps": [SIZE]})
        chat.start()
        self.paused(chat)
        assert chat.say("取消") == "好的，已取消。"


class TestLimits:
    @pytest.mark.parametrize(
        ("step", "good", "bad", "hint"),
        [
            (
                {"expect": "date", "earliest": "today", "latest": "+30d"},
                "2026-01-31",
                "2026-02-01",
                "（2026-01-01 到 2026-01-31）",
            ),
            ({"expect": "date", "earliest": "+1d"}, "明天", "今天", "（不早于 2026-01-02）"),
            ({"expect": "date", "latest": "2026-05-01"}, "5月1日", "5月2日", "（不晚于"),
            ({"pattern": "[A-Z]{2}\\d{3}"}, "ab123", "ab1234", "请用文字回复"),
            ({"max_length": 4}, "四个字内", "五个字以上", "（4 字以内）"),
        ],
    )
    def test_of_answers(self, step: dict[str, Any], good: str, bad: str, hint: str) -> None:
        chat = Chat({"steps": [{"ask": "？", "save_as": "a", **step}]})
        chat.start()
        assert hint in chat.say(bad)
        assert chat.say(good) == "好的，已收到。"

    def test_a_state_of_another_plan_is_passed_on(self) -> None:
        chat = Chat({"steps": [SIZE, {"do": [tag("x")]}]})
        chat.start()
        assert chat.state is not None
        for step in (1, 2, -1):
            strange = replace(chat.state, step=step)
            assert advance(chat.flows["流程1"], strange, snapshot("2")) is None

    def test_time_counts_anew_from_each_question(self) -> None:
        chat = Chat({"steps": [SIZE, DAY], "expires_seconds": 60})
        chat.start()
        chat.now += timedelta(seconds=50)
        chat.say("很多")
        assert chat.state is not None
        assert chat.state.expires_at == NOW + timedelta(seconds=110)
        assert chat.state.version == chat.flows["流程1"].edition


class TestSeveralFlowsAtOnce:
    """Flows that begin each other by tens would grow tenfold with each round."""

    START: Mapping[str, Any] = {"do": "start_flow", "with": {"flow": "流程1"}}

    @pytest.mark.parametrize(
        ("plan", "field"),
        [
            ({"steps": [{"do": [START, START]}]}, "plan.steps[0].do"),
            ({"steps": [SIZE], "finish": [START, say("好"), START]}, "plan.finish"),
        ],
    )
    def test_are_refused(self, plan: dict[str, Any], field: str) -> None:
        with pytest.raises(Invalid) as caught:
            Chat(plan)
        assert caught.value.details["field"] == field
        assert "more than one flow" in caught.value.say("en")

    def test_one_that_begins_itself_ends_with_a_person(self) -> None:
        chat = Chat({"steps": [{"do": [say("一圈"), self.START]}]})
        heard = chat.start()
        assert heard.count("一圈") == NESTED_LIMIT
        assert chat.why["lost"] == "nested"
        assert any(isinstance(step, HandOver) for step in chat.last.steps)


class Remind(Action):
    """`shop.remind`: an action with texts inside lists and mappings, answered apart."""

    name: ClassVar[str] = "shop.remind"
    lines: list[str]
    more: dict[str, str]

    def decide(self, snap: Snapshot) -> Decision:
        return Decision(apart=f"shop.{self.lines[0]}{self.more['day']}")

    def preview(self) -> str:
        return "提醒"


@pytest.mark.parametrize("at_the_end", [True, False])
def test_an_action_is_filled_at_any_depth_and_may_be_answered_apart(at_the_end: bool) -> None:
    remind = {"do": "shop.remind", "with": {"lines": ["{size}"], "more": {"day": "{size}"}}}
    plan: dict[str, Any] = {"steps": [SIZE, {"do": [remind]}, DAY]}
    if at_the_end:
        plan = {"steps": [SIZE], "finish": [remind]}
    chat = Chat(plan, actions=[Remind])
    chat.start()
    assert chat.say("3") == ("" if at_the_end else "哪天？")
    assert chat.last.apart == "shop.33"

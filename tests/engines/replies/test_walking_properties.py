"""Whatever the plan and whatever is said: no fault, always an end, and a state that fits the plan."""

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.decisions import Decision, Effect, FlowState
from app.core.incoming import Incoming, Kind
from app.engines.replies.flows import Flow
from app.engines.replies.plan_checks import checked
from app.engines.replies.plan_graph import edges, reachable
from app.engines.replies.walking import DONE, PATH_LIMIT
from tests.engines.replies.test_walking import Chat, say, tag

NAMES = [f"s{n}" for n in range(7)]
SAVED = ["a", "b", "c"]
GOOD: dict[str, str | Incoming] = {
    "text": "不辣",
    "number": "3",
    "phone": "13800138000",
    "date": "明天",
    "choice": "大杯",
    "picture": Incoming(Kind.IMAGE, media_id="m"),
    "position": Incoming(Kind.POSITION, text="人民广场", data={"latitude": 1.0, "longitude": 2.0}),
}


@st.composite
def questions(draw: st.DrawFn, name: str, goes: list[str]) -> dict[str, Any]:
    expect = draw(st.sampled_from(sorted(GOOD)))
    saved = draw(st.sampled_from(SAVED))
    step: dict[str, Any] = {
        "name": name,
        "ask": f"{name} 几位？",
        "expect": expect,
        "save_as": saved,
    }
    if expect == "choice":
        step["choices"] = ["大杯", "中杯"]
    return step | {"next": draw(ways(saved, goes))}


@st.composite
def ways(draw: st.DrawFn, saved: str, goes: list[str]) -> Any:
    go = st.sampled_from(goes)
    if draw(st.booleans()):
        return draw(go)
    conditions = [{"is": "大杯"}, {"in": [3, "不辣"]}, {"given": True}, {"given": False}]
    condition = {"answer": saved, **draw(st.sampled_from(conditions))}
    return [{"if": condition, "go": draw(go)}, {"else": draw(go)}]


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """Only what `checked` takes: steps that nothing leads to are dropped, acts lead on only."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    steps: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        sort = draw(st.sampled_from(["ask", "ask", "ask", "do", "hand"]))
        onwards = [*names[place + 1 :], "end"]
        if sort == "ask":
            steps.append(draw(questions(name, [*names, "end"])))
        elif sort == "do":
            act = draw(st.sampled_from([say("好"), tag("来过")]))
            steps.append({"name": name, "do": [act], "next": draw(st.sampled_from(onwards))})
        else:
            steps.append({"name": name, "hand_over": "请稍候"})
    return {"steps": _reached(steps)}


def _reached(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_name = {step["name"]: step for step in steps}
    found: list[str] = []
    waiting = [steps[0]["name"]]
    while waiting:
        name = waiting.pop()
        if name == "end" or name in found:
            continue
        found.append(name)
        following = by_name[name].get("next", "end")
        ways = [following] if isinstance(following, str) else following
        waiting += [w if isinstance(w, str) else w.get("go", w.get("else")) for w in ways]
    return [step for step in steps if step["name"] in found]


SAYINGS = st.sampled_from(
    [
        *GOOD.values(),
        *("上一步", "返回", "取消", "人工", "3人 明天", "订位 明天 13800138000", "什么？", "", "1"),
        Incoming(Kind.LINK),
        Incoming(Kind.VOICE),
    ]
)


def fits(flow: Flow, state: FlowState) -> None:
    plan = flow.plan
    assert plan.question(state.step) is not None
    assert len(state.path) < PATH_LIMIT
    assert all(place == DONE or plan.question(place) is not None for place in state.path)
    assert set(state.answers) <= set(flow.blank)
    assert 0 <= state.misses <= 3
    assert not state.paused
    assert state.version == flow.edition


def heard(decision: Decision) -> bool:
    return any(not isinstance(step, Effect) for step in decision.steps)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), st.lists(SAYINGS, max_size=25), st.booleans())
def test_a_follower_who_says_anything(
    plan: dict[str, Any], sayings: list[str | Incoming], paused: bool
) -> None:
    chat = Chat(plan)
    flow = chat.flows["流程1"]
    chat.start("订位 明天 3人")
    assert heard(chat.last)
    for what in sayings:
        if chat.state is None:
            break
        fits(flow, chat.state)
        if paused:
            chat.state = replace(chat.state, paused=True)
        chat.say(what)
        assert heard(chat.last), "never silence"
    if chat.state is not None:
        fits(flow, chat.state)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(plans())
def test_a_follower_who_answers_comes_to_an_end(plan: dict[str, Any]) -> None:
    chat = Chat(plan)
    flow = chat.flows["流程1"]
    chat.start()
    for _ in range(PATH_LIMIT + 1):
        if chat.state is None:
            return
        question = flow.plan.question(chat.state.step)
        assert question is not None
        chat.say(GOOD[question.expect])
        assert chat.why["outcome"] != "asked again"
    raise AssertionError(f"still asked after {PATH_LIMIT} answers")


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), st.integers(0, 12))
def test_back_and_forth_leads_to_the_same_question(plan: dict[str, Any], answers: int) -> None:
    chat = Chat(plan)
    flow = chat.flows["流程1"]
    chat.start()
    for _ in range(answers):
        before = chat.state
        if before is None:
            return
        question = flow.plan.question(before.step)
        assert question is not None
        chat.say(GOOD[question.expect])
        after = chat.state
        if after is None or after.path != (*before.path, before.step):
            continue  # over, or something was done for good
        chat.say("上一步")
        assert chat.state is not None
        assert (chat.state.step, chat.state.path) == (before.step, before.path)
        chat.say(GOOD[question.expect])
        assert chat.state == after


@given(plans())
def test_every_written_plan_is_stored_as_it_was_read(plan: dict[str, Any]) -> None:
    read = checked({"name": "流程", **plan})
    written = read.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert checked(written) == read
    assert reachable(edges(read), [0]) == set(range(len(read.steps)))

"""A whole flow as lines that staff can read, in Chinese. Pure."""

from collections.abc import Iterator, Mapping

from app.core.actions import Action
from app.engines.replies.flows import Flow
from app.engines.replies.plans import END, Branch, Condition, Doing, HandingOver, Next, Question

_EXPECTS: Mapping[str, str] = {
    "text": "文字",
    "number": "数字",
    "phone": "手机号",
    "date": "日期",
    "choice": "选项",
    "picture": "图片",
    "position": "位置",
}
_DEMANDS: Mapping[str, str] = {"is": "是", "at_least": "不小于", "at_most": "不大于"}


def preview(flow: Flow) -> list[str]:
    """A line for each step, with what it takes and where it leads; then how it ends."""
    lines: list[str] = []
    for place in range(len(flow.plan.steps)):
        lines.extend(_step(flow, place))
    done = _actions(flow.finish) or "回复：好的，已收到。"
    minutes = flow.plan.expires_seconds / 60
    return [*lines, f"完成：{done}", f"超过 {minutes:g} 分钟没有回答，自动结束。"]


def _step(flow: Flow, place: int) -> Iterator[str]:
    step, name = flow.plan.steps[place], flow.plan.called(place)
    head = f"{place + 1}. {name}："
    match step:
        case Question():
            yield f"{head}{step.ask}（{'，'.join(_takes(step))}）"
            yield from _ways(step.next)
        case Doing():
            yield f"{head}{_actions(flow.done[place])}"
            yield from _ways(step.next)
        case HandingOver():
            yield f"{head}转人工：{step.hand_over}"


def _takes(step: Question) -> Iterator[str]:
    yield _EXPECTS[step.expect]
    if step.choices:
        yield "、".join(step.choices)
    low = step.minimum if step.earliest is None else step.earliest
    high = step.maximum if step.latest is None else step.latest
    if low is not None or high is not None:
        yield f"{_bound(low)} 到 {_bound(high)}"
    if step.pattern:
        yield f"格式 {step.pattern}"


def _bound(limit: float | str | None) -> str:
    if limit is None:
        return "…"
    return limit if isinstance(limit, str) else f"{limit:g}"


def _ways(following: Next | None) -> Iterator[str]:
    if isinstance(following, str):
        yield f"   → {_target(following)}"
    for one in following if isinstance(following, tuple) else ():
        if isinstance(one, Branch):
            yield f"   → {_condition(one.if_)}：{_target(one.go)}"
        else:
            yield f"   → 否则：{_target(one.else_)}"


def _target(name: str) -> str:
    return "完成" if name == END else name


def _condition(condition: Condition) -> str:
    demands = [
        f"{word} {value}"
        for name, word in _DEMANDS.items()
        if (value := getattr(condition, "is_" if name == "is" else name)) is not None
    ]
    if condition.in_ is not None:
        demands.append(f"是 {'、'.join(map(str, condition.in_))} 之一")
    if condition.given is not None:
        demands.append("已回答" if condition.given else "没有回答")
    return f"{condition.answer} {'，'.join(demands)}"


def _actions(actions: tuple[Action, ...]) -> str:
    return "；".join(action.preview() for action in actions)

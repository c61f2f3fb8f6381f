"""Dialogues of several steps: ask, check the answer, keep it, go on. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from app.core.actions import Action, ActionRegistry, run
from app.core.decisions import KEEP, Decision, FlowState, Snapshot
from app.core.incoming import Incoming, Kind
from app.core.problems import invalid
from app.core.replies import MenuReply, Reply, TextReply
from app.core.text import normalise
from app.engines.replies import understanding
from app.engines.replies.fields import FlowName, OptionalSaid, OptionWords, Said
from app.engines.replies.understanding import Value, shown

Expect = Literal["text", "number", "phone", "date", "choice", "picture", "position"]

_ANSWERS = frozenset(
    {
        Kind.TEXT,
        Kind.IMAGE,
        Kind.VOICE,
        Kind.VIDEO,
        Kind.POSITION,
        Kind.LINK,
        Kind.FILE,
        Kind.MINI_PROGRAM,
    }
)
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]{0,19})\}")
_T = TypeVar("_T")

_RETRY: Mapping[str, str] = {
    "text": "请用文字回复（500 字以内）。",
    "number": "请回复一个数字，例如 2。",
    "phone": "请回复 11 位手机号码，例如 13800138000。",
    "date": "请回复日期，例如 明天、5月1日 或 2026-05-01。",
    "choice": "请从下面选一项，回复序号即可。",
    "picture": "请发送一张图片。",
    "position": "请点「+」，选择「位置」发送。",
}
_FINISHED = "好的，已收到。"


class FlowStep(BaseModel):
    """One question, the kind of answer it takes, and the name the answer is kept under."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ask: Said
    expect: Expect = "text"
    choices: Annotated[tuple[OptionWords, ...], Field(max_length=10)] = ()
    save_as: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,19}$")]
    retry: OptionalSaid = ""
    """Said when the answer is not understood; empty for a sentence that fits `expect`."""
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _fits(self) -> "FlowStep":
        if (self.expect == "choice") != bool(self.choices):
            raise ValueError("choices are needed for, and only for, expect: choice")
        if len({normalise(c) for c in self.choices}) != len(self.choices):
            raise ValueError("two choices read the same")
        if (self.minimum is not None or self.maximum is not None) and self.expect != "number":
            raise ValueError("minimum and maximum are for expect: number")
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and low > high:
            raise ValueError("minimum is above maximum")
        return self

    @property
    def retry_words(self) -> str:
        if self.retry:
            return self.retry
        words = _RETRY[self.expect]
        if self.minimum is not None and self.maximum is not None:
            return f"{words}（{self.minimum:g} 到 {self.maximum:g}）"
        if self.minimum is not None:
            return f"{words}（不小于 {self.minimum:g}）"
        if self.maximum is not None:
            return f"{words}（不大于 {self.maximum:g}）"
        return words


class FlowPlan(BaseModel):
    """A dialogue as staff write it.

    `{size}` in a later question or in the finishing actions stands for the answer saved as `size`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: FlowName
    steps: Annotated[tuple[FlowStep, ...], Field(min_length=1, max_length=20)]
    expires_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1800
    """After this long without an answer the dialogue is over; counted anew from each question."""
    cancel_words: Annotated[tuple[OptionWords, ...], Field(min_length=1, max_length=10)] = ("取消",)
    finish: Annotated[tuple[dict[str, Any], ...], Field(max_length=10)] = ()
    """Actions in written form."""
    cancelled: Said = "好的，已取消。"

    @model_validator(mode="after")
    def _names(self) -> "FlowPlan":
        known: set[str] = set()
        for step in self.steps:
            _only_known(f"{step.ask}{step.retry}", known)
            if step.save_as in known:
                raise ValueError(f"two steps save as {step.save_as}")
            known.add(step.save_as)
        for text in _texts(self.finish):
            _only_known(text, known)
        return self


def _only_known(text: str, known: set[str]) -> None:
    unknown = set(_PLACEHOLDER.findall(text)) - known
    if unknown:
        raise ValueError(f"no earlier step saves {{{min(unknown)}}}")


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _texts(v)] if isinstance(value, list | tuple) else []


@dataclass(frozen=True, slots=True)
class Flow:
    """A plan with its finishing actions ready to run."""

    plan: FlowPlan
    finish: tuple[Action, ...]
    id: int = 0


def prepare(plan: FlowPlan, registry: ActionRegistry) -> Flow:
    """Raises `Invalid` for a finishing action that is unknown or wrong."""
    return Flow(
        plan,
        tuple(registry.parse(w, field=f"plan.finish[{n}]") for n, w in enumerate(plan.finish)),
    )


def is_answer(incoming: Incoming) -> bool:
    """Whether a dialogue takes this contact; taps, scans and follows are not meant for it."""
    return incoming.kind in _ANSWERS


def begin(flow: Flow, snap: Snapshot) -> Decision:
    """Asks the first question, forgetting any dialogue the follower was in."""
    asked = _ask(flow, 0, {}, snap, "begun")
    return replace(asked, why={**asked.why, "begins": str(flow.id)})


def advance(flow: Flow, state: FlowState, snap: Snapshot) -> Decision | None:
    """Takes the follower's answer: asks again, asks the next question, or finishes.

    None when the state does not fit the flow any more (it was shortened meanwhile).
    """
    plan = flow.plan
    if not 0 <= state.step < len(plan.steps):
        return None
    step = plan.steps[state.step]
    words = understanding.typed(snap.incoming)
    if words and normalise(words) in {normalise(word) for word in plan.cancel_words}:
        return Decision(
            steps=(TextReply(plan.cancelled),), flow=None, why=_why(flow, step, "cancelled")
        )
    value = understood(step, words, snap)
    if value is None:
        return _ask(flow, state.step, state.answers, snap, "asked again", again=True)
    answers = {**state.answers, step.save_as: value}
    if state.step + 1 < len(plan.steps):
        return _ask(flow, state.step + 1, answers, snap, "saved")
    return _finish(flow, step, answers, snap)


def understood(step: FlowStep, words: str, snap: Snapshot) -> Value | None:
    """The answer as it is kept, or None when it is not what the step expects."""
    match step.expect:
        case "text":
            return understanding.free_text(words)
        case "number":
            return _within(step, understanding.number(words))
        case "phone":
            return understanding.phone(words)
        case "date":
            today = snap.now.astimezone(ZoneInfo(snap.account.timezone)).date()
            return understanding.day(words, today)
        case "choice":
            return understanding.choice(words, step.choices)
        case "picture":
            return understanding.picture(snap.incoming)
        case "position":
            return understanding.position(snap.incoming)


def _within(step: FlowStep, value: float | None) -> float | None:
    if value is None:
        return None
    low = step.minimum is not None and value < step.minimum
    high = step.maximum is not None and value > step.maximum
    return None if low or high else value


def _ask(
    flow: Flow,
    place: int,
    answers: Mapping[str, Any],
    snap: Snapshot,
    outcome: str,
    *,
    again: bool = False,
) -> Decision:
    step = flow.plan.steps[place]
    words = fill_text(step.retry_words if again else step.ask, answers)
    if again:
        words += f"\n（回复「{flow.plan.cancel_words[0]}」可以退出）"
    until = snap.now + timedelta(seconds=flow.plan.expires_seconds)
    return Decision(
        steps=(_question(step, words),),
        flow=FlowState(flow.plan.name, place, answers, until),
        why=_why(flow, step, outcome),
    )


def _question(step: FlowStep, words: str) -> Reply:
    if step.expect != "choice":
        return TextReply(words)
    options = tuple((f"{step.save_as}:{n}", c) for n, c in enumerate(step.choices, 1))
    return MenuReply(words, options)


def _finish(flow: Flow, step: FlowStep, answers: Mapping[str, Any], snap: Snapshot) -> Decision:
    decision = run([fill(action, answers) for action in flow.finish], snap, {})
    why = {**decision.why, **_why(flow, step, "finished")}
    if not decision.steps:
        decision = replace(decision, steps=(TextReply(_FINISHED),))
    return replace(decision, flow=None if decision.flow is KEEP else decision.flow, why=why)


def _why(flow: Flow, step: FlowStep, outcome: str) -> Mapping[str, Any]:
    return {"flow": flow.plan.name, "step": step.save_as, "outcome": outcome}


# --- placeholders ---------------------------------------------------------------------------------


def fill_text(text: str, answers: Mapping[str, Any]) -> str:
    """`{size}` replaced by the answer of that name; what follows braces of any other kind stays.

    One pass over the written text: braces inside an answer mean nothing.
    """
    return _PLACEHOLDER.sub(
        lambda found: shown(answers[found[1]]) if found[1] in answers else found[0], text
    )


def fill(value: _T, answers: Mapping[str, Any]) -> _T:
    """A copy of an action in which every text is filled. Limits are not checked again: what is
    sent is cut to the platform's limits anyway."""
    filled: _T = _filled(value, answers)
    return filled


def _filled(value: Any, answers: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return fill_text(value, answers)
    if isinstance(value, BaseModel):
        fields: Sequence[str] = [*type(value).model_fields]
        return value.model_copy(
            update={name: _filled(getattr(value, name), answers) for name in fields}
        )
    if isinstance(value, tuple):
        return tuple(_filled(item, answers) for item in value)
    return value


def checked(written: Mapping[str, Any], *, field: str = "plan") -> FlowPlan:
    """The plan of a written flow. Raises `Invalid` naming the field."""
    try:
        return FlowPlan.model_validate(written)
    except ValidationError as error:
        raise invalid(error, field) from error

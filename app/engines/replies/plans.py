"""A dialogue as staff write it: data alone. What is wrong with it, `plan_checks` says."""

from datetime import date
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    Tag,
)

from app.engines.replies.fields import FlowName, OptionalSaid, OptionWords, Said, storable
from app.engines.replies.understanding import TEXT_LIMIT

Expect = Literal["text", "number", "phone", "date", "choice", "picture", "position"]
END = "end"
"""Where `next` and `go` lead to the finishing actions."""
STEPS = 40
BRANCHES = 12
ACTIONS = 10

_WRITTEN = ConfigDict(frozen=True, extra="forbid")
_PLAIN = AfterValidator(storable)

Saved = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,19}$")]
"""The name that an answer is kept under."""
StepName = Annotated[str, StringConstraints(min_length=1, max_length=40), _PLAIN]
DayBound = Annotated[
    str,
    BeforeValidator(lambda day: day.isoformat() if isinstance(day, date) else day),
    StringConstraints(pattern=r"^(today|[+-]\d{1,4}d|\d{4}-\d{2}-\d{2})$"),
]
"""`today`, `+30d` (days from today, by the account's clock), or an ISO date."""
Scalar: TypeAlias = StrictStr | StrictInt | StrictFloat


class Condition(BaseModel):
    """What an answer has to be; of several demands all."""

    model_config = _WRITTEN

    answer: Saved
    is_: Scalar | None = Field(default=None, alias="is")
    in_: Annotated[tuple[Scalar, ...], Field(max_length=50)] | None = Field(
        default=None, alias="in"
    )
    at_least: Scalar | None = None
    """A number, or a day as `DayBound`."""
    at_most: Scalar | None = None
    given: bool | None = None
    """Whether there is such an answer: branches may pass by a question."""


class Branch(BaseModel):
    model_config = _WRITTEN

    if_: Condition = Field(alias="if")
    go: StepName


class Otherwise(BaseModel):
    """The last branch, taken when no other is."""

    model_config = _WRITTEN

    else_: StepName = Field(alias="else")


def _branch_kind(written: Any) -> str:
    otherwise = "else" in written if isinstance(written, dict) else hasattr(written, "else_")
    return "~else" if otherwise else "~branch"


def _next_kind(written: Any) -> str:
    return "~step" if isinstance(written, str) else "~branches"


_OneBranch = Annotated[
    Annotated[Branch, Tag("~branch")] | Annotated[Otherwise, Tag("~else")],
    Discriminator(_branch_kind),
]
Branches: TypeAlias = tuple[_OneBranch, ...]
Next = Annotated[
    Annotated[StepName, Tag("~step")]
    | Annotated[Branches, Field(min_length=1, max_length=BRANCHES), Tag("~branches")],
    Discriminator(_next_kind),
]
"""A step's name, `end`, or branches of which the first whose condition holds is taken."""


class Question(BaseModel):
    """One question, the kind of answer it takes, and the name the answer is kept under."""

    model_config = _WRITTEN

    ask: Said
    expect: Expect = "text"
    choices: Annotated[tuple[OptionWords, ...], Field(max_length=10)] = ()
    save_as: Saved
    name: StepName | None = None
    """What branches call it; as `save_as` when there is none."""
    retry: OptionalSaid = ""
    """Said when the answer is not understood; empty for a sentence that fits `expect`."""
    minimum: float | None = None
    maximum: float | None = None
    earliest: DayBound | None = None
    latest: DayBound | None = None
    pattern: Annotated[str, StringConstraints(max_length=500), _PLAIN] = ""
    """An RE2 expression that a text has to match from end to end; capitals do not matter."""
    max_length: Annotated[int, Field(ge=1, le=TEXT_LIMIT)] = TEXT_LIMIT
    """Characters of a text."""
    next: Next | None = None
    """Without it, the step below; after the last, the end."""


class Doing(BaseModel):
    """Something done on the way. Effects are for good: nobody goes back before them."""

    model_config = _WRITTEN

    name: StepName | None = None
    do: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=ACTIONS)]
    """Actions in written form."""
    next: Next | None = None


class HandingOver(BaseModel):
    """The end of the dialogue: a person is wanted."""

    model_config = _WRITTEN

    name: StepName | None = None
    hand_over: Said
    """What the follower hears."""


def _step_kind(written: Any) -> str:
    if isinstance(written, dict):
        return "~do" if "do" in written else "~hand" if "hand_over" in written else "~ask"
    if isinstance(written, Doing):
        return "~do"
    return "~hand" if isinstance(written, HandingOver) else "~ask"


FlowStep = Annotated[
    Annotated[Question, Tag("~ask")]
    | Annotated[Doing, Tag("~do")]
    | Annotated[HandingOver, Tag("~hand")],
    Discriminator(_step_kind),
]

_Words = tuple[OptionWords, ...]


class FlowPlan(BaseModel):
    """A dialogue as staff write it.

    `{size}` in a later question or in actions stands for the answer saved as `size`, and for nothing
    where a branch passed it by.
    """

    model_config = _WRITTEN

    name: FlowName
    steps: Annotated[tuple[FlowStep, ...], Field(min_length=1, max_length=STEPS)]
    expires_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1800
    """After this long without an answer the dialogue is over; counted anew from each question."""
    cancel_words: Annotated[_Words, Field(min_length=1, max_length=10)] = ("取消",)
    back_words: Annotated[_Words, Field(max_length=10)] = ("上一步", "返回")
    """Said to be asked the question before; a choice that reads the same goes first."""
    person_words: Annotated[_Words, Field(max_length=10)] = ("人工", "转人工")
    """Said to be handed over to a person."""
    finish: Annotated[tuple[dict[str, Any], ...], Field(max_length=ACTIONS)] = ()
    """Actions in written form."""
    cancelled: Said = "好的，已取消。"

    def called(self, place: int) -> str:
        """What branches, traces and staff call the step."""
        step = self.steps[place]
        if step.name is not None:
            return step.name
        return step.save_as if isinstance(step, Question) else f"#{place + 1}"

    def question(self, place: int) -> Question | None:
        """The question at this place, if there is one."""
        step = self.steps[place] if 0 <= place < len(self.steps) else None
        return step if isinstance(step, Question) else None

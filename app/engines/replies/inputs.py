"""Rules and bindings as staff write them, with what is allowed."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.core.incoming import Kind
from app.core.text import normalise
from app.engines.replies.conditions import Audience, Hours
from app.engines.replies.fields import FlowName, few, storable
from app.engines.replies.matcher import RuleKind

WORDS = 200
WORD_CHARACTERS = 120
ANSWERS = 20
ACTIONS = 10
PRIORITY = 1000

MESSAGE_TYPES = (
    Kind.TEXT,
    Kind.IMAGE,
    Kind.VOICE,
    Kind.VIDEO,
    Kind.POSITION,
    Kind.LINK,
    Kind.FILE,
    Kind.MINI_PROGRAM,
)
"""What a binding on `type` may be for."""


def _not_blank(value: str) -> str:
    if not normalise(value):
        raise PydanticCustomError("nothing_left", "nothing is left of it once blanks are removed")
    return value


_PLAIN = AfterValidator(storable)
Name = Annotated[str, StringConstraints(max_length=80), _PLAIN, AfterValidator(_not_blank)]
Word = Annotated[
    str, StringConstraints(max_length=WORD_CHARACTERS), _PLAIN, AfterValidator(_not_blank)
]
WrittenAnswers = Annotated[
    list[Annotated[list[dict[str, Any]], few(ACTIONS), Field(min_length=1, max_length=ACTIONS)]],
    few(ANSWERS),
    Field(min_length=1, max_length=ANSWERS),
]
"""One of the answers is taken; each is a list of actions `{"do": …, "with": {…}}`."""


BindingPlace = Literal["menu", "scan", "follow", "location", "type"]


class RuleInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    kind: RuleKind
    words: Annotated[list[Word], few(WORDS), Field(min_length=1, max_length=WORDS)]
    priority: Annotated[int, Field(ge=-PRIORITY, le=PRIORITY)] = 0
    enabled: bool = True
    answers: WrittenAnswers
    hours: Hours | None = None
    audience: Audience | None = None


class BindingInput(BaseModel):
    """`key`: the menu key, the code's scene, the kind of message; empty for any."""

    model_config = ConfigDict(extra="forbid")

    on: BindingPlace
    key: Annotated[str, StringConstraints(max_length=128), _PLAIN] = ""
    enabled: bool = True
    answers: WrittenAnswers
    hours: Hours | None = None
    audience: Audience | None = None

    @model_validator(mode="after")
    def _key_fits(self) -> "BindingInput":
        if self.on == "location" and self.key:
            raise ValueError("a reported location has no key")
        if self.on == "type" and self.key and self.key not in MESSAGE_TYPES:
            raise ValueError(f"key must be one of {', '.join(MESSAGE_TYPES)}, or empty for any")
        return self


class FlowInput(BaseModel):
    """A dialogue; `plan` is checked as `FlowPlan`."""

    model_config = ConfigDict(extra="forbid")

    name: FlowName
    enabled: bool = True
    plan: dict[str, Any]

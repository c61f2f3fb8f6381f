"""Conversations as people write them, to test an account's rules with. Pure.

    - name: opening hours
      follower: {tags: [会员], subscribed: true}
      at: 2026-10-01T12:00
      steps:
        - {say: 几点开门, expect: {rule: 营业时间, contains: "8:00"}}

A file is such a list, or `conversations:` with the list and `book:` with the rules to test.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.core.incoming import Kind
from app.core.problems import invalid
from app.engines.replies.documents import Document, read_document
from app.engines.replies.fields import few, near, storable
from app.engines.replies.mistakes import Found, Mistake, Mistakes, of_invalid
from app.engines.replies.patterns import BadPattern, check_pattern

CONVERSATIONS = 200
STEPS = 100
MOST_WAIT = timedelta(days=366)
_WAIT = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?")
DOINGS = ("say", "tap", "scan", "follow", "unfollow", "send", "wait")

Sendable: TypeAlias = Literal[
    "picture", "voice", "video", "position", "link", "file", "mini_program", "sticker"
]
KINDS: dict[str, Kind] = {
    "picture": Kind.IMAGE,
    "voice": Kind.VOICE,
    "video": Kind.VIDEO,
    "position": Kind.POSITION,
    "link": Kind.LINK,
    "file": Kind.FILE,
    "mini_program": Kind.MINI_PROGRAM,
    "sticker": Kind.TEXT,
}


def _as_typed(value: object) -> object:
    """A whole number stands for its digits: nobody writes `say: "8"`."""
    if isinstance(value, bool):
        raise PydanticCustomError("quote_it", "put it in quotes: it would be read as yes or no")
    if isinstance(value, float):
        raise PydanticCustomError("quote_decimal", "put it in quotes: 8.50 would be read as 8.5")
    return str(value) if isinstance(value, int) else value


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _steps(value: object) -> object:
    """Counted before they are looked at: pydantic counts those that are right."""
    if isinstance(value, list | tuple) and not 0 < len(value) <= STEPS:
        raise PydanticCustomError("step_count", "1 to {most} steps are needed", {"most": STEPS})
    return value


def _pattern(value: str) -> str:
    try:
        check_pattern(value)
    except BadPattern as error:
        raise PydanticCustomError("bad_pattern", "{problem}", {"problem": str(error)}) from None
    return value


def _wait(value: object) -> object:
    found = _WAIT.fullmatch(value) if isinstance(value, str) and value else None
    if found is None:
        raise PydanticCustomError("bad_wait", "write it like 40m, 2h, 1h30m or 3d")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    wait = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not timedelta(0) < wait <= MOST_WAIT:
        raise PydanticCustomError("long_wait", "more than nothing and at most 366 days")
    return wait


def _moment(value: object) -> object:
    """Without a zone: the account's."""
    if not isinstance(value, str) or len(value) > 40:
        raise PydanticCustomError("bad_moment", "write it like 2026-10-01T12:00")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("bad_moment", "write it like 2026-10-01T12:00") from None
    return near(moment)


def _scene(value: object) -> object:
    """`true` for a follow by no code."""
    return "" if value is True else _as_typed(value)


_TYPED = BeforeValidator(_as_typed)
_PLAIN = AfterValidator(storable)
Words = Annotated[str, _TYPED, StringConstraints(min_length=1, max_length=2048), _PLAIN]
Name = Annotated[str, _TYPED, StringConstraints(min_length=1, max_length=200), _PLAIN]
Texts = Annotated[
    tuple[Annotated[str, _TYPED, StringConstraints(max_length=8192)], ...],
    few(20),
    BeforeValidator(_listed),
    Field(max_length=20),
]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Expectation(_Written):
    """What is to come of a step; what is not named may be anything."""

    text: Texts | None = None
    """All that is said, messages joined by a blank line; one of these."""
    contains: Texts | None = None
    """Each of these stands in what is said."""
    matches: Annotated[str, StringConstraints(max_length=500), AfterValidator(_pattern)] | None = (
        None
    )
    """This RE2 pattern is found in what is said."""
    rule: Name | None = None
    """Name of the rule that answers; null for none."""
    binding: Name | None = None
    """`menu today`, or the key alone; null for none."""
    flow: Name | None = None
    """The dialogue the follower is in afterwards; null for none."""
    step: Name | None = None
    """The question asked, by the name its answer is saved as."""
    missed: bool | None = None
    tags: (
        Annotated[tuple[Name, ...], few(20), BeforeValidator(_listed), Field(max_length=20)] | None
    ) = None
    """Tags the follower has afterwards, maybe among others."""
    nothing: bool | None = None
    """Nothing is said."""
    apart: Name | None = None
    """Name of the handler that would answer apart; null for none."""

    @property
    def named(self) -> frozenset[str]:
        """What was written, so that null is told from nothing."""
        return frozenset(self.model_fields_set)


class StepInput(_Written):
    """One thing a follower does, or a time that passes."""

    say: Words | None = None
    tap: Name | None = None
    """A menu key, or the id of an option that was just shown."""
    scan: Name | None = None
    """The scene of a code; by somebody who does not follow, a follow through it."""
    follow: Annotated[str, BeforeValidator(_scene), StringConstraints(max_length=128)] | None = None
    """`true`, or the scene of the code."""
    unfollow: Literal[True] | None = None
    send: Sendable | None = None
    words: Words | None = None
    """With `send`: the label of a position, the title of a link, the recognised words of a voice."""
    wait: Annotated[timedelta, BeforeValidator(_wait)] | None = None
    key: Annotated[Name, StringConstraints(max_length=200)] | None = None
    """The delivery's key; it chooses among answers."""
    expect: Expectation | None = None

    @model_validator(mode="after")
    def _one_doing(self) -> "StepInput":
        done = [name for name in DOINGS if getattr(self, name) is not None]
        if len(done) != 1:
            raise PydanticCustomError(
                "one_doing", "exactly one of {known} is needed", {"known": ", ".join(DOINGS)}
            )
        if self.words is not None and self.send is None:
            raise PydanticCustomError("words_of_what", "words go with send")
        if self.wait is not None and self.expect is not None:
            raise PydanticCustomError("expect_of_wait", "nothing is said while time passes")
        return self

    @property
    def label(self) -> str:
        """`say 你好`: what is done, on one line."""
        for name in DOINGS:
            value = getattr(self, name)
            if value is not None:
                shown = "" if value in (True, "") else f" {_shown(value)}"
                return f"{name}{shown}"
        raise AssertionError("checked above")


def _shown(value: object) -> str:
    words = " ".join(str(value).split())
    return words if len(words) <= 60 else f"{words[:60]}…"


class FollowerInput(_Written):
    """Whom the conversation is with."""

    tags: Annotated[tuple[Name, ...], few(50), Field(max_length=50)] = ()
    subscribed: bool | None = None
    """Left out: they follow, unless they are new."""
    new: bool = False
    """The first step is the first contact ever."""

    @property
    def follows(self) -> bool:
        return not self.new if self.subscribed is None else self.subscribed


class Conversation(_Written):
    name: Name
    follower: FollowerInput = FollowerInput()
    at: Annotated[datetime, BeforeValidator(_moment)] | None = None
    """When it begins; without a zone in the account's, left out: now."""
    steps: Annotated[tuple[StepInput, ...], BeforeValidator(_steps)]


@dataclass(frozen=True, slots=True)
class Script:
    """A checked file."""

    conversations: tuple[Conversation, ...]
    book: Any = None
    """The rules it brings, as plain data that is not checked; None for none."""


def read_script(raw: bytes) -> Script:
    """YAML or JSON. Raises `Mistakes` with everything that is wrong, and where."""
    document = read_document(raw)
    found = document.mistakes
    if not document.whole:
        raise Mistakes(found)
    script = _script(document, found)
    if found:
        document.with_lines(found)
        raise Mistakes(found)
    return script


def _script(document: Document, found: Found) -> Script:
    whole: Any = document.value
    if isinstance(whole, list):
        return Script(tuple(_conversations(whole, "", found)))
    if not isinstance(whole, dict) or not isinstance(whole.get("conversations"), list):
        found.add(_NO_SCRIPT)
        return Script(())
    surplus = whole.keys() - {"conversations", "book"}
    found.add(*(Mistake(str(name), "unknown", "没有这一项") for name in sorted(surplus)))
    conversations = tuple(_conversations(whole["conversations"], "conversations", found))
    return Script(conversations, whole.get("book"))


_NO_SCRIPT = Mistake("", "a list of conversations is needed", "须为对话的列表（- name: …）")


def _conversations(listed: list[Any], within: str, found: Found) -> Iterator[Conversation]:
    if not 0 < len(listed) <= CONVERSATIONS:
        problem = f"1 to {CONVERSATIONS} conversations are needed"
        found.add(Mistake(within, problem, f"须有 1 到 {CONVERSATIONS} 段对话"))
        return
    for number, one in enumerate(listed):
        try:
            yield Conversation.model_validate(one)
        except ValidationError as error:
            found.add(*of_invalid(invalid(error), f"{within}[{number}]"))

"""Checks what a plugin gives back, before it meets the database or the platform.

Only what a plugin decided is checked; the cost is a microsecond for each reply.
"""

import inspect
from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

import orjson

from app.core.decisions import KEEP, Decision, Effect, FlowState
from app.core.replies import KINDS, MenuReply
from app.db.base import json_default
from app.engines.followers.effects import TagFollower, UntagFollower
from app.engines.replies.fields import TAG_CHARACTERS

FLOW_CHARACTERS = 40
_NUL = b"\\u0000"


class BadAnswer(TypeError):
    """A plugin gave back something that cannot be used; says what, and what it should have been."""


def check_decision(
    decision: object, effect_kinds: Collection[str], aparts: Collection[str]
) -> Decision:
    """The decision itself. Raises `BadAnswer`."""
    if not isinstance(decision, Decision):
        raise BadAnswer(f"decide returned {_described(decision)}; a Decision or None is expected")
    if not isinstance(decision.steps, list | tuple):
        raise BadAnswer(f"steps is {_described(decision.steps)}; a tuple or list is expected")
    for step in decision.steps:
        if isinstance(step, Effect):
            _check_effect(step, effect_kinds)
        else:
            check_reply(step)
    if decision.passed_over != ():
        raise BadAnswer("passed_over is the server's own")
    if decision.apart is not None and decision.apart not in aparts:
        raise BadAnswer(f"there is no apart handler {decision.apart!r}")
    if decision.flow is not KEEP:
        _check_flow(decision.flow)
    _check_json(decision.why, "why")
    return decision


def _check_effect(effect: Effect, effect_kinds: Collection[str]) -> None:
    if effect.kind not in effect_kinds:
        raise BadAnswer(f"nobody registered the effect kind {effect.kind!r}")
    if isinstance(effect, TagFollower | UntagFollower):
        check_tag(effect.name)


def check_tag(name: object) -> None:
    """Raises `BadAnswer` for a name that no tag can have."""
    _check_text(name, "the tag's name")
    if not 0 < len(str(name)) <= TAG_CHARACTERS:
        raise BadAnswer(f"a tag's name has 1 to {TAG_CHARACTERS} characters")


def check_said(result: object) -> object:
    """What an apart handler returned: a reply, a list or tuple of replies, or None."""
    for one in result if isinstance(result, list | tuple) else (result,):
        if one is not None or result is not None:
            check_reply(one)
    return result


def check_reply(reply: object) -> None:
    """Raises `BadAnswer` for what is no reply, and for texts that are none."""
    if not isinstance(reply, KINDS):
        raise BadAnswer(f"{_described(reply)} is no reply; TextReply(…) says a text")
    if isinstance(reply, MenuReply):
        for option in reply.options:
            if not isinstance(option, tuple) or len(option) != 2:
                raise BadAnswer("MenuReply.options are pairs of option id and words")
            for text in option:
                _check_text(text, "MenuReply.options")
    for field in fields(reply):
        if field.name != "options":
            _check_text(getattr(reply, field.name), f"{type(reply).__name__}.{field.name}")


def _check_text(value: object, where: str) -> None:
    if not isinstance(value, str):
        raise BadAnswer(f"{where} is {_described(value)}; a text is expected")
    if "\x00" in value:
        raise BadAnswer(f"{where} contains NUL")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadAnswer(f"{where} contains half a surrogate pair") from error


def _check_flow(flow: object) -> None:
    if flow is None:
        return
    if not isinstance(flow, FlowState):
        raise BadAnswer(f"flow is {_described(flow)}; a FlowState, None or KEEP is expected")
    _check_text(flow.flow, "flow.flow")
    if not 0 < len(flow.flow) <= FLOW_CHARACTERS:
        raise BadAnswer(f"flow.flow has 1 to {FLOW_CHARACTERS} characters")
    for name, most in _COUNTS.items():
        _check_count(getattr(flow, name), most, f"flow.{name}")
    if not isinstance(flow.path, list | tuple):
        raise BadAnswer(f"flow.path is {_described(flow.path)}; a tuple is expected")
    for place in flow.path:
        _check_count(place, _COUNTS["step"], "flow.path")
    if not isinstance(flow.paused, bool):
        raise BadAnswer(f"flow.paused is {_described(flow.paused)}; True or False is expected")
    if not isinstance(flow.expires_at, datetime) or flow.expires_at.tzinfo is None:
        raise BadAnswer("flow.expires_at must be a moment with its time zone, such as snap.now + …")
    _check_json(flow.answers, "flow.answers")


_COUNTS = {"step": (1 << 31) - 1, "version": (1 << 31) - 1, "misses": (1 << 15) - 1}
"""The numbers of a dialogue's state, with the most that its columns take."""


def _check_count(value: object, most: int, where: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value <= most:
        raise BadAnswer(f"{where} is {value!r:.40}; a whole number up to {most} is expected")


def _check_json(value: object, where: str) -> None:
    if not isinstance(value, Mapping):
        raise BadAnswer(f"{where} is {_described(value)}; a mapping is expected")
    try:
        written = orjson.dumps(value, default=json_default)
    except (TypeError, ValueError) as error:
        raise BadAnswer(f"{where} is not JSON: {error}") from error
    if _NUL in written and _holds_nul(orjson.loads(written)):
        raise BadAnswer(f"{where} contains NUL")


def _holds_nul(value: object) -> bool:
    """What followers type may contain the backslash and the digits themselves."""
    if isinstance(value, dict):
        return any(map(_holds_nul, (*value, *value.values())))
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    return isinstance(value, str) and "\x00" in value


def _described(value: Any) -> str:
    """The kind of a value; a coroutine is put away, so that nobody warns that it never ran."""
    if inspect.iscoroutine(value):
        value.close()
        return "a coroutine (async handlers are `apart`)"
    return type(value).__name__

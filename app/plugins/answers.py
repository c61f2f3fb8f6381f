"""Checks what a plugin gives back, before it meets the database or the platform.

Only what a plugin decided is checked; the cost is a microsecond for each reply.
"""

import inspect
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

import orjson

from app.core.decisions import KEEP, Decision, Effect, FlowState
from app.core.replies import KINDS, MenuReply
from app.db.base import json_default


class BadAnswer(TypeError):
    """A plugin gave back something that cannot be used; says what, and what it should have been."""


def check_decision(
    decision: object, effect_kinds: Collection[str], aparts: Collection[str]
) -> Decision:
    """The decision itself. Raises `BadAnswer`."""
    if not isinstance(decision, Decision):
        raise BadAnswer(f"decide returned {_described(decision)}; a Decision or None is expected")
    for step in decision.steps:
        if not isinstance(step, Effect):
            check_reply(step)
        elif step.kind not in effect_kinds:
            raise BadAnswer(f"nobody registered the effect kind {step.kind!r}")
    if decision.apart is not None and decision.apart not in aparts:
        raise BadAnswer(f"there is no apart handler {decision.apart!r}")
    if decision.flow is not KEEP:
        _check_flow(decision.flow)
    _check_json(decision.why, "why")
    return decision


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
    _check_json(flow.answers, "flow.answers")


def _check_json(value: object, where: str) -> None:
    if not isinstance(value, Mapping):
        raise BadAnswer(f"{where} is {_described(value)}; a mapping is expected")
    try:
        orjson.dumps(value, default=json_default)
    except (TypeError, ValueError) as error:
        raise BadAnswer(f"{where} is not JSON: {error}") from error


def _described(value: Any) -> str:
    """The kind of a value; a coroutine is put away, so that nobody warns that it never ran."""
    if inspect.iscoroutine(value):
        value.close()
        return "a coroutine (async handlers are `apart`)"
    return type(value).__name__

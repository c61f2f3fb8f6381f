"""Which way a plan goes on from an answer. Pure."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from app.core.text import normalise
from app.engines.replies.answers import day_bound
from app.engines.replies.plans import Branch, Condition, Next, Scalar
from app.engines.replies.understanding import Value, shown


def chosen(following: Next, answers: Mapping[str, Any], today: date) -> tuple[str, str]:
    """The name of the step to go to, and why in short; empty where there was nothing to choose."""
    if isinstance(following, str):
        return following, ""
    for one in following:
        if not isinstance(one, Branch):
            return one.else_, "else"
        if holds(one.if_, answers, today):
            return one.go, in_short(one.if_)
    raise ValueError("branches without a final else")


def holds(condition: Condition, answers: Mapping[str, Any], today: date) -> bool:
    """Whether all that the condition asks is so. Without an answer only `given: false` holds."""
    value: Value | None = answers.get(condition.answer)
    if condition.given is not None and condition.given != (value is not None):
        return False
    if value is None:
        return condition.given is False and not _demands(condition)
    return (
        (condition.is_ is None or _same(value, condition.is_))
        and (condition.in_ is None or any(_same(value, one) for one in condition.in_))
        and (condition.at_least is None or _reaches(value, condition.at_least, today, 1))
        and (condition.at_most is None or _reaches(value, condition.at_most, today, -1))
    )


def _demands(condition: Condition) -> bool:
    asked = (condition.is_, condition.in_, condition.at_least, condition.at_most)
    return any(one is not None for one in asked)


def _same(value: Value, wanted: Scalar) -> bool:
    if isinstance(value, int | float) and isinstance(wanted, int | float):
        return value == wanted
    return normalise(shown(value)) == normalise(str(wanted))


def _reaches(value: Value, limit: Scalar, today: date, sign: int) -> bool:
    """`value` is at least (sign 1) or at most (sign -1) the limit. Unlike kinds never are."""
    if isinstance(value, int | float) and isinstance(limit, int | float):
        return sign * value >= sign * limit
    if isinstance(value, str) and isinstance(limit, str):
        bound = day_bound(limit, today)
        return value >= bound if sign > 0 else value <= bound
    return False


def in_short(condition: Condition) -> str:
    """`size at_least 10`, for traces and previews."""
    parts = condition.model_dump(by_alias=True, exclude_none=True, mode="json")
    name = parts.pop("answer")
    return " ".join([str(name), *(f"{demand} {value}" for demand, value in parts.items())])

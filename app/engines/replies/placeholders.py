"""`{size}` in texts that staff write: the answer saved as `size`. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from app.engines.replies.understanding import shown

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]{0,19})\}")
_T = TypeVar("_T")


def names_in(value: object) -> set[str]:
    """The placeholders in all texts, at whatever depth."""
    if isinstance(value, str):
        return set(_PLACEHOLDER.findall(value))
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return {name for one in value for name in names_in(one)}
    return set()


def without(text: str) -> str:
    """The text with its placeholders taken out."""
    return _PLACEHOLDER.sub("", text)


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
    if isinstance(value, list):
        return [_filled(item, answers) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, answers) for name, item in value.items()}
    return value

"""Kinds of text that staff write, with the platform's limits, for input models."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

from app.wechat.limits import DESCRIPTION_BYTES, TEXT_BYTES, TITLE_BYTES, URL_BYTES

_HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair: JSON can spell it (`"\\ud800"`), but it is no character."""


def storable(value: str) -> str:
    """PostgreSQL cannot store U+0000, nor can anything say half a character in UTF-8."""
    if "\x00" in value:
        raise PydanticCustomError("nul", "the character U+0000 is not allowed")
    if _HALF.search(value) is not None:
        raise PydanticCustomError("half_character", "half of a surrogate pair is no character")
    return value


def near(moment: datetime) -> datetime:
    """Far ones have no day before or after, nor the same year in every time zone."""
    if not 2000 <= moment.year <= 2100:
        raise PydanticCustomError("far_moment", "a year from 2000 to 2100")
    return moment


def few(most: int) -> BeforeValidator:
    """At most so many, counted before they are looked at: pydantic counts those that are right, and
    a million wrong ones would each be told."""

    def check(value: object) -> object:
        if isinstance(value, list | tuple) and len(value) > most:
            raise PydanticCustomError(
                "too_long",
                "there may be at most {max_length} of them, not {actual_length}",
                {"max_length": most, "actual_length": len(value)},
            )
        return value

    return BeforeValidator(check)


def _visible(value: str) -> str:
    """The platform takes an answer without a visible character for a fault."""
    if not value.strip():
        raise PydanticCustomError("nothing_visible", "at least one visible character is needed")
    return value


def _at_most(limit: int) -> AfterValidator:
    def check(value: str) -> str:
        size = len(value.encode("utf-8", "replace"))
        if size > limit:
            raise PydanticCustomError(
                "too_many_bytes",
                "{size} bytes in UTF-8, the platform shows at most {limit}",
                {"size": size, "limit": limit},
            )
        return value

    return AfterValidator(check)


def _web_address(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise PydanticCustomError("no_web_address", "must start with http:// or https://")
    return value


_PLAIN = AfterValidator(storable)
_VISIBLE = AfterValidator(_visible)
_ADDRESS = AfterValidator(_web_address)

Said = Annotated[str, _PLAIN, _VISIBLE, _at_most(TEXT_BYTES)]
"""What a follower reads: at most 2,048 bytes."""
OptionalSaid = Annotated[str, _PLAIN, _at_most(TEXT_BYTES)]
Title = Annotated[str, _PLAIN, _VISIBLE, _at_most(TITLE_BYTES)]
OptionalTitle = Annotated[str, _PLAIN, _at_most(TITLE_BYTES)]
Description = Annotated[str, _PLAIN, _at_most(DESCRIPTION_BYTES)]
Url = Annotated[str, _PLAIN, _VISIBLE, _ADDRESS, _at_most(URL_BYTES)]
OptionalUrl = Annotated[str, _PLAIN, _ADDRESS, _at_most(URL_BYTES)]
MediaId = Annotated[str, _PLAIN, _VISIBLE, StringConstraints(max_length=128)]
OptionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
OptionWords = Annotated[str, _PLAIN, _VISIBLE, StringConstraints(max_length=60)]
FlowName = Annotated[str, _PLAIN, _VISIBLE, StringConstraints(max_length=40, pattern=r"^[^~]")]
"""Names that begin with `~` are the program's own."""
TAG_CHARACTERS = 30
TagName = Annotated[str, _PLAIN, _VISIBLE, StringConstraints(max_length=TAG_CHARACTERS)]
StoredTagName = Annotated[TagName, AfterValidator(str.strip)]
"""As followers have it."""

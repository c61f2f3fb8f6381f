"""When and for whom a rule or binding holds. Pure."""

from collections.abc import Collection
from datetime import date, datetime, timedelta, tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.core.decisions import Snapshot
from app.engines.replies.fields import StoredTagName, few
from app.engines.replies.matcher import Lapse

WINDOWS = 10
TAGS = 20

TimeOfDay = Annotated[
    str, StringConstraints(pattern=r"^(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")
]
"""`09:00`; `24:00` is the day's end. Compared as they are written."""


class Hours(BaseModel):
    """When something holds, in the account's time zone; what is left out does not restrict.

    `until` is the last day. A daily window is from its first minute to just before its second; one
    that passes midnight belongs to the day it begins on, dates and weekdays included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    from_: date | None = Field(default=None, alias="from")
    until: date | None = None
    weekdays: Annotated[
        tuple[Annotated[int, Field(ge=1, le=7)], ...], few(7), Field(max_length=7)
    ] = ()
    """1 is Monday."""
    daily: Annotated[
        tuple[tuple[TimeOfDay, TimeOfDay], ...], few(WINDOWS), Field(max_length=WINDOWS)
    ] = ()

    @model_validator(mode="after")
    def _fits(self) -> "Hours":
        if self.from_ is not None and self.until is not None and self.from_ > self.until:
            raise PydanticCustomError("from_after_until", "from is after until")
        if any(start == end for start, end in self.daily):
            raise PydanticCustomError("empty_window", "a daily window begins where it ends")
        return self

    def holds(self, now: datetime, zone: tzinfo) -> bool:
        return self.holds_at(now.astimezone(zone))

    def holds_at(self, local: datetime) -> bool:
        """The same of a moment in the account's time zone."""
        today = local.date()
        if not self.daily:
            return self._on(today)
        time = f"{local.hour:02}:{local.minute:02}"
        for start, end in self.daily:
            if start < end:
                if start <= time < end and self._on(today):
                    return True
            elif (time >= start and self._on(today)) or (
                time < end and self._on(today - timedelta(days=1))
            ):
                return True
        return False

    def _on(self, day: date) -> bool:
        return (
            (self.from_ is None or self.from_ <= day)
            and (self.until is None or day <= self.until)
            and (not self.weekdays or day.isoweekday() in self.weekdays)
        )

    def written(self) -> dict[str, Any] | None:
        """The stored form; None for always."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True) or None


class Audience(BaseModel):
    """For whom something holds: followers with at least one of `tags`, where any are named, and with
    none of `without`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tags: Annotated[tuple[StoredTagName, ...], few(TAGS), Field(max_length=TAGS)] = ()
    without: Annotated[tuple[StoredTagName, ...], few(TAGS), Field(max_length=TAGS)] = ()

    @model_validator(mode="after")
    def _fits(self) -> "Audience":
        both = set(self.tags) & set(self.without)
        if both:
            raise PydanticCustomError(
                "tag_twice", "{tag} stands both in tags and in without", {"tag": min(both)}
            )
        return self

    def applies(self, tags: Collection[str]) -> bool:
        """Whether it holds for a follower with these tags."""
        return (not self.tags or any(tag in tags for tag in self.tags)) and not any(
            tag in tags for tag in self.without
        )

    def written(self) -> dict[str, Any] | None:
        """The stored form; None for everybody."""
        return self.model_dump(mode="json", exclude_defaults=True) or None


class Situation:
    """When and with whom a contact happens; the local time is worked out once, when it is asked."""

    __slots__ = ("_local", "_now", "_timezone", "tags")

    def __init__(self, now: datetime, timezone: str, tags: Collection[str]) -> None:
        self._now = now
        self._timezone = timezone
        self._local: datetime | None = None
        self.tags = tags

    @staticmethod
    def of(snap: Snapshot) -> "Situation":
        return Situation(snap.now, snap.account.timezone, snap.follower.tags)

    @property
    def local(self) -> datetime:
        if self._local is None:
            self._local = self._now.astimezone(ZoneInfo(self._timezone))
        return self._local


class Condition(BaseModel):
    """Hours and audience of one rule or binding, at least one of them."""

    model_config = ConfigDict(frozen=True)

    hours: Hours | None = None
    audience: Audience | None = None

    def lapse(self, situation: Situation) -> Lapse | None:
        """Why it does not hold now or not for this follower; None when it holds."""
        if self.audience is not None and not self.audience.applies(situation.tags):
            return Lapse.AUDIENCE
        if self.hours is not None and not self.hours.holds_at(situation.local):
            return Lapse.HOURS
        return None


def condition(hours: object, audience: object) -> Condition | None:
    """Of stored columns; None when it holds always and for everybody. Raises `ValueError`."""
    if not hours and not audience:
        return None
    return Condition.model_validate({"hours": hours or None, "audience": audience or None})


def may_both_hold(one: Condition | None, other: Condition | None) -> bool:
    """False only where it is certain that they never hold together, for any follower."""
    if one is None or other is None:
        return True
    return _meet_in_time(one.hours, other.hours) and _share_followers(one.audience, other.audience)


def _meet_in_time(one: Hours | None, other: Hours | None) -> bool:
    """Windows past midnight blur the days, so only hours without any are told apart by day."""
    if one is None or other is None or _past_midnight(one) or _past_midnight(other):
        return True
    if one.until and other.from_ and one.until < other.from_:
        return False
    if other.until and one.from_ and other.until < one.from_:
        return False
    if one.weekdays and other.weekdays and not set(one.weekdays) & set(other.weekdays):
        return False
    return (
        not one.daily
        or not other.daily
        or any(a < d and c < b for a, b in one.daily for c, d in other.daily)
    )


def _past_midnight(hours: Hours) -> bool:
    return any(start > end for start, end in hours.daily)


def _share_followers(one: Audience | None, other: Audience | None) -> bool:
    if one is None or other is None:
        return True
    return not (
        (one.tags and set(one.tags) <= set(other.without))
        or (other.tags and set(other.tags) <= set(one.without))
    )

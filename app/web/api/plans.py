"""Changes of a book as JSON: planned, done, or between two versions."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import AfterValidator, BaseModel

from app.engines.replies.book_plan import Plan
from app.engines.replies.changes import Change
from app.engines.replies.fields import storable
from app.engines.replies.history import NOTE_CHARACTERS

SHOWN = 1000
"""Changes in one answer."""

Expect = Annotated[
    int | None,
    Query(ge=0, le=2**62, description="The book's version that was seen; 409 when it has risen."),
]
PlanOnly = Annotated[
    bool, Query(alias="plan", description="Only show what would be done; nothing is changed.")
]
Note = Annotated[
    str,
    Query(max_length=NOTE_CHARACTERS, description="Kept with the version, for people."),
    AfterValidator(storable),
]


class FieldChange(BaseModel):
    """One part that differs, such as `answers[0][0].with.text`; null for not there."""

    field: str
    before: Any
    after: Any


class ChangeOut(BaseModel):
    what: Literal["rule", "binding", "flow", "settings"]
    change: Literal["added", "changed", "removed"]
    id: str | None
    """Null for settings, and for what has no id before it is added."""
    name: str
    fields: list[FieldChange]


class Counts(BaseModel):
    added: int
    changed: int
    removed: int


class PlanCounts(Counts):
    unchanged: int


class PlanOut(BaseModel):
    applied: bool
    version: int
    """The book's: the one planned from, or, once applied, the new one."""
    counts: PlanCounts
    changes: list[ChangeOut]
    """At most 1,000; the counts are of all."""


def shown(changes: Sequence[Change]) -> list[ChangeOut]:
    """Up to 1,000 changes, field by field. For thousands it takes a while: run it in a thread."""
    return [_change(change) for change in changes[:SHOWN]]


def plan_out(plan: Plan, changes: list[ChangeOut], version: int, *, applied: bool) -> PlanOut:
    counts = PlanCounts.model_validate(plan.counts)
    return PlanOut(applied=applied, version=version, counts=counts, changes=changes)


def _change(change: Change) -> ChangeOut:
    return ChangeOut.model_validate(
        {
            "what": change.what,
            "change": change.kind,
            "id": str(change.id) if change.id else None,
            "name": change.name,
            "fields": [
                {"field": one.field, "before": one.before, "after": one.after}
                for one in change.fields
            ],
        }
    )

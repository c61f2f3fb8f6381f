"""The versions of a book: who changed what and when, what lies between two, and the way back."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from app.engines.replies.book_plan import Plan
from app.engines.replies.changes import Change, counts
from app.engines.replies.history import RevisionView, list_revisions
from app.web.api.planned import Planned
from app.web.api.plans import SHOWN, ChangeOut, Counts, Expect, Note, PlanOnly, PlanOut, shown
from app.web.api.replies import Account, Cursor, Limit, Reader, Writing
from app.web.deps import Write, services, writes

router = APIRouter(prefix="/replies/versions", tags=["replies"])

Number = Annotated[int, Path(ge=0, le=2**62)]
Shown = Annotated[int, Query(ge=1, le=SHOWN)]
Offset = Annotated[int, Query(ge=0, le=2**31, description="`next` of the page before.")]


class VersionOut(BaseModel):
    version: int
    source: Literal["edit", "import", "rollback"]
    actor: str
    """`token:12`, `cli`, `system`."""
    note: str
    counts: Counts
    at: datetime


class VersionList(BaseModel):
    items: list[VersionOut]
    next: str | None


class VersionChanges(VersionOut):
    changes: list[ChangeOut]
    next: int | None
    """Of the changes; null at the end."""


class DifferenceOut(BaseModel):
    counts: Counts
    changes: list[ChangeOut]
    next: int | None


@router.get("")
async def list_versions(
    request: Request, found: Account, _: Reader, cursor: Cursor = None, limit: Limit = 50
) -> VersionList:
    """Newest first. Every version is kept."""
    before = None if cursor is None else int(cursor)
    views, following = await services(request).database.read(
        lambda tx: list_revisions(tx, found.id, before=before, limit=limit)
    )
    return VersionList(
        items=[VersionOut.model_validate(_fields(view)) for view in views],
        next=None if following is None else str(following),
    )


@router.get("/{version}")
async def get_version(
    request: Request,
    version: Number,
    found: Account,
    _: Reader,
    offset: Offset = 0,
    limit: Shown = 200,
) -> VersionChanges:
    """What one version changed, field by field."""
    view, changes = await services(request).imports.revision(found.id, version)
    page, following = await _page(changes, offset, limit)
    return VersionChanges.model_validate(
        {**_fields(view), "changes": page, "next": following}, from_attributes=True
    )


@router.get("/{version}/diff/{other}")
async def compare_versions(
    request: Request,
    version: Number,
    other: Number,
    found: Account,
    _: Reader,
    offset: Offset = 0,
    limit: Shown = 200,
) -> DifferenceOut:
    """What leads from one version to the other, each thing once; the other may be the older."""
    changes = await services(request).imports.difference(found.id, version, other)
    page, following = await _page(changes, offset, limit)
    return DifferenceOut(
        counts=Counts.model_validate(counts(changes)), changes=page, next=following
    )


@router.post("/{version}/rollback", response_model=PlanOut)
async def roll_back(
    request: Request,
    version: Number,
    found: Account,
    who: Writing,
    write: Annotated[Write, Depends(writes)],
    only: PlanOnly = False,
    expect: Expect = None,
    note: Note = "",
) -> Response:
    """Brings the book back to what it was in this version, with the same ids; a version of its own."""
    imports = services(request).imports

    async def plan() -> Plan:
        return await imports.plan_rollback(found.id, version, expect=expect)

    call = Planned(request, found, who.actor, write, "rollback", note or f"→ {version}")
    return await (call.show(plan) if only else call.do(plan, again=False))


async def _page(
    changes: Sequence[Change], offset: int, limit: int
) -> tuple[list[ChangeOut], int | None]:
    page = await asyncio.to_thread(shown, changes[offset : offset + limit])
    return page, offset + limit if offset + limit < len(changes) else None


def _fields(view: RevisionView) -> dict[str, object]:
    return {name: getattr(view, name) for name in type(view).__slots__}

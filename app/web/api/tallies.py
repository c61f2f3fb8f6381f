"""How often rules, bindings and flows answered, and what nobody had an answer to."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from app.accounts.registry import LiveAccount
from app.conversation.rehearsal import rehearse
from app.conversation.tallying import CONSUMER
from app.core.errors import Invalid
from app.core.incoming import Incoming, Kind
from app.db.feed import read_until
from app.db.tx import Tx
from app.engines.replies import figures
from app.engines.replies.figures import NEVER, DayView, MissView, What
from app.engines.replies.tallies import TALLIES_KEPT
from app.runtime import Runtime
from app.web.deps import Caller, Write, account, needs, services, writes

router = APIRouter(prefix="/replies", tags=["replies"])

Account = Annotated[LiveAccount, Depends(account)]
SHOWN = timedelta(days=29)
"""Before today, when nobody says from when."""


class Counted(BaseModel):
    """What a rule, binding or flow did; counted within a minute or two, kept for 400 days."""

    hits: int = 0
    hits_7d: int = 0
    """Today and the six days before, in the account's time zone."""
    last_hit_at: datetime | None = None


class DayOut(BaseModel):
    day: date
    """In the account's time zone."""
    what: What
    hits: int
    last_hit_at: datetime


class DayList(BaseModel):
    items: list[DayOut]
    counted_until: datetime | None
    """Everything that was answered before is counted; null before the first count."""


class MissOut(BaseModel):
    digest: str
    text: str
    """As rules compare it; its first 200 characters."""
    example: str
    """As it was last typed."""
    times: int
    first_at: datetime
    last_at: datetime
    dismissed: bool
    answered_now: bool
    """Whether the account's rules have an answer to it by now."""


class MissList(BaseModel):
    items: list[MissOut]
    next: str | None
    counted_until: datetime | None


async def add_hits(
    tx: Tx, request: Request, found: LiveAccount, what: What, items: Sequence[Any]
) -> None:
    """Fills in what was counted of these, which are `Counted` and have an id, by one statement."""
    today = _today(request, found)
    counted = await figures.hits_of(tx, found.id, what, [int(each.id) for each in items], today)
    for each in items:
        hits = counted.get(int(each.id), NEVER)
        each.hits, each.hits_7d, each.last_hit_at = hits.hits, hits.hits_7d, hits.last_hit_at


@router.get("/tallies")
async def list_tallies(
    request: Request,
    found: Account,
    _: Annotated[Caller, needs("replies.read")],
    what: What | None = None,
    target: Annotated[
        str | None,
        Query(alias="id", pattern=r"^[0-9]{1,18}$", description="Of this one alone."),
    ] = None,
    first: Annotated[
        date | None, Query(alias="from", description="Thirty days up to `to` if left out.")
    ] = None,
    last: Annotated[
        date | None, Query(alias="to", description="Inclusive; today if left out.")
    ] = None,
) -> DayList:
    """Hits by day, newest first; days without any are left out. An `id` needs its `what`."""
    if target is not None and what is None:
        raise Invalid(field="what", problem="an id needs it", chinese="给出 id 时必填")
    last = last or _today(request, found)
    if first is None:
        first = last - SHOWN if last - date.min > SHOWN else date.min
    if last - first > TALLIES_KEPT:
        raise Invalid(field="from", problem="at most 400 days at once", chinese="一次最多 400 天")

    async def work(tx: Tx) -> tuple[Sequence[DayView], datetime | None]:
        days = await figures.list_days(
            tx,
            found.id,
            what=what,
            target_id=None if target is None else int(target),
            first=first,
            last=last,
        )
        return days, await read_until(tx, CONSUMER)

    days, until = await services(request).database.read(work)
    items = [
        DayOut(day=date.fromisoformat(d.day), what=d.what, hits=d.hits, last_hit_at=d.last_hit_at)
        for d in days
    ]
    return DayList(items=items, counted_until=until)


@router.get("/misses")
async def list_misses(
    request: Request,
    found: Account,
    _: Annotated[Caller, needs("traces.read")],
    dismissed: Annotated[bool, Query(description="Those put aside instead.")] = False,
    cursor: Annotated[
        str | None,
        Query(pattern=r"^[0-9]{1,18}-[0-9a-f]{32}$", description="`next` of the page before."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> MissList:
    """What followers typed that nothing answered, the most frequent first."""
    times, _dash, digest = (cursor or "").partition("-")
    after = (int(times), digest) if cursor else None

    async def work(tx: Tx) -> tuple[figures.MissPage, datetime | None]:
        page = await figures.list_misses(
            tx, found.id, dismissed=dismissed, after=after, limit=limit
        )
        return page, await read_until(tx, CONSUMER)

    page, until = await services(request).database.read(work)
    # Up to 200 texts against all rules: in a thread, so that deliveries are answered meanwhile.
    items = await asyncio.to_thread(_misses_out, page.items, services(request), found)
    return MissList(
        items=items,
        next=None if page.next_after is None else "-".join(map(str, page.next_after)),
        counted_until=until,
    )


@router.delete("/misses/{digest}", status_code=204, response_model=None)
async def dismiss_miss(
    request: Request,
    digest: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")],
    found: Account,
    who: Annotated[Caller, needs("replies.write")],
    write: Annotated[Write, Depends(writes)],
) -> Response:
    """Puts it aside: it needs no answer. It goes on being counted."""
    misses = services(request).misses

    async def work(tx: Tx) -> None:
        await misses.dismiss(tx, who.actor, found.id, digest)

    return await write(work, status=204, account_id=found.id)


def _today(request: Request, found: LiveAccount) -> date:
    zone = ZoneInfo(found.view.timezone)
    return services(request).clock.now().astimezone(zone).date()


def _misses_out(views: Sequence[MissView], runtime: Runtime, found: LiveAccount) -> list[MissOut]:
    return [_miss_out(view, runtime, found) for view in views]


def _miss_out(view: MissView, runtime: Runtime, found: LiveAccount) -> MissOut:
    return MissOut(
        digest=view.digest,
        text=view.text,
        example=view.example,
        times=view.times,
        first_at=view.first_at,
        last_at=view.last_at,
        dismissed=view.dismissed_at is not None,
        answered_now=_answered(runtime, found, view.example),
    )


def _answered(runtime: Runtime, found: LiveAccount, text: str) -> bool:
    """A rehearsal from memory, as a dry run is."""
    said = rehearse(
        runtime.routing,
        found.view,
        Incoming(Kind.TEXT, text=text),
        key="miss",
        now=runtime.clock.now(),
    )
    return not said.missed

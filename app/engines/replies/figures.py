"""What was counted of rules, bindings and flows, as staff read it; and misses put aside."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal, TypeAlias

from sqlalchemy import and_, case, func, or_, select, update

from app.core.clock import Clock
from app.core.errors import NotFound
from app.core.ids import AccountId
from app.db.audit import Actor, Audit
from app.db.tx import Tx
from app.engines.replies.models import Miss, Tally

What: TypeAlias = Literal["rule", "binding", "flow"]
WEEK = timedelta(days=6)
"""From today back to the first of seven days."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Of one rule, binding or flow, over the days that are kept."""

    hits: int = 0
    hits_7d: int = 0
    """Today and the six days before, in the account's time zone."""
    last_hit_at: datetime | None = None


NEVER = Hits()


@dataclass(frozen=True, slots=True)
class DayView:
    day: str
    what: What
    hits: int
    last_hit_at: datetime


@dataclass(frozen=True, slots=True)
class MissView:
    digest: str
    text: str
    """As it is compared."""
    example: str
    """As it was last typed."""
    times: int
    first_at: datetime
    last_at: datetime
    dismissed_at: datetime | None


@dataclass(frozen=True, slots=True)
class MissPage:
    items: tuple[MissView, ...]
    next_after: "Place | None"


Place: TypeAlias = tuple[int, str]
"""Where a page of misses ends: times and digest."""


async def hits_of(
    tx: Tx, account_id: AccountId, what: What, ids: Collection[int], today: date
) -> Mapping[int, Hits]:
    """Of those that ever answered, by id; one statement."""
    if not ids:
        return {}
    recent = case((Tally.day >= (today - WEEK).isoformat(), Tally.hits), else_=0)
    rows = await tx.all(
        select(Tally.target_id, func.sum(Tally.hits), func.sum(recent), func.max(Tally.last_at))
        .where(Tally.account_id == account_id, Tally.what == what, Tally.target_id.in_(sorted(ids)))
        .group_by(Tally.target_id)
    )
    return {target: Hits(int(hits), int(week), last) for target, hits, week, last in rows}


async def list_days(
    tx: Tx,
    account_id: AccountId,
    *,
    what: What | None,
    target_id: int | None,
    first: date,
    last: date,
) -> Sequence[DayView]:
    """Hits by day and sort of thing, newest first; of one rule, binding or flow when it is named.
    Days without a hit are left out."""
    statement = select(Tally.day, Tally.what, func.sum(Tally.hits), func.max(Tally.last_at)).where(
        Tally.account_id == account_id,
        Tally.day.between(first.isoformat(), last.isoformat()),
    )
    if what is not None:
        statement = statement.where(Tally.what == what)
    if target_id is not None:
        statement = statement.where(Tally.target_id == target_id)
    rows = await tx.all(
        statement.group_by(Tally.day, Tally.what).order_by(Tally.day.desc(), Tally.what)
    )
    return [DayView(day, of, int(hits), at) for day, of, hits, at in rows]


_MISS = select(
    Miss.digest,
    Miss.text,
    Miss.example,
    Miss.times,
    Miss.first_at,
    Miss.last_at,
    Miss.dismissed_at,
)


async def list_misses(
    tx: Tx,
    account_id: AccountId,
    *,
    dismissed: bool = False,
    after: Place | None = None,
    limit: int = 50,
) -> MissPage:
    """The most frequent first. Counts go on rising, so a text may show up on two pages."""
    wanted = Miss.dismissed_at.is_not(None) if dismissed else Miss.dismissed_at.is_(None)
    statement = _MISS.where(Miss.account_id == account_id, wanted)
    if after is not None:
        times, digest = after
        beyond = or_(Miss.times < times, and_(Miss.times == times, Miss.digest > digest))
        statement = statement.where(beyond)
    rows = await tx.all(statement.order_by(Miss.times.desc(), Miss.digest).limit(limit + 1))
    items = tuple(MissView(*row) for row in rows[:limit])
    more = len(rows) > limit
    return MissPage(items, (items[-1].times, items[-1].digest) if more else None)


class Misses:
    """What staff do with texts nobody had an answer to."""

    def __init__(self, clock: Clock, audit: Audit) -> None:
        self._clock = clock
        self._audit = audit

    async def dismiss(self, tx: Tx, actor: Actor, account_id: AccountId, digest: str) -> None:
        """Puts a text aside; it goes on being counted, and twice changes nothing.

        Raises `NotFound`.
        """
        mine = (Miss.account_id == account_id, Miss.digest == digest)
        row: Any = await tx.first(_MISS.where(*mine))
        if row is None:
            raise NotFound(what="miss")
        touched = await tx.run(
            update(Miss)
            .where(*mine, Miss.dismissed_at.is_(None))
            .values(dismissed_at=self._clock.now())
        )
        if touched:
            await self._audit.record(
                tx,
                actor,
                "replies.miss.dismissed",
                f"miss:{digest}",
                account_id=account_id,
                before={"text": row.text, "times": row.times},
            )

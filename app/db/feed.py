"""What happened, read in order by consumers that each take every event exactly once.

A consumer's place is its row of `event_cursor`. Events are read beside everything else; then what the
consumer writes and the move of its row are one transaction, which begins with the move and is guarded
by the place the reading began at. Whoever comes second finds the row moved and writes nothing; a
crash between reading and commit leaves everything as it was.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from prometheus_client import Gauge
from sqlalchemy import BigInteger, Integer, String, Text, bindparam, cast, func, select, update
from sqlalchemy import tuple_ as row_of

from app.core.clock import Clock
from app.db.base import Utc
from app.db.database import Database
from app.db.events import EventCursor, EventRow
from app.db.hot import Hot, upsert
from app.db.tx import Tx

STEP = 500
"""Events of one transaction at most."""
_BEHIND = Gauge("guanxi_feed_behind_seconds", "How far a reader of events is behind", ["consumer"])

Place: TypeAlias = tuple[int, int]
"""Writing transaction and id of an event; see `EventRow`."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event as a consumer gets it."""

    tx: int
    id: int
    account_id: int
    kind: str
    aggregate_type: str
    aggregate_id: int
    aggregate_seq: int
    payload: Any
    created_at: datetime


Consume: TypeAlias = Callable[[Tx, Sequence[Told]], Awaitable[None]]
"""Writes by `tx` alone, since it may run again after a conflict."""

_COLUMNS = (
    EventRow.tx,
    EventRow.id,
    EventRow.account_id,
    EventRow.kind,
    EventRow.aggregate_type,
    EventRow.aggregate_id,
    EventRow.aggregate_seq,
    EventRow.payload,
    EventRow.created_at,
)
_PAST = row_of(EventRow.tx, EventRow.id) > row_of(
    bindparam("tx_", type_=BigInteger()), bindparam("id_", type_=BigInteger())
)
_OLDEST_OPEN = cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger)
"""Every transaction below it has ended, and ids are drawn before the commit: above it an event may
still appear in front of one that is there already."""


def _next(dialect: str) -> Any:
    statement = select(*_COLUMNS).where(_PAST)
    if dialect == "postgresql":
        statement = statement.where(EventRow.tx < _OLDEST_OPEN)
    ordered = statement.order_by(EventRow.tx, EventRow.id)
    return ordered.limit(bindparam("limit_", type_=Integer()))


def _first(dialect: str) -> Any:
    values = {"consumer": bindparam("consumer_", type_=String()), "tx": 0, "id": 0}
    return upsert(dialect, EventCursor).values(values).on_conflict_do_nothing()


_NEXT = Hot(_next)
_HELD_BACK = Hot(
    select(EventRow.created_at).where(_PAST).order_by(EventRow.tx, EventRow.id).limit(1)
)
_FIRST = Hot(_first)
_PLACE = Hot(
    select(EventCursor.tx, EventCursor.id, EventCursor.at).where(
        EventCursor.consumer == bindparam("consumer_", type_=String())
    )
)
_MOVE = Hot(
    update(EventCursor)
    .where(
        EventCursor.consumer == bindparam("consumer_", type_=String()),
        EventCursor.tx == bindparam("seen_tx", type_=BigInteger()),
        EventCursor.id == bindparam("seen_id", type_=BigInteger()),
    )
    .values(
        tx=bindparam("now_tx", type_=BigInteger()),
        id=bindparam("now_id", type_=BigInteger()),
        at=bindparam("now_at", type_=Utc()),
    )
)


@dataclass(frozen=True, slots=True)
class Page:
    """What lies past a place, as one look at the database shows it."""

    seen: Place
    events: Sequence[Told]
    until: datetime
    """Everything that was committed before has been taken, once these are."""

    @property
    def end(self) -> Place:
        return (self.events[-1].tx, self.events[-1].id) if self.events else self.seen


class Feed:
    """One consumer. Any number of processes may step; each event is consumed once, in order of
    `(tx, id)`.

    Only events of `kinds` are handed on. A new consumer begins with the oldest event that is kept
    (seven days). On PostgreSQL a long transaction holds back the events after it: it delays, and
    nothing is lost. `consume` must not refuse an event for good: the feed would stand still before it.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        consumer: str,
        kinds: Collection[str],
        consume: Consume,
        *,
        limit: int = STEP,
    ) -> None:
        self.consumer = consumer
        self._database = database
        self._clock = clock
        self._kinds = frozenset(kinds)
        self._consume = consume
        self._limit = limit

    async def catch_up(self) -> int:
        """Steps until nothing is left to read; how many events were read."""
        read = 0
        while True:
            taken = await self.step()
            read += taken
            if taken < self._limit:
                return read

    async def step(self) -> int:
        """Takes up to `limit` events in one transaction; how many were read, of any kind.

        What another process took meanwhile counts as read: there may be more.
        """
        page = await self._database.read(self._page)
        if page is None:
            await self._database.transaction(self._begin)
            page = await self._database.read(self._page)
        if page is None:
            raise RuntimeError(f"the cursor of {self.consumer} was deleted")
        await self._take(page)
        behind = (self._clock.now() - page.until).total_seconds()
        _BEHIND.labels(self.consumer).set(max(0.0, behind))
        return len(page.events)

    async def _begin(self, tx: Tx) -> None:
        await tx.run(_FIRST, {"consumer_": self.consumer})

    async def _page(self, tx: Tx) -> Page | None:
        now = self._clock.now()
        row = await tx.first(_PLACE, {"consumer_": self.consumer})
        if row is None:
            return None
        seen = (row[0], row[1])
        past = {"tx_": seen[0], "id_": seen[1]}
        events = [Told(*found) for found in await tx.all(_NEXT, {**past, "limit_": self._limit})]
        if len(events) == self._limit:
            return Page(seen, events, events[-1].created_at)
        if events:
            past = {"tx_": events[-1].tx, "id_": events[-1].id}
        held_back = await tx.value(_HELD_BACK, past)
        return Page(seen, events, now if held_back is None else held_back)

    async def _take(self, page: Page) -> None:
        async def work(tx: Tx) -> None:
            if await self._move(tx, page):
                await self._hand_over(tx, page)

        await self._database.transaction(work)

    async def _move(self, tx: Tx, page: Page) -> bool:
        """Moves the cursor on, whose row stays locked until the commit; false when another process
        did so first."""
        moved = {
            "consumer_": self.consumer,
            "seen_tx": page.seen[0],
            "seen_id": page.seen[1],
            "now_tx": page.end[0],
            "now_id": page.end[1],
            "now_at": page.until,
        }
        return await tx.run(_MOVE, moved) == 1

    async def _hand_over(self, tx: Tx, page: Page) -> None:
        wanted = [event for event in page.events if event.kind in self._kinds]
        if wanted:
            await self._consume(tx, wanted)


async def read_until(tx: Tx, consumer: str) -> datetime | None:
    """Up to when a consumer has taken everything; None before its first step."""
    row = await tx.first(_PLACE, {"consumer_": consumer})
    return None if row is None else row[2]

"""What happened, written in the transaction that made it happen."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import BigInteger, FetchedValue, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import Clock
from app.core.events import Event
from app.db.base import Base, BigId, Json, Utc
from app.db.hot import hot_insert
from app.db.tx import Tx

Subscriber: TypeAlias = Callable[[Tx, Sequence[Event]], Awaitable[None]]


class EventRow(Base):
    """Kept seven days. On PostgreSQL `tx` is the writing transaction: ids are drawn before commit, so
    readers go by `(tx, id)` below the oldest open transaction. On SQLite writes are serial."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_tx_id", "tx", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    tx: Mapped[int] = mapped_column(BigInteger, server_default=FetchedValue())
    account_id: Mapped[int] = mapped_column(BigInteger)
    topic: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(64))
    aggregate_type: Mapped[str] = mapped_column(String(32))
    aggregate_id: Mapped[int] = mapped_column(BigInteger)
    aggregate_seq: Mapped[int] = mapped_column(Integer)
    payload: Mapped[object] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Utc)


class EventCursor(Base):
    """How far a reader has come."""

    __tablename__ = "event_cursor"

    consumer: Mapped[str] = mapped_column(String(64), primary_key=True)
    tx: Mapped[int] = mapped_column(BigInteger)
    id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime | None] = mapped_column(Utc)
    """Up to when everything has been taken."""


_INSERT = hot_insert(
    EventRow,
    "account_id",
    "topic",
    "kind",
    "aggregate_type",
    "aggregate_id",
    "aggregate_seq",
    "payload",
    "created_at",
)


class Events:
    """Stores events and calls the set-wise subscribers wired in `runtime`."""

    def __init__(self, clock: Clock, subscribers: Sequence[Subscriber] = ()) -> None:
        self._clock = clock
        self._subscribers = tuple(subscribers)

    async def emit(self, tx: Tx, events: Sequence[Event]) -> None:
        """Writes every event in `tx`, then tells each subscriber of all of them at once."""
        if not events:
            return
        now = self._clock.now()
        await tx.put(
            _INSERT,
            [
                {
                    "account_id": e.account_id,
                    "topic": e.kind.partition(".")[0],
                    "kind": e.kind,
                    "aggregate_type": e.aggregate_type,
                    "aggregate_id": e.aggregate_id,
                    "aggregate_seq": e.aggregate_seq,
                    "payload": e.payload,
                    "created_at": now,
                }
                for e in events
            ],
        )
        for subscriber in self._subscribers:
            await subscriber(tx, events)

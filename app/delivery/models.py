"""What is to be sent, what may be sent, and all work that happens later."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Float,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, Json, Utc


class SendWindow(Base):
    """A grant to send, opened by what the follower did. Engine reference A6."""

    __tablename__ = "send_window"
    __table_args__ = (CheckConstraint("used <= quota", name="quota"),)

    follower_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """First in the key: followers' ids are unique over all accounts, and reads go by them alone."""
    bucket: Mapped[str] = mapped_column(String(12), primary_key=True)
    """`message`, `menu`, `subscribe` or `scan`."""
    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    source_key: Mapped[str] = mapped_column(String(200))
    granted_at: Mapped[datetime] = mapped_column(Utc)
    expires_at: Mapped[datetime] = mapped_column(Utc)
    quota: Mapped[int] = mapped_column(SmallInteger)
    used: Mapped[int] = mapped_column(SmallInteger)
    used_by_bot: Mapped[int] = mapped_column(SmallInteger)


_OPEN = text("state IN ('queued', 'sending', 'held')")
_HELD = text("state = 'held'")


class Outbound(Base):
    """One message to a follower and what became of it. The truth about sending."""

    __tablename__ = "outbound"
    __table_args__ = (
        Index(
            "ix_outbound_open",
            "follower_id",
            "conversation_id",
            "seq",
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index(
            "ix_outbound_held",
            "expires_at",
            sqlite_where=_HELD,
            postgresql_where=_HELD,
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    follower_id: Mapped[int] = mapped_column(BigInteger)
    conversation_id: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int] = mapped_column(BigInteger)
    """The message's place in its conversation, which is the order of sending."""
    message_id: Mapped[int] = mapped_column(BigInteger)
    source_key: Mapped[str] = mapped_column(String(200))
    """The delivery or request it came from."""
    automatic: Mapped[bool] = mapped_column(Boolean)
    """Written by the bot, which leaves the last sends of a window to people."""
    payload: Mapped[object] = mapped_column(Json)
    state: Mapped[str] = mapped_column(String(8))
    """Open: `queued`, `sending`, `held`. Final: `sent`, `failed`, `blocked`, `unknown`."""
    route: Mapped[str] = mapped_column(String(16))
    """`customer`, or `held` for one that waits for the next contact when no window is open; once
    sent, what it went by: `customer` or `passive`."""
    lane: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(SmallInteger)
    next_attempt_at: Mapped[datetime | None] = mapped_column(Utc)
    bucket: Mapped[str | None] = mapped_column(String(12))
    """The window that was charged."""
    error_code: Mapped[str | None] = mapped_column(String(24))
    error_text: Mapped[str | None] = mapped_column(String(500))
    expires_at: Mapped[datetime] = mapped_column(Utc)
    """Not sent any more after this moment."""
    created_at: Mapped[datetime] = mapped_column(Utc)
    sent_at: Mapped[datetime | None] = mapped_column(Utc)


_READY = text("state = 'ready'")
_RUNNING = text("state = 'running'")
_LANED = text("lane IS NOT NULL AND state IN ('ready', 'running')")
_WAITING_DEDUP = text("dedup IS NOT NULL AND state = 'ready'")


class Job(Base):
    """Later work. Times are milliseconds, decided by the injected clock, never by the database."""

    __tablename__ = "job"
    __table_args__ = (
        Index(
            "ix_job_ready", "queue", "run_at", "id", sqlite_where=_READY, postgresql_where=_READY
        ),
        Index("ix_job_lane", "lane", "id", sqlite_where=_LANED, postgresql_where=_LANED),
        Index("ix_job_running", "lease_until", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
        Index(
            "uq_job_dedup",
            "dedup",
            unique=True,
            sqlite_where=_WAITING_DEDUP,
            postgresql_where=_WAITING_DEDUP,
        ),
        {
            "sqlite_autoincrement": True,
            # rows change three times in their short lives: room to update in place, early cleaning
            "postgresql_with": {"fillfactor": 70, "autovacuum_vacuum_scale_factor": 0.01},
        },
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    account_id: Mapped[int | None] = mapped_column(BigInteger)
    queue: Mapped[str] = mapped_column(String(16))
    task: Mapped[str] = mapped_column(String(64))
    args: Mapped[object] = mapped_column(Json)
    lane: Mapped[int | None] = mapped_column(BigInteger)
    """A follower's id: jobs of a lane run one after the other, in order of id."""
    dedup: Mapped[str | None] = mapped_column(String(120))
    run_at: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(9))
    """`ready`, `running`, `done`, `failed`, `ask` or `cancelled`."""
    attempts: Mapped[int] = mapped_column(SmallInteger)
    max_attempts: Mapped[int] = mapped_column(SmallInteger)
    lease_until: Mapped[int | None] = mapped_column(BigInteger)
    fence: Mapped[int] = mapped_column(Integer)
    """Rises with each claim; who finishes with an old one is too late."""
    worker: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[int] = mapped_column(BigInteger)


class Schedule(Base):
    """When a periodic job is next due; the tick enqueues it and moves this on in one transaction."""

    __tablename__ = "schedule"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    next_at: Mapped[int] = mapped_column(BigInteger)


class Rate(Base):
    """A token bucket shared by all processes."""

    __tablename__ = "rate"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    tokens: Mapped[float] = mapped_column(Float)
    at: Mapped[int] = mapped_column(BigInteger)
    per_s: Mapped[float] = mapped_column(Float)
    burst: Mapped[float] = mapped_column(Float)


class Operation(Base):
    """Progress and files of long work that somebody waits for."""

    __tablename__ = "operation"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(9))
    """`running`, `paused`, `done`, `failed` or `cancelled`."""
    done: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int | None] = mapped_column(BigInteger)
    cursor: Mapped[object | None] = mapped_column(Json)
    result: Mapped[object | None] = mapped_column(Json)
    error: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime] = mapped_column(Utc)
    updated_at: Mapped[datetime] = mapped_column(Utc)

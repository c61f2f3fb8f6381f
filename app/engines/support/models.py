"""Conversations and their messages. Column meanings: engine reference A1."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Index, Integer, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, Json, Utc

_LIVE = text("state <> 'closed'")
_DELIVERED = text("receipt_key IS NOT NULL")


class Conversation(Base):
    """A follower has at most one that is not closed (CS-1)."""

    __tablename__ = "cs_conversation"
    __table_args__ = (
        Index(
            "uq_cs_conversation_live",
            "account_id",
            "follower_id",
            unique=True,
            sqlite_where=_LIVE,
            postgresql_where=_LIVE,
        ),
        Index(
            "ix_cs_conversation_follower_id",
            "follower_id",
            sqlite_where=_LIVE,
            postgresql_where=_LIVE,
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[str] = mapped_column(String(16))
    """A short code of the id, for people."""
    follower_id: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(8))
    owner_kind: Mapped[str] = mapped_column(String(8))
    agent_id: Mapped[int | None] = mapped_column(BigInteger)
    team_id: Mapped[int | None] = mapped_column(BigInteger)
    priority: Mapped[int] = mapped_column(SmallInteger)
    subject: Mapped[str | None] = mapped_column(String(120))
    version: Mapped[int] = mapped_column(Integer)
    last_message_seq: Mapped[int] = mapped_column(Integer)
    last_inbound_at: Mapped[datetime | None] = mapped_column(Utc)
    last_outbound_at: Mapped[datetime | None] = mapped_column(Utc)
    first_human_reply_at: Mapped[datetime | None] = mapped_column(Utc)
    waiting_since: Mapped[datetime | None] = mapped_column(Utc)
    queued_at: Mapped[datetime | None] = mapped_column(Utc)
    assigned_at: Mapped[datetime | None] = mapped_column(Utc)
    snoozed_until: Mapped[datetime | None] = mapped_column(Utc)
    snooze_until_reply: Mapped[bool] = mapped_column(Boolean)
    resolved_at: Mapped[datetime | None] = mapped_column(Utc)
    resolved_by: Mapped[str | None] = mapped_column(String(80))
    resolution_code: Mapped[str | None] = mapped_column(String(24))
    closed_at: Mapped[datetime | None] = mapped_column(Utc)
    reopen_count: Mapped[int] = mapped_column(SmallInteger)
    bot_context: Mapped[object | None] = mapped_column(Json)
    bot_epoch: Mapped[int] = mapped_column(Integer)
    bot_misses: Mapped[int] = mapped_column(SmallInteger)
    """Contacts in a row that nobody had an answer to."""
    preview: Mapped[str] = mapped_column(String(80))
    sla_next_due_at: Mapped[datetime | None] = mapped_column(Utc)


class Message(Base):
    """One row for each delivery of a follower and each message to one. Append-only.

    No unique key but the id and no foreign keys: `receipt` and the conversation's lock make it so,
    and on PostgreSQL the table is partitioned by id.
    """

    __tablename__ = "cs_message"
    __table_args__ = (
        Index("ix_cs_message_conversation_id_seq", "conversation_id", "seq"),
        Index(
            "ix_cs_message_receipt_key",
            "receipt_key",
            sqlite_where=_DELIVERED,
            postgresql_where=_DELIVERED,
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    conversation_id: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int] = mapped_column(Integer)
    follower_id: Mapped[int] = mapped_column(BigInteger)
    direction: Mapped[str] = mapped_column(String(6))
    author_kind: Mapped[str] = mapped_column(String(8))
    author_id: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(24))
    body: Mapped[object] = mapped_column(Json)
    text: Mapped[str] = mapped_column(Text)
    private: Mapped[bool] = mapped_column(Boolean)
    reply_to_id: Mapped[int | None] = mapped_column(BigInteger)
    wx_msg_id: Mapped[int | None] = mapped_column(BigInteger)
    receipt_key: Mapped[str | None] = mapped_column(String(200))
    client_token: Mapped[str | None] = mapped_column(String(64))
    wx_created_at: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(Utc)
    outbound_id: Mapped[int | None] = mapped_column(BigInteger)
    recalled_at: Mapped[datetime | None] = mapped_column(Utc)
    raw: Mapped[str | None] = mapped_column(Text)
    """The body as decrypted."""
    trace: Mapped[object | None] = mapped_column(Json)
    """Which handler, rule or binding answered, and why."""

"""Where followers stand in dialogues, and bodies nobody could read."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Index, Integer, LargeBinary, SmallInteger, String, false
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, Json, Utc


class FlowStateRow(Base):
    __tablename__ = "flow_state"

    follower_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    flow: Mapped[str] = mapped_column(String(40))
    step: Mapped[int] = mapped_column(Integer)
    answers: Mapped[object] = mapped_column(Json)
    version: Mapped[int] = mapped_column(Integer, server_default="0")
    """The flow as it was at the beginning; 0 for the newest."""
    path: Mapped[object | None] = mapped_column(Json)
    """The questions answered so far, for going back."""
    paused: Mapped[bool] = mapped_column(Boolean, server_default=false())
    """A person held the conversation; the question is asked again afterwards."""
    misses: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """Answers in a row that were not understood."""
    expires_at: Mapped[datetime] = mapped_column(Utc)
    updated_at: Mapped[datetime] = mapped_column(Utc)


class Quarantined(Base):
    """An authenticated body that was not understood, kept raw for staff; bounded per account."""

    __tablename__ = "quarantine"
    __table_args__ = (Index("ix_quarantine_account_id_id", "account_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(String(40))
    detail: Mapped[str] = mapped_column(String(300))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(Utc)

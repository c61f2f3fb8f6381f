"""What the shop answers to what."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, Json, Utc


class Book(Base):
    """The version of all an account's rules, bindings and flows; processes reload when it rises."""

    __tablename__ = "rp_book"

    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger)


class Rule(Base):
    """A keyword rule: words of one kind, and answers of which one is taken."""

    __tablename__ = "rp_rule"
    __table_args__ = (Index("ix_rp_rule_account_id_id", "account_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(8))
    """`exact`, `wildcard`, `contains` or `pattern`."""
    words: Mapped[object] = mapped_column(Json)
    priority: Mapped[int] = mapped_column(Integer)
    enabled: Mapped[bool] = mapped_column(Boolean)
    answers: Mapped[object] = mapped_column(Json)
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(Utc)
    updated_at: Mapped[datetime] = mapped_column(Utc)


class Binding(Base):
    """What answers a menu key, a scanned code, a follow, a reported location or a kind of message."""

    __tablename__ = "rp_binding"
    __table_args__ = (UniqueConstraint("account_id", "on", "key"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    on: Mapped[str] = mapped_column(String(8))
    """`menu`, `scan`, `follow`, `location` or `type`."""
    key: Mapped[str] = mapped_column(String(128))
    """The menu key, scene or kind of message; empty for any."""
    enabled: Mapped[bool] = mapped_column(Boolean)
    answers: Mapped[object] = mapped_column(Json)
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(Utc)
    updated_at: Mapped[datetime] = mapped_column(Utc)


class Flow(Base):
    """A multi-step dialogue, its steps as JSON."""

    __tablename__ = "rp_flow"
    __table_args__ = (UniqueConstraint("account_id", "name"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(40))
    enabled: Mapped[bool] = mapped_column(Boolean)
    steps: Mapped[object] = mapped_column(Json)
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(Utc)
    updated_at: Mapped[datetime] = mapped_column(Utc)

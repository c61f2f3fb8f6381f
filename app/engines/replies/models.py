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
    settings: Mapped[object | None] = mapped_column(Json)
    """What holds for all of them: switches and synonyms."""


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
    hours: Mapped[object | None] = mapped_column(Json)
    """When it holds; null for always."""
    audience: Mapped[object | None] = mapped_column(Json)
    """For whom it holds; null for everybody."""
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
    hours: Mapped[object | None] = mapped_column(Json)
    """When it holds; null for always."""
    audience: Mapped[object | None] = mapped_column(Json)
    """For whom it holds; null for everybody."""
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


class FlowVersion(Base):
    """A flow as it was before a change, for followers who began with it."""

    __tablename__ = "rp_flow_version"
    __table_args__ = (
        Index("ix_rp_flow_version_account_id_superseded_at", "account_id", "superseded_at"),
    )

    flow_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(40))
    steps: Mapped[object] = mapped_column(Json)
    superseded_at: Mapped[datetime] = mapped_column(Utc)


class Revision(Base):
    """One change of an account's book: who, when, and each thing before and after. Append-only."""

    __tablename__ = "rp_revision"

    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """The book's version that this change made."""
    source: Mapped[str] = mapped_column(String(12))
    """`edit`, `import` or `rollback`."""
    actor: Mapped[str] = mapped_column(String(80))
    note: Mapped[str] = mapped_column(String(200))
    counts: Mapped[object] = mapped_column(Json)
    """How many were added, changed and removed, for lists."""
    changes: Mapped[object] = mapped_column(Json)
    at: Mapped[datetime] = mapped_column(Utc)


class Tally(Base):
    """How often a rule, binding or flow answered on a day, counted after the fact."""

    __tablename__ = "rp_tally"
    __table_args__ = (Index("ix_rp_tally_day", "day"),)

    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    what: Mapped[str] = mapped_column(String(8), primary_key=True)
    """`rule`, `binding` or `flow`."""
    target_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    """ISO date in the account's time zone."""
    hits: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime] = mapped_column(Utc)


class Miss(Base):
    """A text nobody had an answer to, counted under its normalised form."""

    __tablename__ = "rp_miss"
    __table_args__ = (Index("ix_rp_miss_account_id_times", "account_id", "times"),)

    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(String(32), primary_key=True)
    text: Mapped[str] = mapped_column(String(200))
    example: Mapped[str] = mapped_column(String(200))
    """As it was last typed."""
    times: Mapped[int] = mapped_column(BigInteger)
    first_at: Mapped[datetime] = mapped_column(Utc)
    last_at: Mapped[datetime] = mapped_column(Utc)
    dismissed_at: Mapped[datetime | None] = mapped_column(Utc)
    """Staff looked at it and want no answer to it."""

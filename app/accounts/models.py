"""Official accounts and their keys."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, Utc


class Account(Base):
    __tablename__ = "account"
    __table_args__ = (UniqueConstraint("slug"), UniqueConstraint("appid"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    slug: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(16))
    """`subscription` or `service`."""
    verified: Mapped[bool] = mapped_column(Boolean)
    original_id: Mapped[str | None] = mapped_column(String(40))
    """`gh_…`; taught by the first authenticated delivery when not given."""
    appid: Mapped[str] = mapped_column(String(40))
    mode: Mapped[str] = mapped_column(String(8))
    """`plain`, `compat` or `safe`."""
    timezone: Mapped[str] = mapped_column(String(40))
    contact: Mapped[str] = mapped_column(String(300))
    """What a follower who wants a person is told while there is no desk."""
    enabled: Mapped[bool] = mapped_column(Boolean)
    version: Mapped[int] = mapped_column(Integer)
    """Rises with every change of the account or its keys; other processes reload by it."""
    created_at: Mapped[datetime] = mapped_column(Utc)


class AccountSecret(Base):
    """`secret`, `token`, `aes_key`, `aes_key_previous`; encrypted, bound to this row and column."""

    __tablename__ = "account_secret"

    account_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("account.id"), primary_key=True, autoincrement=False
    )
    name: Mapped[str] = mapped_column(String(24), primary_key=True)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    updated_at: Mapped[datetime] = mapped_column(Utc)

"""One row for each delivery and each idempotent API call, and the answer it got."""

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Index, SmallInteger, String, Text, bindparam, select, update
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, Utc
from app.db.hot import Hot, InList, hot_insert

DELIVERY_LIFE = timedelta(hours=24)
"""Card events are repeated for up to 24 h; ordinary messages for about 20 s. Protocol 2.4."""
API_LIFE = timedelta(hours=48)


class Receipt(Base):
    """`status` is null while an apart handler still works; 200 has an answer, 204 has none.

    The selective column leads the key: with the account first, a planner without statistics walks
    all of the account's receipts.
    """

    __tablename__ = "receipt"
    __table_args__ = (
        Index("ix_receipt_expires_at", "expires_at"),
        {"sqlite_with_rowid": False},
    )

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    request_hash: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[int | None] = mapped_column(SmallInteger)
    answer: Mapped[str | None] = mapped_column(Text)
    tries: Mapped[int] = mapped_column(SmallInteger)
    expires_at: Mapped[datetime] = mapped_column(Utc)


FIND = Hot(
    select(Receipt.key, Receipt.account_id, Receipt.status, Receipt.answer, Receipt.tries).where(
        InList(Receipt.key, "keys")
    )
)
INSERT = hot_insert(
    Receipt, "key", "account_id", "request_hash", "status", "answer", "tries", "expires_at"
)

COUNT_TRY = Hot(
    update(Receipt)
    .where(Receipt.key == bindparam("k"), Receipt.account_id == bindparam("a"))
    .values(tries=Receipt.tries + 1)
)
SETTLE = Hot(
    update(Receipt)
    .where(
        Receipt.key == bindparam("k"),
        Receipt.account_id == bindparam("a"),
        Receipt.status.is_(None),
    )
    .values(
        status=bindparam("new_status", type_=SmallInteger()),
        answer=bindparam("new_answer", type_=Text()),
    )
)
"""Gives an open receipt its answer. One of several who try touches a row; the others lost."""

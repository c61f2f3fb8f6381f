"""The receipt of an API call, in the transaction of its effect. Engine reference 0.3.

Only another call with the same key ever waits for such a row, so taking it first cannot deadlock.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.core.errors import Refusal
from app.db.faults import original
from app.db.hot import upsert
from app.db.receipts import API_LIFE, SETTLE, Receipt
from app.db.tx import Tx

_LOCK_NOT_AVAILABLE = "55P03"


class IdempotencyMismatch(Refusal):
    code = "IDEMPOTENCY_MISMATCH"
    zh = "此 Idempotency-Key 已用于另一个请求"
    en = "This Idempotency-Key was used for another request"


class InProgress(Refusal):
    """The first call with this key is still running."""

    code = "IN_PROGRESS"
    retryable = True
    zh = "相同的请求正在处理，请稍后重试"
    en = "The same request is still being worked on; try again shortly"


@dataclass(frozen=True, slots=True)
class Stored:
    """A 2xx answer."""

    status: int
    body: str


async def once(
    tx: Tx,
    key: str,
    account_id: int,
    request_hash: str,
    now: datetime,
    answer: Callable[[], Awaitable[Stored]],
) -> tuple[Stored, bool]:
    """The first answer under this key, and whether it is a repeat.

    A refusal raised by `answer` rolls the receipt back with everything else, so the key is free
    again. Raises `IdempotencyMismatch` or `InProgress`.
    """
    if not await _first(tx, key, account_id, request_hash, now):
        return await _before(tx, key, account_id, request_hash), True
    stored = await answer()
    settled = {
        "k": key,
        "a": account_id,
        "new_status": stored.status,
        "new_answer": stored.body,
    }
    await tx.run(SETTLE, settled)
    return stored, False


async def _first(tx: Tx, key: str, account_id: int, request_hash: str, now: datetime) -> bool:
    """Takes the key; false when it is taken. One whose time is over counts as free."""
    fresh: dict[str, Any] = {
        "request_hash": request_hash,
        "status": None,
        "answer": None,
        "tries": 1,
        "expires_at": now + API_LIFE,
    }
    statement = (
        upsert(tx.dialect, Receipt)
        .values(key=key, account_id=account_id, **fresh)
        .on_conflict_do_update(
            index_elements=["key", "account_id"], set_=fresh, where=Receipt.expires_at <= now
        )
    )
    try:
        return bool(await tx.run(statement))
    except DBAPIError as error:
        inner = original(error)
        if isinstance(inner, psycopg.Error) and inner.sqlstate == _LOCK_NOT_AVAILABLE:
            raise InProgress from error
        raise


async def _before(tx: Tx, key: str, account_id: int, request_hash: str) -> Stored:
    row = await tx.first(
        select(Receipt.request_hash, Receipt.status, Receipt.answer).where(
            Receipt.key == key, Receipt.account_id == account_id
        )
    )
    if row.request_hash != request_hash:
        raise IdempotencyMismatch
    return Stored(row.status, row.answer)

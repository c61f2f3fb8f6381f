"""Reads of conversations and their messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from app.core.ids import AccountId
from app.db.hot import Hot, InList
from app.db.receipts import Receipt
from app.db.tx import Tx
from app.engines.support.models import Message

SAID = 20
"""Most messages shown as what a delivery led to."""


@dataclass(frozen=True, slots=True)
class SaidView:
    """A message to the follower."""

    id: int
    kind: str
    text: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TraceView:
    """A past delivery: what came, who answered and why, and what was said."""

    key: str
    message_id: int
    conversation_id: int
    kind: str
    text: str
    why: Mapping[str, Any]
    said: tuple[SaidView, ...]
    status: int | None
    """Of the receipt: 200 answered at once, 204 the empty success, null while an apart handler works
    or when the receipt has expired."""
    tries: int | None
    """How often the platform asked while there was no answer; null when the receipt has expired."""
    wx_created_at: int | None
    """Unix seconds, by the platform's clock."""
    received_at: datetime


async def find_trace(tx: Tx, account_id: AccountId, key: str) -> TraceView | None:
    """By the delivery's key; None when no follower's delivery of this account had it."""
    row = await tx.first(
        select(
            Message.id,
            Message.conversation_id,
            Message.seq,
            Message.kind,
            Message.text,
            Message.trace,
            Message.wx_created_at,
            Message.created_at,
        ).where(
            Message.receipt_key == key,
            Message.account_id == account_id,
            Message.direction == "in",
        )
    )
    if row is None:
        return None
    receipt = await tx.first(
        select(Receipt.status, Receipt.tries).where(
            Receipt.key == key, Receipt.account_id == account_id
        )
    )
    return TraceView(
        key=key,
        message_id=row.id,
        conversation_id=row.conversation_id,
        kind=row.kind,
        text=row.text,
        why=row.trace or {},
        said=await _said_after(tx, row.conversation_id, row.seq),
        status=receipt.status if receipt else None,
        tries=receipt.tries if receipt else None,
        wx_created_at=row.wx_created_at,
        received_at=row.created_at,
    )


async def _said_after(tx: Tx, conversation_id: int, seq: int) -> tuple[SaidView, ...]:
    """What the program said after this message and before the follower's next."""
    following: Any = await tx.value(
        select(func.min(Message.seq)).where(
            Message.conversation_id == conversation_id,
            Message.seq > seq,
            Message.direction == "in",
        )
    )
    statement = select(Message.id, Message.kind, Message.text, Message.created_at).where(
        Message.conversation_id == conversation_id,
        Message.seq > seq,
        Message.direction == "out",
        Message.author_kind == "bot",
    )
    if following is not None:
        statement = statement.where(Message.seq < following)
    rows = await tx.all(statement.order_by(Message.seq).limit(SAID))
    return tuple(SaidView(*row) for row in rows)


@dataclass(frozen=True, slots=True)
class ContactView:
    """A follower's message, as far as it tells who answered."""

    account_id: AccountId
    kind: str
    text: str
    why: Mapping[str, Any]
    at: datetime


_CONTACTS = Hot(
    select(Message.account_id, Message.kind, Message.text, Message.trace, Message.created_at)
    .where(InList(Message.id, "messages"), Message.direction == "in")
    .order_by(Message.id)
)


async def read_contacts(tx: Tx, messages: Sequence[int]) -> list[ContactView]:
    """The followers' messages among these, oldest first; what was pruned meanwhile is left out."""
    rows = await tx.all(_CONTACTS, {"messages": sorted(messages)})
    return [
        ContactView(AccountId(account), kind, text, trace if isinstance(trace, dict) else {}, at)
        for account, kind, text, trace, at in rows
    ]

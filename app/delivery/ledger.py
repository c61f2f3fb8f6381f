"""The rows of `outbound` as the sender moves them. Each move names the state it starts from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    SmallInteger,
    String,
    bindparam,
    literal_column,
    null,
    select,
    update,
)

from app.core.events import Event
from app.db.base import Utc
from app.db.hot import Hot
from app.db.tx import Tx
from app.delivery.models import Outbound

WORDS = 500
CODE = 24
"""Characters kept of what the platform said."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message that is not final yet."""

    id: int
    account_id: int
    follower_id: int
    conversation_id: int
    seq: int
    message_id: int
    payload: Mapping[str, Any]
    automatic: bool
    state: str
    route: str
    attempts: int
    next_attempt_at: datetime | None
    expires_at: datetime


_ENTRY = (
    Outbound.id,
    Outbound.account_id,
    Outbound.follower_id,
    Outbound.conversation_id,
    Outbound.seq,
    Outbound.message_id,
    Outbound.payload,
    Outbound.automatic,
    Outbound.state,
    Outbound.route,
    Outbound.attempts,
    Outbound.next_attempt_at,
    Outbound.expires_at,
)
_OF_FOLLOWER = Outbound.follower_id == bindparam("follower", type_=BigInteger())
_OPEN: Any = Outbound.state.in_([literal_column(f"'{s}'") for s in ("queued", "sending", "held")])
_HEAD = Hot(
    select(*_ENTRY)
    .where(_OF_FOLLOWER, _OPEN)
    .order_by(Outbound.conversation_id, Outbound.seq, Outbound.id)
    .limit(literal_column("1"))
)
_ID = Outbound.id == bindparam("id_", type_=BigInteger())
_START = Hot(
    update(Outbound)
    .where(_ID, Outbound.state == literal_column("'queued'"))
    .values(
        state=literal_column("'sending'"),
        attempts=Outbound.attempts + literal_column("1", SmallInteger),
        bucket=bindparam("bucket_", type_=String()),
        next_attempt_at=null(),
    )
)
_END = Hot(
    update(Outbound)
    .where(
        _ID,
        Outbound.state.in_(
            [literal_column(f"'{s}'") for s in ("queued", "sending", "held", "unknown")]
        ),
        Outbound.attempts == bindparam("attempts_", type_=SmallInteger()),
    )
    .values(
        state=bindparam("state_", type_=String()),
        route=bindparam("route_", type_=String()),
        error_code=bindparam("code", type_=String()),
        error_text=bindparam("words", type_=String()),
        next_attempt_at=bindparam("next_", type_=Utc()),
        sent_at=bindparam("sent", type_=Utc()),
    )
)


async def head(tx: Tx, follower_id: int) -> Entry | None:
    """The follower's first message, by `(conversation_id, seq)`, that is not final."""
    row = await tx.first(_HEAD, {"follower": follower_id})
    return None if row is None else Entry(*row)


async def start(tx: Tx, entry: Entry, bucket: str) -> bool:
    """`queued` → `sending`, one try more; false when somebody else moved it."""
    return await tx.run(_START, {"id_": entry.id, "bucket_": bucket}) > 0


async def end(
    tx: Tx,
    entry: Entry,
    state: str,
    *,
    attempts: int | None = None,
    route: str | None = None,
    code: str | None = None,
    words: str | None = None,
    next_attempt_at: datetime | None = None,
    sent_at: datetime | None = None,
) -> bool:
    """Writes where the try with number `attempts` (the entry's own by default) ended.

    An `unknown` that was only presumed, after a lease was lost, may still learn its true end from
    the process that waited for the answer; a try that a person has started since is left alone.
    """
    params = {
        "id_": entry.id,
        "attempts_": entry.attempts if attempts is None else attempts,
        "state_": state,
        "route_": entry.route if route is None else route,
        "code": None if code is None else code[:CODE],
        "words": None if words is None else words[:WORDS],
        "next_": next_attempt_at,
        "sent": sent_at,
    }
    return await tx.run(_END, params) > 0


def event(kind: str, entry: Entry, **more: str) -> Event:
    """`message.sent`, `.failed`, `.blocked` or `.unknown`."""
    return Event(
        account_id=entry.account_id,
        kind=kind,
        aggregate_type="message",
        aggregate_id=entry.message_id,
        aggregate_seq=entry.seq,
        payload={
            "outbound_id": str(entry.id),
            "follower_id": str(entry.follower_id),
            "conversation_id": str(entry.conversation_id),
            **more,
        },
    )

"""The ledger of what is to be sent: written here, sent by `app.delivery.sender`.

Lock order: the follower's row before anything of theirs; ids ascending.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, String, bindparam, literal_column, null, select, update

from app.core.clock import Clock
from app.core.events import Event
from app.db.base import Utc
from app.db.events import Events
from app.db.hot import Hot, InList, hot_insert
from app.db.tx import Tx
from app.delivery.jobs import Jobs, NewJob
from app.delivery.models import Outbound
from app.delivery.recipients import Recipients

DRAIN = "delivery.drain_follower"
STEP = 500


@dataclass(frozen=True, slots=True)
class NewMessage:
    id: int
    account_id: int
    follower_id: int
    conversation_id: int
    seq: int
    """Its place in the conversation, which is the order of sending."""
    message_id: int
    payload: Mapping[str, Any]
    """`app.core.replies.to_dict`."""
    automatic: bool
    """Written by the bot, which leaves the last sends of a window to people."""
    source_key: str
    """The delivery or request it came from."""
    held: bool
    """Waits for the follower's next contact from the start, and again when that opens nothing."""
    expires_at: datetime
    """Not sent any more after this moment."""
    or_hold: bool = False
    """Goes out now; waits for the next contact, instead of being blocked, when nothing may be sent."""


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A message that was waiting and now goes out as the answer to a delivery."""

    id: int
    account_id: int
    follower_id: int
    conversation_id: int
    seq: int
    message_id: int
    payload: Mapping[str, Any]
    source_key: str


_INSERT = hot_insert(
    Outbound,
    "id",
    "account_id",
    "follower_id",
    "conversation_id",
    "seq",
    "message_id",
    "source_key",
    "automatic",
    "payload",
    "state",
    "route",
    "lane",
    "attempts",
    "expires_at",
    "created_at",
)
_HELD: Any = literal_column("'held'")
_HELD_ROW = (
    Outbound.id,
    Outbound.account_id,
    Outbound.follower_id,
    Outbound.conversation_id,
    Outbound.seq,
    Outbound.message_id,
    Outbound.payload,
    Outbound.source_key,
)
_NOW = bindparam("now_", type_=Utc())
_RELEASE = Hot(
    update(Outbound)
    .where(
        InList(Outbound.follower_id, "followers"),
        Outbound.state == _HELD,
        Outbound.expires_at > _NOW,
    )
    .values(state=literal_column("'queued'"), next_attempt_at=null())
    .returning(Outbound.account_id, Outbound.follower_id)
)
_WAITING = Hot(
    select(*_HELD_ROW)
    .where(
        InList(Outbound.follower_id, "followers"),
        Outbound.state == _HELD,
        Outbound.expires_at > _NOW,
    )
    .order_by(Outbound.conversation_id, Outbound.seq)
)
_PASSIVE = Hot(
    update(Outbound)
    .where(InList(Outbound.id, "ids"), Outbound.state == _HELD)
    .values(
        state=literal_column("'sent'"),
        route=literal_column("'passive'"),
        sent_at=_NOW,
    )
)
_OVERDUE = Hot(
    select(Outbound.follower_id)
    .where(Outbound.state == _HELD, Outbound.expires_at <= _NOW)
    .order_by(Outbound.expires_at)
    .limit(bindparam("most", type_=Integer()))
)
_EXPIRE = Hot(
    update(Outbound)
    .where(
        Outbound.follower_id == bindparam("follower"),
        Outbound.state == _HELD,
        Outbound.expires_at <= _NOW,
    )
    .values(
        state=literal_column("'blocked'"),
        error_code=literal_column("'HELD_TOO_LONG'"),
        error_text=bindparam("words", type_=String()),
    )
    .returning(*_HELD_ROW)
)
HELD_TOO_LONG = "粉丝在有效期内没有再次互动，消息未发送"


class Outbox:
    """What engines and the intake write to. Nothing here talks to the platform."""

    def __init__(self, jobs: Jobs, clock: Clock, recipients: Recipients, events: Events) -> None:
        self._jobs = jobs
        self._clock = clock
        self._recipients = recipients
        self._events = events

    async def put(self, tx: Tx, messages: Sequence[NewMessage]) -> None:
        """Sent after this transaction, as far as the platform allows, and never twice.

        The caller holds the followers' locks. One drain job for each follower with something to send.
        """
        if not messages:
            return
        now = self._clock.now()
        await tx.many(_INSERT, [_row(message, now) for message in messages])
        await self._count_held(tx, Counter(m.follower_id for m in messages if m.held), 1)
        await self.drain_soon(tx, {m.follower_id: m.account_id for m in messages if not m.held})

    async def release_held(self, tx: Tx, follower_ids: Sequence[int]) -> None:
        """A window has opened: what was held for these followers goes out, if it has not expired."""
        rows = await tx.all(_RELEASE, {"followers": list(follower_ids), "now_": self._clock.now()})
        await self._count_held(tx, Counter(row[1] for row in rows), -1)
        await self.drain_soon(tx, {row[1]: row[0] for row in rows})

    async def held(self, tx: Tx, follower_ids: Sequence[int]) -> dict[int, list[HeldRow]]:
        """What waits for each of these followers and has not expired, in order."""
        rows = await tx.all(_WAITING, {"followers": list(follower_ids), "now_": self._clock.now()})
        waiting: dict[int, list[HeldRow]] = {}
        for row in rows:
            held = HeldRow(*row)
            waiting.setdefault(held.follower_id, []).append(held)
        return waiting

    async def mark_passive(self, tx: Tx, follower_id: int, rows: Sequence[HeldRow]) -> None:
        """These held messages are in the answer to a delivery that this transaction stores.

        They become `sent` by route `passive`; a repeat of the delivery repeats the stored answer.
        The follower is locked, so nobody else has taken them since they were read.
        """
        if not rows:
            return
        params = {"ids": [row.id for row in rows], "now_": self._clock.now()}
        taken = await tx.run(_PASSIVE, params)
        if taken != len(rows):
            raise RuntimeError(f"{len(rows) - taken} held messages were taken by somebody else")
        await self._recipients.add_held(tx, follower_id, -taken)
        await self._events.emit(tx, [_event("message.sent", row, route="passive") for row in rows])

    async def drain_soon(self, tx: Tx, followers: Mapping[int, int]) -> None:
        """One drain job for each follower (id → account), unless one waits already."""
        await self._jobs.enqueue_many(
            tx,
            DRAIN,
            [
                NewJob(
                    args={"account_id": account, "follower_id": follower},
                    account_id=account,
                    lane=follower,
                    dedup=f"drain:{follower}",
                )
                for follower, account in sorted(followers.items())
            ],
        )

    async def overdue(self, tx: Tx) -> list[int]:
        """Followers with held messages whose time is over; at most 500."""
        rows = await tx.all(_OVERDUE, {"now_": self._clock.now(), "most": STEP})
        return sorted({row[0] for row in rows})

    async def expire_held(self, tx: Tx, follower_id: int) -> int:
        """Blocks the follower's held messages whose time is over, and lets later ones go on."""
        recipient = await self._recipients.lock(tx, follower_id)
        now = self._clock.now()
        rows = await tx.all(_EXPIRE, {"follower": follower_id, "now_": now, "words": HELD_TOO_LONG})
        expired = [HeldRow(*row) for row in rows]
        if not expired:
            return 0
        if recipient is not None:
            await self._recipients.add_held(tx, follower_id, -len(expired))
        await self._events.emit(
            tx,
            [
                _event("message.blocked", row, code="HELD_TOO_LONG", text=HELD_TOO_LONG)
                for row in expired
            ],
        )
        await self.drain_soon(tx, {follower_id: expired[0].account_id})
        return len(expired)

    async def _count_held(self, tx: Tx, counts: Counter[int], sign: int) -> None:
        for follower_id in sorted(counts):
            await self._recipients.add_held(tx, follower_id, sign * counts[follower_id])


def _row(message: NewMessage, now: datetime) -> dict[str, Any]:
    return {
        "id": message.id,
        "account_id": message.account_id,
        "follower_id": message.follower_id,
        "conversation_id": message.conversation_id,
        "seq": message.seq,
        "message_id": message.message_id,
        "source_key": message.source_key,
        "automatic": message.automatic,
        "payload": message.payload,
        "state": "held" if message.held else "queued",
        "route": "held" if message.held or message.or_hold else "customer",
        "lane": message.follower_id,
        "attempts": 0,
        "expires_at": message.expires_at,
        "created_at": now,
    }


def _event(kind: str, row: HeldRow, **more: str) -> Event:
    return Event(
        account_id=row.account_id,
        kind=kind,
        aggregate_type="message",
        aggregate_id=row.message_id,
        aggregate_seq=row.seq,
        payload={
            "outbound_id": str(row.id),
            "follower_id": str(row.follower_id),
            "conversation_id": str(row.conversation_id),
            **more,
        },
    )

"""Authenticated bodies that nobody could read: kept raw, bounded, staff told."""

from typing import Any

from sqlalchemy import delete, func, insert, select

from app.conversation.models import Quarantined
from app.core.clock import Clock
from app.core.events import Event
from app.core.ids import AccountId, Ids
from app.db.database import Database
from app.db.events import Events
from app.db.tx import Tx

KEPT = 1000
"""Bodies per account; the oldest go first."""


class Quarantine:
    def __init__(self, database: Database, ids: Ids, clock: Clock, events: Events) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._events = events

    async def keep(self, account_id: AccountId, reason: str, detail: str, body: bytes) -> None:
        """Stores the body and announces `quarantine.added`; commits before it returns."""
        row: dict[str, Any] = {
            "id": self._ids.new(),
            "account_id": account_id,
            "reason": reason[:40],
            "detail": detail[:300].replace("\x00", "\N{REPLACEMENT CHARACTER}"),
            "body": body,
            "received_at": self._clock.now(),
        }
        told = Event(
            account_id, "quarantine.added", "quarantine", row["id"], {"reason": row["reason"]}
        )

        async def work(tx: Tx) -> None:
            await tx.run(insert(Quarantined), row)
            await self._prune(tx, account_id)
            await self._events.emit(tx, [told])

        await self._database.transaction(work)

    async def _prune(self, tx: Tx, account_id: AccountId) -> None:
        of_account = Quarantined.account_id == account_id
        oldest_kept = await tx.value(
            select(Quarantined.id)
            .where(of_account)
            .order_by(Quarantined.id.desc())
            .offset(KEPT - 1)
        )
        if oldest_kept is not None:
            await tx.run(delete(Quarantined).where(of_account, Quarantined.id < oldest_kept))


async def count_quarantined(tx: Tx, account_id: int) -> int:
    return int(
        await tx.value(
            select(func.count())
            .select_from(Quarantined)
            .where(Quarantined.account_id == account_id)
        )
    )

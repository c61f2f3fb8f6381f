"""Who did what. Rows are only ever added."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String, insert
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import Clock
from app.core.ids import Ids
from app.db.base import Base, BigId, Json, Utc
from app.db.tx import Tx


class AuditRow(Base):
    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_account_id_target_id", "account_id", "target", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int | None] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(String(80))
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(80))
    before: Mapped[object | None] = mapped_column(Json)
    after: Mapped[object | None] = mapped_column(Json)
    ip: Mapped[str | None] = mapped_column(String(45))
    request_id: Mapped[str | None] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(Utc)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: `token:12`, `staff:7`, `cli`, `system`."""

    name: str
    ip: str | None = None
    request_id: str | None = None


CLI = Actor("cli")
SYSTEM = Actor("system")


class Audit:
    def __init__(self, ids: Ids, clock: Clock) -> None:
        self._ids = ids
        self._clock = clock

    async def record(
        self,
        tx: Tx,
        actor: Actor,
        action: str,
        target: str,
        *,
        account_id: int | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """One row in the transaction of the change; secrets never go into `before` or `after`."""
        await tx.run(
            insert(AuditRow),
            {
                "id": self._ids.new(),
                "account_id": account_id,
                "actor": actor.name,
                "action": action,
                "target": target,
                "before": before,
                "after": after,
                "ip": actor.ip,
                "request_id": actor.request_id,
                "at": self._clock.now(),
            },
        )

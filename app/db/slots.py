"""The slot of `core.ids`, leased so that no two processes make the same id."""

from datetime import timedelta

from sqlalchemy import BigInteger, Integer, String, bindparam, delete, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import Clock, to_millis
from app.core.errors import Unavailable
from app.core.ids import SLOTS, Ids
from app.core.rng import secret_token
from app.db.base import Base
from app.db.database import Database
from app.db.hot import upsert
from app.db.tx import Tx

LEASE = timedelta(minutes=5)
RENEW_SECONDS = 60.0
RENEW_AGAIN_SECONDS = 2.0
"""After the database was busy, full or away."""


class Slot(Base):
    __tablename__ = "slot"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    holder: Mapped[str] = mapped_column(String(64))
    lease_until: Mapped[int] = mapped_column(BigInteger)
    """Milliseconds."""


class NoSlot(Unavailable):
    code = "NO_SLOT"
    zh = "同时运行的进程太多（上限 1024）"
    en = "Too many processes at once (at most 1024)"


class SlotLease:
    """One process's hold on a slot.

    `renew` every `RENEW_SECONDS`. A process that could not renew for five minutes stops making ids
    (`Ids.good_until`), since another may have taken the slot.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._holder = secret_token(16)
        self.ids: Ids | None = None

    async def take(self) -> Ids:
        """Leases the lowest slot that is free or whose lease has ended; raises `NoSlot`."""
        slot, until = await self._database.transaction(self._take)
        self.ids = Ids(self._clock, slot)
        self.ids.good_until = until
        return self.ids

    async def _take(self, tx: Tx) -> tuple[int, int]:
        now = to_millis(self._clock.real())
        until = now + int(LEASE.total_seconds() * 1000)
        held = {row.id for row in await tx.all(select(Slot.id).where(Slot.lease_until > now))}
        for slot in range(SLOTS):
            if slot in held:
                continue
            statement = upsert(tx.dialect, Slot).values(
                id=slot, holder=self._holder, lease_until=until
            )
            taken = await tx.run(
                statement.on_conflict_do_update(
                    index_elements=[Slot.id],
                    set_={"holder": self._holder, "lease_until": until},
                    where=Slot.lease_until <= now,
                )
            )
            if taken:
                return slot, until
        raise NoSlot

    async def renew(self) -> None:
        """Extends the lease; raises `NoSlot` when another process has taken it over."""
        ids = self.ids
        if ids is None:
            return
        until = to_millis(self._clock.real()) + int(LEASE.total_seconds() * 1000)

        async def extend(tx: Tx) -> int:
            return await tx.run(
                update(Slot)
                .where(Slot.id == bindparam("slot"), Slot.holder == bindparam("by"))
                .values(lease_until=until),
                {"slot": ids.slot, "by": self._holder},
            )

        if not await self._database.transaction(extend):
            ids.good_until = 0
            raise NoSlot
        ids.good_until = until

    async def give_back(self) -> None:
        """Frees the slot at a clean stop. Its ids stay unique: they carry the time."""
        if self.ids is None:
            return

        async def free(tx: Tx) -> None:
            await tx.run(delete(Slot).where(Slot.holder == self._holder))

        await self._database.transaction(free)


async def count_slots(tx: Tx, now_ms: int) -> int:
    """How many processes hold a slot."""
    return int(await tx.value(select(func.count()).where(Slot.lease_until > now_ms)))

"""How long messages are kept, and how their table is cut by months on PostgreSQL."""

from contextlib import AbstractAsyncContextManager

from app.core.clock import Clock
from app.db import partitions
from app.db.database import Database
from app.db.partitions import Partitions
from app.db.purge import ByAge
from app.delivery.upkeep import HOURLY, Dropped, Line, border_of, deleted
from app.engines.support.models import Message

TABLE = Message.__tablename__
OLD = ByAge(Message)


class KeepMessages:
    """Cuts the months to come; deletes messages older than the policy says, whole months at once.

    Ids carry real time, so that goes by real time too, however far a demo has moved its clock.
    """

    name = "messages"
    minutes = HOURLY

    def __init__(
        self,
        database: Database,
        clock: Clock,
        dropped: Dropped,
        *,
        kept_days: int,
        url: str | None,
    ) -> None:
        """`url`: a direct connection to PostgreSQL; None on SQLite, which has no partitions."""
        self._database = database
        self._clock = clock
        self._dropped = dropped
        self._days = kept_days
        self._url = url

    async def plan(self) -> list[Line]:
        now, border = self._clock.real(), border_of(self._clock.real(), self._days)
        lines: list[Line] = []
        above = 0
        if self._url is not None:
            async with partitions.seen(self._url, TABLE) as parts:
                look = await parts.look()
                lines += [_SETTLE] if look.astray(now) else []
                lines += [_made(parts.name(month)) for month in look.missing(now)]
                whole = look.whole_before(border)
                lines += [_drop(part.name, await parts.rows(part)) for part in whole]
                lines += [_drop(gone.partition, gone.rows) for gone in await parts.detached()]
                above = max((part.high for part in whole), default=0)
        rows = await OLD.count(self._database, border, above) if border > above else 0
        return [*lines, *self._deleted(rows)]

    async def run(self) -> list[Line]:
        """Raises `PartitionsBusy` while another process is at it."""
        lines: list[Line] = []
        border = border_of(self._clock.real(), self._days)
        if self._url is not None:
            async with self._opened(self._url) as parts:
                lines += [_made(name) for name in await parts.cut(self._clock.real())]
                for part in (await parts.look()).whole_before(border):
                    await parts.detach(part)
                for gone in await parts.detached():
                    # On record before it is gone, so that a run which dies leaves nothing untold.
                    await self._dropped.record(
                        TABLE, gone.rows, partition=gone.partition, days=self._days
                    )
                    await parts.discard(gone)
                    lines.append(_drop(gone.partition, gone.rows))
        rows = await OLD.delete(self._database, border) if border else 0
        if rows:
            await self._dropped.record(TABLE, rows, days=self._days)
        return [*lines, *self._deleted(rows)]

    def _opened(self, url: str) -> AbstractAsyncContextManager[Partitions]:
        return partitions.opened(url, TABLE)

    def _deleted(self, rows: int) -> list[Line]:
        return deleted(TABLE, rows, f"早于 {self._days} 天", f"older than {self._days} days")


def _made(name: str) -> Line:
    return Line(f"{TABLE}：分区 {name}", f"{TABLE}: partition {name}")


def _drop(partition: str, rows: int) -> Line:
    return Line(
        f"{TABLE}：删除分区 {partition}（约 {rows:,} 行）",
        f"{TABLE}: drop the partition {partition}, about {rows:,} rows",
    )


_SETTLE = Line(
    f"{TABLE}：默认分区中有消息，将归入各自的月份",
    f"{TABLE}: the default partition holds messages; they get a partition of their own",
)

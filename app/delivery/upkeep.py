"""Chores: what is made ready ahead of time, and what is thrown away by policy. By the timetable, and
by `python -m app maintain`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import bindparam, literal_column

from app.core.clock import Clock
from app.core.ids import first_id
from app.core.log import get_logger
from app.core.settings import Settings
from app.db.audit import SYSTEM, Audit
from app.db.base import Utc
from app.db.database import Database
from app.db.purge import ByAge, Walk
from app.db.tx import Tx
from app.delivery import metrics
from app.delivery.models import Outbound, SendWindow
from app.delivery.schedule import Timetable
from app.delivery.tasks import Task, Tasks
from app.delivery.work import TaskContext

HOURLY, DAILY = 60, 24 * 60
LONGEST_SECONDS = 3600
WINDOWS_KEPT = timedelta(days=7)
"""After their end: staff are told since when a window is closed."""
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is to be done, or was."""

    zh: str
    en: str


class Chore(Protocol):
    """Work that keeps tables in shape. Run again after a crash it goes on where it was."""

    name: str
    minutes: int
    """How often it is due."""

    async def plan(self) -> list[Line]:
        """What `run` would do now; nothing is changed."""
        ...

    async def run(self) -> list[Line]:
        """Does it, in steps that hold nobody up; says what was done."""
        ...


class Upkeep:
    """All chores of the program, in the timetable."""

    def __init__(self, tasks: Tasks, timetable: Timetable) -> None:
        self._tasks = tasks
        self._timetable = timetable
        self.chores: list[Chore] = []

    def add(self, chore: Chore) -> None:
        async def run(_: TaskContext) -> None:
            for line in await chore.run():
                _LOG.info("upkeep.done", chore=chore.name, what=line.en)

        name = f"upkeep.{chore.name}"
        task = self._tasks.add(Task(name, "bulk", run, timeout_seconds=LONGEST_SECONDS))
        self._timetable.every(name, task, minutes=chore.minutes)
        self.chores.append(chore)


class Dropped:
    """Puts on record what a chore threw away: an audit row and a metric."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    async def record(self, table: str, rows: int, **more: Any) -> None:
        metrics.PURGED.labels(table).inc(rows)

        async def work(tx: Tx) -> None:
            await self._audit.record(
                tx, SYSTEM, "upkeep.dropped", table, after={"rows": rows, **more}
            )

        await self._database.transaction(work)


_FINAL: list[Any] = [
    literal_column(f"'{state}'") for state in ("sent", "failed", "blocked", "unknown")
]
OUTBOUND = ByAge(Outbound, Outbound.state.in_(_FINAL))
WINDOWS = Walk(
    SendWindow,
    (SendWindow.follower_id, SendWindow.bucket, SendWindow.account_id),
    SendWindow.expires_at <= bindparam("moment", type_=Utc()),
)


class OldOutbound:
    """What became of messages that were sent, or could not be, so long ago that nobody asks."""

    name = "outbound"
    minutes = HOURLY

    def __init__(self, database: Database, clock: Clock, dropped: Dropped, kept_days: int) -> None:
        self._database = database
        self._clock = clock
        self._dropped = dropped
        self._days = kept_days

    async def plan(self) -> list[Line]:
        border = border_of(self._clock.real(), self._days)
        rows = await OUTBOUND.count(self._database, border) if border else 0
        return deleted("outbound", rows, f"早于 {self._days} 天", f"older than {self._days} days")

    async def run(self) -> list[Line]:
        border = border_of(self._clock.real(), self._days)
        rows = await OUTBOUND.delete(self._database, border) if border else 0
        if rows:
            await self._dropped.record("outbound", rows, days=self._days)
        return deleted("outbound", rows, f"早于 {self._days} 天", f"older than {self._days} days")


class Expired:
    """Rows that say themselves when they end, found by walking along their key, which is
    too much for every hour."""

    minutes = DAILY

    def __init__(
        self, walk: Walk, kept: timedelta, database: Database, now: Callable[[], datetime]
    ) -> None:
        self.name = walk.table
        self._walk = walk
        self._kept = kept
        self._database = database
        self._now = now

    async def plan(self) -> list[Line]:
        return self._lines(await self._walk.count(self._database, self._params()))

    async def run(self) -> list[Line]:
        rows = await self._walk.delete(self._database, self._params())
        metrics.PURGED.labels(self._walk.table).inc(rows)
        return self._lines(rows)

    def _params(self) -> dict[str, datetime]:
        return {"moment": self._now() - self._kept}

    def _lines(self, rows: int) -> list[Line]:
        days = self._kept.days
        return deleted(self._walk.table, rows, f"过期 {days} 天以上", f"over for {days} days")


def border_of(now: datetime, days: int) -> int:
    """The least id that is kept; 0 where everything is."""
    return first_id(now - timedelta(days=days)) if days else 0


def chores(
    settings: Settings, database: Database, clock: Clock, dropped: Dropped
) -> Sequence[Chore]:
    """Those of this floor."""
    return (
        OldOutbound(database, clock, dropped, settings.outbound_kept_days),
        Expired(WINDOWS, WINDOWS_KEPT, database, clock.now),
    )


def deleted(table: str, rows: int, zh: str, en: str) -> list[Line]:
    """The line for rows that went, or will go; nothing for none."""
    if not rows:
        return []
    return [Line(f"{table}：删除 {rows:,} 行（{zh}）", f"{table}: delete {rows:,} rows {en}")]

"""Work that comes back: every so often, or at a time of day. One firing among many processes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, String, bindparam, select, update

from app.core.clock import Clock, from_millis, to_millis
from app.db.database import Database
from app.db.hot import Hot, upsert
from app.db.tx import Tx
from app.delivery.jobs import Jobs
from app.delivery.models import Schedule
from app.delivery.tasks import Task

RECHECK = timedelta(minutes=1)
"""How long a process trusts what it last read of the table."""

_READ = Hot(select(Schedule.name, Schedule.next_at))
_MOVE = Hot(
    update(Schedule)
    .where(
        Schedule.name == bindparam("name_", type_=String()),
        Schedule.next_at == bindparam("seen", type_=BigInteger()),
    )
    .values(next_at=bindparam("next_", type_=BigInteger()))
)


def _first(dialect: str) -> Any:
    values = {c: bindparam(c, type_=Schedule.__table__.c[c].type) for c in ("name", "next_at")}
    return upsert(dialect, Schedule).values(values).on_conflict_do_nothing()


_FIRST = Hot(_first)


@dataclass(frozen=True, slots=True)
class _Entry:
    task: Task
    after: Callable[[datetime], datetime]
    """The next slot strictly after a moment."""
    args: Mapping[str, Any] = field(default_factory=dict)


class Timetable:
    """Enqueues periodic jobs when they are due.

    The tick moves `schedule.next_at` on, guarded by the value it read, and enqueues in the same
    transaction, so that any number of processes may tick. Slots missed while nothing ran are made
    up for by one run.
    """

    def __init__(self, database: Database, jobs: Jobs, clock: Clock) -> None:
        self._database = database
        self._jobs = jobs
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._look_again_at: datetime | None = None

    def every(
        self, name: str, task: Task, *, minutes: float, args: Mapping[str, Any] | None = None
    ) -> None:
        """At every full multiple of `minutes` since 1970."""
        step = int(minutes * 60_000)
        if step <= 0:
            raise ValueError("a period has to be positive")

        def after(moment: datetime) -> datetime:
            return from_millis((to_millis(moment) // step + 1) * step)

        self._add(name, _Entry(task, after, args or {}))

    def daily(
        self,
        name: str,
        task: Task,
        *,
        at: str,
        tz: str = "Asia/Shanghai",
        args: Mapping[str, Any] | None = None,
    ) -> None:
        """Each day at `at` ("HH:MM") in the time zone `tz`."""
        zone, moment_of_day = ZoneInfo(tz), time.fromisoformat(at)

        def after(moment: datetime) -> datetime:
            local = moment.astimezone(zone)
            slot = datetime.combine(local.date(), moment_of_day, zone)
            if slot <= local:
                slot = datetime.combine(local.date() + timedelta(days=1), moment_of_day, zone)
            return slot

        self._add(name, _Entry(task, after, args or {}))

    def _add(self, name: str, entry: _Entry) -> None:
        if name in self._entries:
            raise ValueError(f"{name} is in the timetable twice")
        self._entries[name] = entry

    async def tick(self) -> int:
        """Enqueues what is due and returns how much that was. Cheap when nothing is."""
        now = self._clock.now()
        if self._look_again_at is not None and now < self._look_again_at:
            return 0
        known: dict[str, int] = await self._database.read(_read)
        due = [name for name in self._entries if known.get(name, 0) <= to_millis(now)]
        fired = 0
        for name in sorted(due):
            fired += await self._fire(name, known.get(name), now)
            known[name] = to_millis(self._entries[name].after(now))
        self._look_again_at = self._next_look(known, now)
        return fired

    def _next_look(self, known: Mapping[str, int], now: datetime) -> datetime:
        moments = [from_millis(known[name]) for name in self._entries]
        return min([now + RECHECK, *moments])

    async def _fire(self, name: str, seen: int | None, now: datetime) -> int:
        entry = self._entries[name]
        following = to_millis(entry.after(now))

        async def work(tx: Tx) -> int:
            if seen is None:  # a new entry: its first slot is yet to come
                await tx.run(_FIRST, {"name": name, "next_at": following})
                return 0
            if not await tx.run(_MOVE, {"name_": name, "seen": seen, "next_": following}):
                return 0  # another process was first
            await self._jobs.enqueue(tx, entry.task, entry.args, dedup=f"{name}@{seen}")
            return 1

        return await self._database.transaction(work)


async def _read(tx: Tx) -> dict[str, int]:
    return {row[0]: row[1] for row in await tx.all(_READ)}

"""A table cut by months on PostgreSQL: cut ahead of time, old months dropped, the default emptied.

Deliveries go on meanwhile. Whatever needs a lock that they would wait for is asked for briefly and
given up again (`_briefly`); whatever takes long (reading a table through, moving rows) takes no such
lock. Which statement takes which lock is told in `docs/scaling.md`.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.errors import CheckViolation, LockNotAvailable

from app.core.errors import Unavailable
from app.core.ids import first_id, moment_of
from app.db.months import Month, month_of

AHEAD = 2
"""Months cut before they come."""
STEP = 500
"""Rows moved in one transaction."""
PASSES = 20
"""Over what was written during the pass before; each has less to do."""
LOCK_MS = 200
"""The longest that anybody waits behind us for a lock that we wait for; a delivery waits up to 2 s."""
TRIES = 60
PAUSE_SECONDS = 0.25
SETTLED = timedelta(seconds=20)
"""Ids older than this are all committed or never will be: no transaction lasts longer than 8 s."""
_LOCK = 7_166_510_938
"""An arbitrary number: one at a time, over all processes."""
_END = (1 << 63) - 1
"""Above every id."""
_GONE, _NEW = "_gone", "_new"
"""Of tables taken out, and of those that are to be put in. No other loose table is touched: somebody
may have put a month aside by hand."""
_BOUND = re.compile(r"FROM \('?(\w+)'?\) TO \('?(\w+)'?\)")


class PartitionsBusy(Unavailable):
    """Nothing was harmed; the next run goes on where this one ended."""

    code = "PARTITIONS_BUSY"
    zh = "{table} 正忙或正由另一个进程维护；稍后再试，不影响收发"
    en = "{table} is busy, or another process maintains it; try again later, nothing is lost"


@dataclass(frozen=True, slots=True)
class Part:
    """A partition: ids from `low` up to, not including, `high`."""

    name: str
    low: int
    high: int

    def covers(self, month: Month) -> bool:
        return self.low <= month.low and month.high <= self.high


@dataclass(frozen=True, slots=True)
class Detached:
    """A partition that was taken out of its table."""

    table: str
    partition: str
    """Its name when it was in."""
    rows: int


@dataclass(frozen=True, slots=True)
class Look:
    """How a table is cut now."""

    parts: tuple[Part, ...]
    """Ascending, without the default."""
    lowest: int | None
    """The least id in the default partition; None when that is empty, as it should be."""
    highest: int | None

    def missing(self, now: datetime) -> list[Month]:
        """Months that should be there, this one first."""
        month = month_of(now)
        wanted = [month.after(n) for n in range(AHEAD + 1)]
        return [m for m in wanted if not any(part.covers(m) for part in self.parts)]

    def astray(self, now: datetime) -> bool:
        """The default partition holds rows that belong elsewhere."""
        return self.lowest is not None and self.lowest < month_of(now).after(AHEAD).high

    def whole_before(self, border: int) -> list[Part]:
        """Partitions in which every id is less than `border`."""
        return [part for part in self.parts if part.high <= border]

    def gap(self, identifier: int) -> tuple[int, int]:
        """The ids around one that belongs to no partition, up to the next partitions."""
        low = max((p.high for p in self.parts if p.high <= identifier), default=0)
        high = min((p.low for p in self.parts if p.low > identifier), default=_END)
        return low, high


class Partitions:
    """The partitions of `table`, over a connection of its own. Made by `opened`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], table: str) -> None:
        self._connection = connection
        self._table = table
        self._default = f"{table}_default"
        self._check = f"{table}_cut"

    async def look(self) -> Look:
        found = await self._all(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i"
            f" JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = '{self._table}'::regclass"
        )
        parts = [_part(name, bound) for name, bound in found if bound != "DEFAULT"]
        ends = await self._all(f"SELECT min(id), max(id) FROM {self._default}")
        return Look(tuple(sorted(parts, key=lambda part: part.low)), *ends[0])

    async def cut(self, now: datetime) -> list[str]:
        """Cuts this month and the next two; names the partitions made.

        Rows that came while their month was missing get a partition first.
        """
        await self._clear()
        made: list[str] = []
        for left in reversed(range(TRIES)):
            made += await self._settle(now)
            try:
                await self._cut_missing(now, made)
            except CheckViolation:  # the first row of a month came between
                if not left:
                    raise
            else:
                break
        return made

    async def _cut_missing(self, now: datetime, made: list[str]) -> None:
        for month in (await self.look()).missing(now):
            made.append(await self._attach(month))  # noqa: PERF401  # told, though the next may fail

    async def detach(self, part: Part) -> None:
        """Takes a partition out of the table. Its rows can no longer be read, and wait in a table of
        their own, which `detached` names, to be thrown away."""
        await self._briefly(
            f"ALTER TABLE {self._table} DETACH PARTITION {part.name}",
            f"ALTER TABLE {part.name} RENAME TO {self._doomed(part.name)}",
        )

    async def detached(self) -> list[Detached]:
        """What was taken out and is still there, also by a run that died."""
        names = [name for name in await self._loose(_GONE) if name != self._doomed(self._default)]
        return [
            Detached(
                name, self._table + name.removeprefix(self._table + _GONE), await self._count(name)
            )
            for name in names
        ]

    async def discard(self, gone: Detached) -> None:
        """Throws its rows away."""
        await self._run(f"DROP TABLE {gone.table}")

    async def rows(self, part: Part) -> int:
        """About how many rows a partition has, as last analysed."""
        found = await self._all(
            f"SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = '{part.name}'::regclass"
        )
        return int(found[0][0])

    # --- rows in the default partition -----------------------------------------------------------

    async def _settle(self, now: datetime) -> list[str]:
        look = await self.look()
        if look.lowest is None or look.highest is None or not look.astray(now):
            return []
        low, high = look.gap(look.lowest)
        high = min(high, month_of(now).after().high)
        if low <= first_id(now) and look.highest < high:
            return [await self._adopt(low, high)]
        return await self._sort_out(look, now)

    async def _adopt(self, low: int, high: int) -> str:
        """All rows of the default lie between two borders: the table becomes the partition between
        them, a new default takes its place, and no row moves.

        Until the table is exchanged its CHECK would refuse ids from `high` on, so that lies at
        least a month ahead, unless a partition takes those ids already: a run that dies here is
        made good by any later one. Nor is `low` above the ids of now. Only the CHECK is read
        through, while everybody reads and writes.
        """
        month = month_of(moment_of(high - 1))
        name = await self._free(f"{self._table}_to_{month.year}_{month.number:02}")
        check = self._check
        await self._briefly(
            f"ALTER TABLE {self._default} DROP CONSTRAINT IF EXISTS {check}",
            f"ALTER TABLE {self._default} ADD CONSTRAINT {check}"
            f" CHECK (id >= {low} AND id < {high}) NOT VALID",
        )
        await self._run(f"ALTER TABLE {self._default} VALIDATE CONSTRAINT {check}")
        bounds = f"FROM ({low or 'MINVALUE'}) TO ({high})"
        await self._briefly(
            f"ALTER TABLE {self._table} DETACH PARTITION {self._default}",
            f"ALTER TABLE {self._default} RENAME TO {name}",
            f"ALTER TABLE {self._table} ATTACH PARTITION {name} FOR VALUES {bounds}",
            f"ALTER TABLE {name} DROP CONSTRAINT {check}",
            f"CREATE TABLE {self._default} PARTITION OF {self._table} DEFAULT",
        )
        return name

    async def _sort_out(self, look: Look, now: datetime) -> list[str]:
        """The default holds rows of several gaps: they are copied by month, in steps, and the
        tables exchanged at the end, so that every row can be read at any moment.

        Messages are only ever added, so what was copied stays equal. Rows that belong to no month
        up to the last one ahead go into the new default. What deliveries write during the copying
        is copied after, so that little is left for the exchange, during which they wait.
        """
        ranges = await self._ranges(look, now)
        rest = self._new(self._default)
        copies = {name: bounds for name, bounds in ranges.items() if name != rest}
        for name, (low, high) in ranges.items():
            await self._make(name, low, high)
        settled = await self._copy_all(ranges, now)
        gone = self._doomed(self._default)
        named = {name: await self._free(name.replace(_NEW, "", 1)) for name in copies}
        newest = [
            f"INSERT INTO {name} SELECT * FROM {self._default}"
            f" WHERE id >= {max(low, settled)} AND id < {high}"
            for name, (low, high) in ranges.items()
        ]
        await self._briefly(
            f"ALTER TABLE {self._table} DETACH PARTITION {self._default}",
            *newest,
            f"ALTER TABLE {self._default} RENAME TO {gone}",
            *[
                statement
                for name, (low, high) in copies.items()
                for statement in self._attaching(name, named[name], low, high)
            ],
            f"ALTER TABLE {rest} DROP CONSTRAINT {self._check}",
            f"ALTER TABLE {rest} RENAME TO {self._default}",
            f"ALTER TABLE {self._table} ATTACH PARTITION {self._default} DEFAULT",
        )
        await self._leave_nothing_in(gone)
        return list(named.values())

    async def _ranges(self, look: Look, now: datetime) -> dict[str, tuple[int, int]]:
        """The ids of each table to be made. Months from this one on have one also without a row:
        the first may come meanwhile."""
        month = month_of(now)
        first = month if look.lowest is None else min(month, month_of(moment_of(look.lowest)))
        horizon = month.after(AHEAD)
        months = [m for m in _months(first, horizon) if not any(p.covers(m) for p in look.parts)]
        months = [m for m in months if m >= month or await self._any(m.low, m.high)]
        ranges = {self._new(self.name(m)): (m.low, m.high) for m in months}
        return {**ranges, self._new(self._default): (horizon.high, _END)}

    async def _copy_all(self, ranges: Mapping[str, tuple[int, int]], now: datetime) -> int:
        """Up to an id, which is given back, below which nothing is written any more."""
        loop = asyncio.get_running_loop()
        began, done = loop.time(), 0
        for _ in range(PASSES):
            settled = first_id(now - SETTLED + timedelta(seconds=loop.time() - began))
            copied = 0
            for name, (low, high) in ranges.items():
                copied += await self._copy(name, max(low, done), min(high, settled))
            done = settled
            if copied < STEP:
                break
        return done

    async def _copy(self, name: str, low: int, high: int) -> int:
        """The rows of the default from `low` up to, not including, `high`; how many that were."""
        after, copied = low - 1, 0
        while True:
            found = await self._all(
                f"WITH step AS (INSERT INTO {name} SELECT * FROM {self._default}"
                f" WHERE id > {after} AND id < {high} ORDER BY id LIMIT {STEP} RETURNING id)"
                " SELECT count(*), max(id) FROM step"
            )
            count, last = found[0]
            copied += int(count)
            if count < STEP:
                return copied
            after = last

    async def _leave_nothing_in(self, gone: str) -> None:
        """Drops what was the default, after a look for rows that were not copied: one that was
        committed long after its id was made."""
        missing = f"NOT EXISTS (SELECT FROM {self._table} AS t WHERE t.id = g.id)"
        found = await self._all(f"SELECT g.id FROM {gone} AS g WHERE {missing}")
        for start in range(0, len(found), STEP):
            step = ", ".join(str(row[0]) for row in found[start : start + STEP])
            await self._run(
                f"INSERT INTO {self._table} SELECT * FROM {gone} AS g"
                f" WHERE g.id IN ({step}) AND {missing}"
            )
        await self._run(f"DROP TABLE {gone}")

    async def _any(self, low: int, high: int) -> bool:
        found = await self._all(
            f"SELECT EXISTS (SELECT FROM {self._default} WHERE id >= {low} AND id < {high})"
        )
        return bool(found[0][0])

    # --- statements ------------------------------------------------------------------------------

    async def _attach(self, month: Month) -> str:
        """An empty partition. The default is empty too, or nearly, so that reading it is nothing."""
        name = await self._free(self.name(month))
        new = self._new(self.name(month))
        await self._make(new, month.low, month.high)
        await self._briefly(*self._attaching(new, name, month.low, month.high))
        return name

    async def _make(self, new: str, low: int, high: int) -> None:
        """A table to be attached, made anew: an earlier try may have ended anywhere. Its CHECK spares
        reading it through at the end."""
        await self._run(f"DROP TABLE IF EXISTS {new}")
        await self._run(
            f"CREATE TABLE {new} (LIKE {self._table} INCLUDING ALL,"
            f" CONSTRAINT {self._check} CHECK (id >= {low} AND id < {high}))"
        )

    def _attaching(self, new: str, name: str, low: int, high: int) -> list[str]:
        return [
            f"ALTER TABLE {new} RENAME TO {name}",
            f"ALTER TABLE {self._table} ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})",
            f"ALTER TABLE {name} DROP CONSTRAINT {self._check}",
        ]

    async def _clear(self) -> None:
        """What earlier runs did not live to finish."""
        doomed = self._doomed(self._default)
        if doomed in await self._loose(_GONE):
            await self._leave_nothing_in(doomed)
        for name in await self._loose(_NEW):
            await self._run(f"DROP TABLE {name}")
        left = await self._all(
            f"SELECT FROM pg_constraint WHERE conrelid = '{self._default}'::regclass"
            f" AND conname = '{self._check}'"
        )
        if left:
            await self._briefly(f"ALTER TABLE {self._default} DROP CONSTRAINT {self._check}")

    async def _loose(self, prefix: str) -> list[str]:
        """Tables of ours that are no partitions."""
        found = await self._all(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND NOT relispartition"
            f" AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = '{self._table}'::regclass)"
            f" AND starts_with(relname, '{self._table}{prefix}_') ORDER BY relname"
        )
        return [row[0] for row in found]

    async def _free(self, wanted: str) -> str:
        """A name that nobody's table has: this one, or one like it."""
        name, number = wanted, 1
        while (await self._all(f"SELECT to_regclass('{name}') IS NOT NULL"))[0][0]:
            number += 1
            name = f"{wanted}_{number}"
        return name

    async def _count(self, name: str) -> int:
        return int((await self._all(f"SELECT count(*) FROM {name}"))[0][0])

    def name(self, month: Month) -> str:
        """Of the partition of a month."""
        return f"{self._table}_{month.year}_{month.number:02}"

    def _doomed(self, name: str) -> str:
        return self._table + _GONE + name.removeprefix(self._table)

    def _new(self, name: str) -> str:
        return self._table + _NEW + name.removeprefix(self._table)

    async def _all(self, statement: str) -> Sequence[Any]:
        cursor = await self._connection.execute(statement.encode())
        return await cursor.fetchall()

    async def _run(self, statement: str) -> None:
        await self._connection.execute(statement.encode())

    async def _briefly(self, *statements: str) -> None:
        """One transaction, tried until its locks are free: while it waits for one, whoever comes
        after it waits too, so it gives up after `LOCK_MS` and comes back. Raises `PartitionsBusy`."""
        for _ in range(TRIES):
            try:
                async with self._connection.transaction():
                    await self._run(f"SET LOCAL lock_timeout = {LOCK_MS}")
                    for statement in statements:
                        await self._run(statement)
            except LockNotAvailable:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return
        raise PartitionsBusy(table=self._table)


@asynccontextmanager
async def opened(url: str, table: str) -> AsyncIterator[Partitions]:
    """For one process at a time; raises `PartitionsBusy` while another is at it.

    `url` must lead to the server itself: a pooler in transaction mode gives the lock to anybody.
    """
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=3)
    async with connection:
        found = await connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,))
        row = await found.fetchone()
        if row is None or not row[0]:
            raise PartitionsBusy(table=table)
        yield Partitions(connection, table)


@asynccontextmanager
async def seen(url: str, table: str) -> AsyncIterator[Partitions]:
    """Only to look: beside anybody."""
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=3)
    async with connection:
        yield Partitions(connection, table)


def _part(name: str, bound: str) -> Part:
    found = _BOUND.search(bound)
    if found is None:
        raise ValueError(f"the partition {name} is not one of a range of ids: {bound}")
    low, high = found.groups()
    return Part(
        name, 0 if low == "MINVALUE" else int(low), _END if high == "MAXVALUE" else int(high)
    )


def _months(month: Month, last: Month) -> list[Month]:
    found = []
    while month <= last:
        found.append(month)
        month = month.after()
    return found

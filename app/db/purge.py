"""Deleting much in small steps, so that nobody waits."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from sqlalchemy import Integer, and_, bindparam, case, delete, func, literal_column, or_, select

from app.db.database import Database
from app.db.hot import Hot
from app.db.tx import Tx

STEP = 500
_STEP = bindparam("step", type_=Integer())


class ByAge:
    """The rows of a table whose ids are below a border, oldest first, and that `also` holds for."""

    def __init__(self, table: Any, *also: Any) -> None:
        self.table: str = table.__tablename__
        below = (table.id < bindparam("border", type_=table.id.type), *also)
        oldest = select(table.id).where(*below).order_by(table.id).limit(_STEP)
        self._delete = Hot(delete(table).where(table.id.in_(oldest)))
        above = table.id >= bindparam("above", type_=table.id.type)
        self._count = Hot(select(func.count()).select_from(table).where(above, *below))

    async def count(self, database: Database, border: int, above: int = 0) -> int:
        """How many `delete` would find, from the id `above` on."""

        async def work(tx: Tx) -> int:
            return int(await tx.value(self._count, {"border": border, "above": above}))

        return await database.read(work)

    async def delete(self, database: Database, border: int) -> int:
        """Steps of 500 until nothing is left; how many rows went."""
        return await delete_in_steps(database, self._delete, {"border": border})


class Walk:
    """The rows of a table that `over` holds for, found by walking along its key: for columns that
    change too often for an index of their own."""

    def __init__(self, table: Any, key: Sequence[Any], over: Any) -> None:
        """`over` has a parameter `moment`."""
        self.table: str = table.__tablename__
        one = literal_column("1", Integer)
        self._names = [f"after_{n}" for n in range(len(key))]
        places = [bindparam(n, type_=c.type) for n, c in zip(self._names, key, strict=True)]
        later = [
            and_(*[c == p for c, p in zip(key[:n], places[:n], strict=True)], key[n] > places[n])
            for n in range(len(key))
        ]
        page = select(*key, case((over, one), else_=literal_column("0", Integer)))
        page = page.order_by(*key).limit(_STEP)
        self._first = Hot(page)
        # The first column alone leads into the index; the rest is for rows that share it.
        self._page = Hot(page.where(key[0] >= places[0], or_(*later)))
        self._own = [f"is_{n}" for n in range(len(key))]
        own = [c == bindparam(n, type_=c.type) for n, c in zip(self._own, key, strict=True)]
        self._delete = Hot(delete(table).where(*own, over))
        self._count = Hot(select(func.count(one)).select_from(table).where(over))

    async def count(self, database: Database, params: Mapping[str, Any]) -> int:
        async def work(tx: Tx) -> int:
            return int(await tx.value(self._count, params))

        return await database.read(work)

    async def delete(self, database: Database, params: Mapping[str, Any]) -> int:
        """Walks once from the first key to the last; how many rows went."""
        gone = 0
        statement, place = self._first, dict(params) | {"step": STEP}
        while True:
            page = await database.read(_rows(statement, place))
            due = [row[:-1] for row in page if row[-1]]
            if due:
                own = [{**params, **dict(zip(self._own, key, strict=True))} for key in due]
                gone += await database.transaction(_each(self._delete, own))
            if len(page) < STEP:
                return gone
            statement = self._page
            place |= dict(zip(self._names, page[-1][:-1], strict=True))


async def delete_in_steps(database: Database, statement: Hot, params: Mapping[str, Any]) -> int:
    """Runs a DELETE of at most `step` rows until it finds fewer; how many rows went."""
    given = dict(params) | {"step": STEP}

    async def work(tx: Tx) -> int:
        return await tx.run(statement, given)

    gone = 0
    while True:
        step = await database.transaction(work)
        gone += step
        if step < STEP:
            return gone


def _rows(
    statement: Hot, params: Mapping[str, Any]
) -> Callable[[Tx], Coroutine[Any, Any, list[Any]]]:
    async def work(tx: Tx) -> list[Any]:
        return list(await tx.all(statement, params))

    return work


def _each(
    statement: Hot, rows: Sequence[Mapping[str, Any]]
) -> Callable[[Tx], Coroutine[Any, Any, int]]:
    async def work(tx: Tx) -> int:
        return await tx.many(statement, rows)

    return work

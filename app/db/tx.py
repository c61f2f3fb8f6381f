"""A transaction, as every engine sees it."""

from abc import ABC, abstractmethod
from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Mapping,
    Sequence,
)
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import psycopg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable

from app.db.hot import Hot, Prepared, Row

T = TypeVar("T")
Statement: TypeAlias = Executable | Hot
Params: TypeAlias = Mapping[str, Any]
Work: TypeAlias = Callable[["Tx"], Coroutine[Any, Any, T]]


_COUNTED = {"preserve_rowcount": True}
"""Without it an INSERT … ON CONFLICT counts -1 rows on PostgreSQL, which looks like a success."""
_OUTSIDE = "only the transaction itself may be awaited inside a transaction"


class AwaitedOutside(RuntimeError):
    """Code inside a transaction waited for something other than the database.

    Nothing slow may hold a lock: ask the network before or after, or enqueue a job.
    """


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    """A hot read, and what its rows mean."""

    statement: Hot
    params: Params
    shape: Callable[[Sequence[Row]], T]


class RowsMissed(RuntimeError):
    """A write touched another number of rows than it had to: somebody wrote without the lock."""


class Tx(ABC):
    """Statements in, rows out, all of one transaction.

    Made by `Database.transaction` and `Database.read`; commits when the work given there returns,
    rolls back when it raises.
    """

    dialect: ClassVar[str]

    def __init__(self) -> None:
        self.hooks: list[Callable[[], None]] = []

    def after_commit(self, hook: Callable[[], None]) -> None:
        """`hook` runs on the event loop once the commit has succeeded; never after a rollback."""
        self.hooks.append(hook)

    @abstractmethod
    async def all(self, statement: Statement, params: Params | None = None) -> Sequence[Any]:
        """Every row; SQLAlchemy rows for ordinary statements, plain tuples for hot ones."""

    async def first(self, statement: Statement, params: Params | None = None) -> Any:
        """The first row or None."""
        rows = await self.all(statement, params)
        return rows[0] if rows else None

    async def value(self, statement: Statement, params: Params | None = None) -> Any:
        """The first column of the first row, or None."""
        row = await self.first(statement, params)
        return row[0] if row is not None else None

    @abstractmethod
    async def run(self, statement: Statement, params: Params | None = None) -> int:
        """Executes a writing statement and returns how many rows it touched."""

    @abstractmethod
    async def many(self, statement: Statement, rows: Sequence[Params]) -> int:
        """The statement once per row; how many rows were touched in all. Nothing for no rows."""

    async def ask(self, query: Query[T]) -> T:
        """What the query's rows mean."""
        return query.shape(await self.all(query.statement, query.params))

    async def ask_all(self, *queries: Query[Any]) -> list[Any]:
        """Several queries, none of which needs another's answer: one round trip on PostgreSQL."""
        return [await self.ask(query) for query in queries]

    async def put(
        self, statement: Hot, rows: Sequence[Params], *, expected: int | None = None
    ) -> None:
        """As `many`, but nobody waits for the answer: it is looked at before the next read or the
        commit, and what went wrong is raised there.

        `expected`: how many rows have to be touched; `RowsMissed` otherwise.
        """
        touched = await self.many(statement, rows)
        if expected is not None and touched != expected:
            raise RowsMissed

    async def settle(self) -> None:  # noqa: B027  # nothing to wait for where puts are done at once
        """Waits for the answers of everything put, and raises what went wrong with it.

        Reads and the commit do so themselves: for who wants to know whose failure it is.
        """


class SqliteTx(Tx):
    """Never suspends: it lives in the writer's or a reader's own thread."""

    dialect = "sqlite"

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self._raw: Any = connection.connection.driver_connection

    async def all(self, statement: Statement, params: Params | None = None) -> Sequence[Any]:
        if isinstance(statement, Hot):
            prepared = statement.prepared("sqlite")
            cursor = self._raw.execute(prepared.text, prepared.values(params or {}))
            return prepared.rows(cursor.fetchall())
        return self._connection.execute(statement, params).all()

    async def run(self, statement: Statement, params: Params | None = None) -> int:
        if isinstance(statement, Hot):
            prepared = statement.prepared("sqlite")
            return int(self._raw.execute(prepared.text, prepared.values(params or {})).rowcount)
        return self._connection.execute(statement, params, execution_options=_COUNTED).rowcount

    async def many(self, statement: Statement, rows: Sequence[Params]) -> int:
        if not rows:
            return 0
        if isinstance(statement, Hot):
            prepared = statement.prepared("sqlite")
            values = [prepared.values(row) for row in rows]
            return int(self._raw.executemany(prepared.text, values).rowcount)
        return self._connection.execute(statement, list(rows), execution_options=_COUNTED).rowcount


class PostgresTx(Tx):
    dialect = "postgresql"

    def __init__(self, connection: AsyncConnection, raw: Any) -> None:
        super().__init__()
        self._connection = connection
        self._raw = raw
        self.busy = False
        """A statement is under way; any other wait inside the transaction is a mistake."""
        self._pipeline: Any = None
        """What carries statements nobody waits for; open from the first of them to `settle`."""
        self._unseen: list[tuple[Any, int | None]] = []

    async def ask_all(self, *queries: Query[Any]) -> list[Any]:
        await self.settle()
        await self._pipe()
        sent = []
        for query in queries:
            prepared = query.statement.prepared("postgresql")
            cursor = self._raw.cursor()
            await self._alone(cursor.execute(prepared.text, prepared.values(query.params)))
            sent.append((query, prepared, cursor))
        await self.settle()
        return [query.shape(await self._take(prepared, cursor)) for query, prepared, cursor in sent]

    async def put(
        self, statement: Hot, rows: Sequence[Params], *, expected: int | None = None
    ) -> None:
        rowset = statement.prepared("postgresql").rowset
        if rowset is None or not rows:
            await super().put(statement, rows, expected=expected)
            return
        await self._pipe()
        cursor = self._raw.cursor()
        self._unseen.append((cursor, expected))
        await self._alone(cursor.execute(rowset.text, rowset.values(rows)))

    async def settle(self) -> None:
        if self._pipeline is None:
            return
        pipeline, self._pipeline = self._pipeline, None
        unseen, self._unseen = self._unseen, []
        await self._alone(pipeline.__aexit__(None, None, None))
        if any(expected not in (None, cursor.rowcount) for cursor, expected in unseen):
            raise RowsMissed

    async def give_up(self) -> None:
        """Leaves the pipeline before a rollback, whatever its statements would say; or after the
        connection was closed, so that nobody finds the pipeline open later."""
        if self._pipeline is not None:
            pipeline, self._pipeline = self._pipeline, None
            with suppress(psycopg.Error):
                await pipeline.__aexit__(None, None, None)

    async def _pipe(self) -> None:
        if self._pipeline is None:
            pipeline = self._raw.pipeline()
            await self._alone(pipeline.__aenter__())
            self._pipeline = pipeline

    async def all(self, statement: Statement, params: Params | None = None) -> Sequence[Any]:
        await self.settle()
        if isinstance(statement, Hot):
            prepared = statement.prepared("postgresql")
            cursor = await self._send(prepared, params)
            return await self._take(prepared, cursor)
        return (await self._alone(self._connection.execute(statement, params))).all()

    async def run(self, statement: Statement, params: Params | None = None) -> int:
        await self.settle()
        if isinstance(statement, Hot):
            return int((await self._send(statement.prepared("postgresql"), params)).rowcount)
        found = self._connection.execute(statement, params, execution_options=_COUNTED)
        return int((await self._alone(found)).rowcount)

    async def many(self, statement: Statement, rows: Sequence[Params]) -> int:
        if not rows:
            return 0
        await self.settle()
        if isinstance(statement, Hot):
            prepared = statement.prepared("postgresql")
            if prepared.rowset is not None:
                every = self._raw.execute(prepared.rowset.text, prepared.rowset.values(rows))
                return int((await self._alone(every)).rowcount)
            cursor = self._raw.cursor()
            await self._alone(
                cursor.executemany(prepared.text, [prepared.values(row) for row in rows])
            )
            return int(cursor.rowcount)
        found = self._connection.execute(statement, list(rows), execution_options=_COUNTED)
        return int((await self._alone(found)).rowcount)

    async def _send(self, prepared: Prepared, params: Params | None) -> Any:
        return await self._alone(self._raw.execute(prepared.text, prepared.values(params or {})))

    async def _take(self, prepared: Prepared, cursor: Any) -> list[Row]:
        return prepared.rows(await self._alone(cursor.fetchall()))

    async def _alone(self, statement: Awaitable[T]) -> T:
        self.busy = True
        try:
            return await statement
        finally:
            self.busy = False


def run_inline(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that awaits nothing but a `SqliteTx`, here and now.

    Raises `AwaitedOutside` when it waits for anything else.
    """
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    except RuntimeError as error:
        if "no running event loop" in str(error):  # asyncio's own word for it in this thread
            raise AwaitedOutside(_OUTSIDE) from error
        raise
    work.close()
    raise AwaitedOutside(_OUTSIDE)


class Watched(Generic[T]):
    """Awaits a coroutine and stops it where it waits for anything but its `PostgresTx`."""

    def __init__(self, work: Coroutine[Any, Any, T], tx: PostgresTx) -> None:
        self._work = work
        self._tx = tx

    def __await__(self) -> Generator[Any, Any, T]:
        work, tx = self._work, self._tx
        thrown: BaseException | None = None
        while True:
            try:
                waiting_for = work.send(None) if thrown is None else work.throw(thrown)
            except StopIteration as done:
                result: T = done.value
                return result
            if not tx.busy:
                work.close()
                raise AwaitedOutside(_OUTSIDE)
            thrown = None
            try:
                yield waiting_for
            except BaseException as error:  # noqa: BLE001  # handed on to the coroutine as it came
                thrown = error

"""Transactions over SQLite or PostgreSQL, with one meaning.

SQLite has one write connection per process, in a thread of its own; a whole transaction runs there
in one hop, urgent ones (deliveries) first. Readers have connections that cannot write. PostgreSQL
runs each transaction on a pooled connection, READ COMMITTED.
"""

import asyncio
import os
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.core.rng import Rng, SystemRng
from app.core.settings import Settings
from app.core.watchdog import WatchedThread
from app.db.checkpoints import Checkpointer, move
from app.db.faults import is_conflict, is_lock_timeout, original
from app.db.tx import PostgresTx, SqliteTx, Watched, Work, run_inline

T = TypeVar("T")

TRIES = 4
"""Once, and at most three more after a conflict."""
READERS = 4
WRITE_CACHE_KIB = 128 * 1024
READ_CACHE_KIB = 4 * 1024
"""SQLite's own page caches; the operating system keeps the file in memory as well. The writer's fills
with what is touched: four pages for each active follower, so it holds some 8,000 of them."""
LONGEST_LOG_FRAMES = 40_000
"""Pages of the log, 160 MB, at which the writer itself moves them: `checkpoints` is behind, or nobody
runs it."""
FINISH_SECONDS = 5.0
CLOSE_SECONDS = 1.0
"""What transactions that nobody waits for any more are given at the end."""
TRANSACTION_SECONDS = 8.0
"""On PostgreSQL a transaction that takes longer is given up with its connection: the server has limits
of its own for each statement, so it must have stopped answering."""


class Database(ABC):
    """Opens transactions. One per process; `close` it at the end."""

    dialect: str

    def __init__(self, rng: Rng) -> None:
        self._rng = rng

    async def transaction(self, work: Work[T], *, urgent: bool = False) -> T:
        """Runs `work(tx)` in a writing transaction and commits.

        After a conflict (serialization, deadlock, locked) the whole is run again, at most three
        times with jitter, so `work` must have no effect but through `tx`. Whatever `work` raises
        rolls everything back. Awaiting anything but `tx` inside raises `AwaitedOutside`.
        """
        for attempt in range(1, TRIES + 1):
            try:
                result, hooks = await self._write(work, urgent)
            except Exception as error:
                again = is_conflict(error) or (is_lock_timeout(error) and not urgent)
                if attempt == TRIES or not again:
                    raise
                await asyncio.sleep(0.01 * attempt * (1 + self._rng.random()))
            else:
                for hook in hooks:
                    hook()
                return result
        raise AssertionError("unreachable")

    @abstractmethod
    async def _write(self, work: Work[T], urgent: bool) -> tuple[T, list[Callable[[], None]]]: ...

    @abstractmethod
    async def read(self, work: Work[T]) -> T:
        """Runs `work(tx)` on one consistent view of the data; writing there is an error."""

    def watched(self) -> Sequence[WatchedThread]:
        """Threads in which transactions, and so other people's code, run beside the event loop."""
        return ()

    @abstractmethod
    async def close(self) -> None: ...


def open_database(settings: Settings, rng: Rng | None = None) -> Database:
    """The database the settings name. No connection is made yet on PostgreSQL."""
    rng = rng or SystemRng()
    if settings.on_sqlite:
        return SqliteDatabase(settings.database_url, rng)
    return PostgresDatabase(
        settings.database_url,
        rng,
        pooled=settings.database_pooled,
        size=settings.database_pool_size,
    )


def sync_url(url: str) -> str:
    """The URL with the driver that migrations use, which is the application's own."""
    if url.startswith("sqlite"):
        return url
    return "postgresql+psycopg://" + url.split("://", 1)[1]


# --- SQLite ---------------------------------------------------------------------------------------


def sqlite_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine whose transactions are BEGIN IMMEDIATE, or read-only views."""
    path = make_url(url).database
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = sqlalchemy.create_engine(
        url,
        poolclass=sqlalchemy.NullPool,
        connect_args={"check_same_thread": False},
        hide_parameters=True,  # errors are logged, and what is written is nobody's business there
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=2000",
            f"cache_size=-{READ_CACHE_KIB if read_only else WRITE_CACHE_KIB}",
            "temp_store=MEMORY",
            f"wal_autocheckpoint={LONGEST_LOG_FRAMES}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        if read_only:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


class _WriterThread:
    """Runs callables one after the other in its own thread, urgent ones first."""

    def __init__(self) -> None:
        self._urgent: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._ordinary: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._condition = threading.Condition()
        self.turns = WatchedThread("sqlite-writer")
        self._open = True
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], T], *, urgent: bool) -> Future[T]:
        future: Future[T] = Future()
        with self._condition:
            if not self._open:
                raise sqlite3.ProgrammingError("the database is closed")
            (self._urgent if urgent else self._ordinary).append((call, future))
            self._condition.notify()
        return future

    def stop(self) -> None:
        """Lets what is queued finish, then ends the thread."""
        with self._condition:
            self._open = False
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            call, future = item
            if not future.set_running_or_notify_cancel():
                continue
            self.turns.begin()
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001  # belongs to whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)
            finally:
                self.turns.end()

    def _next(self) -> tuple[Callable[[], Any], Future[Any]] | None:
        with self._condition:
            while not (self._urgent or self._ordinary):
                if not self._open:
                    return None
                self._condition.wait()
            return (self._urgent or self._ordinary).popleft()


def _seen(result: "asyncio.Future[Any]") -> None:
    """Whoever waited may have been cancelled; then nobody else looks at the failure."""
    if not result.cancelled():
        result.exception()


def _file_at(path: str) -> tuple[int, int] | None:
    """Which file is there: device and inode."""
    try:
        found = os.stat(path)  # each transaction asks; a Path costs twice as much
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class SqliteDatabase(Database):
    dialect = "sqlite"

    def __init__(self, url: str, rng: Rng) -> None:
        super().__init__(rng)
        self.url = url
        self._path = make_url(url).database or ""
        self._file: tuple[int, int] | None = None
        """The file that was opened: what is written after it lost its name is lost with the process."""
        self._engine = sqlite_engine(url)
        self._reading = sqlite_engine(url, read_only=True)
        self._thread = _WriterThread()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._local = threading.local()
        self._opened: list[Connection] = []
        self._writing: Connection | None = None
        self._checkpointer = Checkpointer(self._path, self._finish_checkpoint)

    def watched(self) -> Sequence[WatchedThread]:
        return (self._thread.turns,)

    async def _write(self, work: Work[T], urgent: bool) -> tuple[T, list[Callable[[], None]]]:
        future = self._thread.submit(lambda: self._write_here(work), urgent=urgent)
        result = asyncio.wrap_future(future)
        result.add_done_callback(_seen)
        return await asyncio.shield(result)

    def _write_here(self, work: Work[T]) -> tuple[T, list[Callable[[], None]]]:
        self._check_file()
        if self._writing is None:
            connection = self._engine.connect()
            self._checkpointer.open()  # after it, which makes the file one with a log
            self._writing = connection
        with self._writing.begin():
            tx = SqliteTx(self._writing)
            result = run_inline(work(tx))
        self._checkpointer.written()
        return result, tx.hooks

    def _finish_checkpoint(self) -> None:
        """Waits until the writer has done it: two checkpoints at once turn each other away."""

        def finish() -> None:
            if self._writing is not None:
                raw: Any = self._writing.connection.driver_connection
                move(raw)

        with suppress(sqlite3.Error, TimeoutError):  # closed, in trouble, held up: the next round
            self._thread.submit(finish, urgent=True).result(FINISH_SECONDS)

    def _check_file(self) -> None:
        """Raises passing trouble while the file is not where it was opened, or is another one."""
        found = _file_at(self._path)
        if self._file is None:
            self._file = found
        elif found != self._file:
            gone = "is gone" if found is None else "is another one than was opened; restart"
            error = sqlite3.OperationalError(f"the file {self._path} {gone}")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error

    async def read(self, work: Work[T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read_here, work)

    def _read_here(self, work: Work[T]) -> T:
        self._check_file()
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._reading.connect()
            self._opened.append(connection)
        with connection.begin():
            return run_inline(work(SqliteTx(connection)))

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._checkpointer.stop)
        await loop.run_in_executor(None, self._thread.stop)
        await loop.run_in_executor(None, self._readers.shutdown)
        for connection in (self._writing, *self._opened):
            if connection is not None:
                connection.close()


# --- PostgreSQL -----------------------------------------------------------------------------------


class PostgresDatabase(Database):
    dialect = "postgresql"

    def __init__(
        self,
        url: str,
        rng: Rng,
        *,
        pooled: bool = False,
        size: int = 10,
        seconds: float = TRANSACTION_SECONDS,
    ) -> None:
        super().__init__(rng)
        self.url = url
        self._seconds = seconds
        connect: dict[str, Any] = {"connect_timeout": 3}
        if pooled:
            connect["prepare_threshold"] = None
        else:
            connect["options"] = (
                "-c timezone=UTC -c lock_timeout=2000 -c statement_timeout=3000"
                " -c idle_in_transaction_session_timeout=5000"
            )
        self._engine: AsyncEngine = create_async_engine(
            sync_url(url),
            pool_size=size,
            max_overflow=0,
            pool_timeout=3,
            connect_args=connect,
            hide_parameters=True,
        )
        self._reading = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._under_way: set[asyncio.Future[Any]] = set()

    async def _write(self, work: Work[T], urgent: bool) -> tuple[T, list[Callable[[], None]]]:
        return await self._to_its_end(self._write_whole(work))

    async def read(self, work: Work[T]) -> T:
        return await self._to_its_end(self._read_whole(work))

    async def _to_its_end(self, whole: Coroutine[Any, Any, T]) -> T:
        """Whoever waits may be cancelled; the transaction goes on, as on SQLite.

        Cancelled between two awaits of a checkout, SQLAlchemy's pool loses the connection until the
        garbage collector finds it.
        """
        task = asyncio.ensure_future(whole)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        task.add_done_callback(_seen)
        return await asyncio.shield(task)

    async def _write_whole(self, work: Work[T]) -> tuple[T, list[Callable[[], None]]]:
        async with self._engine.connect() as connection:
            tx = await self._started(connection)
            try:
                async with asyncio.timeout(self._seconds):
                    result = await Watched(work(tx), tx)
                    await tx.settle()
                    await connection.commit()
            except BaseException as error:
                await _abandon(connection, tx, error)
                raise
        return result, tx.hooks

    async def _read_whole(self, work: Work[T]) -> T:
        async with self._reading.connect() as connection:
            tx = await self._started(connection)
            try:
                async with asyncio.timeout(self._seconds):
                    result = await Watched(work(tx), tx)
                    await tx.settle()
            except BaseException as error:
                await _abandon(connection, tx, error)
                raise
        return result

    async def _started(self, connection: AsyncConnection) -> PostgresTx:
        _ = await connection.begin()
        raw = await connection.get_raw_connection()
        return PostgresTx(connection, raw.driver_connection)

    async def close(self) -> None:
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._engine.dispose()


async def _abandon(connection: AsyncConnection, tx: PostgresTx, error: BaseException) -> None:
    """Rolls back, or throws the connection away when it is broken or was cut off in mid-statement."""
    raw = await connection.get_raw_connection() if not connection.invalidated else None
    driver = raw.driver_connection if raw is not None else None
    cut_off = isinstance(original(error), asyncio.CancelledError | TimeoutError)
    broken = driver is None or driver.closed or cut_off
    if broken:
        await connection.invalidate()
    await tx.give_up()
    if not broken:
        await connection.rollback()

"""Statements nobody waits for, and several reads at once: the same on both databases."""

import asyncio
import gc

import psycopg
import pytest
from sqlalchemy import bindparam, select, update

from app.core.clock import FakeClock
from app.core.rng import SeededRng
from app.db import receipts
from app.db.database import Database, PostgresDatabase
from app.db.faults import is_database
from app.db.hot import Hot
from app.db.receipts import Receipt
from app.db.tx import AwaitedOutside, Query, RowsMissed, Tx
from tests.db.test_database import row, stored

_RENAME = Hot(
    update(Receipt).where(Receipt.key == bindparam("old")).values(answer=bindparam("words")),
    distinct=True,
)
_KEYS = Hot(select(Receipt.key).where(Receipt.account_id == bindparam("account")))


def keys_of(account: int) -> Query[set[str]]:
    return Query(_KEYS, {"account": account}, lambda rows: {key for (key,) in rows})


async def test_what_was_put_is_seen_by_the_next_read(database: Database, clock: FakeClock) -> None:
    async def work(tx: Tx) -> list[set[str]]:
        await tx.put(receipts.INSERT, [row(clock, "a"), row(clock, "b", account_id=2)])
        await tx.put(receipts.INSERT, [])
        first = await tx.ask(keys_of(1))
        await tx.put(receipts.INSERT, [row(clock, "c")])
        return [first, *await tx.ask_all(keys_of(1), keys_of(2), keys_of(3))]

    assert await database.transaction(work) == [{"a"}, {"a", "c"}, {"b"}, set()]
    assert await stored(database) == ["a", "b", "c"]


async def test_what_was_put_last_is_committed(database: Database, clock: FakeClock) -> None:
    async def work(tx: Tx) -> None:
        await tx.put(receipts.INSERT, [row(clock, "a")])
        await tx.put(_RENAME, [{"old": "a", "words": "x"}], expected=1)

    await database.transaction(work)
    assert await stored(database) == ["a"]


async def test_a_put_that_touches_too_few_rows_takes_everything_back(
    database: Database, clock: FakeClock
) -> None:
    async def work(tx: Tx) -> None:
        await tx.put(receipts.INSERT, [row(clock, "a")])
        await tx.put(_RENAME, [{"old": "gone", "words": "x"}], expected=1)
        await tx.put(receipts.INSERT, [row(clock, "b")])

    with pytest.raises(RowsMissed):
        await database.transaction(work)
    assert await stored(database) == []


@pytest.mark.parametrize("read_after", [False, True])
async def test_a_put_that_the_database_refuses_takes_everything_back(
    database: Database, clock: FakeClock, read_after: bool
) -> None:
    async def work(tx: Tx) -> None:
        await tx.put(receipts.INSERT, [row(clock, "a")])
        await tx.put(receipts.INSERT, [row(clock, "a")])
        await tx.put(receipts.INSERT, [row(clock, "b")])
        if read_after:
            await tx.ask(keys_of(1))

    with pytest.raises(Exception) as caught:  # noqa: PT011  # each driver has its own
        await database.transaction(work)
    assert is_database(caught.value)
    assert await stored(database) == []


async def test_the_connection_is_whole_after_code_failed_between_puts(
    database: Database, clock: FakeClock
) -> None:
    async def work(tx: Tx) -> None:
        await tx.put(receipts.INSERT, [row(clock, "a")])
        raise ValueError("the caller's own")

    for _ in range(12):  # more often than the pool has connections
        with pytest.raises(ValueError, match="own"):
            await database.transaction(work)
    assert await stored(database) == []

    async def sound(tx: Tx) -> set[str]:
        await tx.put(receipts.INSERT, [row(clock, "b")])
        return await tx.ask(keys_of(1))

    assert await database.transaction(sound) == {"b"}


async def test_a_reading_transaction_refuses_what_is_put(
    database: Database, clock: FakeClock
) -> None:
    """And its connection is sound for whoever has it next."""

    async def work(tx: Tx) -> None:
        await tx.put(receipts.INSERT, [row(clock, "a")])

    for _ in range(12):
        with pytest.raises(Exception, match=r"(?i)read.?only") as caught:
            await database.read(work)
        assert is_database(caught.value)
    assert await database.read(lambda tx: tx.ask(keys_of(1))) == set()
    assert await stored(database) == []


async def test_what_is_put_fails_where_it_is_settled(database: Database, clock: FakeClock) -> None:
    """So that who put it can be told from who comes after."""
    passed: list[str] = []

    async def work(tx: Tx) -> None:
        try:
            await tx.put(receipts.INSERT, [row(clock, "a"), row(clock, "a")])
            await tx.settle()
        except Exception:
            passed.append("settled")
            raise

    with pytest.raises(Exception) as caught:  # noqa: PT011  # as above
        await database.transaction(work)
    assert is_database(caught.value)
    assert passed == ["settled"]
    assert await stored(database) == []


async def test_a_put_that_waits_too_long_is_given_up_with_its_connection(
    database_url: str, on_postgres: bool, database: Database, clock: FakeClock
) -> None:
    if not on_postgres:
        pytest.skip("SQLite has no locks of rows")
    hasty = PostgresDatabase(database_url, SeededRng(1), size=2, seconds=0.3)

    async def rename(tx: Tx) -> None:
        await tx.put(_RENAME, [{"old": "a", "words": "x"}], expected=1)
        await tx.put(receipts.INSERT, [row(clock, "b")])

    await database.transaction(lambda tx: tx.many(receipts.INSERT, [row(clock, "a")]))
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("SELECT FROM receipt FOR UPDATE")
        for _ in range(4):  # more often than the pool has connections
            with pytest.raises(TimeoutError):
                await hasty.transaction(rename)
        gc.collect()
        await asyncio.sleep(0)
    await hasty.transaction(rename)
    await hasty.close()
    assert await stored(database) == ["a", "b"]


async def test_waiting_for_anything_else_between_puts_is_refused(
    database: Database, clock: FakeClock
) -> None:
    async def work(tx: Tx) -> None:
        await tx.put(receipts.INSERT, [row(clock, "a")])
        await asyncio.sleep(0)

    for _ in range(12):
        with pytest.raises(AwaitedOutside):
            await database.transaction(work)
    assert await stored(database) == []

"""Statements nobody waits for, and several reads at once: the same on both databases."""

import pytest
from sqlalchemy import bindparam, select, update

from app.core.clock import FakeClock
from app.db import receipts
from app.db.database import Database
from app.db.faults import is_database
from app.db.hot import Hot
from app.db.receipts import Receipt
from app.db.tx import Query, RowsMissed, Tx
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

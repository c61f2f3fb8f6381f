import asyncio
import gc
import warnings

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import bindparam, insert, select, text

from app.core.clock import FakeClock
from app.core.events import Event
from app.core.log import mask_text
from app.core.rng import SeededRng
from app.core.settings import Settings
from app.db import receipts
from app.db.database import Database, open_database
from app.db.events import EventRow, Events
from app.db.faults import is_passing
from app.db.hot import Hot, upsert
from app.db.migrate import config, state
from app.db.receipts import Receipt
from app.db.slots import SlotLease
from app.db.tx import AwaitedOutside, Tx
from app.db.version import wanted


def row(clock: FakeClock, key: str, **other: object) -> dict[str, object]:
    base = {
        "key": key,
        "account_id": 1,
        "request_hash": None,
        "status": 200,
        "answer": "<xml/>",
        "tries": 1,
        "expires_at": clock.now(),
    }
    return base | other


async def stored(database: Database) -> list[str]:
    async def work(tx: Tx) -> list[str]:
        return [r.key for r in await tx.all(select(Receipt.key).order_by(Receipt.key))]

    return await database.read(work)


async def test_hot_and_ordinary_statements_share_a_transaction(
    database: Database, clock: FakeClock
) -> None:
    async def work(tx: Tx) -> object:
        await tx.many(receipts.INSERT, [row(clock, "a"), row(clock, "b", status=None)])
        found = await tx.all(receipts.FIND, {"keys": ["a", "b", "c"]})
        ordinary = await tx.first(select(Receipt.expires_at).where(Receipt.key == "a"))
        assert ordinary is not None
        assert ordinary.expires_at == clock.now()
        return sorted(tuple(r) for r in found)

    assert await database.transaction(work) == [
        ("a", 1, 200, "<xml/>", 1),
        ("b", 1, None, "<xml/>", 1),
    ]
    assert await stored(database) == ["a", "b"]


async def test_hot_results_are_converted_like_ordinary_ones(
    database: Database, clock: FakeClock
) -> None:
    hot = Hot(select(Receipt.expires_at).where(Receipt.key == bindparam("k")))

    async def work(tx: Tx) -> object:
        await tx.many(receipts.INSERT, [row(clock, "a")])
        return await tx.value(hot, {"k": "a"})

    assert await database.transaction(work) == clock.now()


async def test_an_error_rolls_everything_back(database: Database, clock: FakeClock) -> None:
    async def work(tx: Tx) -> None:
        await tx.many(receipts.INSERT, [row(clock, "a")])
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await database.transaction(work)
    assert await stored(database) == []


async def test_hooks_run_only_after_a_commit(database: Database, clock: FakeClock) -> None:
    seen: list[str] = []

    async def good(tx: Tx) -> None:
        tx.after_commit(lambda: seen.append("good"))
        await tx.many(receipts.INSERT, [row(clock, "a")])
        assert seen == []

    async def bad(tx: Tx) -> None:
        tx.after_commit(lambda: seen.append("bad"))
        raise KeyError

    await database.transaction(good)
    with pytest.raises(KeyError):
        await database.transaction(bad)
    assert seen == ["good"]


async def test_waiting_for_anything_else_inside_is_refused(
    database: Database, clock: FakeClock
) -> None:
    async def work(tx: Tx) -> None:
        await tx.many(receipts.INSERT, [row(clock, "a")])
        await asyncio.sleep(5)

    with pytest.raises(AwaitedOutside):
        await asyncio.wait_for(database.transaction(work), 2)
    assert await stored(database) == []


async def test_readers_cannot_write(database: Database, clock: FakeClock) -> None:
    async def work(tx: Tx) -> None:
        await tx.many(receipts.INSERT, [row(clock, "a")])

    with pytest.raises(Exception, match=r"read-?only") as caught:
        await database.read(work)
    assert caught.value is not None
    assert await stored(database) == []


async def test_settle_is_won_once(database: Database, clock: FakeClock) -> None:
    async def insert(tx: Tx) -> None:
        await tx.many(receipts.INSERT, [row(clock, "a", status=None, answer=None)])

    async def settle(tx: Tx) -> int:
        return await tx.run(
            receipts.SETTLE, {"k": "a", "a": 1, "new_status": 204, "new_answer": None}
        )

    await database.transaction(insert)
    wins = await asyncio.gather(*(database.transaction(settle) for _ in range(8)))
    assert sorted(wins) == [0] * 7 + [1]


async def test_counting_is_exact_under_concurrency(database: Database, clock: FakeClock) -> None:
    async def insert(tx: Tx) -> None:
        await tx.many(receipts.INSERT, [row(clock, "a", tries=0)])

    async def count(tx: Tx) -> None:
        await tx.run(receipts.COUNT_TRY, {"k": "a", "a": 1})

    await database.transaction(insert)
    await asyncio.gather(*(database.transaction(count) for _ in range(50)))

    async def tries(tx: Tx) -> object:
        return await tx.value(select(Receipt.tries))

    assert await database.read(tries) == 50


async def test_two_databases_on_one_file_or_server_wait_for_each_other(
    database: Database, settings: Settings, clock: FakeClock
) -> None:
    other = open_database(settings, SeededRng(2))

    async def count(tx: Tx) -> None:
        await tx.run(receipts.COUNT_TRY, {"k": "a", "a": 1})

    async def insert(tx: Tx) -> None:
        await tx.many(receipts.INSERT, [row(clock, "a", tries=0)])

    await database.transaction(insert)
    both = [db.transaction(count) for db in (database, other) for _ in range(20)]
    await asyncio.gather(*both)

    async def tries(tx: Tx) -> object:
        return await tx.value(select(Receipt.tries))

    assert await other.read(tries) == 40
    await other.close()


async def test_a_closed_database_is_passing_trouble(settings: Settings) -> None:
    """What a writer must wait out, told apart from a statement that is wrong."""
    database = open_database(settings, SeededRng(3))

    async def wrong(tx: Tx) -> None:
        await tx.all(text("SELECT nothing FROM nowhere"))

    with pytest.raises(Exception, match="nowhere") as caught:
        await database.transaction(wrong)
    assert not is_passing(caught.value)
    await database.close()


def test_the_version_wanted_is_alembics_head() -> None:
    assert wanted() == ScriptDirectory.from_config(config()).get_current_head()


def test_migrations_reach_the_newest_version(database_url: str) -> None:
    assert state(database_url).up_to_date


async def test_no_two_processes_share_a_slot(database: Database, clock: FakeClock) -> None:
    leases = [SlotLease(database, clock) for _ in range(5)]
    slots = [(await lease.take()).slot for lease in leases]
    assert slots == [0, 1, 2, 3, 4]
    await leases[1].give_back()
    assert (await SlotLease(database, clock).take()).slot == 1
    clock.advance(minutes=6)
    assert (await SlotLease(database, clock).take()).slot == 0


async def test_an_insert_that_met_a_conflict_counts_no_row(
    database: Database, clock: FakeClock
) -> None:
    """What every guard of the form INSERT … ON CONFLICT relies on."""

    async def put(tx: Tx) -> tuple[int, int]:
        statement = upsert(tx.dialect, Receipt)
        once = await tx.run(statement.values(row(clock, "a")).on_conflict_do_nothing())
        rows = [row(clock, "a"), row(clock, "b")]
        more = await tx.many(statement.on_conflict_do_nothing(), rows)
        return once, more

    assert await database.transaction(put) == (1, 1)
    assert await database.transaction(put) == (0, 0)


async def test_json_is_stored_as_json_not_as_a_text_of_it(
    database: Database, clock: FakeClock
) -> None:
    """PostgreSQL's `jsonb` would take a JSON string just as well, and nobody could look inside."""
    values: list[object] = [{"a": ["好"]}, "text", [1, None], True, 3]
    events = [Event(1, "thing.done", "thing", n, {"value": v}) for n, v in enumerate(values)]

    async def work(tx: Tx) -> None:
        await Events(clock).emit(tx, events)
        await tx.run(
            insert(EventRow).values(
                account_id=1,
                topic="thing",
                kind="thing.done",
                aggregate_type="thing",
                aggregate_id=9,
                aggregate_seq=0,
                payload="plain",
                created_at=clock.now(),
            )
        )

    await database.transaction(work)
    inside = "json_extract(payload, '$.value.a[0]')"
    if database.dialect == "postgresql":
        inside = "payload #>> '{value,a,0}'"

    async def read(tx: Tx) -> tuple[list[object], object]:
        rows = await tx.all(select(EventRow.payload).order_by(EventRow.id))
        looked = await tx.value(text(f"SELECT {inside} FROM event ORDER BY id LIMIT 1"))
        return [row.payload for row in rows], looked

    stored, looked = await database.read(read)
    assert stored == [*({"value": value} for value in values), "plain"]
    assert looked == "好"


async def test_an_error_does_not_tell_what_was_to_be_written(
    database: Database, clock: FakeClock
) -> None:
    async def work(tx: Tx) -> None:
        await tx.run(insert(Receipt).values(row(clock, "a", answer="secret words", tries=None)))

    with pytest.raises(Exception, match="tries") as caught:
        await database.transaction(work)
    assert "secret words" not in mask_text(str(caught.value))  # as it is logged


async def test_whoever_waits_may_be_cancelled_and_the_pool_stays_whole(
    settings: Settings, clock: FakeClock
) -> None:
    """Runners, time limits and a stopping server cancel at any moment."""
    if settings.on_sqlite:
        pytest.skip("only PostgreSQL has a pool")
    database = open_database(
        settings.model_copy(update={"database_pool_size": 2}), draws := SeededRng(4)
    )

    async def levels(tx: Tx) -> list[str]:
        names = ("transaction_isolation", "transaction_read_only")
        return [str(await tx.value(text(f"SHOW {name}"))) for name in names]

    async def few(tx: Tx) -> None:
        for _ in range(3):
            await tx.all(text("SELECT 1"))

    for _ in range(60):
        tasks = [
            asyncio.ensure_future(draws.choice((database.read, database.transaction))(few))
            for _ in range(4)
        ]
        await asyncio.sleep(draws.random() * 0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a lost connection complains when it is collected
        gc.collect()
    for _ in range(3):
        writing, reading = await asyncio.gather(database.transaction(levels), database.read(levels))
        assert writing == ["read committed", "off"]
        assert reading == ["repeatable read", "on"]
    await asyncio.wait_for(database.close(), 10)

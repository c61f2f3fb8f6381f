"""Each event reaches a consumer once, in order, whatever happens between."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, insert, select, text

from app.core.clock import FakeClock
from app.core.events import Event
from app.core.rng import SeededRng
from app.core.settings import Settings
from app.db.database import Database, PostgresDatabase, open_database
from app.db.events import EventCursor, EventRow, Events
from app.db.feed import STEP, Feed, Page, Told, read_until
from app.db.tx import Tx

NAME = "test.consumer"
KINDS = {"test.wanted"}


class Ledger:
    """A consumer: one row for each event it was given. No unique key, so that repeats show."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.fail: Any = None

    async def consume(self, tx: Tx, events: Sequence[Told]) -> None:
        await tx.many(insert(LEDGER), [{"id": e.id, "kind": e.kind} for e in events])
        if self.fail is not None:
            await self.fail(tx, events)
        self.batches.append([e.id for e in events])


LEDGER = Table("feed_ledger", MetaData(), Column("id", BigInteger), Column("kind", String(64)))


@pytest.fixture(autouse=True)
async def ledger_table(database: Database) -> None:
    async def work(tx: Tx) -> None:
        await tx.run(text("CREATE TABLE feed_ledger (id BIGINT, kind VARCHAR(64))"))

    await database.transaction(work)


@pytest.fixture
async def other(settings: Settings, ledger_table: None) -> AsyncIterator[Database]:
    """A second process, as far as the database can tell."""
    opened = open_database(settings, SeededRng(2))
    yield opened
    await asyncio.wait_for(opened.close(), 10)


async def tell(database: Database, clock: FakeClock, count: int, kind: str = "test.wanted") -> None:
    events = [Event(1, kind, "thing", n) for n in range(count)]
    await database.transaction(lambda tx: Events(clock).emit(tx, events))


async def rows(database: Database, statement: Any) -> Sequence[Any]:
    async def work(tx: Tx) -> Sequence[Any]:
        return await tx.all(statement)

    return await database.read(work)


async def judge(database: Database) -> tuple[set[int], dict[int, int]]:
    """Events that were lost, and those counted more than once."""
    wanted = {
        r.id for r in await rows(database, select(EventRow.id).where(EventRow.kind.in_(KINDS)))
    }
    counted = Counter(r.id for r in await rows(database, select(LEDGER.c.id)))
    return wanted - counted.keys(), {one: times for one, times in counted.items() if times > 1}


def feed(database: Database, clock: FakeClock, ledger: Ledger, kind: type[Feed] = Feed) -> Feed:
    return kind(database, clock, NAME, KINDS, ledger.consume, limit=20)


class TestOne:
    async def test_takes_everything_in_order_in_steps(
        self, database: Database, clock: FakeClock
    ) -> None:
        ledger = Ledger()
        consumer = feed(database, clock, ledger)
        for _ in range(3):
            await tell(database, clock, 15)
            await tell(database, clock, 2, "test.other")
        assert await consumer.catch_up() == 51
        assert [len(batch) for batch in ledger.batches] == [18, 18, 9]
        assert await judge(database) == (set(), {})
        taken = [one for batch in ledger.batches for one in batch]
        assert taken == sorted(taken)
        assert await consumer.catch_up() == 0
        await tell(database, clock, 1)
        assert await consumer.catch_up() == 1
        assert await judge(database) == (set(), {})

    async def test_two_consumers_each_take_everything(
        self, database: Database, clock: FakeClock
    ) -> None:
        await tell(database, clock, 3)
        one, two = Ledger(), Ledger()
        await Feed(database, clock, "one", KINDS, one.consume).catch_up()
        await Feed(database, clock, "two", KINDS, two.consume).catch_up()
        assert one.batches == two.batches
        assert len(one.batches[0]) == 3

    async def test_a_step_is_all_or_nothing(self, database: Database, clock: FakeClock) -> None:
        async def fail(tx: Tx, events: Sequence[Told]) -> None:
            raise OSError("the process is killed here")

        ledger = Ledger()
        consumer = feed(database, clock, ledger)
        await tell(database, clock, 30)
        ledger.fail = fail
        for _ in range(2):
            with pytest.raises(OSError, match="killed"):
                await consumer.step()
        assert len((await judge(database))[0]) == 30
        ledger.fail = None
        await consumer.catch_up()
        assert await judge(database) == (set(), {})

    async def test_says_up_to_when_everything_is_taken(
        self, database: Database, clock: FakeClock
    ) -> None:
        async def until() -> Any:
            return await database.read(lambda tx: read_until(tx, NAME))

        consumer = feed(database, clock, Ledger())
        assert await until() is None
        first = clock.now()
        await tell(database, clock, 20)
        clock.advance(minutes=5)
        await tell(database, clock, 5)
        await consumer.step()
        assert await until() == first
        clock.advance(minutes=5)
        await consumer.step()
        assert await until() == clock.now()
        clock.advance(minutes=5)
        assert await consumer.step() == 0
        assert await until() == clock.now()

    async def test_goes_on_after_old_events_were_deleted(
        self, database: Database, clock: FakeClock
    ) -> None:
        ledger = Ledger()
        consumer = feed(database, clock, ledger)
        await tell(database, clock, 5)
        await consumer.catch_up()

        async def purge(tx: Tx) -> None:
            await tx.run(text("DELETE FROM event"))

        await database.transaction(purge)
        await tell(database, clock, 2)
        assert await consumer.catch_up() == 2

    def test_a_step_is_as_long_as_bulk_work_may_be(self) -> None:
        assert STEP == 500


class OutsideTheTransaction(Feed):
    """Broken: the cursor moves in a transaction of its own, and what is consumed follows."""

    async def _take(self, page: Page) -> None:
        moved = await self._database.transaction(lambda tx: self._move(tx, page))
        if moved:
            await self._database.transaction(lambda tx: self._hand_over(tx, page))


class ConsumesFirst(Feed):
    """Broken: what is consumed is committed before the cursor moves."""

    async def _take(self, page: Page) -> None:
        await self._database.transaction(lambda tx: self._hand_over(tx, page))
        await self._database.transaction(lambda tx: self._move(tx, page))


class WithoutGuard(Feed):
    """Broken: the cursor moves from wherever it is."""

    async def _move(self, tx: Tx, page: Page) -> bool:
        place = await tx.first(select(EventCursor.tx, EventCursor.id))
        return await super()._move(tx, Page((place.tx, place.id), page.events, page.until))


async def fight(
    workers: Sequence[Database], clock: FakeClock, seed: int, kind: type[Feed] = Feed
) -> None:
    """Several workers follow what is being written, and each is killed now and then in mid-step."""
    chance = random.Random(seed)

    async def killed(tx: Tx, events: Sequence[Told]) -> None:
        if chance.random() < 0.3:
            raise OSError("killed")

    async def work(database: Database) -> None:
        ledger = Ledger()
        consumer = feed(database, clock, ledger, kind)
        for _ in range(40):
            ledger.fail = killed
            try:
                await consumer.step()
            except OSError:
                continue
        ledger.fail = None
        await consumer.catch_up()

    async def write(database: Database) -> None:
        for _ in range(25):
            await tell(database, clock, chance.randrange(1, 30))
            await tell(database, clock, chance.randrange(0, 3), "test.other")

    async with asyncio.TaskGroup() as group:
        for database in workers:
            group.create_task(write(database))
            for _ in range(2):
                group.create_task(work(database))
    for database in workers:
        await feed(database, clock, Ledger(), kind).catch_up()


class TestMany:
    @pytest.mark.parametrize("seed", range(3))
    async def test_side_by_side_and_killed_count_each_event_once(
        self, database: Database, other: Database, clock: FakeClock, seed: int
    ) -> None:
        await fight([database, other], clock, seed)
        assert await judge(database) == (set(), {})

    async def test_a_cursor_moved_on_its_own_loses(
        self, database: Database, other: Database, clock: FakeClock
    ) -> None:
        await fight([database, other], clock, 1, OutsideTheTransaction)
        assert (await judge(database))[0]

    async def test_a_cursor_moved_afterwards_repeats(
        self, database: Database, other: Database, clock: FakeClock
    ) -> None:
        await fight([database, other], clock, 1, ConsumesFirst)
        assert (await judge(database))[1]

    async def test_a_cursor_without_guard_repeats(
        self, database: Database, other: Database, clock: FakeClock
    ) -> None:
        await fight([database, other], clock, 1, WithoutGuard)
        assert (await judge(database))[1]


@pytest.mark.postgres
class TestOpenTransactions:
    """On PostgreSQL an event's id is drawn long before it can be seen."""

    @pytest.fixture(autouse=True)
    def _only_there(self, on_postgres: bool) -> None:
        if not on_postgres:
            pytest.skip("on SQLite writes are serial")

    async def test_a_late_commit_delays_and_loses_nothing(
        self, database: Database, other: Database, clock: FakeClock
    ) -> None:
        assert isinstance(other, PostgresDatabase)
        ledger = Ledger()
        consumer = feed(database, clock, ledger)
        async with other._engine.connect() as connection:
            await connection.execute(
                insert(EventRow),
                {
                    "account_id": 1,
                    "topic": "test",
                    "kind": "test.wanted",
                    "aggregate_type": "thing",
                    "aggregate_id": 1,
                    "aggregate_seq": 0,
                    "payload": {},
                    "created_at": clock.now(),
                },
            )
            told = clock.now()
            await tell(database, clock, 3)
            clock.advance(seconds=3)
            assert await consumer.catch_up() == 0
            assert await database.read(lambda tx: read_until(tx, NAME)) == told
            await connection.commit()
        assert await consumer.catch_up() == 4
        assert await judge(database) == (set(), {})

    async def test_readers_by_id_alone_would_lose_it(
        self, database: Database, other: Database, clock: FakeClock
    ) -> None:
        """The order that the feed does not use: kept, so that the reason stays true."""
        assert isinstance(other, PostgresDatabase)
        async with other._engine.connect() as connection:
            await connection.execute(text("INSERT INTO feed_ledger VALUES (0, 'open')"))
            late = await connection.scalar(text("SELECT nextval('event_id_seq')"))
            await tell(database, clock, 1)
            seen = await rows(database, select(EventRow.id))
            await connection.rollback()
        assert seen[0].id > late

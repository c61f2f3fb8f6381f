"""The table of messages cut by months, on PostgreSQL, with rows on both sides of every border."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from app.core.ids import first_id
from app.db import partitions
from app.db.months import Month
from app.db.partitions import Partitions, PartitionsBusy

TABLE = "cs_message"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
OCTOBER, NOVEMBER, DECEMBER, JANUARY, FEBRUARY = (Month(2026, 10).after(n) for n in range(5))


class Server:
    """The database, seen from beside."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def run(self, *statements: str) -> None:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                await connection.execute(statement.encode())

    async def all(self, statement: str) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            return list(await (await connection.execute(statement.encode())).fetchall())

    async def say(self, ids: Iterable[int]) -> None:
        values = ", ".join(
            f"({i}, 1, 1, 1, 1, 'in', 'follower', 'text', '{{}}', 'x', false, now())" for i in ids
        )
        await self.run(
            "INSERT INTO cs_message (id, account_id, conversation_id, seq, follower_id, direction,"
            f" author_kind, kind, body, text, private, created_at) VALUES {values}"
        )

    async def places(self) -> dict[int, str]:
        """Every message that can be read, and the partition it lies in."""
        found = await self.all(f"SELECT id, tableoid::regclass::text FROM {TABLE} ORDER BY id")
        return {row[0]: row[1].removeprefix(f"{TABLE}_") for row in found}

    async def tables(self) -> set[str]:
        found = await self.all(
            f"SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE '{TABLE}%'"
        )
        return {row[0].removeprefix(f"{TABLE}_") for row in found}

    async def indexes(self, table: str) -> int:
        found = await self.all(
            f"SELECT count(*) FROM pg_index WHERE indrelid = '{TABLE}_{table}'::regclass"
        )
        return int(found[0][0])


@pytest.fixture
def server(database_url: str, on_postgres: bool) -> Server:
    if not on_postgres:
        pytest.skip("SQLite has no partitions")
    return Server(database_url)


@pytest.fixture
async def parts(server: Server) -> AsyncIterator[Partitions]:
    async with partitions.opened(server.url, TABLE) as opened:
        yield opened


async def test_this_month_and_two_more_are_cut_once(server: Server, parts: Partitions) -> None:
    assert await parts.cut(NOW) == [f"{TABLE}_2026_11", f"{TABLE}_2026_12", f"{TABLE}_2027_01"]
    assert await parts.cut(NOW) == []
    assert await parts.cut(DECEMBER.start) == [f"{TABLE}_2027_02"]
    assert await server.indexes("2026_12") == 3
    look = await parts.look()
    assert look.missing(DECEMBER.start) == []
    assert not look.astray(NOW)


async def test_a_row_lies_on_its_side_of_the_border(server: Server, parts: Partitions) -> None:
    await parts.cut(NOW)
    edges = [NOVEMBER.low, DECEMBER.low - 1, DECEMBER.low, JANUARY.low - 1, JANUARY.low]
    await server.say([*edges, FEBRUARY.low])
    assert await server.places() == {
        NOVEMBER.low: "2026_11",
        DECEMBER.low - 1: "2026_11",
        DECEMBER.low: "2026_12",
        JANUARY.low - 1: "2026_12",
        JANUARY.low: "2027_01",
        FEBRUARY.low: "default",
    }


async def test_what_came_before_the_first_cut_stays_where_it_lies(
    server: Server, parts: Partitions
) -> None:
    """No row moves: the default of the first release becomes the partition up to next month."""
    old = [first_id(datetime(2025, 6, 1, tzinfo=UTC)), OCTOBER.low, first_id(NOW)]
    await server.say(old)
    assert await parts.cut(NOW) == [f"{TABLE}_to_2026_12", f"{TABLE}_2027_01"]
    await server.say([first_id(NOW) + 1, DECEMBER.low, JANUARY.low])
    assert set((await server.places()).values()) == {"to_2026_12", "2027_01"}
    assert list(await server.places())[:3] == old
    assert await server.indexes("default") == 3
    assert await parts.cut(NOW) == []


async def test_a_month_that_was_missing_at_midnight(server: Server, parts: Partitions) -> None:
    await parts.cut(NOW)
    late = [FEBRUARY.low - 1, FEBRUARY.low, FEBRUARY.low + 1]
    await server.say(late)
    now = FEBRUARY.start.replace(day=10)
    look = await parts.look()
    assert look.astray(now)
    assert look.missing(now)[0] == FEBRUARY
    assert await parts.cut(now) == [f"{TABLE}_to_2027_03", f"{TABLE}_2027_04"]
    assert (await server.places())[late[0]] == "2027_01"
    assert {(await server.places())[i] for i in late[1:]} == {"to_2027_03"}


async def test_rows_of_several_gaps_move_to_their_months(server: Server, parts: Partitions) -> None:
    """A clock was wrong once, or months are missing on both sides of one that is there."""
    await parts.cut(NOW)
    early, far = (
        first_id(datetime(2025, 2, 3, tzinfo=UTC)),
        first_id(datetime(2031, 1, 1, tzinfo=UTC)),
    )
    many = range(OCTOBER.low, OCTOBER.low + 1201)
    newest = first_id(FEBRUARY.start.replace(day=10))
    await server.say([early, *many, FEBRUARY.low, newest, far])
    before = set(await server.places())
    now = FEBRUARY.start.replace(day=10, second=1)
    made = await parts.cut(now)
    assert f"{TABLE}_2025_02" in made
    places = await server.places()
    assert set(places) == before
    assert places[early] == "2025_02"
    assert {places[i] for i in many} == {"2026_10"}
    assert places[FEBRUARY.low] == places[newest] == "2027_02"
    assert places[far] == "default"
    assert not (await parts.look()).astray(now)
    assert await parts.cut(now) == []
    assert not [t for t in await server.tables() if "gone" in t or "next" in t]


async def test_dropping_a_month_takes_that_month(server: Server, parts: Partitions) -> None:
    await parts.cut(NOW)
    await server.say([NOVEMBER.low, DECEMBER.low - 1, DECEMBER.low])
    whole = (await parts.look()).whole_before(DECEMBER.low)
    assert [part.name for part in whole] == [f"{TABLE}_2026_11"]
    assert (await parts.look()).whole_before(DECEMBER.low - 1) == []
    await parts.detach(whole[0])
    (gone,) = await parts.detached()
    assert (gone.partition, gone.rows) == (f"{TABLE}_2026_11", 2)
    await parts.discard(gone)
    assert await parts.detached() == []
    assert await server.places() == {DECEMBER.low: "2026_12"}
    assert "2026_11" not in await server.tables()


async def test_a_run_that_died_is_made_good(server: Server, parts: Partitions) -> None:
    await server.say([OCTOBER.low])
    await server.run(
        f"ALTER TABLE {TABLE}_default ADD CONSTRAINT {TABLE}_cut CHECK (id >= 0 AND id < 99) NOT VALID",
        f"CREATE TABLE {TABLE}_new_2027_01 (LIKE {TABLE})",
        f"CREATE TABLE {TABLE}_gone_default (LIKE {TABLE})",
        f"INSERT INTO {TABLE}_gone_default SELECT * FROM {TABLE}",
    )
    await parts.cut(NOW)
    await server.say([first_id(NOW)])
    assert len(await server.places()) == 2
    assert await server.tables() == {"to_2026_12", "2027_01", "default"}


async def test_one_at_a_time(server: Server, parts: Partitions) -> None:
    with pytest.raises(PartitionsBusy):
        async with partitions.opened(server.url, TABLE):
            pass
    async with partitions.seen(server.url, TABLE) as beside:
        assert (await beside.look()).parts == ()


async def test_nobody_waits_behind_a_cut_that_waits(
    server: Server, parts: Partitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a long transaction holds the table the cut comes and goes; others write in between."""
    monkeypatch.setattr(partitions, "LOCK_MS", 20)
    monkeypatch.setattr(partitions, "PAUSE_SECONDS", 0.02)
    await server.say([OCTOBER.low])
    async with await psycopg.AsyncConnection.connect(server.url) as holder:
        await holder.execute("SET LOCAL statement_timeout = 0")
        await holder.execute(f"LOCK TABLE {TABLE}_default IN ROW EXCLUSIVE MODE".encode())
        cutting = asyncio.create_task(parts.cut(NOW))
        for number in range(20):
            await asyncio.wait_for(server.say([first_id(NOW) + number]), 5)
        assert not cutting.done()
        await holder.commit()
    assert await cutting == [f"{TABLE}_to_2026_12", f"{TABLE}_2027_01"]
    assert len(await server.places()) == 21


async def test_a_cut_that_never_gets_its_lock_says_so(
    server: Server, parts: Partitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "LOCK_MS", 5)
    monkeypatch.setattr(partitions, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(partitions, "TRIES", 3)
    await server.say([OCTOBER.low])
    async with await psycopg.AsyncConnection.connect(server.url) as holder:
        await holder.execute(f"LOCK TABLE {TABLE}_default IN ROW EXCLUSIVE MODE".encode())
        with pytest.raises(PartitionsBusy):
            await parts.cut(NOW)
    assert list(await server.places()) == [OCTOBER.low]


# --- what happens in between ----------------------------------------------------------------------


class Interrupted(Partitions):
    """Others write just after a step of a kind was made, once."""

    def between(self, step: str, meanwhile: Callable[[], Awaitable[None]]) -> None:
        made = getattr(self, step)

        async def stepped(*given: Any) -> Any:
            setattr(self, step, made)
            done = await made(*given)
            await meanwhile()
            return done

        setattr(self, step, stepped)


@pytest.fixture
async def interrupted(server: Server) -> AsyncIterator[Interrupted]:
    async with await psycopg.AsyncConnection.connect(server.url, autocommit=True) as connection:
        yield Interrupted(connection, TABLE)


async def test_the_first_row_of_a_month_comes_while_others_are_sorted_out(
    server: Server, interrupted: Interrupted
) -> None:
    """At midnight, when this month is missing and has no row yet."""
    old, far = OCTOBER.low, first_id(datetime(2031, 1, 1, tzinfo=UTC))
    await server.say([old, far])
    interrupted.between("_copy", lambda: server.say([first_id(NOW)]))
    await interrupted.cut(NOW)
    assert await server.places() == {old: "2026_10", first_id(NOW): "2026_11", far: "default"}


async def test_a_row_that_is_committed_late_is_not_left_behind(
    server: Server, interrupted: Interrupted
) -> None:
    old, far = OCTOBER.low, first_id(datetime(2031, 1, 1, tzinfo=UTC))
    late = [OCTOBER.low + 7, first_id(datetime(2025, 2, 3, tzinfo=UTC))]
    await server.say([old, far])
    interrupted.between("_copy", lambda: server.say(late))
    await interrupted.cut(NOW)
    places = await server.places()
    assert set(places) == {old, far, *late}
    assert places[late[0]] == "2026_10"
    assert not [t for t in await server.tables() if "gone" in t or "new" in t]


async def test_the_first_row_of_a_month_comes_before_its_partition(
    server: Server, interrupted: Interrupted
) -> None:
    interrupted.between("_settle", lambda: server.say([first_id(NOW), DECEMBER.low]))
    assert await interrupted.cut(NOW) == [f"{TABLE}_to_2026_12", f"{TABLE}_2027_01"]
    assert set((await server.places()).values()) == {"to_2026_12"}


async def test_a_check_that_a_dead_run_left_refuses_nothing_later(
    server: Server, parts: Partitions
) -> None:
    """Also when nothing is left that it was made for."""
    await server.run(
        f"ALTER TABLE {TABLE}_default ADD CONSTRAINT {TABLE}_cut CHECK (id < {JANUARY.low}) NOT VALID"
    )
    await parts.cut(NOW)
    far = first_id(datetime(2031, 1, 1, tzinfo=UTC))
    await server.say([far])
    assert await server.places() == {far: "default"}


async def test_this_month_is_never_refused_while_the_default_is_cut(
    server: Server, interrupted: Interrupted
) -> None:
    """This month is missing below one that is there; a clock was a month ahead."""
    await interrupted.cut(DECEMBER.start)
    await server.run(f"DROP TABLE {TABLE}_2027_01", f"DROP TABLE {TABLE}_2027_02")
    await server.say([JANUARY.low])
    interrupted.between("_briefly", lambda: server.say([first_id(NOW)]))
    await interrupted.cut(NOW)
    places = await server.places()
    assert places == {first_id(NOW): "2026_11", JANUARY.low: "2027_01"}


async def test_what_others_detached_is_left_alone(server: Server, parts: Partitions) -> None:
    """An archive by hand keeps its name, and its rows."""
    await parts.cut(NOW)
    await server.say([DECEMBER.low])
    await server.run(f"ALTER TABLE {TABLE} DETACH PARTITION {TABLE}_2026_12")
    assert await parts.cut(NOW) == [f"{TABLE}_2026_12_2"]
    assert await server.all(f"SELECT id FROM {TABLE}_2026_12") == [(DECEMBER.low,)]
    await server.say([DECEMBER.low])
    assert await server.places() == {DECEMBER.low: "2026_12_2"}

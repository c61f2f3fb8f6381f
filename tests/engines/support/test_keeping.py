"""How long messages are kept: exact at the border, whole months on PostgreSQL, while deliveries go on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import insert, select, text

from app.core.clock import FakeClock
from app.core.ids import Ids, first_id
from app.core.settings import Settings
from app.db import partitions
from app.db.audit import Audit, AuditRow
from app.db.database import Database
from app.db.months import Month
from app.db.tx import Tx
from app.db.wake import listen_url
from app.delivery.models import Job
from app.delivery.upkeep import Dropped
from app.engines.support.keeping import TABLE, KeepMessages
from app.engines.support.models import Message
from tests.shop import Shop, open_shop
from tests.wire import openid

DAYS = 30


def keeping(
    settings: Settings, database: Database, clock: FakeClock, ids: Ids, days: int
) -> KeepMessages:
    dropped = Dropped(database, Audit(ids, clock))
    return KeepMessages(database, clock, dropped, kept_days=days, url=listen_url(settings))


def message(identifier: int) -> dict[str, Any]:
    return {
        "id": identifier,
        "account_id": 1,
        "conversation_id": 1,
        "seq": 1,
        "follower_id": 1,
        "direction": "in",
        "author_kind": "follower",
        "kind": "text",
        "body": {},
        "text": "你好",
        "private": False,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }


async def store(database: Database, ids: Sequence[int]) -> None:
    async def work(tx: Tx) -> None:
        await tx.many(insert(Message), [message(identifier) for identifier in ids])

    await database.transaction(work)


async def read(database: Database, statement: Any) -> list[Any]:
    async def work(tx: Tx) -> list[Any]:
        return list(await tx.all(statement))

    return await database.read(work)


async def kept(database: Database) -> list[int]:
    return [row[0] for row in await read(database, select(Message.id).order_by(Message.id))]


async def test_the_border_is_exact(
    settings: Settings, database: Database, clock: FakeClock, ids: Ids
) -> None:
    border = first_id(clock.real() - timedelta(days=DAYS))
    old = [border - n for n in range(1, 1202)]
    await store(database, [*old, border, border + 1, ids.new()])
    chore = keeping(settings, database, clock, ids, DAYS)
    planned = [line.en for line in await chore.plan()]
    assert planned[-1] == f"{TABLE}: delete 1,201 rows older than 30 days"
    before = REGISTRY.get_sample_value("guanxi_purged_rows_total", {"table": TABLE}) or 0
    done = [line.en for line in await chore.run()]
    assert done[-1] == planned[-1]
    assert (await kept(database))[:2] == [border, border + 1]
    assert len(await kept(database)) == 3
    after = REGISTRY.get_sample_value("guanxi_purged_rows_total", {"table": TABLE})
    assert after == before + 1201
    [row] = await read(database, select(AuditRow.__table__))
    assert (row.actor, row.action, row.target) == ("system", "upkeep.dropped", TABLE)
    assert row.after == {"rows": 1201, "days": DAYS}
    assert [line.en for line in await chore.run()] == []


async def test_a_second_later_a_second_more_goes(
    settings: Settings, database: Database, clock: FakeClock, ids: Ids
) -> None:
    border = first_id(clock.real() - timedelta(days=DAYS))
    await store(database, [border, first_id(clock.real() - timedelta(days=DAYS, seconds=-1))])
    chore = keeping(settings, database, clock, ids, DAYS)
    await chore.run()
    assert len(await kept(database)) == 2
    clock.advance(seconds=1)
    await chore.run()
    assert len(await kept(database)) == 1


async def test_unless_told_everything_is_kept(
    settings: Settings, database: Database, clock: FakeClock, ids: Ids
) -> None:
    assert settings.messages_kept_days == 0
    await store(database, [1, first_id(clock.real()) - 1])
    chore = keeping(settings, database, clock, ids, 0)
    await chore.run()
    assert len(await kept(database)) == 2
    assert await chore.plan() == []


async def test_whole_months_are_dropped_and_the_rest_deleted(
    settings: Settings, database: Database, clock: FakeClock, ids: Ids, on_postgres: bool
) -> None:
    """Rows of five months; the policy ends in the middle of one."""
    now = clock.real()  # 2026-01-01
    chore = keeping(settings, database, clock, ids, 100)
    if on_postgres:
        url = listen_url(settings)
        assert url is not None
        async with partitions.opened(url, TABLE) as parts:
            for month in (8, 9, 10, 11):
                await parts.cut(Month(2025, month).start)
    border = first_id(now - timedelta(days=100))  # 2025-09-23
    months = [Month(2025, number) for number in (8, 9, 10, 11, 12)]
    edges = [identifier for month in months for identifier in (month.low, month.high - 1)]
    await store(database, [*edges, border - 1, border])
    planned = [line.en for line in await chore.plan()]
    done = [line.en for line in await chore.run()]
    assert await kept(database) == sorted([i for i in edges if i >= border] + [border])
    assert done[-1] == planned[-1]
    if on_postgres:
        assert f"{TABLE}: drop the partition {TABLE}_2025_08, about 2 rows" in done
        assert planned[-1] == f"{TABLE}: delete 2 rows older than 100 days"
        assert {row.after["rows"] for row in await read(database, select(AuditRow.__table__))} == {
            2
        }
    else:
        assert done == [f"{TABLE}: delete 4 rows older than 100 days"]


async def test_a_month_that_a_dead_run_took_out_goes_on_record(
    settings: Settings, database: Database, clock: FakeClock, ids: Ids, on_postgres: bool
) -> None:
    if not on_postgres:
        pytest.skip("SQLite has no partitions")
    url = listen_url(settings)
    assert url is not None
    async with partitions.opened(url, TABLE) as parts:
        await parts.cut(Month(2025, 8).start)
        await store(database, [Month(2025, 8).low, Month(2025, 8).high - 1])
        (august, *_) = (await parts.look()).parts
        await parts.detach(august)
    chore = keeping(settings, database, clock, ids, 100)
    told = f"{TABLE}: drop the partition {TABLE}_2025_08, about 2 rows"
    assert told in [line.en for line in await chore.plan()]
    assert told in [line.en for line in await chore.run()]
    assert {"rows": 2, "partition": f"{TABLE}_2025_08", "days": 100} in [
        row.after for row in await read(database, select(AuditRow.__table__))
    ]
    assert told not in [line.en for line in await chore.run()]


# --- with deliveries ------------------------------------------------------------------------------


@pytest.fixture
async def shop(settings: Settings, clock: FakeClock) -> AsyncIterator[Shop]:
    """Without a worker, whose own maintenance would be due when the clock moves."""
    quiet = settings.model_copy(update={"role": "web"})
    async with open_shop(quiet, clock) as opened:
        yield opened


def travel(shop: Shop, **by: float) -> None:
    """Moves the clock; the lease of the slot, which goes by it too, is given for ever."""
    shop.runtime.ids.good_until = None
    shop.clock.advance(**by)


def chore_of(shop: Shop, days: int = 0) -> KeepMessages:
    runtime = shop.runtime
    dropped = Dropped(runtime.database, runtime.audit)
    return KeepMessages(
        runtime.database, shop.clock, dropped, kept_days=days, url=listen_url(runtime.settings)
    )


async def test_over_midnight_of_a_month(shop: Shop, on_postgres: bool) -> None:
    """The clock goes over the end of January; the last and the first message lie apart."""
    chore = chore_of(shop)
    await chore.run()
    clock = shop.clock
    end = datetime(2026, 2, 1, tzinfo=UTC)
    travel(shop, seconds=(end - clock.now()).total_seconds() - 0.001)
    await shop.say("年前")
    travel(shop, seconds=0.001)
    await shop.say("年后")
    rows = await shop.rows(
        select(Message.text, Message.id).where(Message.direction == "in").order_by(Message.id)
    )
    assert [row.text for row in rows] == ["年前", "年后"]
    assert rows[0].id < Month(2026, 2).low <= rows[1].id
    if on_postgres:
        found = await shop.rows(
            text(
                "SELECT tableoid::regclass::text FROM cs_message WHERE direction = 'in' ORDER BY id"
            )
        )
        assert [row[0] for row in found] == [f"{TABLE}_2026_01", f"{TABLE}_2026_02"]


async def test_a_partition_missing_at_midnight_loses_nothing(shop: Shop, on_postgres: bool) -> None:
    """Nobody maintained for months; deliveries go on, and the next run puts everything right."""
    if not on_postgres:
        pytest.skip("SQLite has no partitions")
    chore = chore_of(shop)
    await chore.run()
    travel(shop, days=120)
    for number in range(5):
        await shop.say(f"第{number}条")
    lines = [line.en for line in await chore.plan()]
    assert (
        f"{TABLE}: the default partition holds messages; they get a partition of their own" in lines
    )
    await chore.run()
    await shop.say("后来")
    said = await shop.rows(
        select(Message.text).where(Message.direction == "in").order_by(Message.id)
    )
    assert [row.text for row in said] == [*(f"第{n}条" for n in range(5)), "后来"]
    assert (await shop.rows(text("SELECT count(*) FROM cs_message_default")))[0][0] == 0
    assert await chore.plan() == []


async def test_deliveries_go_on_while_everything_is_cut_and_dropped(
    shop: Shop, on_postgres: bool
) -> None:
    """Ten followers write while months are cut, exchanged and dropped, and rows deleted. Every
    delivery is answered and stored once, in order; every message that is too old is gone."""
    old = first_id(shop.clock.real() - timedelta(days=200))
    await store(shop.runtime.database, [old + n for n in range(2000)])
    begun = first_id(shop.clock.real())

    async def write(who: int, month: int) -> None:
        for number in range(10):
            xml = shop.sender.text(openid(who), f"{who}/{month}/{number}", shop.clock.now())
            assert (await shop.post(xml)).status_code == 200

    for month in range(4):
        writers = (write(who, month) for who in range(10))
        await asyncio.gather(chore_of(shop, days=100).run(), *writers)
        travel(shop, days=31)
    stored = await shop.rows(
        select(Message.text)
        .where(Message.direction == "in")
        .order_by(Message.conversation_id, Message.seq)
    )
    said = [row.text for row in stored]
    wanted = {f"{who}/{m}/{n}" for who in range(10) for m in range(4) for n in range(10)}
    assert len(said) == len(wanted)
    assert set(said) == wanted
    for who in range(10):
        own = [text for text in said if text.startswith(f"{who}/")]
        assert own == sorted(own)
    assert not await shop.rows(select(Message.id).where(Message.id < begun))
    if on_postgres:
        assert (await shop.rows(text("SELECT count(*) FROM cs_message_default")))[0][0] == 0


async def test_the_timetable_does_it_every_hour(
    settings: Settings, clock: FakeClock, on_postgres: bool
) -> None:
    """The running program keeps itself in shape, whoever is asleep."""
    if not on_postgres:
        pytest.skip("SQLite has no partitions")
    url = listen_url(settings)
    assert url is not None
    async with open_shop(settings, clock) as shop, asyncio.timeout(30):
        while True:
            travel(shop, minutes=61)
            shop.runtime.runner.wake()
            async with partitions.seen(url, TABLE) as parts:
                if len((await parts.look()).parts) >= 3:
                    break
            await asyncio.sleep(0.05)
        jobs = await shop.rows(select(Job.state).where(Job.task == "upkeep.messages"))
        assert not [row for row in jobs if row.state == "failed"]

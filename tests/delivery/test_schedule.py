import asyncio
from datetime import UTC, datetime

import pytest

from app.core.clock import FakeClock, from_millis
from app.db.database import Database
from app.delivery.models import Schedule
from app.delivery.schedule import Timetable
from tests.delivery.conftest import Work, read_all


def timetable(work: Work) -> Timetable:
    made = Timetable(work.database, work.jobs, work.clock)
    made.every("often", work.note, minutes=5, args={"what": "often"})
    made.daily("nightly", work.note, at="03:10", tz="Asia/Shanghai", args={"what": "nightly"})
    return made


async def slots(database: Database) -> dict[str, datetime]:
    rows = await read_all(database, Schedule, Schedule.name)
    return {row.name: from_millis(row.next_at) for row in rows}


async def test_the_first_slot_is_yet_to_come(work: Work) -> None:
    """The clock starts at 04:00 UTC, which is noon in Shanghai."""
    assert await timetable(work).tick() == 0
    assert await slots(work.database) == {
        "often": datetime(2026, 1, 1, 4, 5, tzinfo=UTC),
        "nightly": datetime(2026, 1, 1, 19, 10, tzinfo=UTC),
    }


async def test_it_fires_once_for_each_slot(work: Work) -> None:
    table = timetable(work)
    await table.tick()
    for minutes, fired in ((4, 0), (1, 1), (0, 0), (4, 0), (1, 1)):
        work.clock.advance(minutes=minutes)
        assert await table.tick() == fired
        await work.runner.drain()
    assert work.seen == ["often", "often"]


async def test_missed_slots_are_made_up_for_by_one_run(work: Work) -> None:
    table = timetable(work)
    await table.tick()
    work.clock.advance(days=3)
    assert await table.tick() == 2
    assert await work.runner.drain() == 2
    assert (await slots(work.database))["nightly"] == datetime(2026, 1, 4, 19, 10, tzinfo=UTC)


async def test_many_processes_fire_once(work: Work) -> None:
    tables = [timetable(work) for _ in range(6)]
    await asyncio.gather(*[table.tick() for table in tables])
    for _ in range(3):
        work.clock.advance(minutes=5)
        fired = await asyncio.gather(*[table.tick() for table in tables])
        assert sum(fired) == 1
    assert await work.runner.drain() == 3


async def test_a_waiting_run_of_an_earlier_slot_does_not_swallow_the_next(work: Work) -> None:
    table = timetable(work)
    await table.tick()
    for _ in range(2):
        work.clock.advance(minutes=5)
        assert await table.tick() == 1
    assert await work.runner.drain() == 2


def test_daylight_saving_keeps_the_local_time(work: Work) -> None:
    table = Timetable(work.database, work.jobs, work.clock)
    table.daily("d", work.note, at="02:30", tz="Europe/Berlin")
    after = table._entries["d"].after
    assert after(datetime(2026, 3, 28, 12, tzinfo=UTC)).isoformat() == "2026-03-29T02:30:00+01:00"
    assert after(datetime(2026, 3, 29, 12, tzinfo=UTC)).isoformat() == "2026-03-30T02:30:00+02:00"


def test_a_name_and_a_period_are_checked(work: Work, clock: FakeClock) -> None:
    table = timetable(work)
    with pytest.raises(ValueError, match="often is in the timetable twice"):
        table.every("often", work.note, minutes=1)
    with pytest.raises(ValueError, match="positive"):
        table.every("never", work.note, minutes=0)

from datetime import timedelta

from app.core.clock import FakeClock
from app.core.incoming import Grant
from app.db.database import Database
from app.db.tx import Tx
from app.delivery import windows
from app.delivery.windows import GrantRow


async def test_a_new_grant_replaces_its_bucket_and_leaves_the_others(
    database: Database, clock: FakeClock
) -> None:
    start = clock.now()

    async def first(tx: Tx) -> None:
        await windows.grant(
            tx,
            [
                GrantRow(1, 2, Grant.SCAN, "s", start),
                GrantRow(1, 1, Grant.MESSAGE, "a", start),
                GrantRow(1, 1, Grant.MENU, "m", start),
            ],
        )
        for _ in range(3):
            assert await windows.charge(tx, 1, "message", start, automatic=True)
        assert not await windows.charge(tx, 1, "message", start, automatic=True)
        assert await windows.charge(tx, 1, "menu", start, automatic=True)

    await database.transaction(first)
    later = clock.advance(hours=1)

    async def second(tx: Tx) -> None:
        await windows.grant(tx, [GrantRow(1, 1, Grant.MESSAGE, "b", later)])
        await windows.grant(tx, [])

    await database.transaction(second)
    found = await database.read(lambda tx: tx.ask(windows.windows_of([1, 2, 3])))
    assert set(found) == {1, 2}
    rows = {row.bucket: row for row in found[1]}
    fresh = rows["message"]
    assert (fresh.source_key, fresh.quota, fresh.used, fresh.used_by_bot) == ("b", 5, 0, 0)
    assert (fresh.granted_at, fresh.expires_at) == (later, later + timedelta(hours=48))
    assert (rows["menu"].used, rows["menu"].used_by_bot) == (1, 1)
    assert rows["menu"].expires_at == start + timedelta(minutes=1)


async def test_a_refund_goes_to_the_grant_that_was_charged(
    database: Database, clock: FakeClock
) -> None:
    now = clock.now()

    async def work(tx: Tx) -> list[int]:
        used = []
        await windows.grant(tx, [GrantRow(1, 1, Grant.MESSAGE, "a", now)])
        await windows.charge(tx, 1, "message", now, automatic=True)
        await windows.refund(tx, 1, "message", "an older grant", automatic=True)
        used.append((await tx.ask(windows.windows_of([1])))[1][0].used)
        for _ in range(2):  # never below nothing
            await windows.refund(tx, 1, "message", "a", automatic=True)
            used.append((await tx.ask(windows.windows_of([1])))[1][0].used)
        assert (await tx.ask(windows.windows_of([1])))[1][0].used_by_bot == 0
        return used

    assert await database.transaction(work) == [1, 0, 0]


async def test_charging_stops_at_the_end_and_after_what_the_platform_says(
    database: Database, clock: FakeClock
) -> None:
    now = clock.now()

    async def work(tx: Tx) -> None:
        await windows.grant(
            tx,
            [
                GrantRow(1, 1, Grant.MENU, "a", now),
                GrantRow(1, 1, Grant.SCAN, "b", now),
                GrantRow(1, 1, Grant.MESSAGE, "c", now + timedelta(seconds=1)),
            ],
        )
        assert not await windows.charge(tx, 1, "menu", now + timedelta(minutes=1), automatic=False)
        await windows.exhaust(tx, 1, "menu", "a")
        assert not await windows.charge(tx, 1, "menu", now, automatic=False)
        await windows.expire(tx, 1, now)
        assert not await windows.charge(tx, 1, "scan", now, automatic=False)
        assert await windows.charge(tx, 1, "message", now, automatic=False), "granted since"

    await database.transaction(work)

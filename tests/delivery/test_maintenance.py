from datetime import timedelta

from sqlalchemy import insert, update

from app.core.clock import to_millis
from app.core.events import Event
from app.core.incoming import Grant
from app.db import receipts
from app.db.events import EventRow
from app.db.receipts import Receipt
from app.db.tx import Tx
from app.delivery.maintenance import Maintenance
from app.delivery.models import Job
from app.delivery.schedule import Timetable
from tests.delivery.conftest import Post, read_all


async def start(post: Post) -> Timetable:
    work = post.work
    timetable = Timetable(post.database, work.jobs, post.clock)
    Maintenance(post.database, work.tasks, timetable, post.outbox, post.people.lock, post.clock)
    await timetable.tick()
    return timetable


async def test_what_is_kept_for_a_time_goes_after_it(post: Post) -> None:
    timetable = await start(post)
    now = post.clock.now()

    def receipt(key: str, hours: float) -> dict[str, object]:
        return {
            "key": key,
            "account_id": 1,
            "request_hash": None,
            "status": 200,
            "answer": None,
            "tries": 1,
            "expires_at": now + timedelta(hours=hours),
        }

    async def fill(tx: Tx) -> None:
        rows = [receipt(f"old{n}", 24) for n in range(1100)]
        await tx.many(receipts.INSERT, [*rows, receipt("young", 24 * 9)])
        await post.events.emit(tx, [Event(1, "test.old", "x", n) for n in range(700)])

    await post.database.transaction(fill)
    post.clock.advance(days=7)
    young = [Event(1, "test.young", "x", 1)]
    await post.database.transaction(lambda tx: post.events.emit(tx, young))
    assert await timetable.tick() == 2
    assert await post.work.runner.drain() == 2
    assert [r.key for r in await read_all(post.database, Receipt, Receipt.key)] == ["young"]
    assert [r.kind for r in await read_all(post.database, EventRow, EventRow.id)] == ["test.young"]


async def test_finished_jobs_go_after_a_day_failed_ones_after_thirty(post: Post) -> None:
    timetable = await start(post)
    now = to_millis(post.clock.now())
    states = ("done", "cancelled", "failed", "ask", "ready")

    def job(state: str, number: int) -> dict[str, object]:
        return {
            "queue": "send",
            "task": "test.note",
            "args": {"what": f"{state}{number}"},
            "run_at": now + 10**12,
            "state": state,
            "attempts": 0,
            "max_attempts": 1,
            "fence": 0,
            "created_at": now,
        }

    async def fill(tx: Tx) -> None:
        await tx.many(insert(Job), [job(s, n) for n in range(240) for s in states])

    await post.database.transaction(fill)

    async def left() -> set[str]:
        return {row.state for row in await post.work.rows() if row.task == "test.note"}

    for days, expected in (
        (0.9, set(states)),
        (0.2, {"failed", "ask", "ready"}),
        (28, {"failed", "ask", "ready"}),
        (2, {"ready"}),
    ):
        post.clock.advance(days=days)
        await timetable.tick()
        await post.work.runner.drain()
        assert await left() == expected


async def test_held_messages_that_are_too_old_are_blocked(post: Post) -> None:
    timetable = await start(post)
    await post.follower()
    await post.put("old", held=True)
    post.clock.advance(hours=24)
    await timetable.tick()
    await post.work.runner.drain()
    assert await post.states() == ["blocked"]
    assert await post.held() == 0


async def test_messages_left_without_a_drain_job_go_on(post: Post) -> None:
    timetable = await start(post)
    for number in (1, 2):
        await post.follower(number)
        await post.grant(Grant.MESSAGE, number)
        await post.put(f"to {number}", follower=number)
    await post.put("held", follower=2, held=True, seq=0)

    async def drain_jobs_gave_up(tx: Tx) -> None:
        await tx.run(
            update(Job).where(Job.task == "delivery.drain_follower").values(state="failed")
        )

    await post.database.transaction(drain_jobs_gave_up)
    post.clock.advance(minutes=1)
    await timetable.tick()
    await post.work.runner.drain()
    assert post.platform.texts == [], "not at once: it may be in somebody's hands"
    post.clock.advance(minutes=2)
    await timetable.tick()
    await post.work.runner.drain()
    assert post.platform.texts == ["to 1"], "what waits behind a held one waits on purpose"

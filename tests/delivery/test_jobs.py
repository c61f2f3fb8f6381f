from datetime import timedelta

import pytest

from app.core.clock import to_millis
from app.db.tx import Tx
from app.delivery.jobs import Claimed, NewJob
from app.delivery.tasks import Again, GiveUp, Tasks, UnknownTask
from app.delivery.work import TaskContext
from tests.delivery.conftest import Work


async def test_a_job_exists_exactly_when_its_transaction_commits(work: Work) -> None:
    async def rolled_back(tx: Tx) -> None:
        await work.jobs.enqueue(tx, work.note, {"what": "never"})
        raise KeyError

    with pytest.raises(KeyError):
        await work.database.transaction(rolled_back)
    await work.enqueue("once", account_id=7)
    assert await work.runner.drain() == 1
    assert work.seen == ["once"]
    (row,) = await work.rows()
    assert (row.state, row.account_id, row.attempts, row.fence, row.error) == (
        "done",
        7,
        1,
        1,
        None,
    )


async def test_a_timer_runs_at_its_moment_and_not_before(work: Work) -> None:
    await work.enqueue("later", run_at=timedelta(days=2))
    await work.enqueue("then", run_at=work.clock.now() + timedelta(days=1))
    assert await work.runner.drain(work.clock.advance(hours=23)) == 0
    assert await work.runner.drain(work.clock.advance(hours=1)) == 1
    assert await work.runner.drain(work.clock.advance(hours=23, minutes=59)) == 0
    assert await work.runner.drain(work.clock.advance(minutes=1)) == 1
    assert work.seen == ["then", "later"]


async def test_due_jobs_run_in_order_of_time_and_queues_in_order_of_urgency(work: Work) -> None:
    @work.tasks.task("test.bulk", queue="bulk")
    async def bulk(ctx: TaskContext) -> None:
        work.seen.append("bulk")

    @work.tasks.task("test.reply", queue="reply")
    async def reply(ctx: TaskContext) -> None:
        work.seen.append("reply")

    await work.enqueue("second", run_at=timedelta(seconds=2))
    await work.enqueue("first", run_at=timedelta(seconds=1))

    async def others(tx: Tx) -> None:
        await work.jobs.enqueue(tx, bulk, {})
        await work.jobs.enqueue(tx, "test.reply", {})

    await work.database.transaction(others)
    assert await work.runner.drain(work.clock.advance(seconds=5)) == 4
    assert work.seen == ["reply", "first", "second", "bulk"]
    assert [row.task for row in await work.rows()] == ["test.note", "test.note", "test.reply"], (
        "successes of bulk work are deleted at once"
    )


class TestLanes:
    async def test_a_failing_head_holds_its_lane_then_both_run_in_order(self, work: Work) -> None:
        await work.enqueue("a", lane=5, fails=1)
        await work.enqueue("b", lane=5)
        await work.enqueue("other", lane=6)
        assert await work.runner.drain() == 2
        assert work.seen == ["a", "other"]
        assert await work.states() == ["ready", "ready", "done"]
        assert await work.runner.drain(work.clock.advance(minutes=1)) == 2
        assert work.seen == ["a", "other", "a", "b"]

    async def test_a_lane_opens_when_its_head_gives_up(self, work: Work) -> None:
        await work.enqueue("a", lane=5, fails=9)
        await work.enqueue("b", lane=5)
        for _ in range(3):
            await work.runner.drain(work.clock.advance(minutes=1))
        assert work.seen == ["a", "a", "a", "b"]
        states = [(row.state, row.error) for row in await work.rows()]
        assert states == [("failed", "RuntimeError: a fails"), ("done", None)]

    async def test_one_claim_never_takes_two_of_a_lane(self, work: Work) -> None:
        for n in range(5):
            await work.enqueue(f"x{n}", lane=1)
        await work.enqueue("y", lane=2)
        claimed = await claim(work, "w1", 10)
        assert [(c.lane, c.args["what"]) for c in claimed] == [(1, "x0"), (2, "y")]
        assert await claim(work, "w2", 10) == []

    async def test_a_later_retry_moment_does_not_break_the_lanes_order(self, work: Work) -> None:
        """Order by run_at alone would run the newer job first."""
        await work.enqueue("a", lane=1, run_at=timedelta(seconds=30))
        await work.enqueue("b", lane=1)
        assert await work.runner.drain() == 0
        assert await work.runner.drain(work.clock.advance(seconds=30)) == 2
        assert work.seen == ["a", "b"]


class TestDedup:
    async def test_only_one_waits(self, work: Work) -> None:
        for _ in range(3):
            await work.enqueue("x", dedup="d")
        assert await work.runner.drain() == 1

    async def test_an_enqueue_during_the_run_is_not_lost(self, work: Work) -> None:
        @work.tasks.task("test.self", queue="send")
        async def itself(ctx: TaskContext, left: int) -> None:
            work.seen.append(left)

            async def again(tx: Tx) -> None:
                await work.jobs.enqueue(tx, itself, {"left": left - 1}, dedup="self")

            if left:
                await ctx.database.transaction(again)

        async def first(tx: Tx) -> None:
            await work.jobs.enqueue(tx, itself, {"left": 2}, dedup="self")

        await work.database.transaction(first)
        assert await work.runner.drain() == 3
        assert work.seen == [2, 1, 0]

    async def test_a_retry_gives_way_to_a_newer_one_that_waits(self, work: Work) -> None:
        @work.tasks.task("test.breaks", queue="send")
        async def breaks(ctx: TaskContext, turn: int) -> None:
            work.seen.append(turn)
            if turn == 1:
                await work.enqueue("newer", dedup="d")
                raise RuntimeError("and now this one fails")

        async def first(tx: Tx) -> None:
            await work.jobs.enqueue(tx, breaks, {"turn": 1}, dedup="d")

        await work.database.transaction(first)
        assert await work.runner.drain() == 2
        assert await work.runner.drain(work.clock.advance(hours=1)) == 0
        assert work.seen == [1, "newer"]
        assert await work.states() == ["cancelled", "done"]

    async def test_cancel_and_reschedule_touch_only_what_waits(self, work: Work) -> None:
        await work.enqueue("x", dedup="d", run_at=timedelta(hours=1))

        async def earlier(tx: Tx) -> bool:
            return await work.jobs.reschedule(tx, dedup="d", run_at=timedelta(minutes=1))

        async def drop(tx: Tx) -> bool:
            return await work.jobs.cancel(tx, dedup="d")

        assert await work.database.transaction(earlier)
        assert await work.runner.drain(work.clock.advance(minutes=2)) == 1
        assert not await work.database.transaction(earlier)
        assert not await work.database.transaction(drop)
        await work.enqueue("x", dedup="d", run_at=timedelta(hours=1))
        assert await work.database.transaction(drop)
        assert await work.runner.drain(work.clock.advance(days=1)) == 0
        await work.enqueue("again", dedup="d")
        assert await work.runner.drain() == 1

    async def test_moving_a_timer_to_now_wakes_the_worker(self, work: Work) -> None:
        woken: list[int] = []
        work.jobs.on_enqueued(lambda: woken.append(1))
        await work.enqueue("x", dedup="d", run_at=timedelta(hours=1))
        assert woken == []

        async def now(tx: Tx) -> bool:
            return await work.jobs.reschedule(tx, dedup="d", run_at=None)

        assert await work.database.transaction(now)
        assert woken == [1]


async def test_many_in_one_statement_wake_once(work: Work) -> None:
    woken: list[int] = []
    work.jobs.on_enqueued(lambda: woken.append(1))

    async def some(tx: Tx) -> None:
        rows = [NewJob({"what": str(n)}, lane=n % 2, dedup=f"d{n % 3}") for n in range(6)]
        await work.jobs.enqueue_many(tx, "test.note", rows)
        await work.jobs.enqueue_many(tx, "test.note", [])
        await work.jobs.enqueue(tx, "test.note", {"what": "one more"})

    await work.database.transaction(some)
    assert woken == [1]
    assert await work.runner.drain() == 4
    assert sorted(work.seen) == ["0", "1", "2", "one more"]


async def test_tries_grow_apart_and_end(work: Work) -> None:
    await work.enqueue("x", fails=9)
    waits = []
    for _ in range(2):
        assert await work.runner.drain() == 1
        (row,) = await work.rows()
        waits.append(row.run_at - to_millis(work.clock.now()))
        assert await work.runner.drain() == 0
        work.clock.advance(milliseconds=waits[-1])
    assert await work.runner.drain() == 1
    assert 500 <= waits[0] < 1500
    assert 1000 <= waits[1] < 3000
    assert await work.states() == ["failed"]


async def test_a_task_may_give_up_or_name_its_own_wait(work: Work) -> None:
    @work.tasks.task("test.never", queue="send")
    async def never(ctx: TaskContext) -> None:
        raise GiveUp("the follower is gone")

    @work.tasks.task("test.again", queue="send")
    async def again(ctx: TaskContext) -> None:
        if ctx.job.attempt == 1:
            raise Again(90, "rate limit")

    async def both(tx: Tx) -> None:
        await work.jobs.enqueue(tx, never, {})
        await work.jobs.enqueue(tx, again, {})

    await work.database.transaction(both)
    assert await work.runner.drain() == 2
    gone, later = await work.rows()
    assert (gone.state, gone.error) == ("failed", "GiveUp: the follower is gone")
    assert (later.state, later.run_at) == ("ready", to_millis(work.clock.now()) + 90_000)
    assert await work.runner.drain(work.clock.advance(seconds=90)) == 1


async def test_a_job_of_another_version_waits_for_a_process_that_knows_it(work: Work) -> None:
    await work.enqueue("x")
    strange = Work(work.database, work.clock)
    strange.tasks = Tasks()
    assert await strange.another("old").drain() == 1
    (row,) = await work.rows()
    assert (row.state, row.error) == ("ready", "UnknownTask: test.note")
    assert await work.runner.drain(work.clock.advance(minutes=1)) == 1
    assert work.seen == ["x"]

    async def unknown(tx: Tx) -> None:
        await work.jobs.enqueue(tx, "no.such", {})

    with pytest.raises(UnknownTask):
        await work.database.transaction(unknown)


async def test_one_that_another_version_died_with_waits_too(work: Work) -> None:
    await work.enqueue("x")
    await claim(work, "dead", 1)
    strange = Work(work.database, work.clock, Tasks())
    strange.tasks._tasks.clear()
    assert await strange.runner.drain(work.clock.advance(seconds=61)) == 1
    assert work.seen == []
    assert await work.runner.drain(work.clock.advance(minutes=1)) == 1


def test_a_name_is_taken_once(work: Work) -> None:
    with pytest.raises(ValueError, match=r"test\.note is registered twice"):
        work.tasks.add(work.note)
    assert work.tasks.names() == ["test.note"]


async def test_something_that_never_ends_is_noticed_by_drain(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.delivery.runner.MOST_INLINE", 5)

    @work.tasks.task("test.forever", queue="send")
    async def forever(ctx: TaskContext) -> None:
        async def more(tx: Tx) -> None:
            await work.jobs.enqueue(tx, "test.forever", {})

        await ctx.database.transaction(more)

    async def first(tx: Tx) -> None:
        await work.jobs.enqueue(tx, forever, {})

    await work.database.transaction(first)
    with pytest.raises(RuntimeError, match="still something due after 5 jobs"):
        await work.runner.drain()


class TestBeginHere:
    async def begin(self, work: Work, what: str, lane: int | None) -> Claimed | None:
        async def insert(tx: Tx) -> Claimed | None:
            return await work.jobs.begin_here(
                tx, "test.note", {"what": what}, account_id=1, lane=lane, worker="w1"
            )

        return await work.database.transaction(insert)

    async def test_it_is_running_with_fence_one(self, work: Work) -> None:
        claimed = await self.begin(work, "x", 9)
        assert claimed is not None
        assert (claimed.fence, claimed.attempt, claimed.lane) == (1, 1, 9)
        (row,) = await work.rows()
        assert (row.state, row.worker, row.fence, row.attempts) == ("running", "w1", 1, 1)
        assert row.lease_until == to_millis(work.clock.now()) + 60_000
        assert await work.runner.drain() == 0, "it is not to be claimed"

    async def test_behind_an_unfinished_job_of_the_lane_it_waits(self, work: Work) -> None:
        await work.enqueue("first", lane=9)
        assert await self.begin(work, "second", 9) is None
        assert await self.begin(work, "elsewhere", 8) is not None
        assert await self.begin(work, "no lane", None) is not None
        assert await self.begin(work, "no lane either", None) is not None
        assert await work.runner.drain() == 2
        assert work.seen == ["first", "second"]

    async def test_a_dead_process_leaves_it_to_another(self, work: Work) -> None:
        assert await self.begin(work, "x", 9)
        assert await self.begin(work, "y", 9) is None
        assert await work.another("w2").drain(work.clock.advance(seconds=59)) == 0
        assert await work.another("w2").drain(work.clock.advance(seconds=2)) == 2
        assert work.seen == ["x", "y"]


async def claim(work: Work, worker: str, most: int) -> list[Claimed]:
    """What a process would start now."""
    return await work.another(worker)._claim(  # the claim itself is what is tested
        {"reply": most, "send": most, "bulk": most}, to_millis(work.clock.now()), most
    )

"""The worker itself: real time, but no test waits for a time to pass."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from app.core.clock import to_millis
from app.db.tx import Tx
from app.delivery import rates
from app.delivery.jobs import Claimed
from app.delivery.models import Job
from app.delivery.runner import LeaseLost, Runner, TaskContext
from app.delivery.schedule import Timetable
from tests.delivery.conftest import Work


@asynccontextmanager
async def running(runner: Runner, grace: float = 5.0) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(runner.run())
    await asyncio.sleep(0)
    try:
        yield task
    finally:
        runner.stop(grace)
        await asyncio.wait_for(task, 10)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110  # what is asked changes in the database
            await asyncio.sleep(0.005)


async def all_done(work: Work) -> bool:
    return set(await work.states()) <= {"done"}


async def test_it_runs_what_is_enqueued_before_and_while_it_runs(work: Work) -> None:
    await work.enqueue("before")
    async with running(work.runner):
        for n in range(30):
            await work.enqueue(f"x{n}", lane=n % 3)
        await until(lambda: all_done(work))
    assert sorted(work.seen) == sorted(["before", *[f"x{n}" for n in range(30)]])
    for lane in range(3):
        of_lane = [x for x in work.seen if x != "before" and int(x[1:]) % 3 == lane]
        assert of_lane == sorted(of_lane, key=lambda x: int(x[1:]))


async def test_two_workers_share_the_work_without_running_anything_twice(work: Work) -> None:
    other = work.another("w2")
    async with running(work.runner), running(other):
        for n in range(60):
            await work.enqueue(f"x{n}", lane=n % 7)
        await until(lambda: all_done(work))
    assert len(work.seen) == 60
    for lane in range(7):
        of_lane = [int(x[1:]) for x in work.seen if int(x[1:]) % 7 == lane]
        assert of_lane == sorted(of_lane)


async def test_everything_works_when_wake_ups_are_lost(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.delivery.runner.POLL_SECONDS", 0.02)
    deaf = work.another("deaf")
    monkeypatch.setattr(deaf, "wake", lambda: None)
    work.jobs._wakers.clear()
    async with running(deaf):
        await work.enqueue("x")
        await until(lambda: all_done(work))
    assert work.seen == ["x"]


async def test_a_wake_up_from_another_thread_is_heard(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.delivery.runner.POLL_SECONDS", 60)
    work.jobs._wakers.clear()
    work.runner.wake()  # not running: nothing to wake
    async with running(work.runner):
        await asyncio.sleep(0.05)
        await work.enqueue("x")
        await asyncio.to_thread(work.runner.wake)
        await until(lambda: all_done(work))


async def test_concurrency_is_a_limit_and_bulk_takes_half_of_it(work: Work) -> None:
    gate, now, most = asyncio.Event(), {"bulk": 0, "send": 0}, {"bulk": 0, "send": 0}

    async def busy(ctx: TaskContext) -> None:
        queue = ctx.job.queue
        now[queue] += 1
        most[queue] = max(most[queue], now[queue])
        await gate.wait()
        now[queue] -= 1

    bulk = work.tasks.task("test.bulk", queue="bulk")(busy)
    send = work.tasks.task("test.send", queue="send")(busy)

    async def enqueue(tx: Tx) -> None:
        for _ in range(9):
            await work.jobs.enqueue(tx, bulk, {})

    async def more(tx: Tx) -> None:
        for _ in range(9):
            await work.jobs.enqueue(tx, send, {})

    async def full() -> bool:
        return now == {"bulk": 2, "send": 2}

    await work.database.transaction(enqueue)
    async with running(work.runner):
        await asyncio.sleep(0.05)
        assert now == {"bulk": 2, "send": 0}
        await work.database.transaction(more)
        await until(full)
        gate.set()
        await until(lambda: all_done(work))
    assert most["bulk"] == 2
    assert most["send"] <= 4


async def test_a_try_that_takes_too_long_is_cut_off_and_counts(work: Work) -> None:
    @work.tasks.task("test.slow", queue="send", timeout_seconds=0.02, attempts=1)
    async def slow(ctx: TaskContext) -> None:
        await asyncio.Event().wait()

    await work.database.transaction(lambda tx: work.jobs.enqueue(tx, slow, {}))
    await work.runner.drain()
    (row,) = await work.rows()
    assert (row.state, row.error) == ("failed", "TimeoutError: ")


class TestAdopt:
    async def begin(self, work: Work, **args: Any) -> Claimed:
        async def insert(tx: Tx) -> Claimed | None:
            return await work.jobs.begin_here(
                tx, "test.note", args, account_id=1, lane=3, worker="w1"
            )

        claimed = await work.database.transaction(insert)
        assert claimed is not None
        return claimed

    async def test_it_runs_at_once_beside_the_claimed_ones(self, work: Work) -> None:
        web = work.another("w1", concurrency=0)
        await work.enqueue("for a worker")
        async with running(web):
            assert await web.adopt(await self.begin(work, what="x")) == "x"
            await asyncio.sleep(0.05)
        assert work.seen == ["x"]
        assert await work.states() == ["ready", "done"]

    async def test_its_failure_is_told_and_retried_as_any_other(self, work: Work) -> None:
        web = work.another("w1", concurrency=0)
        async with running(web):
            with pytest.raises(RuntimeError, match="x fails"):
                await web.adopt(await self.begin(work, what="x", fails=1))
        assert await work.states() == ["ready"]
        assert await work.runner.drain(work.clock.advance(minutes=1)) == 1

    async def test_nobody_has_to_wait_for_it(self, work: Work) -> None:
        web = work.another("w1", concurrency=0)
        async with running(web):
            _ = web.adopt(await self.begin(work, what="x", fails=1))
            await until(self.waits_again(work))

    def waits_again(self, work: Work) -> Callable[[], Awaitable[bool]]:
        async def ready() -> bool:
            return await work.states() == ["ready"]

        return ready

    async def test_without_a_running_runner_it_is_refused(self, work: Work) -> None:
        claimed = await self.begin(work, what="x")
        with pytest.raises(RuntimeError, match="does not run"):
            _ = work.runner.adopt(claimed)


class TestStop:
    async def test_what_is_under_way_may_end(self, work: Work) -> None:
        started = asyncio.Event()

        @work.tasks.task("test.ends", queue="send")
        async def ends(ctx: TaskContext) -> None:
            started.set()
            await asyncio.sleep(0.05)
            work.seen.append("ended")

        await work.database.transaction(lambda tx: work.jobs.enqueue(tx, ends, {}))
        async with running(work.runner):
            await started.wait()
        assert work.seen == ["ended"]
        assert await work.states() == ["done"]

    @pytest.mark.parametrize(("after_crash", "state"), [("retry", "ready"), ("ask", "ask")])
    async def test_what_does_not_end_is_put_back_at_once(
        self, work: Work, after_crash: Any, state: str
    ) -> None:
        started = asyncio.Event()

        @work.tasks.task("test.hangs", queue="send", after_crash=after_crash)
        async def hangs(ctx: TaskContext) -> None:
            started.set()
            await asyncio.Event().wait()

        await work.database.transaction(lambda tx: work.jobs.enqueue(tx, hangs, {}))
        async with running(work.runner, grace=0.01):
            await started.wait()
        (row,) = await work.rows()
        assert (row.state, row.attempts, row.lease_until) == (state, 1, None)

    async def test_being_cancelled_is_a_stop_too(self, work: Work) -> None:
        started = asyncio.Event()

        @work.tasks.task("test.works", queue="send")
        async def works(ctx: TaskContext) -> None:
            started.set()
            await asyncio.sleep(0.05)

        await work.database.transaction(lambda tx: work.jobs.enqueue(tx, works, {}))
        task = asyncio.create_task(work.runner.run())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await work.states() == ["done"]

    async def test_an_adopted_one_that_is_cut_off_says_so(self, work: Work) -> None:
        @work.tasks.task("test.hangs", queue="reply")
        async def hangs(ctx: TaskContext) -> None:
            await asyncio.Event().wait()

        async def insert(tx: Tx) -> Claimed | None:
            return await work.jobs.begin_here(tx, hangs, {}, account_id=1, lane=3, worker="w1")

        claimed = await work.database.transaction(insert)
        assert claimed is not None
        async with running(work.runner, grace=0.01):
            future = work.runner.adopt(claimed)
            await asyncio.sleep(0.01)
        assert future.cancelled()


class TestLeases:
    async def hanging(self, work: Work) -> tuple[asyncio.Event, list[str]]:
        started, ends = asyncio.Event(), list[str]()

        @work.tasks.task("test.hangs", queue="send", attempts=2)
        async def hangs(ctx: TaskContext) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        await work.database.transaction(lambda tx: work.jobs.enqueue(tx, hangs, {}))
        return started, ends

    async def test_they_are_renewed_while_a_job_runs(self, work: Work) -> None:
        started, _ = await self.hanging(work)
        runner = work.another("w", lease_seconds=0.06)
        async with running(runner, grace=0.0):
            await started.wait()
            work.clock.advance(seconds=30)
            renewed = to_millis(work.clock.now()) + 60

            async def later() -> bool:
                return bool((await work.rows())[0].lease_until == renewed)

            await until(later)

    async def test_a_job_that_was_taken_over_is_cancelled(self, work: Work) -> None:
        started, ends = await self.hanging(work)
        runner = work.another("w", lease_seconds=0.06)
        async with running(runner):
            await started.wait()

            async def take_over(tx: Tx) -> None:
                await tx.run(update(Job).values(fence=Job.fence + 1, worker="other"))

            await work.database.transaction(take_over)

            async def cancelled() -> bool:
                return ends == ["cancelled"]

            await until(cancelled)
        (row,) = await work.rows()
        assert (row.state, row.worker, row.fence) == ("running", "other", 2), "left to the other"

    @pytest.mark.parametrize(("after_crash", "state"), [("retry", "ready"), ("ask", "ask")])
    async def test_of_dead_processes_they_end(
        self, work: Work, after_crash: Any, state: str
    ) -> None:
        @work.tasks.task("test.dies", queue="send", after_crash=after_crash, attempts=2)
        async def dies(ctx: TaskContext) -> None:
            raise AssertionError("not run here")

        await work.database.transaction(lambda tx: work.jobs.enqueue(tx, dies, {}))
        runner = work.another("dead")
        assert len(await claim_all(work, runner)) == 1
        await work.runner._reap(to_millis(work.clock.now()) + 60_000)
        assert await work.states() == ["running"]
        await work.runner._reap(to_millis(work.clock.now()) + 60_001)
        (row,) = await work.rows()
        assert row.state == state
        assert "ended or lost touch (try 1)" in row.error

    async def test_a_job_that_kills_its_process_every_time_fails_in_the_end(
        self, work: Work
    ) -> None:
        await work.enqueue("killer")
        for _ in range(3):
            assert len(await claim_all(work, work.another("dying"))) == 1
            await work.runner._reap(to_millis(work.clock.advance(seconds=61)))
        assert await work.states() == ["failed"]

    async def test_the_only_process_takes_over_at_once_what_a_dead_one_left(
        self, work: Work
    ) -> None:
        await work.enqueue("x")
        await claim_all(work, work.another("dead"))
        async with running(work.another("new", alone=True)):
            await until(lambda: all_done(work))
        assert work.seen == ["x"]
        assert (await work.rows())[0].fence == 2

    async def test_who_finishes_with_an_old_fence_comes_too_late(self, work: Work) -> None:
        later = work.another("w2")

        @work.tasks.task("test.overtaken", queue="send")
        async def overtaken(ctx: TaskContext) -> None:
            work.seen.append(ctx.job.fence)
            if ctx.job.fence == 1:
                assert await later.drain(work.clock.advance(seconds=61)) == 1

        await work.database.transaction(lambda tx: work.jobs.enqueue(tx, overtaken, {}))
        assert await work.runner.drain() == 1
        (row,) = await work.rows()
        assert (work.seen, row.state, row.fence, row.worker) == ([1, 2], "done", 2, "w2")


class TestFinishIn:
    async def test_the_job_and_its_effect_are_one_transaction(self, work: Work) -> None:
        @work.tasks.task("test.both", queue="send")
        async def both(ctx: TaskContext, fail: bool) -> None:
            async def last(tx: Tx) -> None:
                await work.jobs.enqueue(tx, "test.note", {"what": f"effect {ctx.job.attempt}"})
                await ctx.finish_in(tx)
                if fail and ctx.job.attempt == 1:
                    raise KeyError("rolled back")

            await ctx.database.transaction(last)

        await work.database.transaction(lambda tx: work.jobs.enqueue(tx, both, {"fail": True}))
        assert await work.runner.drain() == 1
        assert await work.states() == ["ready"]
        assert await work.runner.drain(work.clock.advance(minutes=1)) == 2
        assert work.seen == ["effect 2"]
        assert await work.states() == ["done", "done"]

    async def test_a_failure_after_it_changes_nothing(self, work: Work) -> None:
        @work.tasks.task("test.after", queue="bulk")
        async def after(ctx: TaskContext) -> None:
            await ctx.database.transaction(ctx.finish_in)
            raise RuntimeError("too late to matter")

        await work.database.transaction(lambda tx: work.jobs.enqueue(tx, after, {}))
        assert await work.runner.drain() == 1
        assert await work.rows() == []

    async def test_who_was_overtaken_is_rolled_back(self, work: Work) -> None:
        later = work.another("w2")

        @work.tasks.task("test.late", queue="send")
        async def late(ctx: TaskContext) -> None:
            if ctx.job.fence == 1:
                await later.drain(work.clock.advance(seconds=61))

            async def last(tx: Tx) -> None:
                await work.jobs.enqueue(tx, "test.note", {"what": f"fence {ctx.job.fence}"})
                await ctx.finish_in(tx)

            await ctx.database.transaction(last)

        await work.database.transaction(lambda tx: work.jobs.enqueue(tx, late, {}))
        await work.runner.drain()
        assert work.seen == ["fence 2"]

    async def test_hold_proves_that_the_job_is_still_ours(self, work: Work) -> None:
        @work.tasks.task("test.holds", queue="send", attempts=1)
        async def holds(ctx: TaskContext) -> None:
            work.clock.advance(seconds=30)
            await ctx.database.transaction(ctx.hold)
            work.seen.append((await work.rows())[0].lease_until - to_millis(work.clock.now()))

            async def steal(tx: Tx) -> None:
                await tx.run(update(Job).values(fence=9))

            await ctx.database.transaction(steal)
            with pytest.raises(LeaseLost):
                await ctx.database.transaction(ctx.hold)

        await work.database.transaction(lambda tx: work.jobs.enqueue(tx, holds, {}))
        await work.runner.drain()
        assert work.seen == [60_000]


class TestRates:
    async def test_jobs_beyond_the_bucket_wait_for_its_next_token(self, work: Work) -> None:
        task = work.tasks.task("test.limited", queue="send", rate=lambda a: f"r{a['of']}")

        @task
        async def limited(ctx: TaskContext, of: int) -> None:
            work.seen.append(ctx.job.id)

        now = to_millis(work.clock.now())

        async def enqueue(tx: Tx) -> None:
            await rates.limit(tx, "r1", per_s=10, burst=2, now=now)
            for _ in range(4):
                await work.jobs.enqueue(tx, limited, {"of": 1})
            await work.jobs.enqueue(tx, limited, {"of": 2})

        await work.database.transaction(enqueue)
        assert await claimed_ids(work, "w2") == [1, 2, 5]
        waiting = [(r.state, r.run_at - now, r.attempts) for r in await work.rows()][2:4]
        assert waiting == [("ready", 100, 0), ("ready", 100, 0)], "a try not made is not counted"
        work.clock.advance(milliseconds=100)
        assert await claimed_ids(work, "w2") == [3]
        work.clock.advance(milliseconds=100)
        assert await claimed_ids(work, "w2") == [4]


async def test_the_timetable_ticks_while_it_runs(work: Work) -> None:
    timetable = Timetable(work.database, work.jobs, work.clock)

    @work.tasks.task("test.tick", queue="send")
    async def tick(ctx: TaskContext) -> None:
        work.seen.append("tick")

    timetable.every("tick", tick, minutes=5)
    async with running(work.another("w2", timetable=timetable)) as _:
        await asyncio.sleep(0.05)
        work.clock.advance(minutes=5)
        work.jobs._wake()

        async def ticked() -> bool:
            return work.seen == ["tick"]

        await until(ticked)


async def test_a_database_that_is_away_does_not_end_the_worker(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.delivery.runner.POLL_SECONDS", 0.01)
    monkeypatch.setattr("app.delivery.finishing.RETRY_SECONDS", 0.01)
    transaction, away = work.database.transaction, [True]

    async def sometimes(job: Any, *, urgent: bool = False) -> Any:
        if away[0]:
            raise OSError("away")
        return await transaction(job, urgent=urgent)

    @work.tasks.task("test.outage", queue="send")
    async def outage(ctx: TaskContext) -> None:
        work.seen.append("ran")
        away[0] = True  # and its finish cannot be written

    await transaction(lambda tx: work.jobs.enqueue(tx, outage, {}))
    monkeypatch.setattr(work.database, "transaction", sometimes)
    async with running(work.another("w2", lease_seconds=0.06)):
        await asyncio.sleep(0.05)
        assert work.seen == []
        away[0] = False

        async def ran() -> bool:
            return work.seen == ["ran"]

        await until(ran)
        await asyncio.sleep(0.1)
        away[0] = False
        await until(lambda: all_done(work))
    assert work.seen == ["ran"]


async def test_a_retry_meets_a_newer_one_committed_at_the_same_moment(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group's transaction fails on the unique index; singly, the older one gives way."""
    await work.enqueue("x", dedup="d", fails=1)
    await work.enqueue("y", fails=1)
    finisher = work.runner._finisher
    write, raced = finisher.write, [False]

    async def after_another(outcomes: Any) -> None:
        if not raced[0] and outcomes[0].job.dedup:
            raced[0] = True
            await work.enqueue("newer", dedup="d", run_at=timedelta(hours=1))
        await write(outcomes)

    monkeypatch.setattr(finisher, "write", after_another)
    assert await work.runner.drain() == 2
    assert await work.states() == ["cancelled", "ready", "ready"]


async def claim_all(work: Work, runner: Runner) -> list[Claimed]:
    limits = {"reply": 9, "send": 9, "bulk": 9}
    return await runner._claim(limits, to_millis(work.clock.now()), 27)


async def claimed_ids(work: Work, worker: str) -> list[int]:
    return [job.id for job in await claim_all(work, work.another(worker))]


async def test_a_step_that_goes_on_failing_is_told_once(work: Work) -> None:
    """The worker asks each second; a database that is away for a night fills no disk."""

    async def step(problem: str | None) -> None:
        if problem is not None:
            raise ConnectionError(problem)

    with capture_logs() as lines:
        for problem in ("gone", "gone", "gone", None, "gone", "full"):
            await work.runner._safely("claim", step(problem))
    assert [line["error"] for line in lines] == [
        "ConnectionError('gone')",
        "ConnectionError('gone')",
        "ConnectionError('full')",
    ]

"""Runs jobs: claims what is due, keeps the leases, finishes in groups, stops cleanly.

Every guarantee holds without wake-ups: a poll each second is the net. A claim is one UPDATE; who
finishes shows the fence it was claimed with, and comes too late where another has taken over.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.blame import in_words
from app.core.clock import Clock, to_millis
from app.core.log import get_logger
from app.core.rng import Rng
from app.db.database import Database
from app.delivery import claims, metrics
from app.delivery.claims import End, Outcome
from app.delivery.finishing import Finisher
from app.delivery.jobs import LEASE_SECONDS, Claimed, Jobs
from app.delivery.retry import job_delay
from app.delivery.schedule import Timetable
from app.delivery.tasks import QUEUES, Again, GiveUp, NotNow, Tasks
from app.delivery.work import LeaseLost, TaskContext

__all__ = ["LeaseLost", "Runner", "TaskContext"]

POLL_SECONDS = 1.0
REAP_SECONDS = 5.0
GRACE_SECONDS = 8.0
"""How long a stop waits for jobs under way, before it cancels them and puts them back."""
MOST_INLINE = 10_000
_LOG = get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Running:
    job: Claimed
    adopted: bool
    task: asyncio.Task[None] | None = None
    over: bool = False
    """It ended, but that is not written yet."""
    lost: bool = False


class Runner:
    """One per process.

    `worker` names the process in its leases and is another one after each start; `context` becomes
    `TaskContext.services`. At most `concurrency` claimed jobs run at once, half of them from `bulk`;
    0 claims nothing, so that a web process runs only what it adopts. `alone` says that no other
    process runs jobs on this database (SQLite), so that what a dead one left is taken over at once.
    """

    def __init__(
        self,
        database: Database,
        jobs: Jobs,
        tasks: Tasks,
        clock: Clock,
        worker: str,
        context: object,
        concurrency: int,
        *,
        rng: Rng,
        timetable: Timetable | None = None,
        lease_seconds: float = LEASE_SECONDS,
        alone: bool = False,
    ) -> None:
        self.worker = worker
        self._database = database
        self._tasks = tasks
        self._clock = clock
        self.services = context
        """What tasks are given; may be set until `run`, since it may need the runner itself."""
        self._concurrency = concurrency
        self._rng = rng
        self._timetable = timetable
        self._lease_seconds = lease_seconds
        self._alone = alone
        self._running: dict[int, _Running] = {}
        self._finisher = Finisher(database, self._settled)
        self._group: asyncio.TaskGroup | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()
        self._ended = asyncio.Event()
        self._stopping = False
        self._grace = GRACE_SECONDS
        self._reaped_at = float("-inf")
        self._failing: dict[str, str] = {}
        """Steps whose last try failed, and how."""
        jobs.on_enqueued(self.wake)

    # --- from outside -----------------------------------------------------------------------------

    def wake(self) -> None:
        """Something may be due. Callable from any thread, at any time; only a hint."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._event.set)

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Claims nothing more; `run` returns when what is under way has ended, or is put back."""
        self._grace = grace_seconds
        self._stopping = True
        self._event.set()

    async def stopped(self) -> None:
        """Returns when `run` has wound down after `stop`."""
        await self._ended.wait()

    def adopt(self, claimed: Claimed) -> asyncio.Future[Any]:
        """Runs a job of `Jobs.begin_here` at once, beside the claimed ones.

        The future gives what the task returned, or fails with what the try failed with; the job
        itself is retried or ended as any other. Needs `run` under way.
        """
        if self._group is None:
            raise RuntimeError("the runner does not run; the job waits for its lease to end")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        self._start(self._group, claimed, future)
        return future

    async def run(self) -> None:
        """Works until `stop` is called or it is cancelled; both end cleanly."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            self._group = group
            helpers = [
                group.create_task(self._finisher.run()),
                group.create_task(self._keep_leases()),
            ]
            try:
                await self._work(group)
            finally:
                await self._wind_down()
                self._group = self._loop = None
                for helper in helpers:
                    helper.cancel()
                self._ended.set()

    async def drain(self, now: datetime | None = None) -> int:
        """Runs everything due at `now` inline, one after the other, and returns how many ran.

        For tests: no poll, no wake-up, no second task. What a job enqueues for now runs too.
        """
        moment = to_millis(now or self._clock.now())
        await self._reap(moment)
        for count in range(MOST_INLINE):
            jobs = await self._claim(dict.fromkeys(QUEUES, 1), moment, most=1)
            if not jobs:
                return count
            outcome, _ = await self._attempt(jobs[0])
            if outcome is not None:
                await self._finisher.write([outcome])
        raise RuntimeError(f"still something due after {MOST_INLINE} jobs")

    # --- claiming ---------------------------------------------------------------------------------

    async def _work(self, group: asyncio.TaskGroup) -> None:
        while not self._stopping:
            self._event.clear()
            await self._safely("tick", self._tick())
            await self._safely("claim", self._claim_and_start(group))
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._event.wait()
            except TimeoutError:
                pass

    async def _safely(self, what: str, step: Coroutine[Any, Any, None]) -> None:
        """The database may be away: the next poll tries again. Told once, until it succeeds."""
        try:
            await step
        except Exception as error:  # noqa: BLE001  # nothing may end the worker
            words = repr(error)
            if self._failing.get(what) != words:
                _LOG.warning("jobs.step_failed", step=what, error=words)
            self._failing[what] = words
        else:
            self._failing.pop(what, None)

    async def _claim_and_start(self, group: asyncio.TaskGroup) -> None:
        for job in await self._claim(self._free(), to_millis(self._clock.now())):
            self._start(group, job, None)

    def _free(self) -> dict[str, int]:
        busy = [r for r in self._running.values() if not (r.adopted or r.over)]
        bulk = sum(r.job.queue == "bulk" for r in busy)
        free = max(0, self._concurrency - len(busy))
        return {"reply": free, "send": free, "bulk": min(free, (self._concurrency + 1) // 2 - bulk)}

    async def _claim(
        self, limits: dict[str, int], now: int, most: int | None = None
    ) -> list[Claimed]:
        lease = to_millis(self._clock.now()) + int(self._lease_seconds * 1000)
        free = max(limits.values()) if most is None else most
        if free <= 0:
            return []

        async def work(tx: Any) -> list[Claimed]:
            return await claims.claim(tx, self._tasks, self.worker, now, lease, limits, free)

        return await self._database.transaction(work)

    async def _tick(self) -> None:
        """What is done now and then: the timetable, dead leases, figures."""
        if self._concurrency == 0:
            return
        if self._timetable is not None:
            await self._timetable.tick()
        moment = asyncio.get_running_loop().time()
        if moment - self._reaped_at >= REAP_SECONDS:
            first = self._reaped_at == float("-inf")
            self._reaped_at = moment
            now = to_millis(self._clock.now())
            await self._reap(now, alone=self.worker if first and self._alone else None)
            await self._measure(now)

    async def _reap(self, now: int, alone: str | None = None) -> None:
        async def work(tx: Any) -> list[Outcome]:
            return await claims.reap(tx, self._tasks, now, alone)

        for outcome in await self._database.transaction(work):
            metrics.JOBS_TAKEN_OVER.labels(outcome.end.value).inc()
            _LOG.warning(
                "jobs.taken_over",
                job=outcome.job.id,
                task=outcome.job.task,
                outcome=outcome.end.value,
            )

    async def _measure(self, now: int) -> None:
        async def work(tx: Any) -> dict[str, int | None]:
            return {queue: await claims.oldest_due(tx, queue, now) for queue in QUEUES}

        for queue, run_at in (await self._database.read(work)).items():
            metrics.OLDEST_DUE.labels(queue).set(0 if run_at is None else (now - run_at) / 1000)

    # --- running ----------------------------------------------------------------------------------

    def _start(
        self, group: asyncio.TaskGroup, job: Claimed, future: asyncio.Future[Any] | None
    ) -> None:
        running = self._running[job.id] = _Running(job, adopted=future is not None)
        metrics.JOBS_RUNNING.inc()
        running.task = group.create_task(self._run_one(running, future))

    async def _run_one(self, running: _Running, future: asyncio.Future[Any] | None) -> None:
        outcome: Outcome | None = None
        result: object = asyncio.CancelledError()
        try:
            outcome, result = await self._attempt(running.job)
        except asyncio.CancelledError:
            if not running.lost:
                outcome = self._put_back(running.job)
        finally:
            metrics.JOBS_RUNNING.dec()
            running.over = True
            _tell(future, result)
            if outcome is None:
                self._running.pop(running.job.id, None)
            else:
                self._finisher.add(outcome)
            self._event.set()

    def _put_back(self, job: Claimed) -> Outcome:
        """Cut off by a stop in mid-run: as after a crash, but known at once."""
        metrics.JOBS.labels(job.queue, "put_back").inc()
        return claims.after_crash(self._tasks, job, to_millis(self._clock.now()))

    async def _attempt(self, job: Claimed) -> tuple[Outcome | None, object]:
        """One try. The outcome still to be written, if any, and what was returned or raised."""
        context = TaskContext(
            self._database, self._clock, job, self.services, int(self._lease_seconds * 1000)
        )
        started = self._clock.monotonic()
        try:
            task = self._tasks.for_running(job.task)
            async with asyncio.timeout(task.timeout_seconds):
                value = await task.run(context, **job.args)
        except LeaseLost as error:
            metrics.JOBS.labels(job.queue, "lost").inc()
            _LOG.warning("jobs.lease_lost", job=job.id, task=job.task)
            return None, error
        except Exception as error:  # noqa: BLE001  # whatever a task raises is its outcome
            return (None if context.finished else self._failed(job, error)), error
        finally:
            metrics.JOB_SECONDS.labels(job.queue).observe(self._clock.monotonic() - started)
        metrics.JOBS.labels(job.queue, "done").inc()
        return (None if context.finished else Outcome(job, End.DONE)), value

    def _failed(self, job: Claimed, error: Exception) -> Outcome:
        words = in_words(error)
        if isinstance(error, NotNow):
            return self._postponed(job, error)
        last = isinstance(error, GiveUp) or job.attempt >= job.max_attempts
        _LOG.warning(
            "jobs.try_failed",
            job=job.id,
            task=job.task,
            attempt=job.attempt,
            last=last,
            error=words,
        )
        if last:
            metrics.JOBS.labels(job.queue, "failed").inc()
            return Outcome(job, End.FAILED, words)
        metrics.JOBS.labels(job.queue, "again").inc()
        seconds = (
            error.seconds
            if isinstance(error, Again)
            else job_delay(job.attempt, self._rng.random())
        )
        run_at = to_millis(self._clock.now()) + int(seconds * 1000)
        return Outcome(job, End.BACK, words, run_at=run_at)

    def _postponed(self, job: Claimed, why: NotNow) -> Outcome:
        metrics.JOBS.labels(job.queue, "put_back").inc()
        run_at = to_millis(self._clock.now()) + int(why.seconds * 1000)
        return Outcome(job, End.BACK, str(why), run_at=run_at, uncounted=True)

    # --- keeping and ending -----------------------------------------------------------------------

    def _settled(self, outcomes: list[Outcome]) -> None:
        """Written, so lanes may have opened."""
        for outcome in outcomes:
            self._running.pop(outcome.job.id, None)
        self._event.set()

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            try:
                await self._renew()
            except Exception as error:  # noqa: BLE001  # the next beat may reach the database again
                _LOG.warning("jobs.renew_failed", error=repr(error))

    async def _renew(self) -> None:
        """Renews the lease of each job under way; cancels those that are another's by now."""
        jobs = [r.job for r in self._running.values()]
        lease = to_millis(self._clock.now()) + int(self._lease_seconds * 1000)

        async def work(tx: Any) -> set[int]:
            return await claims.hold(tx, jobs, lease)

        for lost in await self._database.transaction(work) if jobs else ():
            running = self._running.get(lost)
            if running is not None and running.task is not None and not running.over:
                running.lost = True
                metrics.JOBS.labels(running.job.queue, "lost").inc()
                running.task.cancel()

    async def _wind_down(self) -> None:
        """Waits for what is under way, puts back what does not end, writes every outcome."""
        under_way = [r.task for r in self._running.values() if r.task is not None]
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=self._grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        await self._finisher.flush()


def _tell(future: asyncio.Future[Any] | None, result: object) -> None:
    if future is None or future.done():
        return
    if isinstance(result, asyncio.CancelledError):
        future.cancel()
    elif isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


def _seen(future: asyncio.Future[Any]) -> None:
    """Whoever waited for it may be gone; the failure is on the job's row anyway."""
    if not future.cancelled():
        future.exception()

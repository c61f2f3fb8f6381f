"""Later work as rows, enqueued in the transaction of what makes it necessary.

All times come from the injected clock, in milliseconds; no statement asks the database's clock. A
job with a lane (a follower's id) is enqueued only while the follower's row is locked: ids are drawn
before the commit, and the order within a lane is the order of ids.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from app.core.clock import Clock, to_millis
from app.db.tx import Tx
from app.delivery import job_rows
from app.delivery.tasks import Task, Tasks

__all__ = ["LEASE_SECONDS", "Claimed", "Jobs", "NewJob", "RunAt", "Task", "Tasks"]

RunAt: TypeAlias = datetime | timedelta | None
"""An aware moment, a time from now, or None for at once."""

LEASE_SECONDS = 60.0
"""Far longer than two machines' clocks may differ."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """One row for `enqueue_many`."""

    args: Mapping[str, Any]
    account_id: int | None = None
    run_at: RunAt = None
    lane: int | None = None
    dedup: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that this process runs until its lease ends; `fence` is the proof."""

    id: int
    task: str
    args: Mapping[str, Any]
    fence: int
    attempt: int
    """1 for the first try."""
    max_attempts: int
    queue: str
    account_id: int | None
    lane: int | None
    dedup: str | None
    run_at: int
    """Milliseconds."""
    worker: str
    """The process that holds the lease."""


class Jobs:
    """Writes jobs; `app.delivery.runner` runs them."""

    def __init__(self, tasks: Tasks, clock: Clock) -> None:
        self._tasks = tasks
        self._clock = clock
        self._wakers: list[Callable[[], None]] = []

    def on_enqueued(self, waker: Callable[[], None]) -> None:
        """`waker` is called after each commit that enqueued something due. It is a hint only."""
        self._wakers.append(waker)

    async def enqueue(
        self,
        tx: Tx,
        task: Task | str,
        args: Mapping[str, Any],
        *,
        account_id: int | None = None,
        run_at: RunAt = None,
        lane: int | None = None,
        dedup: str | None = None,
    ) -> None:
        """One job; exists exactly when `tx` commits.

        With a `dedup` that another *waiting* job has, nothing is written; one that already runs does
        not count, so what is enqueued during a run is not lost. A job that waits for a later moment
        carries no lane: the head of a lane holds back the rest.
        """
        await self.enqueue_many(tx, task, [NewJob(args, account_id, run_at, lane, dedup)])

    async def enqueue_many(self, tx: Tx, task: Task | str, rows: Sequence[NewJob]) -> None:
        """As `enqueue`, in one statement."""
        if not rows:
            return
        kind = task if isinstance(task, Task) else self._tasks.get(task)
        now = to_millis(self._clock.now())
        values = [_values(kind, row, self._moment(row.run_at, now), now) for row in rows]
        await tx.many(job_rows.INSERT, values)
        if any(value["run_at"] <= now for value in values):
            self._wake_after(tx)

    async def begin_here(
        self,
        tx: Tx,
        task: Task | str,
        args: Mapping[str, Any],
        *,
        account_id: int | None,
        lane: int | None,
        worker: str,
        lease_seconds: float = LEASE_SECONDS,
    ) -> Claimed | None:
        """Inserts a job that `worker` (this process) runs at once, by `Runner.adopt` after the commit.

        Where an unfinished job of the lane exists, it is inserted waiting instead and None is
        returned. A process that dies leaves it to any other when the lease ends.
        """
        kind = task if isinstance(task, Task) else self._tasks.get(task)
        now = to_millis(self._clock.now())
        row = _values(kind, NewJob(args, account_id, None, lane), now, now)
        lease = now + int(lease_seconds * 1000)
        made = await tx.first(
            job_rows.INSERT_RUNNING,
            {**row, "lane_": lane, "worker_": worker, "lease_": lease},
        )
        if made[1] != "running":
            self._wake_after(tx)
            return None
        return Claimed(
            id=made[0],
            task=kind.name,
            args=args,
            fence=1,
            attempt=1,
            max_attempts=kind.attempts,
            queue=kind.queue,
            account_id=account_id,
            lane=lane,
            dedup=None,
            run_at=now,
            worker=worker,
        )

    async def cancel(self, tx: Tx, *, dedup: str) -> bool:
        """Ends the waiting job of that dedup; false when there is none (it may be running)."""
        return await tx.run(job_rows.CANCEL, {"key": dedup}) > 0

    async def reschedule(self, tx: Tx, *, dedup: str, run_at: RunAt) -> bool:
        """Moves the waiting job of that dedup; false when there is none."""
        now = to_millis(self._clock.now())
        moment = self._moment(run_at, now)
        moved = await tx.run(job_rows.RESCHEDULE, {"key": dedup, "moment": moment})
        if moved and moment <= now:
            self._wake_after(tx)
        return moved > 0

    def _moment(self, run_at: RunAt, now: int) -> int:
        if run_at is None:
            return now
        if isinstance(run_at, timedelta):
            return now + int(run_at.total_seconds() * 1000)
        return to_millis(run_at)

    def _wake_after(self, tx: Tx) -> None:
        if self._wake not in tx.hooks:  # once for each transaction
            tx.after_commit(self._wake)

    def _wake(self) -> None:
        for waker in self._wakers:
            waker()


def _values(kind: Task, row: NewJob, run_at: int, now: int) -> dict[str, Any]:
    return {
        "account_id": row.account_id,
        "queue": kind.queue,
        "task": kind.name,
        "args": row.args,
        "lane": row.lane,
        "dedup": row.dedup,
        "run_at": run_at,
        "state": "ready",
        "attempts": 0,
        "max_attempts": kind.attempts,
        "fence": 0,
        "created_at": now,
    }

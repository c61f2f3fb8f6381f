"""Which jobs a process may run, and what it says became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from app.db.tx import Tx
from app.delivery import job_rows, rates
from app.delivery.jobs import Claimed
from app.delivery.tasks import Tasks, UnknownTask

ERROR_LENGTH = 2000


class End(Enum):
    DONE = "done"
    FAILED = "failed"
    ASK = "ask"
    """Nobody knows whether it happened: a person decides."""
    BACK = "back"
    """Waits again, until `run_at`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try, to be written under its fence."""

    job: Claimed
    end: End
    error: str | None = None
    run_at: int = 0
    """Milliseconds; for `BACK`."""
    uncounted: bool = False
    """The try did not happen, so it is not counted; for `BACK`."""


async def claim(
    tx: Tx,
    tasks: Tasks,
    worker: str,
    now: int,
    lease_until: int,
    limits: Mapping[str, int],
    most: int,
) -> list[Claimed]:
    """Takes what is due: at most `limits[queue]` of each queue, in the order of `limits`, `most` in
    all, and never two of a lane. Jobs whose rate bucket is empty go back until it gives again."""
    taken: list[Claimed] = []
    for queue, limit in limits.items():
        wanted = min(limit, most - len(taken))
        if wanted > 0:
            params = {
                "queue_": queue,
                "now_": now,
                "limit_": wanted,
                "worker_": worker,
                "lease_": lease_until,
            }
            rows = [Claimed(*row) for row in await tx.all(job_rows.CLAIM, params)]
            taken += sorted(rows, key=lambda job: (job.run_at, job.id))
    return await _within_rates(tx, tasks, taken, now)


async def _within_rates(tx: Tx, tasks: Tasks, taken: list[Claimed], now: int) -> list[Claimed]:
    limited: dict[str, list[Claimed]] = {}
    for job in taken:
        bucket = _bucket(tasks, job)
        if bucket is not None:
            limited.setdefault(bucket, []).append(job)
    late: dict[int, int] = {}
    for bucket in sorted(limited):  # one lock order for all
        jobs = limited[bucket]
        given, wait = await rates.take(tx, bucket, now, len(jobs))
        late.update((job.id, now + wait) for job in jobs[given:])
    if not late:
        return taken
    await settle(
        tx,
        [Outcome(j, End.BACK, run_at=late[j.id], uncounted=True) for j in taken if j.id in late],
    )
    return [job for job in taken if job.id not in late]


def _bucket(tasks: Tasks, job: Claimed) -> str | None:
    try:
        rate = tasks.get(job.task).rate
    except UnknownTask:
        return None
    return rate(job.args) if rate is not None else None


async def settle(tx: Tx, outcomes: Sequence[Outcome]) -> int:
    """Writes how tries ended; how many of them still were the caller's to end."""
    ended: list[dict[str, Any]] = []
    forgotten: list[dict[str, Any]] = []
    back: list[dict[str, Any]] = []
    for outcome in sorted(outcomes, key=lambda o: o.job.id):
        held = {"id_": outcome.job.id, "fence_": outcome.job.fence}
        error = outcome.error[:ERROR_LENGTH] if outcome.error is not None else None
        if outcome.end is End.BACK:
            uncounted = int(outcome.uncounted)
            back.append({**held, "run_at_": outcome.run_at, "back_": uncounted, "error_": error})
        elif outcome.end is End.DONE and outcome.job.queue == "bulk":
            forgotten.append(held)
        else:
            ended.append({**held, "state_": outcome.end.value, "error_": error})
    return (
        await tx.many(job_rows.SETTLE, ended)
        + await tx.many(job_rows.FORGET, forgotten)
        + await tx.many(job_rows.PUT_BACK, back)
    )


async def hold(tx: Tx, jobs: Sequence[Claimed], lease_until: int) -> set[int]:
    """Renews the leases of running jobs; the ids of those that are another's by now."""
    rows = [
        {"id_": job.id, "fence_": job.fence, "lease_": lease_until}
        for job in sorted(jobs, key=lambda job: job.id)
    ]
    if await tx.many(job_rows.HOLD, rows) == len(rows):
        return set()
    found = await tx.all(job_rows.STILL_MINE, {"ids": [job.id for job in jobs]})
    mine = {(row[0], row[1]) for row in found}
    return {job.id for job in jobs if (job.id, job.fence) not in mine}


async def reap(tx: Tx, tasks: Tasks, now: int, alone: str | None = None) -> list[Outcome]:
    """Ends the leases of dead processes: at most 500, each by its task's `after_crash`.

    With `alone`, the name of the only process there is, whatever any other holds is over too.
    """
    if alone is None:
        rows = await tx.all(job_rows.EXPIRED, {"now_": now})
    else:
        rows = await tx.all(job_rows.ORPHANS, {"now_": now, "worker_": alone})
    outcomes = [after_crash(tasks, Claimed(*row), now) for row in rows]
    await settle(tx, outcomes)
    return outcomes


def after_crash(tasks: Tasks, job: Claimed, now: int) -> Outcome:
    """What becomes of a job that was cut off in the middle of a try."""
    error = f"the process running it ended or lost touch (try {job.attempt})"
    try:
        ask = tasks.get(job.task).after_crash == "ask"
    except UnknownTask:
        ask = False
    if ask:
        return Outcome(job, End.ASK, error)
    if job.attempt >= job.max_attempts:
        return Outcome(job, End.FAILED, error)
    return Outcome(job, End.BACK, error, run_at=now)


async def oldest_due(tx: Tx, queue: str, now: int) -> int | None:
    """When the longest waiting due job of a queue was to run, in milliseconds."""
    found: int | None = await tx.value(job_rows.OLDEST_DUE, {"queue_": queue, "now_": now})
    return found

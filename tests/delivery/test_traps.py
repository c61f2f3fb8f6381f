"""Traps that were found in trials of job engines; each stays closed."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, exc, text

from app.core.clock import to_millis
from app.db.hot import DIALECTS
from app.db.tx import Tx
from app.delivery import job_rows
from app.delivery.claims import End, Outcome
from app.delivery.jobs import Claimed, NewJob
from app.delivery.models import Job
from tests.delivery.conftest import Post, Work

TIMERS = 20_000


async def plan_of_a_claim(work: Work) -> str:
    """How the database means to run the claim, as text."""
    prepared = job_rows.CLAIM.prepared(work.database.dialect)
    values = prepared.values(
        {"queue_": "send", "now_": 0, "limit_": 8, "worker_": "w", "lease_": 0}
    )
    word = "EXPLAIN QUERY PLAN" if work.database.dialect == "sqlite" else "EXPLAIN"
    quoted = [f"'{v}'" if isinstance(v, str) else str(v) for v in values]
    mark = "?" if work.database.dialect == "sqlite" else "%s"
    statement = prepared.text
    for value in quoted:
        statement = statement.replace(mark, value, 1)

    async def explain(tx: Tx) -> list[Any]:
        return list(await tx.all(text(f"{word} {statement}".replace(":", "\\:"))))

    return "\n".join(str(row[-1]) for row in await work.database.transaction(explain))


async def test_waiting_timers_are_not_walked_through(work: Work) -> None:
    """With priority before run_at in the index, a near-empty claim looked at every timer."""
    later = [NewJob({"what": "t"}, run_at=timedelta(days=3)) for _ in range(500)]
    for _ in range(TIMERS // 500):
        await work.database.transaction(lambda tx: work.jobs.enqueue_many(tx, work.note, later))
    await work.database.transaction(lambda tx: tx.run(text("ANALYZE job")))
    plan = await plan_of_a_claim(work)
    assert "ix_job_ready" in plan
    assert "ix_job_lane" in plan
    assert "Seq Scan" not in plan
    assert "SCAN job" not in plan
    await work.enqueue("due")
    assert await work.runner.drain() == 1


async def test_ids_of_deleted_rows_are_not_given_again(work: Work) -> None:
    """The order within a lane is the order of ids; SQLite reuses the highest one unless told."""
    await work.enqueue("a")
    (first,) = await work.rows()
    await work.database.transaction(lambda tx: tx.run(delete(Job)))
    await work.enqueue("b")
    (second,) = await work.rows()
    assert second.id > first.id


async def test_a_reading_then_writing_transaction_does_not_fail_busy(work: Work) -> None:
    """A deferred one on SQLite fails at once when another writes in between."""

    async def read_then_write(number: int) -> None:
        async def both(tx: Tx) -> None:
            await tx.all(text("SELECT count(*) FROM job"))
            await work.jobs.enqueue(tx, work.note, {"what": str(number)})

        await work.database.transaction(both)

    await asyncio.gather(*[read_then_write(n) for n in range(20)])
    assert await work.runner.drain() == 20


async def test_a_lane_keeps_the_order_of_the_followers_lock(post: Post) -> None:
    """Ids are drawn before the commit; who enqueues for a lane holds its lock, so the orders agree."""
    work = post.work
    await post.follower(5)

    async def one(number: int) -> None:
        async def both(tx: Tx) -> None:
            assert await post.people.lock(tx, 5)
            await work.jobs.enqueue(tx, work.note, {"what": str(number)}, lane=5)
            tx.after_commit(lambda: committed.append(str(number)))

        await work.database.transaction(both)

    committed: list[str] = []
    await asyncio.gather(*[one(n) for n in range(25)])
    assert await work.runner.drain() == 25
    assert work.seen == [row.args["what"] for row in await work.rows()]
    assert sorted(committed) == sorted(work.seen)


class TestARetryMeetsANewerJobOfItsDedup:
    async def claimed(self, work: Work, what: str, dedup: str | None) -> Claimed:
        await work.enqueue(what, dedup=dedup)
        now = to_millis(work.clock.now())
        (job,) = await work.another("w")._claim({"send": 1}, now, 1)
        return job

    async def test_committed_at_the_same_moment(self, work: Work) -> None:
        """The statement saw no newer one, and the unique index refuses the group."""
        older = await self.claimed(work, "older", "d")
        other = await self.claimed(work, "other", None)
        database, transaction, first = work.database, work.database.transaction, [True]

        async def refused_once(job: Any, *, urgent: bool = False) -> Any:
            if first.pop() if first else False:
                await work.enqueue("newer", dedup="d")
                raise exc.IntegrityError("UPDATE job …", {}, ValueError("unique"))
            return await transaction(job, urgent=urgent)

        finisher = work.runner._finisher
        back = Outcome(older, End.BACK, "failed", run_at=0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(finisher, "_database", _Stub(refused_once))
            await finisher.write([back, Outcome(other, End.DONE)])
        assert database is work.database
        assert await work.states() == ["cancelled", "done", "ready"]

    async def test_in_a_real_race(self, work: Work, on_postgres: bool) -> None:
        if not on_postgres:
            pytest.skip("SQLite writes one after the other")
        older = await self.claimed(work, "older", "d")
        inserted, back = asyncio.Event(), Outcome(older, End.BACK, "failed", run_at=0)

        async def newer(tx: Tx) -> None:
            await work.jobs.enqueue(tx, work.note, {"what": "newer"}, dedup="d")
            inserted.set()
            await tx.all(text("SELECT pg_sleep(0.3)"))

        async with asyncio.TaskGroup() as group:
            group.create_task(work.database.transaction(newer))
            await inserted.wait()
            group.create_task(work.runner._finisher.write([back]))
        assert await work.states() == ["cancelled", "ready"]


class _Stub:
    """A database whose transactions are given."""

    def __init__(self, transaction: Any) -> None:
        self.transaction = transaction


def test_only_the_lock_of_a_claim_differs_between_the_databases() -> None:
    texts = {
        dialect: " ".join(job_rows.CLAIM.prepared(dialect).text.split()) for dialect in DIALECTS
    }
    assert "FOR UPDATE OF job SKIP LOCKED" in texts["postgresql"]
    assert "FOR UPDATE" not in texts["sqlite"]

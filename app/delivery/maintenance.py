"""What is thrown away, and what is set going again. In steps of 500 rows, so that no transaction
holds anybody back."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    bindparam,
    delete,
    exists,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from app.core.clock import Clock, to_millis
from app.db.base import Utc
from app.db.database import Database
from app.db.events import EventRow
from app.db.hot import Hot, InList
from app.db.purge import STEP, delete_in_steps
from app.db.receipts import Receipt
from app.db.tx import Tx
from app.delivery import metrics
from app.delivery.models import Job, Outbound
from app.delivery.outbound import Outbox
from app.delivery.schedule import Timetable
from app.delivery.tasks import Task, Tasks
from app.delivery.work import TaskContext

EVENTS_KEPT = timedelta(days=7)
DONE_KEPT = timedelta(days=1)
FAILED_KEPT = timedelta(days=30)
STRANDED_AFTER = timedelta(minutes=2)

_STEP = bindparam("step", type_=Integer())
_MOMENT = bindparam("moment", type_=Utc())
_RECEIPTS = Hot(
    delete(Receipt).where(
        Receipt.key.in_(select(Receipt.key).where(Receipt.expires_at <= _MOMENT).limit(_STEP)),
        Receipt.expires_at <= _MOMENT,
    )
)
_EVENTS = Hot(
    delete(EventRow).where(
        EventRow.id.in_(select(EventRow.id).order_by(EventRow.id).limit(_STEP)),
        EventRow.created_at <= _MOMENT,
    )
)
_JOBS = Hot(
    select(Job.id, Job.state, Job.created_at)
    .where(Job.id > bindparam("after", type_=BigInteger()))
    .order_by(Job.id)
    .limit(_STEP)
)
_FORGET = Hot(
    delete(Job).where(
        InList(Job.id, "ids"),
        Job.state.in_([literal_column(f"'{s}'") for s in ("done", "cancelled", "failed", "ask")]),
    )
)


def _stranded() -> Any:
    """Messages that wait to be sent with nothing that would send them: a drain job gave up."""
    coming = exists(
        select(literal_column("1")).where(
            Job.lane == Outbound.follower_id,
            Job.state.in_([literal_column("'ready'"), literal_column("'running'")]),
        )
    )
    other = aliased(Outbound)
    held_before = exists(  # those behind it wait on purpose
        select(literal_column("1")).where(
            other.follower_id == Outbound.follower_id, other.state == literal_column("'held'")
        )
    )
    return (
        select(Outbound.follower_id, Outbound.account_id)
        .where(
            Outbound.state.in_([literal_column("'queued'"), literal_column("'sending'")]),
            Outbound.created_at <= _MOMENT,
            or_(Outbound.next_attempt_at.is_(None), Outbound.next_attempt_at <= _MOMENT),
            ~coming,
            ~held_before,
        )
        .limit(_STEP)
    )


_STRANDED = Hot(_stranded())


class Maintenance:
    """Registers the periodic tasks of the ledger and of what is kept only for a time."""

    def __init__(
        self,
        database: Database,
        tasks: Tasks,
        timetable: Timetable,
        outbox: Outbox,
        lock: Callable[[Tx, int], Coroutine[Any, Any, object]],
        clock: Clock,
    ) -> None:
        """`lock` is `Recipients.lock`."""
        self._database = database
        self._outbox = outbox
        self._lock = lock
        self._clock = clock
        for name, run, minutes in (
            ("delivery.purge", self.purge, 10),
            ("delivery.tidy_outbound", self.tidy_outbound, 1),
        ):
            task = tasks.add(Task(name, "bulk", run, timeout_seconds=600))
            timetable.every(name, task, minutes=minutes)

    async def purge(self, ctx: TaskContext) -> None:
        """Deletes expired receipts, events older than 7 days, finished jobs after a day (failed ones
        after 30)."""
        now = self._clock.now()
        await self._in_steps(_RECEIPTS, "receipt", {"moment": now})
        await self._in_steps(_EVENTS, "event", {"moment": now - EVENTS_KEPT})
        await self._purge_jobs()

    async def _in_steps(self, statement: Hot, table: str, params: dict[str, Any]) -> int:
        gone = await delete_in_steps(self._database, statement, params)
        metrics.PURGED.labels(table).inc(gone)
        return gone

    async def _purge_jobs(self) -> None:
        """Walks up by id, which is the order of creation, until rows are young."""
        now = self._clock.now()
        done_before = to_millis(now - DONE_KEPT)
        failed_before = to_millis(now - FAILED_KEPT)
        after = 0
        while True:
            rows = await self._database.read(_all(_JOBS, {"after": after, "step": STEP}))
            gone = [
                row[0]
                for row in rows
                if row[2] < (done_before if row[1] in ("done", "cancelled") else failed_before)
            ]
            if gone:
                metrics.PURGED.labels("job").inc(await self._forget(gone))
            if len(rows) < STEP or rows[-1][2] >= done_before:
                return
            after = rows[-1][0]

    async def _forget(self, ids: list[int]) -> int:
        async def work(tx: Tx) -> int:
            return await tx.run(_FORGET, {"ids": ids})

        return await self._database.transaction(work)

    async def tidy_outbound(self, ctx: TaskContext) -> None:
        """Blocks held messages whose time is over; starts the drain of messages left without one."""
        for follower_id in await self._database.read(self._outbox.overdue):

            async def expire(tx: Tx, follower: int = follower_id) -> int:
                return await self._outbox.expire_held(tx, follower)

            await self._database.transaction(expire)
        moment = self._clock.now() - STRANDED_AFTER
        rows = await self._database.read(_all(_STRANDED, {"moment": moment, "step": STEP}))
        for follower_id, account_id in sorted({(row[0], row[1]) for row in rows}):

            async def restart(
                tx: Tx, follower: int = follower_id, account: int = account_id
            ) -> None:
                await self._lock(tx, follower)
                await self._outbox.drain_soon(tx, {follower: account})

            await self._database.transaction(restart)


def _all(statement: Hot, params: dict[str, Any]) -> Callable[[Tx], Coroutine[Any, Any, list[Any]]]:
    async def work(tx: Tx) -> list[Any]:
        return list(await tx.all(statement, params))

    return work

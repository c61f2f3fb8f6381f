"""What the tests of sending and of later work share."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select, update

from app.core.clock import FakeClock
from app.core.rng import SeededRng
from app.db.database import Database
from app.db.tx import Tx
from app.delivery.jobs import Jobs
from app.delivery.models import Job
from app.delivery.recipients import Recipient
from app.delivery.runner import Runner
from app.delivery.tasks import Tasks
from app.delivery.work import TaskContext
from app.engines.followers.models import Follower


@dataclass
class Work:
    """A runner with its parts, and a task `note` that writes down what it was called with."""

    database: Database
    clock: FakeClock
    tasks: Tasks = field(default_factory=Tasks)
    seen: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.tasks, self.clock)
        self.runner = self.another("w1")

        @self.tasks.task("test.note", queue="send", attempts=3)
        async def note(ctx: TaskContext, what: str, fails: int = 0) -> str:
            self.seen.append(what)
            if ctx.job.attempt <= fails:
                raise RuntimeError(f"{what} fails")
            return what

        self.note = note

    def another(self, worker: str, **options: Any) -> Runner:
        """A second process's runner over the same tasks."""
        given: dict[str, Any] = {"concurrency": 4, "rng": SeededRng(1), "context": self}
        given.update(options)
        return Runner(self.database, self.jobs, self.tasks, self.clock, worker, **given)

    async def enqueue(self, what: str, **options: Any) -> None:
        args = {"what": what, "fails": options.pop("fails", 0)}

        async def work(tx: Tx) -> None:
            await self.jobs.enqueue(tx, self.note, args, **options)

        await self.database.transaction(work)

    async def rows(self) -> list[Any]:
        async def work(tx: Tx) -> list[Any]:
            return list(await tx.all(select(Job.__table__).order_by(Job.id)))

        return await self.database.read(work)

    async def states(self) -> list[str]:
        return [row.state for row in await self.rows()]


@pytest.fixture
def work(database: Database, clock: FakeClock) -> Work:
    return Work(database, clock)


class People:
    """`Recipients` over the real table."""

    async def lock(self, tx: Tx, follower_id: int) -> Recipient | None:
        statement = select(
            Follower.id, Follower.account_id, Follower.openid, Follower.subscribed
        ).where(Follower.id == follower_id)
        row = await tx.first(statement.with_for_update())
        return None if row is None else Recipient(*row)

    async def set_unsubscribed(self, tx: Tx, follower_id: int) -> None:
        await tx.run(update(Follower).where(Follower.id == follower_id).values(subscribed=False))

    async def add_held(self, tx: Tx, follower_id: int, delta: int) -> None:
        await tx.run(
            update(Follower).where(Follower.id == follower_id).values(held=Follower.held + delta)
        )

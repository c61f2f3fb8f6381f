"""What the tests of sending and of later work share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from app.core.clock import FakeClock
from app.core.ids import Ids
from app.core.incoming import Grant
from app.core.replies import TextReply, to_dict
from app.core.rng import SeededRng
from app.db.database import Database
from app.db.events import EventRow, Events
from app.db.tx import Tx
from app.delivery import windows
from app.delivery.jobs import Jobs
from app.delivery.models import Job, Outbound, SendWindow
from app.delivery.outbound import NewMessage, Outbox
from app.delivery.recipients import Recipient
from app.delivery.runner import Runner, TaskContext
from app.delivery.sender import Sender
from app.delivery.tasks import Tasks
from app.delivery.windows import GrantRow
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
        return await read_all(self.database, Job, Job.id)

    async def states(self) -> list[str]:
        return [row.state for row in await self.rows()]


@pytest.fixture
def work(database: Database, clock: FakeClock) -> Work:
    return Work(database, clock)


async def read_all(database: Database, table: Any, order: Any) -> list[Any]:
    async def work(tx: Tx) -> list[Any]:
        return list(await tx.all(select(table.__table__).order_by(order)))

    return await database.read(work)


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


class Platform:
    """Takes customer messages, or fails as it was told to, once for each failure queued."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        """Openid and text of every message that was handed over, refused ones too."""
        self.failures: list[Exception | None] = []

    async def send_custom(self, body: Mapping[str, Any]) -> None:
        self.got.append((body["touser"], body["text"]["content"]))
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.got]


class Post:
    """The whole way of a message: ledger, windows, jobs, sender, a platform."""

    def __init__(self, database: Database, clock: FakeClock, ids: Ids) -> None:
        self.database, self.clock, self.ids = database, clock, ids
        self.work = Work(database, clock)
        self.people = People()
        self.events = Events(clock)
        self.outbox = Outbox(self.work.jobs, clock, self.people, self.events)
        self.platform = Platform()
        self.may_send = True
        self.sender = Sender(
            database,
            self.work.tasks,
            self.work.jobs,
            self.outbox,
            self.people,
            self.events,
            lambda _: self.platform if self.may_send else None,
            clock,
        )
        self.seq = 0

    async def follower(self, number: int = 1, *, subscribed: bool | None = True) -> int:
        row = {
            "id": number,
            "account_id": 1,
            "openid": f"openid-{number}",
            "subscribed": subscribed,
            "held": 0,
            "seen_at": self.clock.now(),
        }

        async def work(tx: Tx) -> None:
            await tx.run(insert(Follower), row)

        await self.database.transaction(work)
        return number

    async def grant(self, bucket: Grant, follower: int = 1, key: str = "k") -> None:
        new = GrantRow(1, follower, bucket, key, self.clock.now())
        await self.database.transaction(lambda tx: windows.grant(tx, [new]))

    async def put(self, *texts: str, follower: int = 1, **options: Any) -> None:
        messages = [self.message(text, follower, **options) for text in texts]
        await self.database.transaction(lambda tx: self.outbox.put(tx, messages))

    def message(self, text: str, follower: int = 1, **options: Any) -> NewMessage:
        self.seq += 1
        fields: dict[str, Any] = {
            "id": self.ids.new(),
            "account_id": 1,
            "follower_id": follower,
            "conversation_id": 7,
            "seq": self.seq,
            "message_id": 1000 + self.seq,
            "payload": to_dict(TextReply(text)),
            "automatic": False,
            "source_key": "w:m:1",
            "held": False,
            "expires_at": self.clock.now() + timedelta(hours=24),
        }
        return NewMessage(**(fields | options))

    async def release(self, *followers: int) -> None:
        await self.database.transaction(lambda tx: self.outbox.release_held(tx, followers))

    async def drain(self, **later: float) -> int:
        return await self.work.runner.drain(self.clock.advance(**later))

    async def rows(self) -> list[Any]:
        return await read_all(self.database, Outbound, Outbound.seq)

    async def states(self) -> list[str]:
        return [row.state for row in await self.rows()]

    async def happened(self) -> list[tuple[str, int, Any]]:
        rows = await read_all(self.database, EventRow, EventRow.id)
        return [(row.kind, row.aggregate_id, row.payload) for row in rows]

    async def used(self) -> dict[str, tuple[int, int]]:
        rows = await read_all(self.database, SendWindow, SendWindow.bucket)
        return {row.bucket: (row.used, row.used_by_bot) for row in rows}

    async def held(self, follower: int = 1) -> int:
        rows = await read_all(self.database, Follower, Follower.id)
        return next(int(row.held) for row in rows if row.id == follower)


@pytest.fixture
def post(database: Database, clock: FakeClock, ids: Ids) -> Post:
    return Post(database, clock, ids)

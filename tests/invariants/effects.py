"""Handlers whose every run leaves a trace: a counter, a row, and a number that never comes twice."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    text,
)

from app.conversation.router import Router
from app.core.decisions import Decision, Effect, Snapshot
from app.core.replies import Reply, TextReply
from app.core.rng import secret_token
from app.db.hot import upsert
from app.db.tx import Tx

METADATA = MetaData()
COUNTER = Table(
    "probe_counter",
    METADATA,
    Column("follower_id", BigInteger, primary_key=True, autoincrement=False),
    Column("n", Integer, nullable=False),
)
TAG = Table(  # no unique key on purpose: a second run must show
    "probe_tag",
    METADATA,
    Column("follower_id", BigInteger, nullable=False),
    Column("key", String(200), nullable=False),
)


def make_tables(connection: Connection) -> None:
    METADATA.create_all(connection)
    connection.execute(text("SELECT 1"))


@dataclass(frozen=True, slots=True)
class CountUp(Effect):
    kind: ClassVar[str] = "probe.count"


@dataclass(frozen=True, slots=True)
class TagKey(Effect):
    kind: ClassVar[str] = "probe.tag"
    key: str


class CountKind:
    kind: ClassVar[str] = "probe.count"

    async def apply(self, tx: Tx, requests: Sequence[CountUp]) -> list[None]:
        for follower, times in sorted(Counter(r.follower for r in requests).items()):
            statement: Any = upsert(tx.dialect, COUNTER).values(follower_id=follower, n=times)
            await tx.run(
                statement.on_conflict_do_update(
                    index_elements=["follower_id"], set_={"n": COUNTER.c.n + times}
                )
            )
        return [None] * len(requests)

    def render(self, outcome: None) -> Reply | None:
        return None


class TagKind:
    kind: ClassVar[str] = "probe.tag"

    async def apply(self, tx: Tx, requests: Sequence[TagKey]) -> list[str]:
        await tx.many(insert(TAG), [{"follower_id": r.follower, "key": r.key} for r in requests])
        return [r.key for r in requests]

    def render(self, outcome: str) -> Reply | None:
        return None


def probe() -> Router:
    router = Router("probe")

    @router.decide()
    def answer(snap: Snapshot) -> Decision:
        follower = snap.follower.id
        unique = TextReply(f"no. {secret_token(12)}")
        return Decision(steps=(CountUp(follower), unique, TagKey(follower, snap.key)))

    return router

"""The intake, and four that are broken on purpose. Each break must be noticed by the kill test.

The pauses only widen a gap that is there without them.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import text

from app.conversation.delivery import Answer, Delivery, ReceiptKey
from app.conversation.intake import Intake
from app.conversation.state import FlowChange, write_flows
from app.db import receipts
from app.db.hot import Hot, upsert
from app.db.receipts import Receipt
from app.db.tx import Tx
from app.db.writer import Later, Writer
from app.engines.followers.inbound import Locked, Who
from app.runtime import Extensions
from tests.invariants.dialogue import Accepted, Finished
from tests.invariants.effects import CountKind, TagKind, probe

GAP_SECONDS = 0.1


async def pause(tx: Tx) -> None:
    if tx.dialect == "postgresql":
        await tx.all(text(f"SELECT pg_sleep({GAP_SECONDS})"))
    else:
        time.sleep(GAP_SECONDS)  # noqa: ASYNC251  # in the writer's own thread


class ReceiptApart(Intake):
    """(a) The receipts are committed after the effects, in a transaction of their own."""

    _late: Sequence[Mapping[str, Any]] = ()

    async def record(self, tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
        self._late = rows

    async def commit(self, batch: Sequence[Delivery]) -> Sequence[Answer | Later]:
        self._late = ()
        answers = await super().commit(batch)
        await asyncio.sleep(GAP_SECONDS)

        async def work(tx: Tx) -> None:
            await tx.many(receipts.INSERT, self._late)

        await self._floor.database.transaction(work)
        return answers


class ReadFirst(Intake):
    """(b) The receipts are read before the followers are locked, and a clash is passed over."""

    _insert = Hot(
        lambda dialect: (
            upsert(dialect, Receipt)
            .values({c.name: _bind(c.name) for c in Receipt.__table__.columns})
            .on_conflict_do_nothing()
        )
    )

    async def lock(self, tx: Tx, batch: Sequence[Delivery]) -> dict[Who, Locked]:
        self._read = await super().known(tx, batch)
        await pause(tx)
        return await super().lock(tx, batch)

    async def known(self, tx: Tx, batch: Sequence[Delivery]) -> dict[ReceiptKey, Answer]:
        return self._read

    async def record(self, tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
        await tx.many(self._insert, rows)


def _bind(name: str) -> Any:
    from sqlalchemy import bindparam  # noqa: PLC0415

    return bindparam(name, type_=Receipt.__table__.c[name].type)


class FlowsApart(Intake):
    """(d) Where followers stand in dialogues is committed after the effects, apart."""

    _moves: tuple[FlowChange, ...] = ()

    async def move(self, tx: Tx, flows: Sequence[FlowChange]) -> None:
        self._moves = tuple(flows)

    async def commit(self, batch: Sequence[Delivery]) -> Sequence[Answer | Later]:
        self._moves = ()
        answers = await super().commit(batch)
        await asyncio.sleep(8 * GAP_SECONDS)  # nothing but a kill in the gap shows it
        now = self._floor.clock.now()
        moves = self._moves
        await self._floor.database.transaction(lambda tx: write_flows(tx, moves, now))
        return answers


class AnswersFirst(Intake):
    """(c) The answers leave before the commit."""

    async def _work(
        self, tx: Tx, batch: Sequence[Delivery], fault: Exception | None = None
    ) -> list[Answer | Later]:
        answers = await super()._work(tx, batch, fault)
        EARLY(batch, answers)
        await pause(tx)
        return answers


class HastyWriter(Writer[Delivery, Answer]):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._loop = asyncio.get_running_loop()
        self._futures: dict[int, asyncio.Future[Answer]] = {}
        global EARLY  # noqa: PLW0603
        EARLY = self.release

    def submit(self, item: Delivery, **options: Any) -> asyncio.Future[Answer]:
        future = super().submit(item, **options)
        self._futures[id(item)] = future
        return future

    def release(self, batch: Sequence[Delivery], answers: Sequence[Answer | Later]) -> None:
        self._loop.call_soon_threadsafe(self._release_now, list(batch), list(answers))

    def _release_now(self, batch: list[Delivery], answers: list[Answer | Later]) -> None:
        for item, answer in zip(batch, answers, strict=True):
            future = self._futures.pop(id(item), None)
            if future is not None and not future.done() and not isinstance(answer, Later):
                future.set_result(answer)


EARLY: Callable[[Sequence[Delivery], Sequence[Answer | Later]], None]

INTAKES: dict[str, type[Intake]] = {
    "sound": Intake,
    "receipt-apart": ReceiptApart,
    "read-first": ReadFirst,
    "answers-first": AnswersFirst,
    "flows-apart": FlowsApart,
}


def extensions(variant: str) -> Extensions:
    return Extensions(
        routers=[probe()],
        kinds=[CountKind(), TagKind()],
        actions=[Accepted, Finished],
        intake=INTAKES[variant],
        writer=HastyWriter if variant == "answers-first" else Writer,
    )

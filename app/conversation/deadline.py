"""The five seconds of a delivery whose answer is made apart.

`receipt.status` is the door: null while it is open, 200 once the handler's answer took the passive
place, 204 once it was closed. Both sides use the same guarded update, so exactly one of them wins.
"""

import asyncio
from collections import defaultdict
from datetime import timedelta

from sqlalchemy import select

from app.conversation.delivery import EMPTY, Answer, Delivery, ReceiptKey
from app.core.clock import Clock
from app.db import receipts
from app.db.database import Database
from app.db.receipts import Receipt
from app.db.tx import Tx
from app.delivery.jobs import Claimed
from app.delivery.runner import Runner
from app.wechat.limits import DELIVERY_ATTEMPTS, REPEAT_WAIT_SECONDS

DOOR_SECONDS = 4.3
"""After this the empty success leaves, so that it is there within 4.5 s."""
_LAST_TRY_AFTER = timedelta(seconds=9)
"""CreateTime is older than this only in the third attempt: they come about 5 s apart."""
_LOOK_SECONDS = 0.15
"""How often another process's answer is looked for."""


class Deadline:
    def __init__(self, database: Database, clock: Clock, runner: Runner) -> None:
        self._database = database
        self._clock = clock
        self._runner = runner
        self._settled: dict[ReceiptKey, list[asyncio.Event]] = defaultdict(list)
        self._begun: set[int] = set()

    def begin(self, claimed: Claimed) -> None:
        """Runs the handler in this process; once, however many requests share the delivery."""
        if claimed.id in self._begun:
            return
        running = self._runner.adopt(claimed)
        self._begun.add(claimed.id)
        running.add_done_callback(lambda _: self._begun.discard(claimed.id))

    def begin_late(self, committed: "asyncio.Future[Answer]") -> None:
        """For a commit that nobody waits for any more: its handler must not wait for the lease's end."""
        if committed.cancelled() or committed.exception() is not None:
            return
        claimed = committed.result().claimed
        if claimed is not None:
            self.begin(claimed)

    def settled(self, key: ReceiptKey) -> None:
        """An apart handler of this process has committed its answer."""
        for event in self._settled.get(key, ()):
            event.set()

    def waits(self, key: ReceiptKey) -> bool:
        """Whether a request in this process still waits for this answer."""
        return key in self._settled

    async def wait(self, delivery: Delivery, pending: Answer) -> Answer | None:
        """The handler's answer, the empty success at the deadline, or None: leave it unanswered.

        Unanswered stay the first two attempts of an account that may not send later: the third
        is its last chance to answer at all.
        """
        first = pending.claimed is not None or pending.tries == 1
        patience = DOOR_SECONDS if first else REPEAT_WAIT_SECONDS
        until = delivery.arrived + patience
        event = asyncio.Event()
        self._settled[delivery.receipt].append(event)
        try:
            if pending.claimed is not None:
                self.begin(pending.claimed)
            elsewhere = pending.claimed is None
            answer = await self._watch(delivery, event, until, elsewhere=elsewhere)
        finally:
            self._forget(delivery.receipt, event)
        if answer is not None:
            return answer
        if delivery.account.view.may_send or _is_last(delivery, pending):
            return await self._close(delivery)
        return None

    async def _watch(
        self, delivery: Delivery, event: asyncio.Event, until: float, *, elsewhere: bool
    ) -> Answer | None:
        """Looks when told to, and now and then where the handler may run in another process: a
        thousand followers waiting for handlers of this one ask the database nothing."""
        while (left := until - self._clock.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(left, _LOOK_SECONDS)):
                    await event.wait()
            except TimeoutError:
                if not elsewhere:
                    continue
            event.clear()
            answer = await self._database.read(lambda tx: _read(tx, delivery.receipt))
            if answer.status is not None:
                return answer
        return None

    def _forget(self, key: ReceiptKey, event: asyncio.Event) -> None:
        waiting = self._settled[key]
        waiting.remove(event)
        if not waiting:
            del self._settled[key]

    async def _close(self, delivery: Delivery) -> Answer:
        """Closes the door; the handler's answer, if that was quicker."""

        async def work(tx: Tx) -> Answer:
            return (
                EMPTY
                if await close_door(tx, delivery.receipt)
                else await _read(tx, delivery.receipt)
            )

        return await self._database.transaction(work, urgent=True)


async def close_door(tx: Tx, key: ReceiptKey) -> bool:
    """No passive answer from now on; false when one is there already or the door was closed."""
    return await _settle(tx, key, 204, None)


async def take_door(tx: Tx, key: ReceiptKey, xml: str) -> bool:
    """Puts `xml` in the passive place; false when the door is closed."""
    return await _settle(tx, key, 200, xml)


async def _settle(tx: Tx, key: ReceiptKey, status: int, answer: str | None) -> bool:
    touched = await tx.run(
        receipts.SETTLE,
        {"k": key[0], "a": key[1], "new_status": status, "new_answer": answer},
    )
    return touched == 1


async def _read(tx: Tx, key: ReceiptKey) -> Answer:
    row = await tx.first(
        select(Receipt.status, Receipt.answer, Receipt.tries).where(
            Receipt.key == key[0], Receipt.account_id == key[1]
        )
    )
    return Answer(row.status, row.answer, tries=row.tries)


def _is_last(delivery: Delivery, pending: Answer) -> bool:
    age = delivery.arrived_at.timestamp() - delivery.message.created_at
    return pending.tries >= DELIVERY_ATTEMPTS or age >= _LAST_TRY_AFTER.total_seconds()

"""Group commit: one commit in flight, and whatever arrives meanwhile is the next batch.

No timer: an idle server commits at once, a busy one in growing batches. Deliveries and coupon
claims are its clients. An answer is released only after the commit that holds it.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Generic, TypeAlias, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from app.core.clock import Clock
from app.core.errors import Unavailable
from app.core.log import get_logger
from app.db.faults import is_passing

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MAX_BATCH = 128
CAPACITY = 4096
OLDEST_SECONDS = 3.5
TROUBLE_SECONDS = 10.0
"""How long a failed commit makes the process unready, unless a later one succeeds: without traffic
nobody would notice that the database is well again."""
WELL = float("-inf")
_LOG = get_logger(__name__)

_BATCH_SIZE = Histogram(
    "guanxi_writer_batch_size", "Items per commit", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
_BATCH_SECONDS = Histogram("guanxi_writer_batch_seconds", "Seconds per commit")
_QUEUED = Gauge("guanxi_writer_queue", "Items waiting for their batch")
_TROUBLE = Counter(
    "guanxi_writer_trouble_total", "Batches that failed, by what was done", ["outcome"]
)


class Later(Enum):
    """What a commit gives for an item whose row another process holds: it is tried again."""

    LATER = "later"


LATER: Final = Later.LATER
Commit: TypeAlias = Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Later]]]


class Overloaded(Unavailable):
    code = "OVERLOADED"
    zh = "服务器繁忙，请稍后再试"
    en = "The server is busy; try again shortly"


class Expired(Unavailable):
    """The item was not committed by its deadline. It may still be, if its commit is under way."""

    code = "EXPIRED"


@dataclass(slots=True, eq=False)
class _Ticket(Generic[Item, Answer]):
    item: Item
    lane: Hashable
    arrived: float
    deadline: float
    future: asyncio.Future[Answer] = field(repr=False)


class Writer(Generic[Item, Answer]):
    """Collects items and commits them in batches.

    `commit(items)` answers each item in order, in one transaction of its own, or raises.
    `rescue(item, error)` is asked for an item that alone made its transaction fail; what it
    returns is that item's answer, what it raises is its error.

    In a batch no two items share a lane, and items of a lane keep their order. At most `CAPACITY`
    items wait, and none is taken while the oldest has waited over `OLDEST_SECONDS`.
    """

    def __init__(
        self,
        commit: Commit[Item, Answer],
        rescue: Callable[[Item, Exception], Awaitable[Answer]],
        clock: Clock,
        *,
        max_batch: int = MAX_BATCH,
        capacity: int = CAPACITY,
    ) -> None:
        self._commit = commit
        self._rescue = rescue
        self._clock = clock
        self._max_batch = max_batch
        self._capacity = capacity
        self._queue: OrderedDict[int, _Ticket[Item, Answer]] = OrderedDict()
        self._shared: dict[Hashable, _Ticket[Item, Answer]] = {}
        self._wake = asyncio.Event()
        self._count = 0
        self.failed_at = WELL
        """When the last commit met a database that is busy, full or away; `WELL` when it did not."""
        self._began: float | None = None
        """When the commit under way began."""

    def __len__(self) -> int:
        return len(self._queue)

    def oldest_seconds(self) -> float:
        """How long the oldest waiting item has waited."""
        first = next(iter(self._queue.values()), None)
        return 0.0 if first is None else self._clock.monotonic() - first.arrived

    def problem(self) -> str | None:
        """Why items would wait in vain just now; None while all is well."""
        now = self._clock.monotonic()
        waiting = max(self.oldest_seconds(), 0.0 if self._began is None else now - self._began)
        if waiting > OLDEST_SECONDS:
            return f"the oldest has waited for {waiting:.1f} s"
        if now - self.failed_at < TROUBLE_SECONDS:
            return "the last commit met a database that is busy, full or away"
        return None

    def submit(
        self, item: Item, *, key: Hashable, lane: Hashable, deadline: float
    ) -> asyncio.Future[Answer]:
        """Queues the item; the future resolves after its commit.

        A key already under way shares that item's future, and lends it the later of both deadlines.
        Await it shielded: it may have other waiters. `deadline` is on the clock's monotonic scale; an
        item still queued then fails with `Expired`. Raises `Overloaded` when the queue is full or too
        old.
        """
        known = self._shared.get(key)
        if known is not None:
            known.deadline = max(known.deadline, deadline)
            return known.future
        if len(self._queue) >= self._capacity or self.oldest_seconds() > OLDEST_SECONDS:
            raise Overloaded
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._count += 1
        ticket = _Ticket(item, lane, self._clock.monotonic(), deadline, future)
        self._queue[self._count] = self._shared[key] = ticket
        future.add_done_callback(lambda _: self._forget(key))
        self._wake.set()
        return future

    def _forget(self, key: Hashable) -> None:
        ticket = self._shared.pop(key, None)
        if ticket is not None and not ticket.future.cancelled():
            ticket.future.exception()  # seen: whoever waited may be gone

    async def run(self) -> None:
        """The writer's loop; ends only by cancellation."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := self._take():
                self._began = self._clock.monotonic()
                away = await self._settle(batch)
                self._began = None
                if not away and self.failed_at != WELL:
                    _LOG.info("writer.database_well")
                self.failed_at = self._clock.monotonic() if away else WELL
                if away or self._all_waiting(batch):
                    await asyncio.sleep(
                        0.02
                    )  # the database is away, or every row is held elsewhere

    def _take(self) -> list[_Ticket[Item, Answer]]:
        """The next batch: arrival order, one per lane, nothing past its deadline."""
        now = self._clock.monotonic()
        batch: list[_Ticket[Item, Answer]] = []
        lanes: set[Hashable] = set()
        left: list[int] = []
        for number, ticket in self._queue.items():
            if ticket.deadline <= now or ticket.future.done():
                left.append(number)
                if not ticket.future.done():
                    ticket.future.set_exception(Expired())
            elif ticket.lane not in lanes:
                left.append(number)
                lanes.add(ticket.lane)
                batch.append(ticket)
                if len(batch) == self._max_batch:
                    break
        for number in left:
            del self._queue[number]
        _QUEUED.set(len(self._queue))
        return batch

    def _all_waiting(self, batch: Sequence[_Ticket[Item, Answer]]) -> bool:
        return all(not ticket.future.done() for ticket in batch)

    def _put_back(self, batch: Sequence[_Ticket[Item, Answer]]) -> None:
        """Before everything else, in their old order, so that a lane keeps its order."""
        for ticket in reversed(batch):
            self._count += 1
            self._queue[self._count] = ticket
            self._queue.move_to_end(self._count, last=False)

    async def _settle(self, batch: list[_Ticket[Item, Answer]]) -> bool:
        """Commits the batch, in halves where one item is at fault; true when the database is."""
        parts = deque([batch])
        while parts:
            part = parts.popleft()
            try:
                answers = await self._timed(part)
            except Exception as error:  # noqa: BLE001  # each kind is dealt with below
                if is_passing(error):
                    _TROUBLE.labels("later").inc()
                    if self.failed_at == WELL:  # once, not at each of fifty tries a second
                        _LOG.warning("writer.database_trouble", items=len(part), error=str(error))
                    self._put_back([t for p in (part, *parts) for t in p])
                    return True
                if len(part) > 1:
                    _TROUBLE.labels("halved").inc()
                    middle = len(part) // 2
                    parts.extendleft((part[middle:], part[:middle]))
                else:
                    await self._rescued(part[0], error)
            else:
                self._release(part, answers)
        return False

    async def _timed(self, part: Sequence[_Ticket[Item, Answer]]) -> Sequence[Answer | Later]:
        started = self._clock.monotonic()
        answers = await self._commit([ticket.item for ticket in part])
        _BATCH_SIZE.observe(len(part))
        _BATCH_SECONDS.observe(self._clock.monotonic() - started)
        return answers

    def _release(
        self, part: Sequence[_Ticket[Item, Answer]], answers: Sequence[Answer | Later]
    ) -> None:
        held: list[_Ticket[Item, Answer]] = []
        for ticket, answer in zip(part, answers, strict=True):
            if answer is LATER:
                held.append(ticket)
            elif not ticket.future.done():
                ticket.future.set_result(answer)
        self._put_back(held)

    async def _rescued(self, ticket: _Ticket[Item, Answer], error: Exception) -> None:
        _TROUBLE.labels("alone").inc()
        try:
            answer: Any = await self._rescue(ticket.item, error)
        except Exception as second:  # noqa: BLE001  # the item's own error from here on
            _LOG.error("writer.item_failed", error=repr(second), exc_info=second)
            if not ticket.future.done():
                ticket.future.set_exception(second)
        else:
            if not ticket.future.done():
                ticket.future.set_result(answer)

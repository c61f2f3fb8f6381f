"""Handlers that need time: the network, shared rows, transactions of their own.

The batch has stored the delivery and a job. The job runs the handler and puts its answer where the
follower will see it: in the passive place while that is open, else in the ledger, which sends it or
keeps it for the next contact. A crash leaves the job to any worker.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import bindparam, select

from app.accounts.registry import AccountRegistry, LiveAccount
from app.conversation.compose import apology, join_held, merge
from app.conversation.deadline import Deadline, close_door, take_door
from app.conversation.delivery import ReceiptKey
from app.conversation.intake import FAULTS, Floor
from app.conversation.records import fault_event, outgoing
from app.core.clock import Clock
from app.core.decisions import AccountView, ConversationView, FollowerView
from app.core.errors import NotFound
from app.core.ids import AccountId, ConversationId, FollowerId
from app.core.incoming import Incoming
from app.core.log import get_logger
from app.core.replies import KINDS, Reply, from_dict
from app.db.database import Database
from app.db.tx import Tx, Work
from app.delivery.outbound import HeldRow
from app.delivery.work import TaskContext
from app.engines.followers.models import Follower
from app.engines.followers.recipients import lock_follower
from app.engines.followers.tags import tags_of
from app.engines.support.inbound import Said
from app.engines.support.models import Conversation, Message
from app.engines.support.moves import HELD
from app.wechat.parse import parse
from app.wechat.render import passive

T = TypeVar("T")

HANDLER_SECONDS = 60.0
"""A handler that has not returned by then is given up: apology and `fault` event."""
_REPEATS_END = timedelta(seconds=13)
"""After CreateTime; from then on the platform does not ask again, so a passive answer would be lost."""
_LOG = get_logger(__name__)


class NeverFinished(RuntimeError):
    """Every try so far ended with its process or without a stored answer; nobody is asked again."""

    def __init__(self) -> None:
        super().__init__("the handler never came to an end")


@dataclass(frozen=True, slots=True)
class Context:
    """What an apart handler is given."""

    account: AccountView
    follower: FollowerView
    conversation: ConversationView
    incoming: Incoming
    key: str
    """What must happen once is written under this key: the handler may run again after a crash."""
    clock: Clock
    services: Any = field(repr=False)
    """The runtime: engines and clients."""
    _database: Database = field(repr=False)

    async def transaction(self, work: Work[T]) -> T:
        """Runs `work(tx)` in a transaction that holds the follower's lock.

        Only `tx` may be awaited inside; see `Database.transaction`.
        """

        async def locked(tx: Tx) -> T:
            await lock_follower(tx, self.follower.id)
            return await work(tx)

        return await self._database.transaction(locked)


@dataclass(frozen=True, slots=True)
class _Stored:
    """The delivery as the batch wrote it."""

    account: LiveAccount
    receipt: ReceiptKey
    openid: str
    sender: str
    """The account's original id, as the delivery named it."""
    wx_created_at: int
    bot_epoch: int | None
    """When the handler was asked; None when a person has been called since the delivery came."""
    context: Context


def _nobody(_: str, __: Exception) -> None:
    """Nobody wants to know."""


class ApartHandlers:
    """Runs the job `conversation.answer_apart`.

    Its last try asks no handler: one that took its process down each time would go unanswered.
    """

    def __init__(
        self,
        floor: Floor,
        accounts: AccountRegistry,
        deadline: Deadline,
        handler_seconds: float = HANDLER_SECONDS,
        on_failure: Callable[[str, Exception], None] = _nobody,
    ) -> None:
        """`on_failure` is told the name of each handler that failed, and how. Not of one that never came
        to an end: if it took its process down by blocking, that was counted then; if not, it is not
        known whose fault it was."""
        self._floor = floor
        self._accounts = accounts
        self._deadline = deadline
        self._handler_seconds = handler_seconds
        self._on_failure = on_failure

    async def run(self, ctx: TaskContext, account_id: int, key: str, handler: str) -> None:
        """Answers one delivery. The answer and the end of the job are one transaction."""
        account = self._accounts.by_id(AccountId(account_id))
        if account is None:
            raise NotFound(what=f"account {account_id}")
        services = ctx.services
        stored = await self._floor.database.read(lambda tx: self._load(tx, account, key, services))
        if ctx.job.attempt < ctx.job.max_attempts:
            replies, fault = await self._ask(handler, stored.context)
        else:
            replies, fault = self._sorry(handler, stored.context, NeverFinished())

        async def finish(tx: Tx) -> None:
            await self._finish(tx, stored, replies, fault)
            await ctx.finish_in(tx)
            tx.after_commit(lambda: self._deadline.settled(stored.receipt))

        await self._floor.database.transaction(finish)

    async def _ask(self, name: str, context: Context) -> tuple[Sequence[Reply], Exception | None]:
        """What the handler says, or the apology that stands for one that failed."""
        try:
            handler = self._floor.routing.aparts[name]
            async with asyncio.timeout(self._handler_seconds):
                return _as_replies(await handler(context)), None
        except Exception as error:  # noqa: BLE001  # any handler may be at fault
            self._on_failure(name, error)
            return self._sorry(name, context, error)

    def _sorry(
        self, name: str, context: Context, error: Exception
    ) -> tuple[Sequence[Reply], Exception]:
        FAULTS.labels("apart").inc()
        _LOG.error("handler.failed", handler=name, key=context.key, exc_info=error)
        return [apology(context.account)], error

    async def _finish(
        self,
        tx: Tx,
        stored: _Stored,
        replies: Sequence[Reply],
        fault: Exception | None,
    ) -> None:
        """Says what the handler said, unless a person was called or came meanwhile: a slow bot does
        not talk over them."""
        floor, context = self._floor, stored.context
        await lock_follower(tx, context.follower.id)
        conversation = await floor.support.get(tx, context.conversation.id)
        if conversation.state in HELD or conversation.bot_epoch != stored.bot_epoch:
            _LOG.info("apart.dropped", key=context.key, state=conversation.state)
            replies = ()
        said = floor.support.place(merge(replies), conversation.last_seq + 1)
        events = await floor.support.append(
            tx, context.account.id, context.follower.id, conversation, said, floor.clock.now()
        )
        rest = said[1:] if await self._said_passively(tx, stored, said) else said
        if rest:
            await floor.outbox.put(
                tx,
                [
                    outgoing(
                        floor.ids,
                        context.account.id,
                        context.follower.id,
                        conversation.id,
                        one,
                        source_key=context.key,
                        held=not context.account.may_send,
                        at=floor.clock.now(),
                    )
                    for one in rest
                ],
            )
        if fault is not None:
            events.append(
                fault_event(context.account.id, context.conversation.id, context.key, fault)
            )
        await floor.events.emit(tx, events)

    async def _said_passively(self, tx: Tx, stored: _Stored, said: Sequence[Said]) -> bool:
        """Fills the passive place or closes it; whether it took the first of what is said.

        What waited for a contact of a follower whom nothing else can reach goes before it.
        """
        held = await self._held(tx, stored.context)
        first = said[0].reply if said else None
        reply, carried, takes_new = join_held([from_dict(row.payload) for row in held], first)
        xml = self._passive(stored, reply) if reply is not None else ""
        if not xml or not self._passive_place_is_seen(stored):
            await close_door(tx, stored.receipt)
            return False
        if not await take_door(tx, stored.receipt, xml):
            return False
        await self._floor.outbox.mark_passive(tx, stored.context.follower.id, held[:carried])
        return takes_new

    async def _held(self, tx: Tx, context: Context) -> Sequence[HeldRow]:
        if context.account.may_send:
            return ()
        follower = context.follower.id
        return (await self._floor.outbox.held(tx, [follower])).get(follower, ())

    def _passive_place_is_seen(self, stored: _Stored) -> bool:
        """Whether somebody still waits for, or will ask for, the passive answer.

        An account that may send needs a request waiting in this very process; one that may not
        counts on the platform's next attempt.
        """
        now = self._floor.clock.now()
        if not stored.context.incoming.answerable:
            return False
        if stored.account.view.may_send:
            return self._deadline.waits(stored.receipt)
        return now.timestamp() < stored.wx_created_at + _REPEATS_END.total_seconds()

    def _passive(self, stored: _Stored, reply: Reply) -> str:
        return passive(
            reply,
            to=stored.openid,
            sender=stored.sender,
            created_at=int(self._floor.clock.now().timestamp()),
        )

    async def _load(self, tx: Tx, account: LiveAccount, key: str, services: Any) -> _Stored:
        row = await tx.first(_STORED, {"key": key, "account": account.id})
        if row is None:
            raise NotFound(what=f"delivery {key}")
        message = parse(row.raw)
        follower = FollowerId(row.follower_id)
        context = Context(
            account=account.view,
            follower=FollowerView(
                follower,
                new=row.seq == 1,
                subscribed=row.subscribed,
                tags=(await tx.ask(tags_of([follower]))).get(follower, frozenset()),
            ),
            conversation=ConversationView(
                ConversationId(row.conversation_id), row.state, row.bot_misses
            ),
            incoming=message.incoming(),
            key=key,
            clock=self._floor.clock,
            services=services,
            _database=self._floor.database,
        )
        return _Stored(
            account=account,
            receipt=(key, account.id),
            openid=row.openid,
            sender=message.account,
            wx_created_at=message.created_at,
            bot_epoch=None if _called_since(row) else row.bot_epoch,
            context=context,
        )


_STORED = (
    select(
        Message.raw,
        Message.seq,
        Message.conversation_id,
        Message.follower_id,
        Follower.openid,
        Follower.subscribed,
        Conversation.state,
        Conversation.bot_misses,
        Conversation.bot_epoch,
        Conversation.queued_at,
        Message.created_at,
    )
    .join(Follower, Follower.id == Message.follower_id)
    .join(Conversation, Conversation.id == Message.conversation_id)
    .where(Message.receipt_key == bindparam("key"), Message.account_id == bindparam("account"))
    .order_by(Message.id.desc())  # a receipt lives for a day, and a key may come again after it
)


def _called_since(row: Any) -> bool:
    """Whether a person was called after the delivery came: the handler is asked anew after a crash."""
    return row.state == "queued" and row.queued_at is not None and row.queued_at > row.created_at


def _as_replies(result: object) -> Sequence[Reply]:
    """Raises `TypeError` for anything but a reply, a sequence of replies, or None."""
    if result is None:
        return ()
    said = result if isinstance(result, list | tuple) else (result,)
    for one in said:
        if not isinstance(one, KINDS):
            raise TypeError(f"the handler returned {type(one).__name__}, which is no reply")
    return said

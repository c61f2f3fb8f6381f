"""The drain job of a follower: sends what the ledger holds, in order, and records what became of it.

For each message one transaction charges a window and moves the row to `sending`; the call is made
outside; another transaction records the outcome. A row found in `sending` was left by a process that
died or lost its lease: whether the follower saw it nobody knows, so it becomes `unknown` and is not
sent again by itself.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias

from app.core.clock import Clock, from_millis, to_millis
from app.core.log import get_logger
from app.core.replies import from_dict
from app.db.database import Database
from app.db.events import Events
from app.db.faults import is_passing
from app.db.tx import Tx
from app.delivery import ledger, metrics, rates, verdict, window, windows
from app.delivery.jobs import Jobs
from app.delivery.ledger import Entry
from app.delivery.outbound import DRAIN, Outbox
from app.delivery.recipients import Recipient, Recipients
from app.delivery.tasks import Task, Tasks
from app.delivery.verdict import Kind, Verdict
from app.delivery.window import WhyNot
from app.delivery.work import TaskContext
from app.wechat.render import customer_message

WAKE = "delivery.wake_follower"
MOST_A_RUN = 5
"""Messages sent by one run of the job; then others have their turn."""
MOST_REFUSED = 100
"""Messages that one transaction may find unsendable."""
RECORD_PAUSES = (0.1, 0.4, 1.5)
"""Seconds between attempts to write an outcome while the database is away."""
RUN_SECONDS = 75.0
"""Five calls of at most 8 s each, token and waits included."""
_LOG = get_logger(__name__)

EXPIRED = WhyNot("EXPIRED", "消息已过有效期，未发送", "The message was too old to be sent")
NO_FOLLOWER = WhyNot("NO_FOLLOWER", "找不到这个粉丝", "There is no such follower")
NOT_SUBSCRIBED = WhyNot(
    "NOT_SUBSCRIBED",
    "对方已取消关注，无法发送",
    "They do not follow any more, so nothing may be sent",
)
NOT_ALLOWED = WhyNot(
    "NOT_ALLOWED",
    "该公众号没有客服消息权限，或已停用",
    "This account may not send customer messages, or is switched off",
)
LEFT_IN_MID_SEND = WhyNot(
    "UNKNOWN",
    "发送途中程序中断，可能已送达",
    "The process ended while it was sending: it may have arrived",
)


class CustomerApi(Protocol):
    """What the sender needs of `app.wechat.client.AccountApi`."""

    async def send_custom(self, body: Mapping[str, Any]) -> None: ...


ApiOf: TypeAlias = Callable[[int], CustomerApi | None]
"""From an account's id to its API; None where it may not send customer messages."""


@dataclass(frozen=True, slots=True)
class _Sending:
    """A message that this process hands to the platform now."""

    entry: Entry
    api: CustomerApi
    openid: str
    bucket: str
    source_key: str
    """The grant that was charged."""
    since: datetime


@dataclass(frozen=True, slots=True)
class _Stop:
    """Nothing to send now; the job is over."""


class Sender:
    """Registers the tasks `delivery.drain_follower` and `delivery.wake_follower`."""

    def __init__(
        self,
        database: Database,
        tasks: Tasks,
        jobs: Jobs,
        outbox: Outbox,
        recipients: Recipients,
        events: Events,
        api_of: ApiOf,
        clock: Clock,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._outbox = outbox
        self._recipients = recipients
        self._events = events
        self._api_of = api_of
        self._clock = clock
        tasks.add(Task(DRAIN, "send", self.drain, attempts=20, timeout_seconds=RUN_SECONDS))
        self._wake = tasks.add(Task(WAKE, "send", self.wake, attempts=20))

    async def wake(self, ctx: TaskContext, account_id: int, follower_id: int) -> None:
        """A timer has come: starts the drain job. It has no lane of its own, so that it holds
        nothing back while it waits."""

        async def work(tx: Tx) -> None:
            await self._recipients.lock(tx, follower_id)
            await self._outbox.drain_soon(tx, {follower_id: account_id})
            await ctx.finish_in(tx)

        await self._database.transaction(work)

    async def drain(self, ctx: TaskContext, account_id: int, follower_id: int) -> None:
        """Sends the follower's messages until there is none, one has to wait, or five went out."""
        for number in range(MOST_A_RUN + 1):

            async def next_one(tx: Tx, last: bool = number == MOST_A_RUN) -> _Sending | _Stop:
                return await self._next(tx, ctx, follower_id, account_id, last=last)

            sending = await self._database.transaction(next_one)
            if isinstance(sending, _Stop):
                return
            await self._send(sending)

    # --- before the call --------------------------------------------------------------------------

    async def _next(
        self, tx: Tx, ctx: TaskContext, follower_id: int, account_id: int, *, last: bool
    ) -> _Sending | _Stop:
        """Moves the head of the line to `sending`, past those that cannot go; or ends the job."""
        recipient = await self._recipients.lock(tx, follower_id)
        await ctx.hold(tx)
        for refused in itertools.count():
            entry = await ledger.head(tx, follower_id)
            if entry is None or entry.state == "held":
                break
            if entry.state == "sending":
                await self._refuse(tx, entry, "unknown", LEFT_IN_MID_SEND)
                continue
            wait_until = await self._wait_until(tx, entry)
            if wait_until is not None:
                await self._wake_at(tx, entry, wait_until)
                break
            if last or refused == MOST_REFUSED:
                await self._outbox.drain_soon(tx, {follower_id: account_id})
                break
            sending = await self._start(tx, entry, recipient)
            if sending is not None:
                return sending
        await ctx.finish_in(tx)
        return _Stop()

    async def _start(self, tx: Tx, entry: Entry, recipient: Recipient | None) -> _Sending | None:
        """Charges a window; None when the message may not go out, which is recorded then."""
        now = self._clock.now()
        if recipient is None or recipient.subscribed is False:
            await self._refuse(
                tx, entry, "failed", NO_FOLLOWER if recipient is None else NOT_SUBSCRIBED
            )
            return None
        if entry.expires_at <= now:
            await self._refuse(tx, entry, "blocked", EXPIRED)
            return None
        api = self._api_of(entry.account_id)
        if api is None:
            await self._block_or_hold(tx, entry, NOT_ALLOWED)
            return None
        rows = (await tx.ask(windows.windows_of([entry.follower_id]))).get(entry.follower_id, [])
        bucket = window.choose(rows, now, entry.automatic)
        if bucket is None or not await windows.charge(
            tx, entry.follower_id, bucket, now, entry.automatic
        ):
            reason = window.why_not(rows, now, entry.automatic) or window.QUOTA_USED
            await self._block_or_hold(tx, entry, reason)
            return None
        if not await ledger.start(tx, entry, bucket):
            raise RuntimeError(f"outbound {entry.id} was moved by somebody without the lock")
        source = next(row.source_key for row in rows if row.bucket == bucket)
        trying = replace(entry, state="sending", attempts=entry.attempts + 1)
        return _Sending(trying, api, recipient.openid, bucket, source, now)

    async def _wait_until(self, tx: Tx, entry: Entry) -> datetime | None:
        """When the message may be tried, if that is not now: after a refusal, or a pause of all."""
        now = self._clock.now()
        paused = await rates.stopped_until(tx, _rate_of(entry.account_id), to_millis(now))
        moments = [entry.next_attempt_at, None if paused is None else from_millis(paused)]
        later = [moment for moment in moments if moment is not None and moment > now]
        return max(later) if later else None

    async def _wake_at(self, tx: Tx, entry: Entry, moment: datetime) -> None:
        args = {"account_id": entry.account_id, "follower_id": entry.follower_id}
        dedup = f"wake:{entry.follower_id}"
        if not await self._jobs.reschedule(tx, dedup=dedup, run_at=moment):
            await self._jobs.enqueue(
                tx, self._wake, args, account_id=entry.account_id, run_at=moment, dedup=dedup
            )

    async def _block_or_hold(self, tx: Tx, entry: Entry, why: WhyNot) -> None:
        if entry.route == "held":
            await self._hold(tx, entry, why.code, why.zh)
        else:
            await self._refuse(tx, entry, "blocked", why)

    async def _hold(self, tx: Tx, entry: Entry, code: str, words: str) -> None:
        """Waits for the follower's next contact."""
        if await ledger.end(tx, entry, "held", code=code, words=words):
            await self._recipients.add_held(tx, entry.follower_id, 1)
            _count(tx, "held", code)

    async def _refuse(self, tx: Tx, entry: Entry, state: str, why: WhyNot) -> None:
        await ledger.end(tx, entry, state, code=why.code, words=why.zh)
        _count(tx, state, why.code)
        happened = ledger.event(f"message.{state}", entry, code=why.code, text=why.zh)
        await self._events.emit(tx, [happened])

    # --- the call and after -----------------------------------------------------------------------

    async def _send(self, sending: _Sending) -> None:
        """No transaction is open here."""
        judged = await self._call(sending)
        if judged is None:
            await self._record(lambda tx: self._sent(tx, sending.entry))
        else:
            await self._record(lambda tx: self._failed(tx, sending, judged))

    async def _call(self, sending: _Sending) -> Verdict | None:
        """Hands the message to the platform; None when it was taken."""
        entry = sending.entry
        try:
            body = customer_message(from_dict(entry.payload), sending.openid)
        except (ValueError, TypeError) as error:
            return Verdict(Kind.FAILED, "NOT_SENDABLE", str(error))
        try:
            await sending.api.send_custom(body)
        except Exception as error:  # noqa: BLE001  # every failure is recorded with the message
            judged = verdict.judge(error, entry.attempts)
            _LOG.warning(
                "message.not_sent",
                outbound=entry.id,
                errcode=judged.code,
                outcome=judged.kind.value,
                error=str(error),
            )
            return judged
        return None

    async def _record(self, work: Callable[[Tx], Coroutine[Any, Any, None]]) -> None:
        """Writes an outcome, with patience: when it is lost, people see `unknown` instead."""
        for pause in RECORD_PAUSES:
            try:
                await self._database.transaction(work)
            except Exception as error:
                if not is_passing(error):
                    raise
                _LOG.warning("message.outcome_waits", error=repr(error))
                await asyncio.sleep(pause)
            else:
                return
        await self._database.transaction(work)

    async def _sent(self, tx: Tx, entry: Entry) -> None:
        if await ledger.end(tx, entry, "sent", route="customer", sent_at=self._clock.now()):
            await self._events.emit(tx, [ledger.event("message.sent", entry, route="customer")])
            _count(tx, "sent", "0")

    async def _failed(self, tx: Tx, sending: _Sending, judged: Verdict) -> None:
        entry, now = sending.entry, self._clock.now()
        await self._recipients.lock(tx, entry.follower_id)
        await self._learn(tx, sending, judged)
        if judged.kind is Kind.BLOCKED and entry.route == "held":
            await self._hold(tx, entry, judged.code, judged.words)
            return
        again = judged.kind is Kind.AGAIN
        moved = await ledger.end(
            tx,
            entry,
            judged.kind.value,
            code=judged.code,
            words=judged.words,
            next_attempt_at=now + timedelta(seconds=judged.again_seconds) if again else None,
        )
        if not moved:
            return
        _count(tx, "again" if again else judged.kind.value, judged.code)
        if not again:
            kind = f"message.{judged.kind.value}"
            happened = ledger.event(kind, entry, code=judged.code, text=judged.words)
            await self._events.emit(tx, [happened])

    async def _learn(self, tx: Tx, sending: _Sending, judged: Verdict) -> None:
        """What the refusal says of the follower, the window, the account."""
        entry = sending.entry
        if judged.unsubscribed:
            await self._recipients.set_unsubscribed(tx, entry.follower_id)
        if judged.window_over:
            await windows.expire(tx, entry.follower_id, sending.since)
        if judged.quota_used:
            await windows.exhaust(tx, entry.follower_id, sending.bucket, sending.source_key)
        if judged.certainly_not_sent:
            await windows.refund(
                tx,
                entry.follower_id,
                sending.bucket,
                sending.source_key,
                automatic=entry.automatic,
            )
        if judged.pause_seconds:
            until = self._clock.now() + timedelta(seconds=judged.pause_seconds)
            await rates.stop(tx, _rate_of(entry.account_id), to_millis(until))


def _rate_of(account_id: int) -> str:
    return f"cs:{account_id}"


def _count(tx: Tx, outcome: str, code: str) -> None:
    tx.after_commit(lambda: metrics.SENDS.labels(outcome, code).inc())

"""A batch of deliveries, from lock to commit. The heart of the house.

One transaction: lock the followers, read the receipts, read the snapshots, decide in arrival order,
apply the effects set-wise, write everything. Nothing here awaits anything but the transaction.
"""

from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from prometheus_client import Counter

from app.conversation.compose import apology, join_held, merge
from app.conversation.delivery import EMPTY, Answer, Delivery, ReceiptKey
from app.conversation.records import (
    Case,
    contact_of,
    fault_event,
    grant_of,
    outgoing,
    platform_event,
    receipt_row,
    rendered,
    wx_msg_id,
)
from app.conversation.router import Routing
from app.conversation.state import FlowChange, flows_of, write_flows
from app.core.blame import PartFailed
from app.core.clock import Clock
from app.core.decisions import KEEP, ConversationView, Decision, Effect, FollowerView, Snapshot
from app.core.ids import Ids, MessageId
from app.core.log import get_logger
from app.core.replies import Reply, from_dict
from app.db import receipts
from app.db.database import Database
from app.db.effects import EffectKinds
from app.db.events import Events
from app.db.tx import Tx
from app.db.writer import LATER, Later
from app.delivery import window, windows
from app.delivery.jobs import Claimed, Jobs
from app.delivery.outbound import Outbox
from app.delivery.tasks import Task
from app.engines.followers import inbound as followers
from app.engines.followers.inbound import Locked, Who
from app.engines.followers.tags import tags_of
from app.engines.support import inbound as support
from app.engines.support.inbound import Turn
from app.engines.support.moves import move_among

APART_LEASE_SECONDS = 30.0
_LOG = get_logger(__name__)

_DELIVERIES = Counter(
    "guanxi_deliveries_total", "Deliveries committed, by what became of them", ["outcome"]
)
FAULTS = Counter("guanxi_faults_total", "Exceptions in handlers and effects", ["where"])


@dataclass(frozen=True, slots=True)
class Floor:
    """What intake works with; built once in `runtime`."""

    database: Database
    ids: Ids
    clock: Clock
    routing: Routing
    kinds: EffectKinds
    followers: followers.Inbound
    support: support.Inbound
    events: Events
    jobs: Jobs
    outbox: Outbox
    worker: str
    """This process, as jobs know it."""


class Intake:
    """`commit` and `rescue` are what the writer calls."""

    def __init__(self, floor: Floor, apart: Task) -> None:
        """`apart` is the task that runs apart handlers."""
        self._floor = floor
        self._apart = apart

    async def commit(self, batch: Sequence[Delivery]) -> Sequence[Answer | Later]:
        """One transaction for the whole batch; an answer for each delivery, in order.

        `LATER` for one whose follower another process holds. Run again after a conflict or a lost
        connection it finds what was stored, so an unknown outcome of COMMIT does no harm.
        """
        return await self._floor.database.transaction(lambda tx: self._work(tx, batch), urgent=True)

    async def rescue(self, delivery: Delivery, error: Exception) -> Answer:
        """Stores a delivery whose effects failed, with an apology and a `fault` event.

        Raises when even that cannot be stored: the platform is then met with silence.
        """
        answers = await self._floor.database.transaction(
            lambda tx: self._work(tx, [delivery], error), urgent=True
        )
        first = answers[0]
        if isinstance(first, Later):
            raise error
        return first

    async def _work(
        self, tx: Tx, batch: Sequence[Delivery], fault: Exception | None = None
    ) -> list[Answer | Later]:
        locked = await self.lock(tx, batch)
        known = await self.known(tx, batch)
        answers: dict[int, Answer | Later] = {}
        fresh: list[Delivery] = []
        repeats: list[Delivery] = []
        for place, delivery in enumerate(batch):
            if delivery.who is not None and delivery.who not in locked:
                answers[place] = LATER
            elif delivery.receipt in known:
                answers[place] = known[delivery.receipt]
                repeats.append(delivery)
            else:
                fresh.append(delivery)
        await self._count_tries(tx, repeats, known)
        made = await self._fresh(tx, fresh, locked, fault)
        outcomes = [*map(_repeated, answers.values()), *map(_made, made.values())]
        tx.after_commit(lambda: _count(outcomes))
        return [
            answers[place] if place in answers else made[delivery.receipt]
            for place, delivery in enumerate(batch)
        ]

    # --- a and b: locks, then receipts -----------------------------------------------------------

    async def lock(self, tx: Tx, batch: Sequence[Delivery]) -> dict[Who, Locked]:
        wanted = [d.who for d in batch if d.who is not None]
        if not wanted:
            return {}
        return await self._floor.followers.lock(tx, wanted, self._floor.clock.now())

    async def known(self, tx: Tx, batch: Sequence[Delivery]) -> dict[ReceiptKey, Answer]:
        """The answers already given. Read after the locks, or a repeat could be missed."""
        rows = await tx.all(receipts.FIND, {"keys": [d.key for d in batch]})
        return {
            (key, account): Answer(status, xml, tries=tries)
            for key, account, status, xml, tries in rows
        }

    async def _count_tries(
        self, tx: Tx, repeats: Sequence[Delivery], known: dict[ReceiptKey, Answer]
    ) -> None:
        """Only where it matters: while no answer exists, the third try is answered differently."""
        waiting = [d for d in repeats if known[d.receipt].status is None]
        for delivery in waiting:
            known[delivery.receipt] = replace(
                known[delivery.receipt], tries=known[delivery.receipt].tries + 1
            )
        await tx.many(receipts.COUNT_TRY, [{"k": d.key, "a": d.account.id} for d in waiting])

    async def record(self, tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
        """The receipts, last of all, in the transaction of the effects."""
        await tx.put(receipts.INSERT, rows)

    # --- c to f: snapshots, decisions, effects, writing ------------------------------------------

    async def _fresh(
        self,
        tx: Tx,
        fresh: Sequence[Delivery],
        locked: Mapping[Who, Locked],
        fault: Exception | None,
    ) -> dict[ReceiptKey, Answer]:
        if not fresh:
            return {}
        cases = await self._decided(tx, fresh, locked, fault)
        await self._apply(tx, cases)
        await self._answer(tx, cases)
        await self._write(tx, cases)
        answers = {case.delivery.receipt: case.answer for case in cases}
        reports = [d for d in fresh if d.who is None]
        await self._floor.events.emit(tx, [platform_event(d) for d in reports])
        answers |= {d.receipt: EMPTY for d in reports}
        in_order = sorted(fresh, key=lambda d: d.receipt)  # no follower's lock orders reports
        await self.record(tx, [receipt_row(d, answers[d.receipt]) for d in in_order])
        return answers

    async def _decided(
        self,
        tx: Tx,
        fresh: Sequence[Delivery],
        locked: Mapping[Who, Locked],
        fault: Exception | None,
    ) -> list[Case]:
        people = [(d, locked[d.who]) for d in fresh if d.who is not None]
        if not people:
            return []
        ids = [follower.id for _, follower in people]
        conversations, flows, open_windows, tags = await tx.ask_all(
            self._floor.support.conversations_of(ids),
            flows_of(ids),
            windows.windows_of(ids),
            tags_of(ids),
        )
        cases: list[Case] = []
        for delivery, follower in people:
            conversation = conversations[follower.id]
            now = delivery.arrived_at
            granted = open_windows.get(follower.id, ())
            snap = Snapshot(
                account=delivery.account.view,
                key=delivery.key,
                incoming=delivery.incoming,
                follower=FollowerView(
                    follower.id,
                    follower.new,
                    follower.subscribed,
                    tags.get(follower.id, frozenset()),
                ),
                conversation=ConversationView(
                    conversation.id,
                    conversation.state,
                    conversation.misses,
                    conversation.queued_at,
                    conversation.said_at,
                ),
                flow=flows.get(follower.id),
                now=now,
                windows=window.live(granted, now),
            )
            decision, error = self._decide(tx, snap, fault)
            cases.append(Case(delivery, follower, conversation, snap, granted, decision, error))
        return cases

    def _decide(
        self, tx: Tx, snap: Snapshot, fault: Exception | None
    ) -> tuple[Decision, Exception | None]:
        """What the handlers say, or the apology that stands for one that failed."""
        where = "effect"
        if fault is None:
            try:
                decision = self._floor.routing.decide(snap)
            except Exception as error:  # noqa: BLE001  # any handler may be at fault; told below
                where, fault = "decide", error
            else:
                for passed in decision.passed_over:
                    tx.after_commit(partial(_tell_fault, "plugin", snap.key, passed))
                return decision, None
        tx.after_commit(partial(_tell_fault, where, snap.key, fault))
        words = [apology(snap.account)] if snap.incoming.answerable else []
        return Decision.say(*words, fault=type(fault).__name__), fault

    async def _apply(self, tx: Tx, cases: Sequence[Case]) -> None:
        """Effects of the whole batch, set-wise; what they say takes their place among the replies."""
        effects = [s for case in cases for s in case.decision.steps if isinstance(s, Effect)]
        said = iter(await self._floor.kinds.apply(tx, effects) if effects else ())
        for case in cases:
            spoken: list[Reply] = []
            for step in case.decision.steps:
                reply = next(said) if isinstance(step, Effect) else step
                if reply is not None:
                    spoken.append(reply)
            case.replies = merge(spoken)

    async def _answer(self, tx: Tx, cases: Sequence[Case]) -> None:
        """The passive answer of each, or the apart job that will find it."""
        waiting = [c.follower.id for c in cases if c.follower.held and not c.snap.account.may_send]
        held = await self._floor.outbox.held(tx, waiting) if waiting else {}
        for case in cases:
            case.held = held.get(case.follower.id, ())
            if case.decision.apart is not None:
                case.answer = Answer(None, claimed=await self._begin_apart(tx, case))

    async def _begin_apart(self, tx: Tx, case: Case) -> Claimed | None:
        delivery = case.delivery
        return await self._floor.jobs.begin_here(
            tx,
            self._apart,
            {
                "account_id": delivery.account.id,
                "key": delivery.key,
                "handler": case.decision.apart,
            },
            account_id=delivery.account.id,
            lane=-case.follower.id,  # not the lane of sending, which may wait for a retry
            worker=self._floor.worker,
            lease_seconds=APART_LEASE_SECONDS,
        )

    async def _write(self, tx: Tx, cases: Sequence[Case]) -> None:
        floor = self._floor
        if not cases:
            return
        await floor.followers.note(tx, [contact_of(case) for case in cases])
        turns = [self._turn(case) for case in cases]
        events = await floor.support.write(tx, turns)
        flows = [
            (c.delivery.account.id, c.follower.id, c.decision.flow)
            for c in cases
            if c.decision.flow is not KEEP
        ]
        if flows:
            await self.move(tx, flows)
        await windows.grant(tx, [g for case in cases if (g := grant_of(case)) is not None])
        for case, turn in zip(cases, turns, strict=True):
            await self._settle(tx, case, turn)
        faults = [
            fault_event(c.snap.account.id, c.conversation.id, c.snap.key, fault)
            for c in cases
            if c.fault is not None or c.decision.passed_over
            for fault in (*c.decision.passed_over, c.fault)
            if fault is not None
        ]
        await floor.events.emit(tx, [*events, *faults])

    async def move(self, tx: Tx, flows: Sequence[FlowChange]) -> None:
        """Where followers stand in dialogues, in the transaction of what they were answered."""
        await write_flows(tx, flows, self._floor.clock.now())

    def _turn(self, case: Case) -> Turn:
        delivery, incoming = case.delivery, case.delivery.incoming
        said = self._floor.support.place(case.replies, case.conversation.last_seq + 2)
        return Turn(
            account_id=delivery.account.id,
            follower_id=case.follower.id,
            conversation=case.conversation,
            key=delivery.key,
            incoming=incoming,
            wx_msg_id=wx_msg_id(delivery.message),
            wx_created_at=delivery.message.created_at,
            at=delivery.arrived_at,
            raw=delivery.raw,
            message_id=MessageId(self._floor.ids.new()),
            missed=case.decision.missed,
            silent=not (case.decision.steps or case.decision.apart),
            trace=case.decision.why,
            said=said,
            move=move_among(case.decision.steps),
        )

    async def _settle(self, tx: Tx, case: Case, turn: Turn) -> None:
        """Chooses the way of each message: the passive place first, the ledger for the rest."""
        rest = list(turn.said)
        if case.answer.status is not None and case.delivery.incoming.answerable:
            first = rest[0].reply if rest else None
            waiting = [from_dict(row.payload) for row in case.held]
            reply, carried, takes_new = join_held(waiting, first)
            if carried:
                await self._floor.outbox.mark_passive(tx, case.follower.id, case.held[:carried])
            if takes_new:
                rest = rest[1:]
            if reply is not None:
                case.answer = rendered(case.delivery, reply)
        if rest:
            await self._floor.outbox.put(
                tx,
                [
                    outgoing(
                        self._floor.ids,
                        case.snap.account.id,
                        case.follower.id,
                        case.conversation.id,
                        said,
                        source_key=case.delivery.key,
                        held=not case.snap.account.may_send,
                        at=case.delivery.arrived_at,
                    )
                    for said in rest
                ],
            )
        if case.follower.held and case.snap.account.may_send and case.delivery.incoming.grant:
            await self._floor.outbox.release_held(tx, [case.follower.id])


def _tell_fault(where: str, key: str, fault: Exception) -> None:
    """What is known of a failure once it is stored; a plugin's is counted then."""
    FAULTS.labels(where).inc()
    plugin = {}
    if isinstance(fault, PartFailed):
        plugin = {"plugin": fault.owner, "part": fault.part}
        fault.count()
    _LOG.error("handler.failed", key=key, error=repr(fault), exc_info=fault, **plugin)


def _repeated(answer: Answer | Later) -> str:
    return "later" if answer is LATER else "repeat"


def _made(answer: Answer) -> str:
    return "apart" if answer.status is None else "answered" if answer.xml else "empty"


def _count(outcomes: Sequence[str]) -> None:
    for outcome, times in Tally(outcomes).items():
        _DELIVERIES.labels(outcome).inc(times)

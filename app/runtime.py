"""Builds everything once and hands it out; the only file that names all concrete classes."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app.accounts.registry import AccountRegistry
from app.accounts.service import Accounts
from app.conversation.apart import HANDLER_SECONDS, ApartHandlers
from app.conversation.deadline import Deadline
from app.conversation.delivery import Answer, Delivery
from app.conversation.intake import Floor, Intake
from app.conversation.quarantine import Quarantine
from app.conversation.router import Router, Routing
from app.core.actions import Action, ActionRegistry
from app.core.clock import Clock, SystemClock
from app.core.ids import Ids
from app.core.rng import Rng, SystemRng
from app.core.settings import Settings
from app.core.vault import Vault
from app.core.watchdog import Watchdog
from app.db.audit import Audit
from app.db.database import Database, open_database
from app.db.effects import EffectKind, EffectKinds
from app.db.events import Events
from app.db.slots import RENEW_SECONDS, SlotLease
from app.db.writer import Writer
from app.delivery.jobs import Jobs
from app.delivery.outbound import Outbox
from app.delivery.runner import Runner
from app.delivery.tasks import Task, Tasks
from app.engines.followers.effects import TagKind, UntagKind
from app.engines.followers.inbound import Inbound as FollowersInbound
from app.engines.followers.recipients import FollowerRecipients
from app.engines.replies.actions import register
from app.engines.replies.book import Book
from app.engines.replies.service import Replies
from app.engines.staff.api_tokens import ApiTokens, TokenCheck
from app.engines.support.inbound import Inbound as SupportInbound
from app.handlers import builtin

CONCURRENCY = 32
"""Jobs a process runs at once; they mostly wait for the network."""

Check = Callable[[], str | None]
"""Says what is wrong with a part of the process, or None. Answers at once, from memory."""


@dataclass(frozen=True, slots=True)
class Extensions:
    """What is added to the built-in handlers, effects and actions."""

    routers: Sequence[Router] = ()
    """Asked before the built-in ones."""
    kinds: Sequence[EffectKind[Any, Any]] = ()
    actions: Sequence[type[Action]] = ()
    intake: type[Intake] = Intake
    writer: type[Writer[Delivery, Answer]] = Writer


@dataclass(frozen=True)
class Runtime:
    settings: Settings
    clock: Clock
    database: Database
    ids: Ids
    vault: Vault
    audit: Audit
    events: Events
    accounts: AccountRegistry
    """The accounts as requests need them."""
    account_service: Accounts
    token_service: ApiTokens
    tokens: TokenCheck
    jobs: Jobs
    runner: Runner
    outbox: Outbox
    routing: Routing
    actions: ActionRegistry
    book: Book
    """Every account's rules, bindings and flows, compiled."""
    replies: Replies
    writer: Writer[Delivery, Answer]
    deadline: Deadline
    quarantine: Quarantine
    checks: Mapping[str, Check] = field(default_factory=dict)
    """Parts that `/readyz` asks beside the database, by name."""


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    clock: Clock | None = None,
    extensions: Extensions | None = None,
    rng: Rng | None = None,
) -> AsyncIterator[Runtime]:
    """The running program without its doors; background work ends with the context."""
    clock = clock or SystemClock()
    rng = rng or SystemRng()
    database = open_database(settings, rng)
    lease = SlotLease(database, clock)
    try:
        ids = await lease.take()
        runtime = _build(settings, clock, rng, database, ids, extensions or Extensions())
        await runtime.accounts.refresh()
        await runtime.book.refresh()
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(loop, name=name) for name, loop in _loops(runtime, lease)]
            worker = tasks.create_task(runtime.runner.run(), name="runner")
            try:
                yield runtime
            finally:
                runtime.runner.stop()
                await worker
                for loop in running:
                    loop.cancel()
        await lease.give_back()
    finally:
        await database.close()


def _loops(runtime: Runtime, lease: SlotLease) -> list[tuple[str, Any]]:
    """What runs in every process beside the jobs."""
    return [
        ("writer", runtime.writer.run()),
        ("accounts", runtime.accounts.run()),
        ("replies", runtime.book.run()),
        ("slot", _renew(lease)),
        ("watchdog", Watchdog().run()),
    ]


def _build(
    settings: Settings,
    clock: Clock,
    rng: Rng,
    database: Database,
    ids: Ids,
    extensions: Extensions,
) -> Runtime:
    vault = Vault(settings.secret_key.get_secret_value())
    audit = Audit(ids, clock)
    actions = ActionRegistry(extensions.actions)
    book = Book(database, actions, clock)
    register(actions, book)
    events = Events(clock, [book.on_events])
    accounts = AccountRegistry(database, vault, clock, audit)
    tasks = Tasks()
    jobs = Jobs(tasks, clock)
    outbox = Outbox(jobs, clock, FollowerRecipients(), events)
    worker = f"{socket.gethostname()[:40]}-{os.getpid()}-{ids.slot}"
    runner = Runner(
        database,
        jobs,
        tasks,
        clock,
        worker,
        None,
        0 if settings.role == "web" else CONCURRENCY,
        rng=rng,
        alone=settings.on_sqlite,
    )
    deadline = Deadline(database, clock, runner)
    routing = Routing([*extensions.routers, *builtin(book)])
    floor = Floor(
        database=database,
        ids=ids,
        clock=clock,
        routing=routing,
        kinds=EffectKinds([TagKind(ids, clock), UntagKind(ids, clock), *extensions.kinds]),
        followers=FollowersInbound(ids),
        support=SupportInbound(ids),
        events=events,
        jobs=jobs,
        outbox=outbox,
        worker=worker,
    )
    apart = Task(
        "conversation.answer_apart",
        "reply",
        ApartHandlers(floor, accounts, deadline).run,
        attempts=3,
        timeout_seconds=HANDLER_SECONDS + 10,
    )
    intake = extensions.intake(floor, tasks.add(apart))
    runtime = Runtime(
        settings=settings,
        clock=clock,
        database=database,
        ids=ids,
        vault=vault,
        audit=audit,
        events=events,
        accounts=accounts,
        account_service=Accounts(ids, clock, vault, audit),
        token_service=ApiTokens(ids, clock, audit),
        tokens=TokenCheck(database, clock),
        jobs=jobs,
        runner=runner,
        outbox=outbox,
        routing=routing,
        actions=actions,
        book=book,
        replies=Replies(ids, clock, actions, events, audit),
        writer=extensions.writer(intake.commit, intake.rescue, clock),
        deadline=deadline,
        quarantine=Quarantine(database, ids, clock, events),
    )
    runner._context = runtime
    return runtime


async def _renew(lease: SlotLease) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        await lease.renew()

"""Builds everything once and hands it out; the only file that names all concrete classes."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import httpx

from app.accounts.registry import AccountRegistry
from app.accounts.service import Accounts
from app.conversation.apart import HANDLER_SECONDS, ApartHandlers
from app.conversation.deadline import Deadline
from app.conversation.delivery import Answer, Delivery
from app.conversation.forgetting import DIALOGUES, DIALOGUES_KEPT, SUPERSEDED
from app.conversation.intake import Floor, Intake
from app.conversation.quarantine import Quarantine
from app.conversation.router import Router, Routing
from app.conversation.tallying import Tallying
from app.core.actions import Action, ActionRegistry
from app.core.clock import Clock, SystemClock
from app.core.decisions import AccountView
from app.core.ids import AccountId, Ids
from app.core.log import get_logger
from app.core.rng import Rng, SystemRng
from app.core.settings import Settings
from app.core.vault import Vault
from app.core.watchdog import Watchdog
from app.db.audit import Audit
from app.db.database import Database, open_database
from app.db.effects import EffectKind, EffectKinds
from app.db.events import Events
from app.db.faults import is_passing
from app.db.slots import RENEW_AGAIN_SECONDS, RENEW_SECONDS, SlotLease
from app.db.wake import Wake, listen_url
from app.db.writer import Writer
from app.delivery.jobs import Jobs
from app.delivery.maintenance import Maintenance
from app.delivery.outbound import Outbox
from app.delivery.runner import Runner
from app.delivery.schedule import Timetable
from app.delivery.sender import ApiOf, CustomerApi, Sender
from app.delivery.tasks import Task, Tasks
from app.delivery.upkeep import Chore, Dropped, Expired, Upkeep
from app.delivery.upkeep import chores as delivery_chores
from app.engines.followers.effects import TagKind, UntagKind
from app.engines.followers.inbound import Inbound as FollowersInbound
from app.engines.followers.recipients import FollowerRecipients
from app.engines.replies.actions import register
from app.engines.replies.book import Book
from app.engines.replies.compiled import Stored
from app.engines.replies.figures import Misses
from app.engines.replies.imports import Imports
from app.engines.replies.queries import FLOWS_KEPT
from app.engines.replies.service import Replies
from app.engines.replies.tallies import Tallies
from app.engines.staff.api_tokens import ApiTokens, TokenCheck
from app.engines.support import actions as support_actions
from app.engines.support.inbound import Inbound as SupportInbound
from app.engines.support.keeping import KeepMessages
from app.engines.support.moves import HandOverKind, ReturnToBotKind
from app.handlers import builtin
from app.handlers.offline import Offline
from app.plugins.finding import find_plugins
from app.plugins.house import Plugins
from app.plugins.plugin import Plugin
from app.plugins.records import Threshold
from app.plugins.settings import PluginSettings
from app.plugins.switching import Switchboard
from app.wechat.client import WechatApi
from app.wechat.http import open_http
from app.wechat.token_store import SqlTokenStore
from app.wechat.tokens import Tokens

_LOG = get_logger(__name__)
STOP_SECONDS = 2.0
"""What jobs under way get at the end; deliveries have had up to seven of the ten seconds."""
CONCURRENCY = 32
"""Jobs a process runs at once; they mostly wait for the network."""

Check = Callable[[], str | None]
"""Says what is wrong with a part of the process, or None. Answers at once, from memory."""


@dataclass(frozen=True, slots=True)
class Extensions:
    """What is added to the built-in handlers, effects and actions."""

    routers: Sequence[Router] = ()
    """Asked before the fallback."""
    kinds: Sequence[EffectKind[Any, Any]] = ()
    actions: Sequence[type[Action]] = ()
    intake: type[Intake] = Intake
    writer: type[Writer[Delivery, Answer]] = Writer
    handler_seconds: float = HANDLER_SECONDS
    """An apart handler that takes longer is given up."""
    plugins: Sequence[Plugin] = ()
    """Beside those that are found."""
    find_plugins: bool = True
    """Whether the setting and what is installed are searched for more."""
    plugin_settings: Sequence[PluginSettings] | None = None
    """Instead of those of the environment."""


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
    wechat: WechatApi
    wake: Wake
    routing: Routing
    actions: ActionRegistry
    book: Book
    """Every account's rules, bindings and flows, compiled."""
    replies: Replies
    misses: Misses
    tallying: Tallying
    imports: Imports
    """Whole books: as a file, and as they were."""
    offline: Callable[[Stored, AccountView], Offline]
    """Rules that stand still, over the handlers and actions of this installation."""
    plugins: Plugins
    switchboard: Switchboard
    timetable: Timetable
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
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Runtime]:
    """The running program without its doors; background work ends with the context.

    `transport` is another way to the platform's API than the network.
    """
    clock = clock or SystemClock()
    rng = rng or SystemRng()
    database = open_database(settings, rng)
    http = open_http(transport)
    lease = SlotLease(database, clock)
    try:
        ids = await lease.take()
        runtime = _build(settings, clock, rng, database, http, ids, extensions or Extensions())
        await runtime.accounts.refresh()
        await runtime.book.refresh()
        await runtime.plugins.refresh()
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(loop, name=name) for name, loop in _loops(runtime, lease)]
            worker = tasks.create_task(runtime.runner.run(), name="runner")
            try:
                yield runtime
            finally:
                runtime.runner.stop(STOP_SECONDS)
                await worker
                for loop in running:
                    loop.cancel()
        await _give_back(lease)
    finally:
        await http.aclose()
        await database.close()


def _loops(runtime: Runtime, lease: SlotLease) -> list[tuple[str, Any]]:
    """What runs in every process beside the jobs."""
    return [
        ("writer", runtime.writer.run()),
        ("accounts", runtime.accounts.run()),
        ("replies", runtime.book.run()),
        ("plugins", runtime.plugins.run()),
        ("wake", runtime.wake.run()),
        ("slot", _renew(lease)),
        ("watchdog", _watchdog(runtime).run()),
    ]


def _watchdog(runtime: Runtime) -> Watchdog:
    settings, others = runtime.settings, runtime.database.watched()
    return Watchdog(settings.blocked_seconds, others, witness=runtime.plugins)


def _plugins(
    settings: Settings, extensions: Extensions, database: Database, clock: Clock, events: Events
) -> Plugins:
    """Loads the plugins; which fail to load is told."""
    found = find_plugins(
        settings.plugin_paths if extensions.find_plugins else (),
        extensions.plugins,
        installed=extensions.find_plugins,
        settings=extensions.plugin_settings,
    )
    within = timedelta(minutes=settings.plugins_failure_minutes)
    threshold = Threshold(settings.plugins_most_failures, within)
    return Plugins(found, database, clock, events, threshold, settings.data_dir)


def _build(
    settings: Settings,
    clock: Clock,
    rng: Rng,
    database: Database,
    http: httpx.AsyncClient,
    ids: Ids,
    extensions: Extensions,
) -> Runtime:
    vault = Vault(settings.secret_key.get_secret_value())
    audit = Audit(ids, clock)
    actions = ActionRegistry(extensions.actions)
    book = Book(database, actions, clock)
    register(actions, book)
    support_actions.register(actions)
    events = Events(clock, [book.on_events])
    plugins = _plugins(settings, extensions, database, clock, events)
    kinds: list[EffectKind[Any, Any]] = [
        TagKind(ids, clock),
        UntagKind(ids, clock),
        HandOverKind(),
        ReturnToBotKind(),
        *extensions.kinds,
        *plugins.kinds(),
    ]
    kind_names = [kind.kind for kind in kinds]
    added = plugins.actions(kind_names)
    for action in added:
        actions.add(action)
    accounts = AccountRegistry(database, vault, clock, audit)
    tasks = Tasks()
    jobs = Jobs(tasks, clock)
    recipients = FollowerRecipients()
    outbox = Outbox(jobs, clock, recipients, events)
    tokens = Tokens(http, settings.wechat_api_base, SqlTokenStore(database, vault), clock)
    wechat = WechatApi(http, settings.wechat_api_base, tokens)
    Sender(database, tasks, jobs, outbox, recipients, events, _sending_api(accounts, wechat), clock)
    timetable = Timetable(database, jobs, clock)
    plugins.add_jobs(tasks, timetable)
    Maintenance(database, tasks, timetable, outbox, recipients.lock, clock)
    tallies = Tallies(clock, lambda account, text: book.current(account).comparable_text(text))
    tallying = Tallying(database, clock, tasks, timetable, tallies)
    upkeep = Upkeep(tasks, timetable)
    for chore in chores(settings, database, clock, audit):
        upkeep.add(chore)
    worker = f"{socket.gethostname()[:40]}-{os.getpid()}-{ids.slot}"
    wake = Wake(listen_url(settings))
    runner = Runner(
        database,
        jobs,
        tasks,
        clock,
        worker,
        None,
        0 if settings.role == "web" else CONCURRENCY,
        rng=rng,
        timetable=timetable,
        alone=settings.on_sqlite,
    )
    jobs.on_enqueued(lambda: wake.hint("jobs"))
    wake.subscribe("jobs", lambda _: runner.wake())
    deadline = Deadline(database, clock, runner)
    routers = [*extensions.routers, *plugins.routers(kind_names)]
    routing = Routing(builtin(book, routers))
    floor = Floor(
        database=database,
        ids=ids,
        clock=clock,
        routing=routing,
        kinds=EffectKinds(kinds),
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
        ApartHandlers(
            floor, accounts, deadline, extensions.handler_seconds, plugins.apart_failed
        ).run,
        attempts=3,
        timeout_seconds=HANDLER_SECONDS + 10,
    )
    intake = extensions.intake(floor, tasks.add(apart))
    replies = Replies(ids, clock, actions, events, audit)
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
        wechat=wechat,
        wake=wake,
        routing=routing,
        actions=actions,
        book=book,
        misses=Misses(clock, audit),
        tallying=tallying,
        replies=replies,
        imports=Imports(database, replies),
        offline=partial(Offline, actions=[*extensions.actions, *added], routers=routers),
        plugins=plugins,
        switchboard=Switchboard(clock, audit, events),
        timetable=timetable,
        writer=extensions.writer(intake.commit, intake.rescue, clock),
        deadline=deadline,
        quarantine=Quarantine(database, ids, clock, events),
    )
    runner.services = runtime
    return runtime


def chores(settings: Settings, database: Database, clock: Clock, audit: Audit) -> list[Chore]:
    """What keeps the tables in shape, in the order in which `maintain` does it."""
    dropped = Dropped(database, audit)
    return [
        KeepMessages(
            database,
            clock,
            dropped,
            kept_days=settings.messages_kept_days,
            url=listen_url(settings),
        ),
        *delivery_chores(settings, database, clock, dropped),
        Expired(DIALOGUES, DIALOGUES_KEPT, database, clock.now),
        Expired(SUPERSEDED, FLOWS_KEPT, database, clock.now),
    ]


def _sending_api(accounts: AccountRegistry, wechat: WechatApi) -> ApiOf:
    """The API of an account that may send customer messages."""

    def api_of(account_id: int) -> CustomerApi | None:
        account = accounts.by_id(AccountId(account_id))
        if account is None or not account.view.may_send:
            return None
        return wechat.for_account(account)

    return api_of


async def _renew(lease: SlotLease) -> None:
    """Trouble with the database is waited out: a lease lasts as long as five renewals.

    After trouble it is tried again soon: without a lease no delivery can be stored.
    """
    pause = RENEW_SECONDS
    while True:
        await asyncio.sleep(pause)
        pause = RENEW_SECONDS
        try:
            await lease.renew()
        except Exception as error:
            if not is_passing(error):
                raise
            pause = RENEW_AGAIN_SECONDS
            _LOG.warning("slot.not_renewed", error=repr(error))


async def _give_back(lease: SlotLease) -> None:
    """A slot that cannot be given back now is free when its lease ends."""
    try:
        await lease.give_back()
    except Exception as error:
        if not is_passing(error):
            raise
        _LOG.warning("slot.not_given_back", error=repr(error))

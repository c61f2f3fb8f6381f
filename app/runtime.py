"""Builds everything once and hands it out; the only file that names all concrete classes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.accounts.registry import AccountRegistry
from app.accounts.service import Accounts
from app.core.clock import Clock, SystemClock
from app.core.ids import Ids
from app.core.settings import Settings
from app.core.vault import Vault
from app.db.audit import Audit
from app.db.database import Database, open_database
from app.db.slots import RENEW_SECONDS, SlotLease
from app.engines.staff.api_tokens import ApiTokens, TokenCheck

Check = Callable[[], str | None]
"""Says what is wrong with a part of the process, or None. Answers at once, from memory."""


@dataclass(frozen=True)
class Runtime:
    settings: Settings
    clock: Clock
    database: Database
    ids: Ids
    vault: Vault
    audit: Audit
    accounts: AccountRegistry
    """The accounts as requests need them."""
    account_service: Accounts
    token_service: ApiTokens
    tokens: TokenCheck
    checks: Mapping[str, Check] = field(default_factory=dict)
    """Parts that `/readyz` asks beside the database, by name."""


@asynccontextmanager
async def open_runtime(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Runtime]:
    """The running program without its doors; background work ends with the context."""
    clock = clock or SystemClock()
    database = open_database(settings)
    lease = SlotLease(database, clock)
    try:
        ids = await lease.take()
        runtime = _build(settings, clock, database, ids)
        await runtime.accounts.refresh()
        async with asyncio.TaskGroup() as tasks:
            loops = [
                tasks.create_task(runtime.accounts.run(), name="accounts"),
                tasks.create_task(_renew(lease), name="slot"),
            ]
            try:
                yield runtime
            finally:
                for loop in loops:
                    loop.cancel()
        await lease.give_back()
    finally:
        await database.close()


def _build(settings: Settings, clock: Clock, database: Database, ids: Ids) -> Runtime:
    vault = Vault(settings.secret_key.get_secret_value())
    audit = Audit(ids, clock)
    return Runtime(
        settings=settings,
        clock=clock,
        database=database,
        ids=ids,
        vault=vault,
        audit=audit,
        accounts=AccountRegistry(database, vault, clock, audit),
        account_service=Accounts(ids, clock, vault, audit),
        token_service=ApiTokens(ids, clock, audit),
        tokens=TokenCheck(database, clock),
    )


async def _renew(lease: SlotLease) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        await lease.renew()

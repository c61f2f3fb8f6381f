"""What the short commands need: the database and the services, without background work."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from app.accounts.service import Accounts
from app.cli.complaints import load_settings
from app.core.clock import Clock, SystemClock
from app.core.errors import AppError
from app.core.ids import Ids
from app.core.settings import BadSettings, Settings
from app.core.vault import Vault
from app.db.audit import Audit
from app.db.database import Database, open_database
from app.db.migrate import state
from app.db.slots import SlotLease
from app.engines.staff.api_tokens import ApiTokens

T = TypeVar("T")


class NotMigrated(AppError):
    code = "NOT_MIGRATED"
    zh = "数据库需要升级（现为 {current}，需要 {wanted}）；请运行 python -m app migrate"
    en = "The database must be upgraded (at {current}, needed {wanted}); run python -m app migrate"


@dataclass(frozen=True, slots=True)
class Office:
    settings: Settings
    database: Database
    clock: Clock
    ids: Ids
    vault: Vault
    audit: Audit
    accounts: Accounts
    tokens: ApiTokens


def require_migrated(settings: Settings) -> None:
    """Raises `NotMigrated`."""
    found = state(settings.database_url)
    if not found.up_to_date:
        raise NotMigrated(current=found.current or "-", wanted=found.wanted)


@asynccontextmanager
async def open_office(settings: Settings) -> AsyncIterator[Office]:
    """Runs beside a serving process: it takes a slot of its own and gives it back."""
    clock = SystemClock()
    database = open_database(settings)
    try:
        lease = SlotLease(database, clock)
        ids = await lease.take()
        audit = Audit(ids, clock)
        vault = Vault(settings.secret_key.get_secret_value())
        yield Office(
            settings=settings,
            database=database,
            clock=clock,
            ids=ids,
            vault=vault,
            audit=audit,
            accounts=Accounts(ids, clock, vault, audit),
            tokens=ApiTokens(ids, clock, audit),
        )
        await lease.give_back()
    finally:
        await database.close()


def in_office(work: Callable[[Office], Coroutine[Any, Any, T]]) -> T:
    """Runs `work` with everything open; for commands that write keys or tokens."""
    settings = load_settings()
    if not settings.demo and not settings.secret_key.get_secret_value():
        raise BadSettings(problem="GUANXI_SECRET_KEY is not set (openssl rand -base64 48)")
    require_migrated(settings)

    async def whole() -> T:
        async with open_office(settings) as office:
            return await work(office)

    return asyncio.run(whole())

"""Reads of accounts. Secrets come out sealed."""

from collections.abc import Collection, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from app.accounts.errors import NoSuchAccount
from app.accounts.models import Account, AccountSecret
from app.core.ids import AccountId
from app.db.tx import Tx

_ACCOUNT = Account.__table__


async def list_accounts(tx: Tx) -> Sequence[Any]:
    """Every account, the disabled ones too, oldest first."""
    return await tx.all(select(_ACCOUNT).order_by(_ACCOUNT.c.id))


async def list_versions(tx: Tx) -> dict[AccountId, int]:
    """The version of each enabled account."""
    rows = await tx.all(select(Account.id, Account.version).where(Account.enabled))
    return {AccountId(row.id): row.version for row in rows}


async def load(tx: Tx, account_ids: Sequence[AccountId]) -> list[tuple[Any, dict[str, bytes]]]:
    """The rows of these accounts, each with its sealed secrets by name."""
    rows = await tx.all(select(_ACCOUNT).where(_ACCOUNT.c.id.in_(account_ids)))
    return [(row, await sealed_secrets(tx, AccountId(row.id))) for row in rows]


async def sealed_secrets(tx: Tx, account_id: AccountId) -> dict[str, bytes]:
    rows = await tx.all(
        select(AccountSecret.name, AccountSecret.ciphertext).where(
            AccountSecret.account_id == account_id
        )
    )
    return {row.name: row.ciphertext for row in rows}


async def read_zones(tx: Tx, account_ids: Collection[AccountId]) -> dict[AccountId, ZoneInfo]:
    """The time zone of each of these accounts."""
    rows = await tx.all(
        select(Account.id, Account.timezone).where(Account.id.in_(sorted(account_ids)))
    )
    return {AccountId(row.id): ZoneInfo(row.timezone) for row in rows}


async def find_by_slug(tx: Tx, slug: str) -> Any:
    """The account's row, or None."""
    return await tx.first(select(_ACCOUNT).where(_ACCOUNT.c.slug == slug))


async def get_account(tx: Tx, account_id: AccountId, *, locked: bool = False) -> Any:
    """The account's row, under its exclusive lock where asked. Raises `NoSuchAccount`."""
    statement = select(_ACCOUNT).where(_ACCOUNT.c.id == account_id)
    row = await tx.first(statement.with_for_update() if locked else statement)
    if row is None:
        raise NoSuchAccount(account=account_id)
    return row

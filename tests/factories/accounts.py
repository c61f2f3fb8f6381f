"""Accounts with sensible defaults."""

from typing import Any

from app.accounts.service import AccountKeys, Accounts, AccountSettings
from app.core.ids import AccountId
from app.db.audit import CLI
from app.db.database import Database

AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
OTHER_AES_KEY = "ABCDEFGhijklmnopqrstuvwxyz0123456789abcdefg"
SECRET = "0123456789abcdef0123456789abcdef"


def account_settings(**changes: Any) -> AccountSettings:
    base: dict[str, Any] = {
        "name": "咖啡店",
        "kind": "service",
        "verified": True,
        "appid": "wx00000000000000aa",
        "mode": "safe",
        "contact": "电话 010-12345678",
    }
    return AccountSettings(**base | changes)


def account_keys(**changes: str) -> AccountKeys:
    return AccountKeys(**{"secret": SECRET, "token": "tok123", "aes_key": AES_KEY} | changes)


async def make_account(
    database: Database, accounts: Accounts, slug: str = "cafe", **changes: Any
) -> AccountId:
    """A stored account; `changes` are settings."""
    return await database.transaction(
        lambda tx: accounts.create(
            tx,
            slug=slug,
            settings=account_settings(**changes),
            keys=account_keys(),
            actor=CLI,
        )
    )

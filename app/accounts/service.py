"""Registering accounts and changing their settings and keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from app.accounts import checks
from app.accounts.errors import AppIdTaken, SlugTaken
from app.accounts.models import Account, AccountSecret
from app.accounts.queries import find_by_slug, get_account, sealed_secrets
from app.core.clock import Clock
from app.core.ids import AccountId, Ids
from app.core.vault import Vault
from app.db.audit import Actor, Audit
from app.db.hot import upsert
from app.db.tx import Tx

SECRETS = ("secret", "token", "aes_key", "aes_key_previous")


def secret_place(account_id: int, name: str) -> str:
    """Where a secret is sealed for; a copied row does not open."""
    return f"account_secret/{account_id}/{name}"


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """What an operator says about an account; everything but its keys."""

    name: str
    kind: str
    appid: str
    verified: bool = False
    original_id: str | None = None
    mode: str = "plain"
    timezone: str = checks.DEFAULT_TIMEZONE
    contact: str = ""
    enabled: bool = True

    def check(self, *, has_aes_key: bool) -> None:
        checks.check_name(self.name)
        checks.check_kind(self.kind)
        checks.check_appid(self.appid)
        checks.check_original_id(self.original_id)
        checks.check_mode(self.mode, has_aes_key=has_aes_key)
        checks.check_timezone(self.timezone)
        checks.check_contact(self.contact)

    def values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SETTINGS}

    def known(self) -> dict[str, Any]:
        """The values to be stored with a change; an unknown original id never overwrites one."""
        values = self.values()
        if self.original_id is None:
            del values["original_id"]
        return values


_SETTINGS = (
    "name",
    "kind",
    "appid",
    "verified",
    "original_id",
    "mode",
    "timezone",
    "contact",
    "enabled",
)


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """What is copied from the platform; empty ones are left as they are in a rotation."""

    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    aes_key: str = field(default="", repr=False)

    def check_given(self) -> None:
        if self.secret:
            checks.check_secret(self.secret)
        if self.token:
            checks.check_token(self.token)
        if self.aes_key:
            checks.check_aes_key(self.aes_key)

    def given(self) -> dict[str, str]:
        named = {"secret": self.secret, "token": self.token, "aes_key": self.aes_key}
        return {name: value for name, value in named.items() if value}


class Accounts:
    """Use cases on accounts, each inside the transaction it is given.

    Every change raises the account's `version`, by which all processes reload within a second, and
    is audited without its secrets.
    """

    def __init__(self, ids: Ids, clock: Clock, vault: Vault, audit: Audit) -> None:
        self._ids = ids
        self._clock = clock
        self._vault = vault
        self._audit = audit

    async def create(
        self, tx: Tx, *, slug: str, settings: AccountSettings, keys: AccountKeys, actor: Actor
    ) -> AccountId:
        """Registers an account.

        Raises an `Invalid` for what cannot be right, `SlugTaken` or `AppIdTaken`.
        """
        checks.check_slug(slug)
        settings.check(has_aes_key=bool(keys.aes_key))
        checks.check_token(keys.token)
        checks.check_secret(keys.secret)
        keys.check_given()
        account_id = AccountId(self._ids.new())
        row = {
            "id": account_id,
            "slug": slug,
            **settings.values(),
            "version": 1,
            "created_at": self._clock.now(),
        }
        if not await tx.run(upsert(tx.dialect, Account).values(row).on_conflict_do_nothing()):
            if await find_by_slug(tx, slug) is not None:
                raise SlugTaken(slug=slug)
            raise AppIdTaken(appid=settings.appid)
        await self._store(tx, account_id, keys.given())
        await self._record(
            tx, actor, "account.created", account_id, after={"slug": slug, **settings.values()}
        )
        return account_id

    async def update(
        self, tx: Tx, account_id: AccountId, changes: Mapping[str, Any], *, actor: Actor
    ) -> int:
        """Changes the named settings (fields of `AccountSettings`) and returns the new version.

        Raises `TypeError` for a name that is none, else as `create`.
        """
        row = await get_account(tx, account_id, locked=True)
        before = AccountSettings(**{name: getattr(row, name) for name in _SETTINGS})
        after = replace(before, **changes)
        has_aes_key = "aes_key" in await sealed_secrets(tx, account_id)
        after.check(has_aes_key=has_aes_key)
        values = {n: v for n, v in after.known().items() if v != getattr(before, n)}
        if not values:
            return int(row.version)
        version = await self._raise_version(tx, account_id, values)
        await self._record(
            tx,
            actor,
            "account.changed",
            account_id,
            before={name: getattr(before, name) for name in values},
            after=values,
        )
        return version

    async def rotate_keys(
        self, tx: Tx, account_id: AccountId, keys: AccountKeys, *, actor: Actor
    ) -> int:
        """Takes over the keys that are given and returns the account's version.

        The AES key in use so far is kept as the previous one: the platform goes on using it for
        deliveries under way.
        """
        keys.check_given()
        await get_account(tx, account_id, locked=True)
        sealed = await sealed_secrets(tx, account_id)
        fresh = {n: v for n, v in keys.given().items() if v != self._opened(account_id, n, sealed)}
        changed = sorted(fresh)
        if "aes_key" in fresh and (old := self._opened(account_id, "aes_key", sealed)):
            fresh["aes_key_previous"] = old
        if not fresh:
            return int((await get_account(tx, account_id)).version)
        await self._store(tx, account_id, fresh)
        version = await self._raise_version(tx, account_id, {})
        await self._record(tx, actor, "account.keys_changed", account_id, after={"keys": changed})
        return version

    def _opened(self, account_id: AccountId, name: str, sealed: Mapping[str, bytes]) -> str:
        place = secret_place(account_id, name)
        return self._vault.open(place, sealed[name]) if name in sealed else ""

    async def _raise_version(self, tx: Tx, account_id: AccountId, values: dict[str, Any]) -> int:
        try:
            await tx.run(
                update(Account)
                .where(Account.id == account_id)
                .values(**values, version=Account.version + 1)
            )
        except IntegrityError as error:  # of what may change only the appid is unique
            raise AppIdTaken(appid=values.get("appid")) from error
        return int(await tx.value(select(Account.version).where(Account.id == account_id)))

    async def _store(self, tx: Tx, account_id: AccountId, secrets: Mapping[str, str]) -> None:
        statement = upsert(tx.dialect, AccountSecret)
        fresh = {
            "ciphertext": statement.excluded.ciphertext,
            "updated_at": statement.excluded.updated_at,
        }
        for name, plain in secrets.items():
            row = {
                "account_id": account_id,
                "name": name,
                "ciphertext": self._vault.seal(secret_place(account_id, name), plain),
                "updated_at": self._clock.now(),
            }
            await tx.run(
                statement.values(row).on_conflict_do_update(
                    index_elements=["account_id", "name"], set_=fresh
                )
            )

    async def _record(
        self,
        tx: Tx,
        actor: Actor,
        action: str,
        account_id: AccountId,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        target = f"account:{account_id}"
        await self._audit.record(
            tx, actor, action, target, account_id=account_id, before=before, after=after
        )

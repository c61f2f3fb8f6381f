"""The accounts as every request needs them: opened, in memory, at most a second old."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy import update

from app.accounts.capabilities import Capability, capabilities, may_send
from app.accounts.errors import BrokenAccount, EmptyToken
from app.accounts.models import Account
from app.accounts.queries import list_versions, load
from app.accounts.service import secret_place
from app.core.clock import Clock
from app.core.decisions import AccountView
from app.core.errors import AppError
from app.core.ids import AccountId
from app.core.log import get_logger
from app.core.vault import Vault
from app.db.audit import SYSTEM, Audit
from app.db.database import Database
from app.db.faults import is_database, is_passing
from app.db.tx import Tx
from app.wechat.crypto import Codec, Credentials

REFRESH_SECONDS = 1.0
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LiveAccount:
    id: AccountId
    slug: str
    name: str
    kind: str
    verified: bool
    original_id: str | None
    """`gh_…`; `None` until the first authenticated delivery has taught it."""
    appid: str
    mode: str
    timezone: str
    contact: str
    codec: Codec = field(repr=False)
    secret: str = field(repr=False)
    """The AppSecret."""
    view: AccountView
    capabilities: frozenset[Capability] = field(repr=False)

    @property
    def account_id(self) -> AccountId:
        """The id, as `wechat.tokens.ApiCredentials` calls it."""
        return self.id


@dataclass(frozen=True, slots=True)
class _State:
    """One consistent set, swapped as a whole."""

    versions: Mapping[AccountId, int]
    accounts: Mapping[AccountId, LiveAccount]
    by_slug: Mapping[str, LiveAccount]
    problems: Mapping[AccountId, AppError]


_NONE = _State({}, {}, {}, {})


class AccountRegistry:
    """Knows every enabled account that works, and what is wrong with the others.

    Reading is free of waiting. `run` follows changes of all processes within a second; while the
    database is away what was known stays.
    """

    def __init__(
        self, database: Database, vault: Vault, clock: Clock, audit: Audit | None = None
    ) -> None:
        """With `audit`, an original id that is learnt is recorded."""
        self._database = database
        self._vault = vault
        self._clock = clock
        self._audit = audit
        self._state = _NONE
        self._refreshing = asyncio.Lock()
        self._in_trouble = False
        self.refreshed_at = float("-inf")
        """On the clock's monotonic scale: when the database last confirmed what is known."""

    def by_slug(self, slug: str) -> LiveAccount | None:
        return self._state.by_slug.get(slug)

    def by_id(self, account_id: AccountId) -> LiveAccount | None:
        return self._state.accounts.get(account_id)

    def all(self) -> tuple[LiveAccount, ...]:
        """Oldest first."""
        return tuple(self._state.accounts.values())

    @property
    def problems(self) -> Mapping[AccountId, AppError]:
        """Enabled accounts that cannot be used, and why."""
        return MappingProxyType(dict(self._state.problems))

    async def refresh(self) -> None:
        """Reloads what has changed. An account that cannot be used is logged and left out.

        One at a time: a look that began before a change must not undo what a later one saw.
        """
        async with self._refreshing:
            await self._refresh()

    async def _refresh(self) -> None:
        old = self._state
        versions, rows = await self._database.read(lambda tx: _changed(tx, old.versions))
        accounts = {i: a for i, a in old.accounts.items() if versions.get(i) == old.versions[i]}
        problems = {i: p for i, p in old.problems.items() if versions.get(i) == old.versions[i]}
        for row, sealed in rows:
            account_id = AccountId(row.id)
            try:
                accounts[account_id] = self._open(row, sealed)
            except AppError as error:
                problems[account_id] = error
                _LOG.error("account.broken", slug=row.slug, problem=str(error))
        ordered = dict(sorted(accounts.items()))
        by_slug = {account.slug: account for account in ordered.values()}
        self._state = _State(versions, ordered, by_slug, problems)
        self.refreshed_at = self._clock.monotonic()

    async def run(self) -> None:
        """Refreshes every second; ends only by cancellation."""
        while True:
            try:
                await self.refresh()
            except Exception as error:
                if not (is_passing(error) or is_database(error)):
                    raise
                if not self._in_trouble:
                    _LOG.warning("accounts.not_refreshed", error=str(error))
                self._in_trouble = True
            else:
                self._in_trouble = False
            await asyncio.sleep(REFRESH_SECONDS)

    async def learn_original_id(self, account_id: AccountId, original_id: str) -> str | None:
        """Keeps the ToUserName of an authenticated delivery, only while none is known.

        Returns the id known from then on: of two that come at once the first is kept.
        """

        async def learn(tx: Tx) -> None:
            learnt = await tx.run(
                update(Account)
                .where(Account.id == account_id, Account.original_id.is_(None))
                .values(original_id=original_id, version=Account.version + 1)
            )
            if learnt and self._audit is not None:
                await self._audit.record(
                    tx,
                    SYSTEM,
                    "account.original_id_learnt",
                    f"account:{account_id}",
                    account_id=account_id,
                    after={"original_id": original_id},
                )

        await self._database.transaction(learn)
        await self.refresh()
        account = self.by_id(account_id)
        return account.original_id if account is not None else None

    def _open(self, row: Any, sealed: Mapping[str, bytes]) -> LiveAccount:
        """Raises `EmptyToken`, `CannotOpen` or `BrokenAccount`."""
        secrets = {
            name: self._vault.open(secret_place(row.id, name), text)
            for name, text in sealed.items()
        }
        if not secrets.get("token"):
            raise EmptyToken(account=row.slug)
        keys = tuple(k for n in ("aes_key", "aes_key_previous") if (k := secrets.get(n)))
        try:
            codec = Codec(Credentials(row.appid, secrets["token"], row.mode, keys))
            return _live(row, codec, secrets.get("secret", ""))
        except ValueError as error:
            raise BrokenAccount(account=row.slug, problem=str(error)) from error


def _live(row: Any, codec: Codec, secret: str) -> LiveAccount:
    account_id = AccountId(row.id)
    return LiveAccount(
        id=account_id,
        slug=row.slug,
        name=row.name,
        kind=row.kind,
        verified=row.verified,
        original_id=row.original_id,
        appid=row.appid,
        mode=row.mode,
        timezone=row.timezone,
        contact=row.contact,
        codec=codec,
        secret=secret,
        view=AccountView(
            id=account_id,
            slug=row.slug,
            name=row.name,
            timezone=row.timezone,
            may_send=may_send(row.kind, row.verified),
            contact=row.contact,
        ),
        capabilities=capabilities(row.kind, row.verified),
    )


async def _changed(
    tx: Tx, known: Mapping[AccountId, int]
) -> tuple[dict[AccountId, int], list[tuple[Any, dict[str, bytes]]]]:
    versions = await list_versions(tx)
    changed = [i for i, version in versions.items() if known.get(i) != version]
    return versions, await load(tx, changed) if changed else []

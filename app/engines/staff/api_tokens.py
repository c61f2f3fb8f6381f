"""API tokens: shown once, kept as a digest, checked with every call.

A token is 256 random bits, so a plain SHA-256 of it cannot be guessed backwards; passwords of people
would need a slow hash.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, or_, select, update

from app.core.clock import Clock
from app.core.ids import AccountId, Ids
from app.core.log import get_logger
from app.core.rng import secret_token
from app.db.audit import Actor, Audit
from app.db.database import Database
from app.db.faults import is_passing
from app.db.tx import Tx
from app.engines.staff.errors import BadExpiry, BadTokenName, NoSuchToken
from app.engines.staff.models import ApiToken
from app.engines.staff.permissions import Role, parse_role

PREFIX = "gx_"
NAME_CHARACTERS = 80
LONGEST_DAYS = 3650
USE_NOTED_EVERY = timedelta(minutes=1)

_LOG = get_logger(__name__)
_FORM = re.compile(r"gx_[A-Za-z0-9_-]{43}")
_TOKEN = ApiToken.__table__


@dataclass(frozen=True, slots=True)
class NewToken:
    id: int
    secret: str = field(repr=False)
    """The token itself; it cannot be had again."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a valid token gives."""

    token_id: int
    name: str
    role: Role
    accounts: frozenset[AccountId] | None
    """`None`: every account, also later ones."""


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiTokens:
    """Making and withdrawing tokens, each inside the transaction it is given."""

    def __init__(self, ids: Ids, clock: Clock, audit: Audit) -> None:
        self._ids = ids
        self._clock = clock
        self._audit = audit

    async def make(
        self,
        tx: Tx,
        *,
        name: str,
        role: str,
        actor: Actor,
        accounts: Sequence[AccountId] | None = None,
        expires_days: int | None = None,
    ) -> NewToken:
        """A new token for these accounts (`None`: all), valid for that many days (`None`: for ever).

        Raises `BadTokenName`, `BadRole` or `BadExpiry`.
        """
        if not 1 <= len(name.strip()) <= NAME_CHARACTERS or "\0" in name:
            raise BadTokenName(limit=NAME_CHARACTERS)
        if expires_days is not None and not 1 <= expires_days <= LONGEST_DAYS:
            raise BadExpiry(limit=LONGEST_DAYS)
        now = self._clock.now()
        made = NewToken(self._ids.new(), PREFIX + secret_token(32))
        shown = {
            "name": name,
            "role": parse_role(role).value,
            "accounts": None if accounts is None else [str(i) for i in sorted(set(accounts))],
        }
        expires_at = None if expires_days is None else now + timedelta(days=expires_days)
        row = {
            **shown,
            "id": made.id,
            "digest": digest_of(made.secret),
            "created_at": now,
            "expires_at": expires_at,
        }
        await tx.run(insert(ApiToken), row)
        after = {**shown, "expires_at": expires_at and expires_at.isoformat()}
        await self._audit.record(tx, actor, "token.created", f"token:{made.id}", after=after)
        return made

    async def revoke(self, tx: Tx, token_id: int, *, actor: Actor) -> None:
        """The token is worthless from the next call on. Raises `NoSuchToken`, also the second time."""
        revoked = await tx.run(
            update(ApiToken)
            .where(ApiToken.id == token_id, ApiToken.revoked_at.is_(None))
            .values(revoked_at=self._clock.now())
        )
        if not revoked:
            raise NoSuchToken(token_id=token_id)
        await self._audit.record(tx, actor, "token.revoked", f"token:{token_id}")


async def list_tokens(tx: Tx) -> Sequence[Any]:
    """Every token's row, newest first; its secret is nowhere."""
    return await tx.all(select(_TOKEN).order_by(_TOKEN.c.id.desc()))


class TokenCheck:
    """Answers whether a bearer token is good. Reads only, but for one write a minute and token."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def verify(self, secret: str) -> Access | None:
        """What the token gives, or None when it is unknown, expired or revoked.

        Notes the use, at most once a minute.
        """
        if not _FORM.fullmatch(secret):
            return None
        digest = digest_of(secret)
        row = await self._database.read(
            lambda tx: tx.first(select(_TOKEN).where(_TOKEN.c.digest == digest))
        )
        if row is None or not hmac.compare_digest(row.digest, digest):
            return None
        now = self._clock.now()
        if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
            return None
        if row.last_used_at is None or row.last_used_at <= now - USE_NOTED_EVERY:
            await self._note_use(row.id, now)
        return _access(row)

    async def _note_use(self, token_id: int, now: datetime) -> None:
        async def note(tx: Tx) -> None:
            await tx.run(
                update(ApiToken)
                .where(
                    ApiToken.id == token_id,
                    or_(
                        ApiToken.last_used_at.is_(None),
                        ApiToken.last_used_at <= now - USE_NOTED_EVERY,
                    ),
                )
                .values(last_used_at=now)
            )

        try:
            await self._database.transaction(note)
        except Exception as error:
            if not is_passing(error):
                raise
            _LOG.warning(
                "token.use_not_noted", token_id=token_id, error=str(error)
            )  # reading goes on


def _access(row: Any) -> Access:
    accounts = None if row.accounts is None else frozenset(AccountId(int(i)) for i in row.accounts)
    return Access(row.id, row.name, Role(row.role), accounts)

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.core.clock import FakeClock
from app.core.ids import AccountId, Ids
from app.db.audit import CLI, Audit, AuditRow
from app.db.database import Database
from app.engines.staff.api_tokens import ApiTokens, NewToken, TokenCheck, digest_of, list_tokens
from app.engines.staff.errors import BadExpiry, BadRole, BadTokenName, NoSuchToken
from app.engines.staff.models import ApiToken
from app.engines.staff.permissions import Role


@pytest.fixture
def tokens(ids: Ids, clock: FakeClock) -> ApiTokens:
    return ApiTokens(ids, clock, Audit(ids, clock))


@pytest.fixture
def check(database: Database, clock: FakeClock) -> TokenCheck:
    return TokenCheck(database, clock)


async def make(database: Database, tokens: ApiTokens, **changes: Any) -> NewToken:
    given: dict[str, Any] = {"name": "till", "role": "read-only", "actor": CLI} | changes
    return await database.transaction(lambda tx: tokens.make(tx, **given))


async def last_used(database: Database) -> datetime | None:
    found: datetime | None = await database.read(lambda tx: tx.value(select(ApiToken.last_used_at)))
    return found


async def test_a_token_is_kept_as_a_digest_only(database: Database, tokens: ApiTokens) -> None:
    made = await make(database, tokens)
    assert made.secret.startswith("gx_")
    assert made.secret not in repr(made)
    (row,) = await database.read(list_tokens)
    assert row.digest == digest_of(made.secret)
    assert made.secret not in repr(tuple(row))
    audits = await database.read(lambda tx: tx.all(select(AuditRow.action, AuditRow.after)))
    assert [row.action for row in audits] == ["token.created"]
    assert made.secret not in repr(audits)


async def test_a_good_token_gives_its_role_and_accounts(
    database: Database, tokens: ApiTokens, check: TokenCheck
) -> None:
    everything = await make(database, tokens, role="admin")
    some = await make(database, tokens, accounts=[AccountId(2**60), AccountId(7)])
    first, second = await check.verify(everything.secret), await check.verify(some.secret)
    assert first is not None
    assert second is not None
    assert (first.token_id, first.role, first.accounts) == (everything.id, Role.ADMIN, None)
    assert (second.role, second.accounts) == (
        Role.READ_ONLY,
        frozenset({AccountId(2**60), AccountId(7)}),
    )


async def test_a_token_for_no_account_sees_none(
    database: Database, tokens: ApiTokens, check: TokenCheck
) -> None:
    made = await make(database, tokens, accounts=[])
    access = await check.verify(made.secret)
    assert access is not None
    assert access.accounts == frozenset()


@pytest.mark.parametrize(
    "given", ["", "gx_", "gx_" + "A" * 43, "gx_" + "A" * 44, "x", "gx_" + "界" * 43, "gx_\0"]
)
async def test_anything_else_gives_nothing(
    database: Database, tokens: ApiTokens, check: TokenCheck, given: str
) -> None:
    await make(database, tokens)
    assert await check.verify(given) is None


async def test_a_token_ends_on_its_day(
    database: Database, tokens: ApiTokens, check: TokenCheck, clock: FakeClock
) -> None:
    made = await make(database, tokens, expires_days=2)
    clock.advance(days=2, seconds=-1)
    assert await check.verify(made.secret) is not None
    clock.advance(seconds=1)
    assert await check.verify(made.secret) is None


async def test_a_revoked_token_is_worthless_at_once(
    database: Database, tokens: ApiTokens, check: TokenCheck
) -> None:
    made = await make(database, tokens)
    await database.transaction(lambda tx: tokens.revoke(tx, made.id, actor=CLI))
    assert await check.verify(made.secret) is None
    with pytest.raises(NoSuchToken):
        await database.transaction(lambda tx: tokens.revoke(tx, made.id, actor=CLI))


async def test_use_is_noted_at_most_once_a_minute(
    database: Database, tokens: ApiTokens, check: TokenCheck, clock: FakeClock
) -> None:
    made = await make(database, tokens)
    assert await last_used(database) is None
    await check.verify(made.secret)
    first = clock.now()
    clock.advance(seconds=59)
    await check.verify(made.secret)
    assert await last_used(database) == first
    clock.advance(seconds=1)
    await check.verify(made.secret)
    assert await last_used(database) == first + timedelta(seconds=60)


async def test_a_database_that_cannot_be_written_does_not_stop_reading(
    database: Database,
    tokens: ApiTokens,
    check: TokenCheck,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = await make(database, tokens)

    async def full(_: object) -> object:
        raise ConnectionError("disk full")

    async def broken(_: object) -> object:
        raise KeyError("mistake")

    monkeypatch.setattr(database, "transaction", full)
    assert await check.verify(made.secret) is not None
    monkeypatch.setattr(database, "transaction", broken)
    with pytest.raises(KeyError):
        await check.verify(made.secret)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": ""}, BadTokenName),
        ({"name": "n" * 81}, BadTokenName),
        ({"name": "a\0"}, BadTokenName),
        ({"role": "king"}, BadRole),
        ({"expires_days": 0}, BadExpiry),
        ({"expires_days": 4000}, BadExpiry),
    ],
)
async def test_bad_requests_make_no_token(
    database: Database, tokens: ApiTokens, changes: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await make(database, tokens, **changes)
    assert await database.read(list_tokens) == []

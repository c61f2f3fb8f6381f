import asyncio
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from app.accounts.errors import BrokenAccount, EmptyToken
from app.accounts.models import Account, AccountSecret
from app.accounts.registry import AccountRegistry
from app.accounts.service import AccountKeys, Accounts
from app.core.clock import FakeClock
from app.core.ids import AccountId, Ids
from app.core.vault import CannotOpen, Vault
from app.db.audit import CLI, Audit, AuditRow
from app.db.database import Database
from app.wechat.crypto import signature
from tests.factories.accounts import OTHER_AES_KEY, SECRET, make_account


@pytest.fixture
def registry(database: Database, vault: Vault, clock: FakeClock, ids: Ids) -> AccountRegistry:
    return AccountRegistry(database, vault, clock, Audit(ids, clock))


async def drop_secret(database: Database, account_id: AccountId, name: str) -> None:
    """As a careless hand in the database would."""
    await database.transaction(
        lambda tx: tx.run(
            delete(AccountSecret).where(
                AccountSecret.account_id == account_id, AccountSecret.name == name
            )
        )
    )


async def test_an_account_is_known_by_slug_and_id(
    database: Database, accounts: Accounts, registry: AccountRegistry
) -> None:
    account_id = await make_account(database, accounts)
    assert registry.by_slug("cafe") is None
    await registry.refresh()
    live = registry.by_slug("cafe")
    assert live is not None
    assert live is registry.by_id(account_id)
    assert registry.all() == (live,)
    assert (live.secret, live.view.may_send, live.view.contact) == (
        SECRET,
        True,
        "电话 010-12345678",
    )
    assert SECRET not in repr(live)
    live.codec.check(signature("tok123", "1767240000", "n"), "1767240000", "n", 1767240000)


async def test_only_what_changed_is_loaded_again(
    database: Database, accounts: Accounts, registry: AccountRegistry
) -> None:
    first = await make_account(database, accounts)
    await make_account(database, accounts, "other", appid="wx00000000000000bb")
    await registry.refresh()
    before = registry.by_slug("other")
    await database.transaction(lambda tx: accounts.update(tx, first, {"name": "新"}, actor=CLI))
    await registry.refresh()
    changed = registry.by_slug("cafe")
    assert changed is not None
    assert changed.name == "新"
    assert registry.by_slug("other") is before


async def test_a_new_key_opens_what_the_old_one_sealed(
    database: Database, accounts: Accounts, registry: AccountRegistry
) -> None:
    account_id = await make_account(database, accounts)
    await registry.refresh()
    old = registry.by_slug("cafe")
    assert old is not None
    sealed = old.codec.seal("<xml/>", 0, timestamp=1, nonce="n")
    await database.transaction(
        lambda tx: accounts.rotate_keys(
            tx, account_id, AccountKeys(aes_key=OTHER_AES_KEY), actor=CLI
        )
    )
    await registry.refresh()
    fresh = registry.by_slug("cafe")
    assert fresh is not None
    encrypted = sealed.split("<Encrypt><![CDATA[")[1].split("]]>")[0]
    query = {
        "encrypt_type": "aes",
        "timestamp": "1",
        "nonce": "n",
        "msg_signature": signature("tok123", "1", "n", encrypted),
    }
    opened = fresh.codec.open(sealed.encode(), query)
    assert (opened.xml, opened.key_index) == ("<xml/>", 1)


async def test_a_disabled_account_is_unknown(
    database: Database, accounts: Accounts, registry: AccountRegistry
) -> None:
    account_id = await make_account(database, accounts)
    await registry.refresh()
    await database.transaction(
        lambda tx: accounts.update(tx, account_id, {"enabled": False}, actor=CLI)
    )
    await registry.refresh()
    assert registry.by_slug("cafe") is None
    assert registry.all() == ()


async def test_a_broken_account_leaves_the_others_alone(
    database: Database, accounts: Accounts, registry: AccountRegistry
) -> None:
    empty = await make_account(database, accounts, "empty")
    await make_account(database, accounts, "good", appid="wx00000000000000bb")
    odd = await make_account(database, accounts, "odd", appid="wx00000000000000cc")
    keyless = await make_account(database, accounts, "keyless", appid="wx00000000000000dd")
    await drop_secret(database, empty, "token")
    await drop_secret(database, keyless, "aes_key")

    stolen = select(AccountSecret.ciphertext).where(
        AccountSecret.account_id == odd, AccountSecret.name == "secret"
    )
    await database.transaction(
        lambda tx: tx.run(
            update(AccountSecret)
            .where(AccountSecret.account_id == odd, AccountSecret.name == "token")
            .values(ciphertext=stolen.scalar_subquery())
        )
    )
    await registry.refresh()
    assert [live.slug for live in registry.all()] == ["good"]
    kinds = {account_id: type(problem) for account_id, problem in registry.problems.items()}
    assert kinds == {empty: EmptyToken, odd: CannotOpen, keyless: BrokenAccount}


async def test_a_repaired_account_comes_back(
    database: Database, accounts: Accounts, registry: AccountRegistry
) -> None:
    account_id = await make_account(database, accounts)
    await drop_secret(database, account_id, "token")
    await registry.refresh()
    await registry.refresh()
    assert set(registry.problems) == {account_id}
    await database.transaction(
        lambda tx: accounts.rotate_keys(tx, account_id, AccountKeys(token="again"), actor=CLI)
    )
    await registry.refresh()
    assert registry.problems == {}
    assert registry.by_slug("cafe") is not None


async def test_another_secret_key_is_told_as_such(
    database: Database, accounts: Accounts, clock: FakeClock
) -> None:
    account_id = await make_account(database, accounts)
    registry = AccountRegistry(database, Vault("x" * 40), clock)
    await registry.refresh()
    assert isinstance(registry.problems[account_id], CannotOpen)
    assert registry.all() == ()


async def test_an_original_id_is_learnt_once(
    database: Database, accounts: Accounts, registry: AccountRegistry
) -> None:
    account_id = await make_account(database, accounts)
    await registry.refresh()
    await asyncio.gather(*(registry.learn_original_id(account_id, f"gh_{n:012}") for n in range(6)))
    live = registry.by_id(account_id)
    assert live is not None
    learnt = live.original_id
    assert learnt is not None
    await registry.learn_original_id(account_id, "gh_ffffffffffff")
    row = await database.read(lambda tx: tx.first(select(Account.original_id, Account.version)))
    assert tuple(row) == (learnt, 2)
    actions = await database.read(
        lambda tx: tx.all(
            select(AuditRow.actor).where(AuditRow.action == "account.original_id_learnt")
        )
    )
    assert [row.actor for row in actions] == ["system"]


async def test_the_loop_follows_changes_and_outlives_a_database_that_is_away(
    database: Database,
    accounts: Accounts,
    registry: AccountRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.accounts.registry.REFRESH_SECONDS", 0.001)
    await make_account(database, accounts)
    real, failures = database.read, 0

    async def flaky(work: Any) -> Any:
        nonlocal failures
        if failures < 3:
            failures += 1
            raise ConnectionError("away")
        return await real(work)

    monkeypatch.setattr(database, "read", flaky)
    loop = asyncio.ensure_future(registry.run())
    async with asyncio.timeout(5):
        while registry.by_slug("cafe") is None:  # noqa: ASYNC110  # it is polling that is tested
            await asyncio.sleep(0.001)
    assert failures == 3
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


async def test_the_loop_does_not_hide_a_fault(
    registry: AccountRegistry, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> object:
        raise KeyError("mistake")

    monkeypatch.setattr(database, "read", broken)
    with pytest.raises(KeyError):
        await registry.run()

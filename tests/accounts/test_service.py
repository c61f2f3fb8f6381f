import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from app.accounts import errors
from app.accounts.queries import find_by_slug, get_account, list_accounts, sealed_secrets
from app.accounts.service import AccountKeys, Accounts, secret_place
from app.core.errors import AppError
from app.core.ids import AccountId
from app.core.vault import CannotOpen, Vault
from app.db.audit import CLI, AuditRow
from app.db.database import Database
from tests.factories.accounts import (
    AES_KEY,
    OTHER_AES_KEY,
    SECRET,
    account_keys,
    account_settings,
    make_account,
)


async def secrets_of(database: Database, vault: Vault, account_id: AccountId) -> dict[str, str]:
    sealed = await database.read(lambda tx: sealed_secrets(tx, account_id))
    return {n: vault.open(secret_place(account_id, n), text) for n, text in sealed.items()}


async def audited(database: Database) -> list[Any]:
    statement = select(AuditRow.action, AuditRow.actor, AuditRow.before, AuditRow.after).order_by(
        AuditRow.id
    )
    return [tuple(row) for row in await database.read(lambda tx: tx.all(statement))]


async def test_a_new_account_is_stored_with_sealed_keys(
    database: Database, accounts: Accounts, vault: Vault
) -> None:
    account_id = await make_account(database, accounts)
    row = await database.read(lambda tx: get_account(tx, account_id))
    assert (row.slug, row.name, row.kind, row.verified) == ("cafe", "咖啡店", "service", True)
    assert (row.version, row.original_id, row.timezone) == (1, None, "Asia/Shanghai")
    assert await secrets_of(database, vault, account_id) == {
        "secret": SECRET,
        "token": "tok123",
        "aes_key": AES_KEY,
    }
    sealed = await database.read(lambda tx: sealed_secrets(tx, account_id))
    assert all(SECRET.encode() not in text for text in sealed.values())


async def test_a_sealed_key_opens_only_where_it_was_put(
    database: Database, accounts: Accounts, vault: Vault
) -> None:
    account_id = await make_account(database, accounts)
    sealed = await database.read(lambda tx: sealed_secrets(tx, account_id))
    with pytest.raises(CannotOpen):
        vault.open(secret_place(account_id, "token"), sealed["secret"])
    with pytest.raises(CannotOpen):
        vault.open(secret_place(account_id + 1, "secret"), sealed["secret"])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"slug": "Cafe"}, errors.BadSlug),
        ({"slug": "c"}, errors.BadSlug),
        ({"slug": "a/b"}, errors.BadSlug),
        ({"slug": "x" * 41}, errors.BadSlug),
        ({"slug": "cafe\n"}, errors.BadSlug),
        ({"name": " "}, errors.BadName),
        ({"name": "n" * 81}, errors.BadName),
        ({"name": "a\0b"}, errors.BadName),
        ({"kind": "mini"}, errors.BadKind),
        ({"mode": "none"}, errors.BadMode),
        ({"appid": "wx1"}, errors.BadAppId),
        ({"appid": " wx00000000000000aa"}, errors.BadAppId),
        ({"original_id": "oabc"}, errors.BadOriginalId),
        ({"timezone": "Asia/Nowhere"}, errors.BadTimeZone),
        ({"timezone": "../etc/passwd"}, errors.BadTimeZone),
        ({"contact": "c" * 301}, errors.BadContact),
        ({"token": ""}, errors.BadToken),
        ({"token": "ab"}, errors.BadToken),
        ({"token": "t" * 33}, errors.BadToken),
        ({"token": "tok-en"}, errors.BadToken),
        ({"secret": ""}, errors.BadSecret),
        ({"secret": "short"}, errors.BadSecret),
        ({"aes_key": "A" * 42}, errors.BadAesKey),
        ({"aes_key": "A" * 42 + "="}, errors.BadAesKey),
        ({"aes_key": ""}, errors.AesKeyMissing),
        ({"mode": "compat", "aes_key": ""}, errors.AesKeyMissing),
    ],
)
async def test_what_cannot_be_right_is_refused_in_both_languages(
    database: Database, accounts: Accounts, changes: dict[str, str], error: type[AppError]
) -> None:
    settings = {n: v for n, v in changes.items() if n not in ("slug", "token", "secret", "aes_key")}
    keys = {n: v for n, v in changes.items() if n in ("token", "secret", "aes_key")}
    with pytest.raises(error) as caught:
        await database.transaction(
            lambda tx: accounts.create(
                tx,
                slug=changes.get("slug", "cafe"),
                settings=account_settings(**settings),
                keys=account_keys(**keys),
                actor=CLI,
            )
        )
    assert caught.value.say("zh") != caught.value.say("en")
    assert await database.read(list_accounts) == []


async def test_plain_mode_needs_no_aes_key(database: Database, accounts: Accounts) -> None:
    account_id = await database.transaction(
        lambda tx: accounts.create(
            tx,
            slug="cafe",
            settings=account_settings(mode="plain"),
            keys=account_keys(aes_key=""),
            actor=CLI,
        )
    )
    assert set(await database.read(lambda tx: sealed_secrets(tx, account_id))) == {
        "secret",
        "token",
    }


async def test_slug_and_appid_are_taken_once(database: Database, accounts: Accounts) -> None:
    await make_account(database, accounts)
    with pytest.raises(errors.SlugTaken):
        await make_account(database, accounts, "cafe", appid="wx00000000000000bb")
    with pytest.raises(errors.AppIdTaken):
        await make_account(database, accounts, "other")


async def test_of_two_who_take_a_slug_at_once_one_has_it(
    database: Database, accounts: Accounts
) -> None:
    results = await asyncio.gather(
        *(
            make_account(database, accounts, "cafe", appid=f"wx0000000000000{n:03}")
            for n in range(8)
        ),
        return_exceptions=True,
    )
    refused = [r for r in results if isinstance(r, errors.SlugTaken)]
    assert len(refused) == 7
    assert len(await database.read(list_accounts)) == 1


async def test_a_change_raises_the_version_and_is_audited(
    database: Database, accounts: Accounts
) -> None:
    account_id = await make_account(database, accounts)
    version = await database.transaction(
        lambda tx: accounts.update(tx, account_id, {"name": "新名", "contact": "找店员"}, actor=CLI)
    )
    assert version == 2
    row = await database.read(lambda tx: find_by_slug(tx, "cafe"))
    assert (row.name, row.contact, row.version) == ("新名", "找店员", 2)
    assert (await audited(database))[-1] == (
        "account.changed",
        "cli",
        {"name": "咖啡店", "contact": "电话 010-12345678"},
        {"name": "新名", "contact": "找店员"},
    )


async def test_a_change_of_nothing_leaves_the_version(
    database: Database, accounts: Accounts
) -> None:
    account_id = await make_account(database, accounts)
    version = await database.transaction(
        lambda tx: accounts.update(tx, account_id, {"name": "咖啡店"}, actor=CLI)
    )
    assert version == 1
    assert len(await audited(database)) == 1


async def test_a_change_is_checked_as_a_whole(database: Database, accounts: Accounts) -> None:
    account_id = await database.transaction(
        lambda tx: accounts.create(
            tx,
            slug="cafe",
            settings=account_settings(mode="plain"),
            keys=account_keys(aes_key=""),
            actor=CLI,
        )
    )
    with pytest.raises(errors.AesKeyMissing):
        await database.transaction(
            lambda tx: accounts.update(tx, account_id, {"mode": "safe"}, actor=CLI)
        )


async def test_an_appid_can_be_corrected_but_not_to_anothers(
    database: Database, accounts: Accounts
) -> None:
    account_id = await make_account(database, accounts)
    await make_account(database, accounts, "other", appid="wx00000000000000bb")
    await database.transaction(
        lambda tx: accounts.update(tx, account_id, {"appid": "wx00000000000000cc"}, actor=CLI)
    )
    with pytest.raises(errors.AppIdTaken):
        await database.transaction(
            lambda tx: accounts.update(tx, account_id, {"appid": "wx00000000000000bb"}, actor=CLI)
        )
    row = await database.read(lambda tx: find_by_slug(tx, "cafe"))
    assert row.appid == "wx00000000000000cc"


async def test_changing_an_unknown_account_is_refused(
    database: Database, accounts: Accounts
) -> None:
    with pytest.raises(errors.NoSuchAccount):
        await database.transaction(
            lambda tx: accounts.update(tx, AccountId(1), {"name": "x"}, actor=CLI)
        )


async def test_rotation_keeps_the_key_in_use_as_the_previous_one(
    database: Database, accounts: Accounts, vault: Vault
) -> None:
    account_id = await make_account(database, accounts)
    version = await database.transaction(
        lambda tx: accounts.rotate_keys(
            tx, account_id, AccountKeys(aes_key=OTHER_AES_KEY, token="fresh"), actor=CLI
        )
    )
    assert version == 2
    assert await secrets_of(database, vault, account_id) == {
        "secret": SECRET,
        "token": "fresh",
        "aes_key": OTHER_AES_KEY,
        "aes_key_previous": AES_KEY,
    }
    action, _, before, after = (await audited(database))[-1]
    assert (action, before, after) == (
        "account.keys_changed",
        None,
        {"keys": ["aes_key", "token"]},
    )


async def test_rotating_to_the_same_keys_changes_nothing(
    database: Database, accounts: Accounts, vault: Vault
) -> None:
    account_id = await make_account(database, accounts)
    version = await database.transaction(
        lambda tx: accounts.rotate_keys(tx, account_id, account_keys(), actor=CLI)
    )
    assert version == 1
    assert "aes_key_previous" not in await secrets_of(database, vault, account_id)


async def test_a_bad_key_is_not_taken_over(
    database: Database, accounts: Accounts, vault: Vault
) -> None:
    account_id = await make_account(database, accounts)
    with pytest.raises(errors.BadToken):
        await database.transaction(
            lambda tx: accounts.rotate_keys(tx, account_id, AccountKeys(token="no!"), actor=CLI)
        )
    assert (await secrets_of(database, vault, account_id))["token"] == "tok123"


async def test_no_secret_is_printed_or_audited(database: Database, accounts: Accounts) -> None:
    await make_account(database, accounts)
    assert SECRET not in repr(account_keys())
    assert all(SECRET not in repr(row) for row in await audited(database))

"""Statements compiled once: values in, rows out, lists as one parameter."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import String, bindparam, select

from app.db.base import Json, Utc
from app.db.database import Database
from app.db.hot import Hot, InList
from app.db.receipts import FIND, INSERT, Receipt
from app.db.tx import Tx

NOON = datetime(2026, 5, 6, 12, 0, 0, 7, tzinfo=UTC)
AWKWARD = ["plain", 'a"b', "c\\d", "", " x, {y} ", "NULL", "逗号，'单'", "%s %% :k", "new\nline"]


def receipt(key: str, account: int) -> dict[str, object]:
    return {
        "key": key,
        "account_id": account,
        "request_hash": None,
        "status": 200,
        "answer": key,
        "tries": 1,
        "expires_at": NOON,
    }


async def ask(database: Database, statement: Hot, params: dict[str, object]) -> list[Any]:
    async def work(tx: Tx) -> list[Any]:
        return list(await tx.all(statement, params))

    return await database.read(work)


async def test_texts_of_any_kind_are_found_in_a_list(database: Database) -> None:
    rows = [
        {
            "key": key,
            "account_id": 1,
            "request_hash": None,
            "status": 200,
            "answer": key,
            "tries": 1,
        }
        | {"expires_at": NOON}
        for key in AWKWARD
    ]
    await database.transaction(lambda tx: tx.many(INSERT, rows))

    found = await ask(database, FIND, {"keys": [*AWKWARD, "absent"]})

    assert sorted(row[0] for row in found) == sorted(AWKWARD)


BIG = (1 << 62) + 1
OF_ACCOUNTS = Hot(select(Receipt.account_id).where(InList(Receipt.account_id, "accounts")))


@pytest.mark.parametrize("wanted", [[], [2], [1, 3, BIG]])
async def test_numbers_are_found_in_a_list(database: Database, wanted: list[int]) -> None:
    rows = [receipt("k", account) for account in (1, 2, 3, BIG)]
    await database.transaction(lambda tx: tx.many(INSERT, rows))

    found = await ask(database, OF_ACCOUNTS, {"accounts": wanted})

    assert sorted(row[0] for row in found) == wanted


async def test_moments_documents_and_constants_keep_their_places(database: Database) -> None:
    statement = Hot(
        select(
            bindparam("at", type_=Utc()).label("at"),
            bindparam("fixed", "值", type_=String()).label("fixed"),
            bindparam("document", type_=Json()).label("document"),
            bindparam("never_", type_=Utc()).label("never_"),
        )
    )
    beijing = NOON.astimezone(timezone(timedelta(hours=8)))

    rows = await ask(database, statement, {"at": beijing, "document": {"n": [1]}, "never_": None})

    assert [tuple(row) for row in rows] == [(NOON, "值", {"n": [1]}, None)]


async def test_a_missing_parameter_is_an_error(database: Database) -> None:
    with pytest.raises(KeyError):
        await ask(database, FIND, {})

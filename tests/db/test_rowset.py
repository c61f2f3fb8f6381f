"""Many rows in one statement: what it becomes, and that it means the same on both databases."""

from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from sqlalchemy import bindparam, func, select, update

from app.core.clock import FakeClock
from app.core.ids import Ids
from app.db.database import Database
from app.db.events import EventRow
from app.db.hot import Hot, hot_insert, upsert
from app.db.receipts import INSERT as INSERT_RECEIPT
from app.db.receipts import Receipt
from app.db.tx import Tx
from app.wechat.models import WechatToken

NOW = datetime(2026, 1, 1, 4, 0, 0, 123456, tzinfo=UTC)
MOVE = Hot(
    update(Receipt)
    .where(Receipt.key == bindparam("k"), Receipt.tries == bindparam("seen"))
    .values(
        tries=bindparam("seen", type_=Receipt.tries.type) + 1,
        answer=func.coalesce(bindparam("now_answer", type_=Receipt.answer.type), Receipt.answer),
    ),
    distinct=True,
)
KEEP_FIRST = Hot(
    lambda dialect: (
        upsert(dialect, Receipt)
        .values(
            key=bindparam("key"),
            account_id=1,
            status=bindparam("status"),
            answer=bindparam("answer"),
            tries=1,
            expires_at=bindparam("at", type_=Receipt.expires_at.type),
        )
        .on_conflict_do_nothing(index_elements=[Receipt.key, Receipt.account_id])
    ),
    distinct=True,
)


def receipt(key: str, answer: str | None = "<xml>你好 % %s :x \"'\\ </xml>") -> dict[str, object]:
    return {
        "key": key,
        "account_id": 1,
        "request_hash": None,
        "status": 200,
        "answer": answer,
        "tries": 1,
        "expires_at": NOW,
    }


async def stored(database: Database) -> list[tuple[object, ...]]:
    async def work(tx: Tx) -> list[tuple[object, ...]]:
        statement = select(Receipt.key, Receipt.answer, Receipt.tries, Receipt.expires_at)
        return [tuple(row) for row in await tx.all(statement.order_by(Receipt.key))]

    return await database.read(work)


async def test_inserted_values_come_back_unchanged(database: Database) -> None:
    rows = [receipt(f"w:m:{n}") for n in range(300)]

    assert await database.transaction(lambda tx: tx.many(INSERT_RECEIPT, rows)) == 300

    found = await stored(database)
    assert len(found) == 300
    assert found[0] == ("w:m:0", rows[0]["answer"], 1, NOW)


async def test_an_update_touches_only_rows_whose_guard_holds(database: Database) -> None:
    rows = [receipt("a"), receipt("b", None), receipt("c")]
    await database.transaction(lambda tx: tx.many(INSERT_RECEIPT, rows))
    moves = [
        {"k": "a", "seen": 1, "now_answer": None},
        {"k": "b", "seen": 1, "now_answer": "new"},
        {"k": "c", "seen": 7, "now_answer": "never"},
    ]

    assert await database.transaction(lambda tx: tx.many(MOVE, moves)) == 2

    assert [(key, answer, tries) for key, answer, tries, _ in await stored(database)] == [
        ("a", rows[0]["answer"], 2),
        ("b", "new", 2),
        ("c", rows[2]["answer"], 1),
    ]


async def test_an_upsert_keeps_its_clause_and_its_own_constants(database: Database) -> None:
    await database.transaction(lambda tx: tx.many(INSERT_RECEIPT, [receipt("a", "first")]))
    rows = [{"key": key, "status": 200, "answer": "second", "at": NOW} for key in ("a", "b")]

    assert await database.transaction(lambda tx: tx.many(KEEP_FIRST, rows)) == 1

    found = await stored(database)
    assert [(key, answer, tries) for key, answer, tries, _ in found] == [
        ("a", "first", 1),
        ("b", "second", 1),
    ]


async def test_documents_are_stored_as_such_and_ids_follow_the_order_given(
    database: Database, clock: FakeClock
) -> None:
    names = ("account_id", "topic", "kind", "aggregate_type", "aggregate_id", "aggregate_seq")
    insert = hot_insert(EventRow, *names, "payload", "created_at")
    big = Ids(clock, 7).new()
    payloads = [MappingProxyType({"n": n, "text": "二%", "id": str(big)}) for n in range(200)]
    rows = [
        dict(zip(names, (1, "t", "t.x", "test", big, n), strict=True))
        | {"payload": payload, "created_at": NOW}
        for n, payload in enumerate(payloads)
    ]
    await database.transaction(lambda tx: tx.many(insert, rows))

    async def read(tx: Tx) -> list[tuple[object, ...]]:
        order = select(EventRow.payload, EventRow.aggregate_id).order_by(EventRow.id)
        return [tuple(row) for row in await tx.all(order)]

    assert await database.read(read) == [(dict(payload), big) for payload in payloads]


async def test_a_missing_value_is_an_error_and_not_a_null(database: Database) -> None:
    row = receipt("a")
    del row["status"]

    with pytest.raises(KeyError):
        await database.transaction(lambda tx: tx.many(INSERT_RECEIPT, [row]))


class TestWhatHasNoSetWiseForm:
    def test_a_statement_not_declared_distinct(self) -> None:
        assert (
            Hot(update(Receipt).values(tries=bindparam("n"))).prepared("postgresql").rowset is None
        )

    def test_a_clause_beside_the_values_that_asks_for_a_rows_value(self) -> None:
        statement = Hot(
            lambda dialect: (
                upsert(dialect, Receipt)
                .values(key=bindparam("key"), account_id=bindparam("account"))
                .on_conflict_do_update(
                    index_elements=[Receipt.key, Receipt.account_id],
                    set_={"answer": bindparam("again")},
                )
            ),
            distinct=True,
        )

        assert statement.prepared("postgresql").rowset is None

    def test_bytes(self) -> None:
        columns = [c.name for c in WechatToken.__table__.columns]

        assert hot_insert(WechatToken, *columns).prepared("postgresql").rowset is None

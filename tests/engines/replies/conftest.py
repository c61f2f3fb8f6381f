"""An account's replies over a fresh database."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from sqlalchemy import select

from app.core.actions import ActionRegistry
from app.core.clock import FakeClock
from app.core.ids import AccountId, Ids
from app.db.audit import Actor, Audit, AuditRow
from app.db.database import Database
from app.db.events import EventRow, Events
from app.db.tx import Statement, Tx
from app.engines.replies.actions import register
from app.engines.replies.book import Book
from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.replies.service import Replies

T = TypeVar("T")
ONE = AccountId(1)
TWO = AccountId(2)
STAFF = Actor("token:9")


def say(text: str) -> list[dict[str, Any]]:
    return [{"do": "reply", "with": {"kind": "text", "text": text}}]


def rule(*words: str, **other: Any) -> RuleInput:
    given = {"name": "规则", "kind": "contains", "words": list(words), "answers": [say("好的")]}
    return RuleInput.model_validate({**given, **other})


def binding(on: str, key: str = "", **other: Any) -> BindingInput:
    return BindingInput.model_validate({"on": on, "key": key, "answers": [say("好的")], **other})


def flow(name: str = "点单", **other: Any) -> FlowInput:
    plan = {"steps": [{"ask": "几杯？", "expect": "number", "save_as": "count"}], **other}
    return FlowInput(name=name, plan=plan)


def start(name: str) -> list[list[dict[str, Any]]]:
    return [[{"do": "start_flow", "with": {"flow": name}}]]


@dataclass
class Desk:
    """What a test does with replies, each step in a transaction of its own."""

    database: Database
    replies: Replies
    book: Book

    async def do(self, use: Callable[..., Awaitable[T]], *args: Any, **named: Any) -> T:
        """`use(tx, actor, account 1, …)`."""

        async def work(tx: Tx) -> T:
            account = named.pop("account", ONE)
            return await use(tx, STAFF, account, *args, **named)

        return await self.database.transaction(work)

    async def rows(self, statement: Statement) -> Sequence[Any]:
        async def work(tx: Tx) -> Sequence[Any]:
            return await tx.all(statement)

        return await self.database.read(work)

    async def events(self) -> list[tuple[str, int]]:
        rows = await self.rows(select(EventRow.kind, EventRow.aggregate_seq).order_by(EventRow.id))
        return [(row.kind, row.aggregate_seq) for row in rows]

    async def audited(self) -> list[Any]:
        columns = (AuditRow.actor, AuditRow.action, AuditRow.before, AuditRow.after)
        return list(await self.rows(select(*columns).order_by(AuditRow.id)))


@pytest.fixture
def desk(database: Database, ids: Ids, clock: FakeClock) -> Desk:
    registry = ActionRegistry()
    book = Book(database, registry, clock)
    register(registry, book)
    events = Events(clock, [book.on_events])
    return Desk(database, Replies(ids, clock, registry, events, Audit(ids, clock)), book)

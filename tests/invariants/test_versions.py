"""Any version can be had again, whatever was done to the book; and many who change it at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from app.core.actions import ActionRegistry
from app.core.clock import FakeClock
from app.core.errors import AppError
from app.core.ids import AccountId, Ids
from app.core.rng import SeededRng
from app.core.settings import Settings
from app.db.audit import Actor, Audit, AuditRow
from app.db.database import Database, open_database
from app.db.events import Events
from app.db.tx import Tx
from app.engines.replies.actions import register
from app.engines.replies.book import Book
from app.engines.replies.book_plan import Mode
from app.engines.replies.book_settings import BookSettings
from app.engines.replies.compiled import compile_book
from app.engines.replies.documents import read_document
from app.engines.replies.errors import VersionConflict
from app.engines.replies.history import list_revisions
from app.engines.replies.imports import Imports
from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.replies.models import Binding, Flow, Revision, Rule
from app.engines.replies.models import Book as BookRow
from app.engines.replies.service import Replies
from app.engines.replies.standing import stored_of

ACCOUNT = AccountId(1)
STAFF = Actor("token:9")
WORDS = ("咖啡", "茶", "几点", "no", "*杯")
_TABLES: tuple[Any, ...] = (Rule, Binding, Flow, BookRow, Revision, AuditRow)


def say(text: str) -> list[list[dict[str, Any]]]:
    return [[{"do": "reply", "with": {"kind": "text", "text": text}}]]


@dataclass
class House:
    """One account's book, and what it looked like in each version."""

    database: Database
    replies: Replies
    imports: Imports
    registry: ActionRegistry
    exports: dict[int, str] = field(default_factory=dict)
    answers: dict[int, list[Any]] = field(default_factory=dict)

    async def do(self, work: Callable[[Tx], Any]) -> None:
        """One change; a refusal is as good as none."""
        try:
            await self.database.transaction(work)
        except AppError:
            return

    async def note(self) -> None:
        text, version = await self.imports.export(ACCOUNT, "json")
        known = self.exports.setdefault(version, text)
        assert known == text, "the book changed without a version"
        self.answers[version] = await self.ask(version)

    async def ask(self, version: int) -> list[Any]:
        """What wins for each word, by id, and what is bound and begun, at this version."""
        stored = stored_of(await self.imports.book_at(ACCOUNT, version))
        compiled = compile_book(stored, self.registry)
        assert not compiled.broken
        winners = [compiled.matcher.explain(word).winner for word in (*WORDS, "大杯")]
        bound = {key: (one.id, one.answers) for key, one in compiled.bindings.items()}
        return [winners, bound, sorted(compiled.flows), compiled.settings]

    async def ids(self, table: Any) -> list[int]:
        async def work(tx: Tx) -> list[int]:
            return [row.id for row in await tx.all(select(table.id).order_by(table.id))]

        return await self.database.read(work)


@asynccontextmanager
async def house(settings: Settings, clock: FakeClock) -> AsyncIterator[House]:
    """On the test's database, its tables emptied."""
    database = open_database(settings, SeededRng(1))
    ids = Ids(clock, 1)
    registry = ActionRegistry()
    register(registry, Book(database, registry, clock))
    replies = Replies(ids, clock, registry, Events(clock), Audit(ids, clock))

    async def empty(tx: Tx) -> None:
        for table in _TABLES:
            await tx.run(delete(table))

    await database.transaction(empty)
    try:
        yield House(database, replies, Imports(database, replies), registry)
    finally:
        await database.close()


# --- what may happen ------------------------------------------------------------------------------

_ANSWER = st.sampled_from(["好的", "欢迎\n光临 😀"]).map(say)
_RULE = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["甲", "乙", "丙"]),
        "kind": st.sampled_from(["exact", "contains", "wildcard"]),
        "words": st.lists(st.sampled_from(WORDS), min_size=1, max_size=2),
        "answers": st.one_of(_ANSWER, st.just([[{"do": "start_flow", "with": {"flow": "点单"}}]])),
    },
    optional={
        "priority": st.integers(0, 2),
        "enabled": st.booleans(),
        "hours": st.sampled_from([None, {"daily": [["09:00", "18:00"]]}]),
    },
)
_BINDING = st.fixed_dictionaries(
    {"on": st.just("menu"), "key": st.sampled_from(["a", "b", "c"]), "answers": _ANSWER}
)
_FLOW = st.builds(
    lambda name, ask: {"name": name, "plan": {"steps": [{"ask": ask, "save_as": "count"}]}},
    st.sampled_from(["点单", "订位"]),
    st.sampled_from(["几杯？", "几位？"]),
)
_SETTINGS = st.fixed_dictionaries(
    {}, optional={"enabled": st.booleans(), "silent_for": st.just(["员工"])}
)
_FILE = st.fixed_dictionaries(
    {"guanxi": st.just(1)},
    optional={
        "settings": _SETTINGS,
        "rules": st.lists(_RULE, max_size=3),
        "bindings": st.lists(_BINDING, max_size=3),
        "flows": st.lists(_FLOW, max_size=2),
    },
)
_PICK = st.integers(0, 1_000_000)
_STEP = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(["rules", "bindings", "flows"]), st.data()),
    st.tuples(st.just("update"), st.sampled_from(["rules", "bindings", "flows"]), _PICK),
    st.tuples(st.just("delete"), st.sampled_from(["rules", "bindings", "flows"]), _PICK),
    st.tuples(st.just("settings"), st.none(), _SETTINGS),
    st.tuples(st.just("import"), st.sampled_from(["merge", "replace"]), _FILE),
    st.tuples(st.just("rollback"), st.none(), _PICK),
)
_WRITTEN: dict[str, Any] = {"rules": _RULE, "bindings": _BINDING, "flows": _FLOW}
_MODELS: dict[str, Any] = {"rules": RuleInput, "bindings": BindingInput, "flows": FlowInput}
_ROWS: dict[str, Any] = {"rules": Rule, "bindings": Binding, "flows": Flow}


class Acting:
    def __init__(self, at: House, data: st.DataObject) -> None:
        self._at = at
        self._data = data

    async def step(self, what: str, which: Any, given: Any) -> None:
        await getattr(self, f"_{what}")(which, given)
        await self._at.note()

    async def _create(self, which: str, _: Any) -> None:
        written = self._input(which)
        shelf = getattr(self._at.replies, which)
        await self._at.do(lambda tx: shelf.create(tx, STAFF, ACCOUNT, written))

    async def _update(self, which: str, pick: int) -> None:
        ids = await self._at.ids(_ROWS[which])
        if not ids:
            return
        number, written = ids[pick % len(ids)], self._input(which)
        shelf = getattr(self._at.replies, which)

        async def work(tx: Tx) -> None:
            view = await shelf.get(tx, ACCOUNT, number)
            await shelf.update(tx, STAFF, ACCOUNT, number, written, version=view.version)

        await self._at.do(work)

    async def _delete(self, which: str, pick: int) -> None:
        ids = await self._at.ids(_ROWS[which])
        shelf = getattr(self._at.replies, which)
        if ids:
            await self._at.do(lambda tx: shelf.delete(tx, STAFF, ACCOUNT, ids[pick % len(ids)]))

    async def _settings(self, _: Any, given: dict[str, Any]) -> None:
        version = max(self._at.exports)
        wanted = BookSettings.model_validate(given)
        await self._at.do(
            lambda tx: self._at.replies.put_settings(tx, STAFF, ACCOUNT, wanted, version=version)
        )

    async def _import(self, mode: Mode, given: dict[str, Any]) -> None:
        imports = self._at.imports
        try:
            plan = await imports.plan_import(ACCOUNT, orjson.dumps(given), mode)
        except AppError:
            return
        await self._at.database.transaction(
            lambda tx: imports.apply(tx, STAFF, ACCOUNT, plan, source="import")
        )

    async def _rollback(self, _: Any, pick: int) -> None:
        await roll_back(self._at, pick % (max(self._at.exports) + 1))

    def _input(self, which: str) -> Any:
        return _MODELS[which].model_validate(self._data.draw(_WRITTEN[which]))


async def roll_back(at: House, version: int) -> None:
    plan = await at.imports.plan_rollback(ACCOUNT, version)
    now = await at.database.transaction(
        lambda tx: at.imports.apply(tx, STAFF, ACCOUNT, plan, source="rollback")
    )
    text, exported = await at.imports.export(ACCOUNT, "json")
    assert exported == now
    assert read_document(text.encode()).value == read_document(at.exports[version].encode()).value
    assert text == at.exports[version]
    assert await at.ask(now) == at.answers[version]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), steps=st.lists(_STEP, min_size=1, max_size=12))
def test_any_version_can_be_had_again(
    settings: Settings, data: st.DataObject, steps: list[tuple[str, Any, Any]]
) -> None:
    async def story() -> None:
        async with house(settings, FakeClock()) as at:
            await at.note()
            acting = Acting(at, data)
            for step in steps:
                await acting.step(*step)
            for version in sorted(at.exports):
                assert await at.ask(version) == at.answers[version]
            for version in sorted(at.exports):
                await roll_back(at, version)

    asyncio.run(story())


# --- at once --------------------------------------------------------------------------------------


@pytest.fixture
async def two_houses(settings: Settings, clock: FakeClock) -> AsyncIterator[tuple[House, House]]:
    """Two processes' worth of connections on one database."""
    async with house(settings, clock) as one:
        database = open_database(settings, SeededRng(2))
        ids = Ids(clock, 2)
        replies = Replies(ids, clock, one.registry, Events(clock), Audit(ids, clock))
        yield one, House(database, replies, Imports(database, replies), one.registry)
        await database.close()


async def test_versions_have_no_gap_and_no_double_when_all_write_at_once(
    two_houses: tuple[House, House],
) -> None:
    """Edits and imports from two processes: 60 that name no version all succeed, one after another."""
    raw = [
        orjson.dumps(
            {"guanxi": 1, "bindings": [{"on": "menu", "key": f"k{n}", "answers": say("好")}]}
        )
        for n in range(10)
    ]

    async def edit(at: House, n: int) -> int:
        written = RuleInput.model_validate(
            {"name": f"规则{n}", "kind": "exact", "words": [f"词{n}"], "answers": say("好")}
        )
        await at.database.transaction(
            lambda tx: at.replies.rules.create(tx, STAFF, ACCOUNT, written)
        )
        return 0

    async def bring(at: House, n: int) -> int:
        """Until it fits; how often the book had moved."""
        moved = 0
        while True:
            plan = await at.imports.plan_import(ACCOUNT, raw[n], "merge")
            try:
                await at.database.transaction(
                    partial(
                        at.imports.apply,
                        actor=STAFF,
                        account_id=ACCOUNT,
                        plan=plan,
                        source="import",
                    )
                )
            except VersionConflict:
                moved += 1
            else:
                return moved

    one, other = two_houses
    await asyncio.gather(
        *(edit(at, n) for n in range(25) for at in two_houses),
        *(bring(one if n % 2 else other, n) for n in range(10)),
    )
    views, _ = await one.database.read(lambda tx: list_revisions(tx, ACCOUNT, limit=100))
    assert [view.version for view in views] == list(range(60, 0, -1))
    assert sum(view.counts["added"] for view in views) == 60
    assert [view.source for view in views].count("import") == 10
    assert (len(await one.ids(Rule)), len(await one.ids(Binding))) == (50, 10)
    await one.note()
    plan = await one.imports.plan_rollback(ACCOUNT, 0)
    assert plan.counts == {"added": 0, "changed": 0, "removed": 60, "unchanged": 0}


async def test_of_many_plans_from_one_version_exactly_one_is_applied(
    two_houses: tuple[House, House],
) -> None:
    plans = []
    for n in range(12):
        at = two_houses[n % 2]
        raw = orjson.dumps(
            {
                "guanxi": 1,
                "rules": [{"name": f"{n}", "kind": "exact", "words": ["x"], "answers": say("好")}]
                * 1,
            }
        )
        plans.append((at, await at.imports.plan_import(ACCOUNT, raw, "replace", expect=0)))
    results = await asyncio.gather(
        *(
            at.database.transaction(
                partial(
                    at.imports.apply, actor=STAFF, account_id=ACCOUNT, plan=plan, source="import"
                )
            )
            for at, plan in plans
        ),
        return_exceptions=True,
    )
    assert sorted(map(repr, results)) == sorted(["1", *[repr(VersionConflict(current=1))] * 11])
    assert len(await two_houses[0].ids(Rule)) == 1

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import insert, update

from app.core.actions import ActionRegistry
from app.core.clock import FakeClock
from app.db.tx import Tx
from app.engines.replies.actions import register
from app.engines.replies.book import Book
from app.engines.replies.compiled import EMPTY
from app.engines.replies.models import Binding, Flow, Rule
from app.engines.replies.models import Book as BookRow
from tests.engines.replies.conftest import ONE, TWO, Desk, binding, flow, rule, say, start


async def test_an_account_without_rules_has_an_empty_book(desk: Desk) -> None:
    await desk.book.refresh()
    assert desk.book.current(ONE) is EMPTY
    assert desk.book.current(ONE).matcher.find("咖啡") is None
    assert desk.book.find_flow(ONE, "点单") is None


async def test_refresh_compiles_what_is_enabled(desk: Desk) -> None:
    on = await desk.do(desk.replies.rules.create, rule("咖啡", answers=[say("一"), say("二")]))
    await desk.do(desk.replies.rules.create, rule("茶", enabled=False))
    await desk.do(desk.replies.bindings.create, binding("menu", "a"))
    await desk.do(desk.replies.bindings.create, binding("menu", "b", enabled=False))
    await desk.do(desk.replies.flows.create, flow())
    await desk.book.refresh()
    compiled = desk.book.current(ONE)
    hit = compiled.matcher.find("要咖啡")
    assert hit is not None
    assert hit.rule_id == on.id
    assert [len(answer) for answer in compiled.answers[on.id]] == [1, 1]
    assert compiled.matcher.find("茶") is None
    assert list(compiled.bindings) == [("menu", "a")]
    assert desk.book.find_flow(ONE, "点单") is not None
    assert compiled.version == 5
    assert compiled.broken == ()


async def test_only_accounts_that_changed_are_loaded(desk: Desk) -> None:
    await desk.do(desk.replies.rules.create, rule("咖啡"))
    await desk.do(desk.replies.rules.create, rule("茶"), account=TWO)
    await desk.book.refresh([TWO])
    assert desk.book.current(ONE) is EMPTY
    await desk.book.refresh()
    one, two = desk.book.current(ONE), desk.book.current(TWO)
    await desk.do(desk.replies.rules.create, rule("水"), account=TWO)
    await desk.book.refresh()
    assert desk.book.current(ONE) is one
    assert desk.book.current(TWO) is not two
    assert two.matcher.find("水") is None  # who still holds the old one is not disturbed


async def test_unchanged_answers_are_not_parsed_again(desk: Desk) -> None:
    made = await desk.do(desk.replies.rules.create, rule("咖啡"))
    await desk.book.refresh()
    first = desk.book.current(ONE).answers[made.id]
    await desk.do(desk.replies.rules.create, rule("茶"))
    await desk.book.refresh()
    assert desk.book.current(ONE).answers[made.id] is first
    await desk.do(desk.replies.rules.update, made.id, rule("咖啡", answers=[say("新")]), version=1)
    await desk.book.refresh()
    assert desk.book.current(ONE).answers[made.id] is not first


BROKEN: list[tuple[Any, dict[str, Any], str]] = [
    (Rule, {"answers": [[{"do": "of a plugin that is gone"}]]}, "rule"),
    (Rule, {"words": ["("], "kind": "pattern"}, "rule"),
    (Rule, {"kind": "fuzzy"}, "rule"),
    (Binding, {"answers": []}, "binding"),
    (Flow, {"steps": {"steps": []}}, "flow"),
    (Flow, {"steps": []}, "flow"),
]


@pytest.mark.parametrize(("table", "values", "what"), BROKEN)
async def test_what_cannot_be_used_is_left_out_and_named(
    desk: Desk, table: Any, values: dict[str, Any], what: str
) -> None:
    bad = await desk.do(desk.replies.rules.create, rule("坏"))
    good = await desk.do(desk.replies.rules.create, rule("好"))
    bound = await desk.do(desk.replies.bindings.create, binding("follow"))
    dialogue = await desk.do(desk.replies.flows.create, flow())
    number = {"rule": bad.id, "binding": bound.id, "flow": dialogue.id}[what]

    async def spoil(tx: Tx) -> None:
        await tx.run(update(table).where(table.id == number).values(**values))

    await desk.database.transaction(spoil)
    await desk.book.refresh()
    compiled = desk.book.current(ONE)
    assert [(b.what, b.id) for b in compiled.broken] == [(what, number)]
    hit = compiled.matcher.find("好")
    assert hit is not None
    assert hit.rule_id == good.id


async def test_a_change_elsewhere_is_followed_without_help(desk: Desk, clock: FakeClock) -> None:
    registry = ActionRegistry()
    other = Book(desk.database, registry, clock)
    register(registry, other)
    running = asyncio.ensure_future(other.run())
    try:
        await desk.do(desk.replies.rules.create, rule("咖啡"))
        await until(lambda: other.current(ONE).matcher.find("咖啡") is not None)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_a_change_here_is_followed_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engines.replies.book.POLL_SECONDS", 60.0)
    running = asyncio.ensure_future(desk.book.run())
    try:
        await desk.do(desk.replies.rules.create, rule("咖啡"))
        await until(lambda: desk.book.current(ONE).version == 1)
        await desk.do(desk.replies.flows.create, flow())
        await until(lambda: desk.book.current(ONE).version == 2)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_it_ends_when_told_even_as_it_wakes(desk: Desk) -> None:
    for _ in range(20):
        running = asyncio.ensure_future(desk.book.run())
        await asyncio.sleep(0)
        desk.book.wake()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 5)


async def test_a_database_that_is_away_leaves_the_old_rules(desk: Desk) -> None:
    await desk.do(desk.replies.rules.create, rule("咖啡"))
    await desk.book.refresh()
    before = desk.book.current(ONE)

    async def lost(work: Any) -> Any:
        raise OSError("the database is away")

    database: Any = desk.database
    read, database.read = database.read, lost
    await desk.book.catch_up()
    assert desk.book.current(ONE) is before
    database.read = read
    await desk.do(desk.replies.rules.create, rule("茶"))
    await desk.book.catch_up()
    assert desk.book.current(ONE).version == 2


async def test_many_who_refresh_at_once_see_the_newest(desk: Desk) -> None:
    async def change(n: int) -> None:
        await desk.do(desk.replies.rules.create, rule(f"词{n}"))
        await desk.book.refresh()
        assert desk.book.current(ONE).matcher.find(f"词{n}") is not None

    await asyncio.gather(*(change(n) for n in range(10)))
    assert desk.book.current(ONE).version == 10


async def test_a_rule_may_start_a_flow_that_comes_with_it(desk: Desk) -> None:
    await desk.do(desk.replies.flows.create, flow())
    made = await desk.do(desk.replies.rules.create, rule("点单", answers=start("点单")))
    await desk.book.refresh()
    assert desk.book.current(ONE).answers[made.id][0][0].preview() == "开始对话：点单"


async def test_a_book_whose_rules_are_all_gone_is_empty_again(desk: Desk) -> None:
    async def work(tx: Tx) -> None:
        await tx.run(insert(BookRow).values(account_id=ONE, version=3))

    await desk.database.transaction(work)
    await desk.book.refresh()
    assert desk.book.current(ONE).version == 3
    assert len(desk.book.current(ONE).matcher) == 0


async def until(true: Any) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  # the book tells nobody that it has caught up
            await asyncio.sleep(0.01)

"""Dialogues through the real webhook and database: kept, versioned, handed over, thrown away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.conversation.apart import Context
from app.conversation.filters import Keyword
from app.conversation.forgetting import SUPERSEDED
from app.conversation.models import FlowStateRow
from app.conversation.router import Router
from app.core.clock import FakeClock
from app.core.replies import TextReply
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.events import EventRow
from app.db.tx import Tx
from app.delivery.models import Outbound
from app.delivery.upkeep import Expired
from app.engines.replies.inputs import FlowInput, RuleInput
from app.engines.replies.models import Flow, FlowVersion
from app.engines.replies.queries import FLOWS_KEPT
from app.engines.support.models import Conversation, Message
from app.handlers.held import WAITS_FOR
from app.handlers.queued import RETURNED, STILL_WAITING
from app.runtime import Extensions
from tests.shop import Shop, open_shop
from tests.wire import value_of

SIZE = {"ask": "几位？", "expect": "number", "save_as": "size"}
DAY = {"ask": "哪天？", "expect": "date", "save_as": "day"}


def say(text: str) -> dict[str, Any]:
    return {"do": "reply", "with": {"kind": "text", "text": text}}


def booking(*steps: dict[str, Any], finish: str = "{size} 位") -> FlowInput:
    plan = {"steps": list(steps or (SIZE, DAY)), "finish": [say(finish)]}
    return FlowInput(name="订位", plan=plan)


def rule(word: str, *actions: dict[str, Any]) -> RuleInput:
    return RuleInput.model_validate(
        {"name": word, "kind": "contains", "words": [word], "answers": [list(actions)]}
    )


START = {"do": "start_flow", "with": {"flow": "订位"}}


@pytest.fixture
async def shop(settings: Settings, clock: FakeClock) -> AsyncIterator[Shop]:
    async with open_shop(settings, clock) as opened:
        replies = opened.runtime.replies
        rules = [rule("订位", START), rule("人工", {"do": "handoff", "with": {"priority": 2}})]
        await opened.runtime.database.transaction(
            lambda tx: replies.import_many(
                tx, CLI, opened.account_id, rules=rules, flows=[booking()]
            )
        )
        await opened.runtime.book.refresh()
        yield opened


async def heard(shop: Shop, words: str, who: int = 1) -> str:
    return value_of(await shop.say(words, who), "Content")


async def change(shop: Shop, data: FlowInput | None) -> None:
    """Saves or deletes the flow, as staff do."""
    (row,) = await shop.rows(select(Flow.id, Flow.version))
    flows, account = shop.runtime.replies.flows, shop.account_id

    async def work(tx: Tx) -> None:
        if data is None:
            await flows.delete(tx, CLI, account, row.id)
        else:
            await flows.update(tx, CLI, account, row.id, data, version=row.version)

    await shop.runtime.database.transaction(work)
    await shop.runtime.book.refresh()


async def set_all(shop: Shop, table: Any, **values: object) -> None:
    statement = update(table).values(**values)
    await shop.runtime.database.transaction(lambda tx: tx.run(statement))


async def test_everything_of_a_state_is_kept(shop: Shop) -> None:
    assert await heard(shop, "订位 明天") == "记下了：明天（2026-01-02）。\n几位？"
    await heard(shop, "很多")
    (row,) = await shop.rows(select(FlowStateRow))
    assert (row.step, row.answers, row.path, row.misses, row.paused) == (
        0,
        {"day": "2026-01-02"},
        [],
        1,
        False,
    )
    assert row.version == shop.runtime.book.current(shop.account_id).flows["订位"].edition
    assert await heard(shop, "3") == "3 位"
    assert await shop.count(FlowStateRow) == 0


async def test_who_is_in_a_flow_finishes_the_one_they_began(shop: Shop) -> None:
    await heard(shop, "订位", 1)
    await change(shop, booking({**SIZE, "ask": "多少位？"}, finish="新的 {size}"))
    await heard(shop, "订位", 2)
    assert await heard(shop, "2", 1) == "哪天？"
    assert await heard(shop, "明天", 1) == "2 位"
    assert await heard(shop, "2", 2) == "新的 2"
    assert await heard(shop, "订位", 1) == "多少位？"


async def test_also_when_it_is_switched_off_meanwhile(shop: Shop) -> None:
    await heard(shop, "订位")
    off = booking()
    off.enabled = False
    await change(shop, off)
    assert "没有开放" in await heard(shop, "订位", 2)
    assert await heard(shop, "2") == "哪天？"
    assert await heard(shop, "明天") == "2 位"


async def test_also_when_it_is_renamed_or_deleted_and_another_takes_its_name(shop: Shop) -> None:
    await heard(shop, "订位")
    replies, database = shop.runtime.replies, shop.runtime.database
    hit = shop.runtime.book.current(shop.account_id).matcher.find("订位")
    assert hit is not None, "a flow that something starts is not deleted"
    await database.transaction(
        lambda tx: replies.rules.delete(tx, CLI, shop.account_id, hit.rule_id)
    )
    await change(shop, None)
    other = FlowInput(name="订位", plan={"steps": [{"ask": "别的？", "save_as": "other"}]})
    await database.transaction(lambda tx: replies.flows.create(tx, CLI, shop.account_id, other))
    await shop.runtime.book.refresh()
    assert await heard(shop, "2") == "哪天？"
    assert await heard(shop, "明天") == "2 位"


async def test_what_was_superseded_is_kept_for_seven_days(shop: Shop, clock: FakeClock) -> None:
    await change(shop, booking(SIZE))
    assert await shop.count(FlowVersion) == 1
    assert len(shop.runtime.book.current(shop.account_id).editions) == 2
    long_ago = clock.now() - FLOWS_KEPT
    await set_all(shop, FlowVersion, superseded_at=long_ago)
    await change(shop, booking(SIZE, finish="好"))
    assert len(shop.runtime.book.current(shop.account_id).editions) == 2
    await purge(shop, clock)
    assert await shop.count(FlowVersion) == 1


async def purge(shop: Shop, clock: FakeClock) -> None:
    await Expired(SUPERSEDED, FLOWS_KEPT, shop.runtime.database, clock.now).run()


class TestHandingOver:
    async def state(self, shop: Shop) -> Any:
        (row,) = await shop.rows(select(Conversation))
        return row

    async def test_from_the_first_word(self, shop: Shop, clock: FakeClock) -> None:
        words = await heard(shop, "人工")
        assert "已经为您转给人工" in words
        assert "010-12345678" in words
        row = await self.state(shop)
        assert (row.state, row.owner_kind, row.priority) == ("queued", "queue", 2)
        assert (row.queued_at, row.waiting_since) == (clock.now(), clock.now())
        assert (row.version, row.bot_epoch) == (3, 1)
        kinds = await shop.rows(
            select(EventRow.kind, EventRow.aggregate_seq)
            .where(EventRow.aggregate_type == "conversation")
            .order_by(EventRow.id)
        )
        assert kinds == [
            ("message.created", 1),
            ("message.created", 2),
            ("conversation.queued", 3),
        ]

    async def test_out_of_a_flow(self, shop: Shop) -> None:
        await heard(shop, "订位")
        await heard(shop, "人工")
        assert await shop.count(FlowStateRow) == 0
        row = await self.state(shop)
        assert (row.state, row.priority, row.version) == ("queued", 1, 5)
        assert await heard(shop, "2") == "", "they have just heard from us"

    async def test_waiting_and_going_back(self, shop: Shop, clock: FakeClock) -> None:
        await heard(shop, "人工")
        queued = (await self.state(shop)).queued_at
        await set_all(shop, Conversation, last_outbound_at=clock.now() - timedelta(minutes=5))
        assert (await heard(shop, "还在吗")).startswith(STILL_WAITING)
        assert await heard(shop, "还在吗") == ""
        row = await self.state(shop)
        assert (row.state, row.queued_at, row.bot_misses) == ("queued", queued, 0)
        assert await heard(shop, "取消") == RETURNED
        row = await self.state(shop)
        assert (row.state, row.owner_kind, row.queued_at, row.waiting_since) == (
            "bot",
            "bot",
            None,
            None,
        )
        assert row.bot_epoch == 2
        assert await heard(shop, "订位") == "几位？"

    async def test_one_that_was_resolved_is_opened_again(self, shop: Shop) -> None:
        await shop.event("unsubscribe")
        assert (await self.state(shop)).state == "resolved"
        await heard(shop, "人工")
        row = await self.state(shop)
        assert (row.state, row.reopen_count, row.resolved_at) == ("queued", 1, None)

    async def test_who_unfollows_waits_for_nobody(self, shop: Shop) -> None:
        await heard(shop, "人工")
        await shop.event("unsubscribe")
        row = await self.state(shop)
        assert (row.state, row.queued_at, row.waiting_since) == ("resolved", None, None)
        assert row.bot_epoch == 2

    async def test_a_repeat_moves_nothing(self, shop: Shop) -> None:
        first = await shop.say("人工", number=5)
        before = await self.state(shop)
        assert await shop.say("人工", number=5) == first
        assert (await self.state(shop)).version == before.version


async def hold(shop: Shop, state: str) -> None:
    """As an agent takes the conversation, or gives it back."""
    owner = "agent" if state == "assigned" else "bot"
    await set_all(shop, Conversation, state=state, owner_kind=owner)


async def test_a_flow_waits_while_a_person_holds_the_conversation(
    shop: Shop, clock: FakeClock
) -> None:
    await heard(shop, "订位")
    await hold(shop, "assigned")
    assert await heard(shop, "2") == ""
    (row,) = await shop.rows(
        select(FlowStateRow.paused, FlowStateRow.answers, FlowStateRow.expires_at)
    )
    assert tuple(row) == (True, {}, clock.now() + WAITS_FOR)
    (conversation,) = await shop.rows(select(Conversation.waiting_since, Conversation.state))
    assert tuple(conversation) == (clock.now(), "assigned")
    clock.advance(seconds=60)
    assert await heard(shop, "订位") == ""
    (again,) = await shop.rows(select(Conversation.waiting_since))
    assert again.waiting_since == conversation.waiting_since, "since the first unanswered word"
    await hold(shop, "bot")
    assert await heard(shop, "谢谢") == "我们接着刚才的：\n几位？"
    assert await heard(shop, "2") == "哪天？"


class Slow:
    """A handler that thinks until the test lets it go."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    def router(self) -> Router:
        made = Router("slow")

        @made.apart(Keyword("慢"))
        async def think(ctx: Context) -> TextReply:
            self.asked.set()
            await self.go.wait()
            return TextReply("想好了")

        return made


@pytest.mark.parametrize("who", ["nobody", "asked for", "there"])
async def test_a_slow_answer_does_not_talk_over_a_person(
    settings: Settings, clock: FakeClock, who: str
) -> None:
    slow = Slow()
    async with open_shop(settings, clock, Extensions(routers=[slow.router()])) as shop:
        await shop.runtime.database.transaction(
            lambda tx: shop.runtime.replies.import_many(
                tx, CLI, shop.account_id, rules=[rule("人工", {"do": "handoff"})]
            )
        )
        await shop.runtime.book.refresh()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(heard(shop, "慢"))
            await slow.asked.wait()
            if who == "asked for":
                assert "转给人工" in await heard(shop, "人工")
            if who == "there":
                await hold(shop, "assigned")
            slow.go.set()
        assert waiting.result() == ("想好了" if who == "nobody" else "")
        said = await shop.rows(select(Message.text).where(Message.direction == "out"))
        assert ("想好了",) not in said or who == "nobody"
        assert await shop.count(Outbound) == 0

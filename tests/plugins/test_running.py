"""A plugin in a running installation: it answers, its failures are contained, counted, and end it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from app.core.clock import FakeClock
from app.core.settings import Settings
from app.db.audit import CLI, AuditRow
from app.db.events import EventRow
from app.delivery.models import Job as JobRow
from app.engines.replies.inputs import RuleInput
from app.plugins.models import PluginRow
from app.runtime import Extensions
from tests.plugins.weather import Made
from tests.shop import Shop, open_shop
from tests.wire import value_of

FALLBACK = "没听懂"


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture
async def shop(settings: Settings, clock: FakeClock, made: Made) -> AsyncIterator[Shop]:
    extensions = Extensions(plugins=[made.plugin()], find_plugins=False, handler_seconds=0.3)
    async with open_shop(settings, clock, extensions) as opened:
        yield opened


async def heard(shop: Shop, words: str, who: int = 1) -> str:
    return value_of(await shop.say(words, who), "Content")


async def record(shop: Shop) -> Any:
    await shop.runtime.plugins.refresh()
    return shop.runtime.plugins.records.get("weather")


async def faults(shop: Shop) -> list[Any]:
    rows = await shop.rows(select(EventRow).where(EventRow.kind == "fault.raised"))
    return [row.payload for row in rows]


async def add_rule(shop: Shop, word: str, action: dict[str, Any]) -> None:
    rule = RuleInput.model_validate(
        {"name": word, "kind": "exact", "words": [word], "answers": [[action]]}
    )
    replies = shop.runtime.replies
    await shop.runtime.database.transaction(
        lambda tx: replies.import_many(tx, CLI, shop.account_id, rules=[rule])
    )
    await shop.runtime.book.refresh()


async def switch(shop: Shop, *, on: bool) -> None:
    plugins = shop.runtime.plugins
    await shop.runtime.database.transaction(
        lambda tx: shop.runtime.switchboard.switch(
            tx, "weather", on=on, actor=CLI, loaded=plugins.loaded
        )
    )
    await plugins.refresh()


async def test_it_answers_in_the_batch_apart_by_action_and_by_effect(shop: Shop) -> None:
    await add_rule(shop, "说天气", {"do": "weather.tell", "with": {"how": "雨"}})
    assert await heard(shop, "天气") == "今天晴"
    assert await heard(shop, "later") == "明天晴"
    assert await heard(shop, "说天气") == "上海 雨"
    assert await heard(shop, "note 伞") == "记下：伞"
    assert await record(shop) is None


@pytest.mark.parametrize(
    ("words", "error"), [("fail", "LookupError"), ("text", "BadAnswer"), ("surrogate", "BadAnswer")]
)
async def test_a_handler_that_fails_is_passed_over(shop: Shop, words: str, error: str) -> None:
    with capture_logs() as lines:
        assert FALLBACK in await heard(shop, words)
    (told,) = await faults(shop)
    assert (told["plugin"], told["error"]) == ("weather", error)
    (line,) = [line for line in lines if line["event"] == "handler.failed"]
    assert line["plugin"] == "weather"
    found = await record(shop)
    assert (found.failures, found.off) == (1, False)
    assert error in found.last_failure

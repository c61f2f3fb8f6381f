"""Two official accounts in one installation, whose followers happen to have the same openids."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from app.core.clock import FakeClock
from app.core.ids import AccountId
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.receipts import Receipt
from app.db.tx import Tx
from app.delivery.models import SendWindow
from app.engines.followers.models import Follower, FollowerTag, Tag
from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.support.models import Message
from tests.shop import SLUG, Shop, add_account, open_shop
from tests.wire import ORIGINAL_ID, Sender, openid, value_of

OTHER = "teahouse"
OTHER_ORIGINAL_ID = "gh_ba9876543210"
OTHER_APPID = "wx00000000000000bb"
PLAN = {"steps": [{"ask": "几位？", "expect": "number", "save_as": "count"}]}


def say(text: str) -> dict[str, Any]:
    return {"do": "reply", "with": {"kind": "text", "text": text}}


@dataclass
class Street:
    """A coffee shop in plain mode and a tea house in safe mode."""

    shop: Shop
    teahouse: AccountId

    async def say(self, slug: str, words: str, number: int | None = None) -> str:
        sender = self._sender(slug)
        moment = self.shop.clock.now()
        return await self._post(slug, sender, sender.text(openid(1), words, moment, number))

    async def follow(self, slug: str) -> str:
        sender = self._sender(slug)
        moment = self.shop.clock.now()
        return await self._post(slug, sender, sender.event(openid(1), "subscribe", moment))

    def _sender(self, slug: str) -> Sender:
        mine = self.shop.sender
        return Sender(safe=True, appid=OTHER_APPID, numbers=mine.numbers) if slug == OTHER else mine

    async def _post(self, slug: str, sender: Sender, xml: str) -> str:
        if slug == OTHER:
            xml = xml.replace(ORIGINAL_ID, OTHER_ORIGINAL_ID)
        response = await self.shop.post(xml, sender, slug)
        assert response.status_code == 200
        return value_of(sender.read(response.content), "Content")


def rule(words: str, *actions: dict[str, Any]) -> RuleInput:
    body = {"name": words, "kind": "contains", "words": [words], "answers": [list(actions)]}
    return RuleInput.model_validate(body)


@pytest.fixture
async def street(settings: Settings, clock: FakeClock) -> AsyncIterator[Street]:
    async with open_shop(settings, clock) as shop:
        replies = shop.runtime.replies
        teahouse = await add_account(
            shop.runtime, OTHER, mode="safe", original_id=OTHER_ORIGINAL_ID, appid=OTHER_APPID
        )

        async def furnish(tx: Tx) -> None:
            for account_id, drink in ((shop.account_id, "咖啡"), (teahouse, "茶")):
                tag = {"do": "tag", "with": {"names": [drink]}}
                await replies.rules.create(
                    tx, CLI, account_id, rule("喝", tag, say(f"来杯{drink}"))
                )
                follow = BindingInput(on="follow", answers=[[say(drink)]])
                await replies.bindings.create(tx, CLI, account_id, follow)
            await replies.flows.create(tx, CLI, teahouse, FlowInput(name="订位", plan=PLAN))
            start = {"do": "start_flow", "with": {"flow": "订位"}}
            await replies.rules.create(tx, CLI, teahouse, rule("订位", start))

        await shop.runtime.database.transaction(furnish)
        await shop.runtime.book.refresh()
        yield Street(shop, teahouse)


async def test_each_answers_by_its_own_rules(street: Street) -> None:
    assert await street.follow(SLUG) == "咖啡"
    assert await street.follow(OTHER) == "茶"
    assert await street.say(SLUG, "喝什么") == "来杯咖啡"
    assert await street.say(OTHER, "喝什么") == "来杯茶"
    assert await street.say(OTHER, "订位") == "几位？"
    assert await street.say(SLUG, "2") != "几位？", "the dialogue is the tea house's alone"
    assert "来杯咖啡" in await street.say(SLUG, "喝什么")


async def test_the_same_openid_and_message_number_are_two_people_and_two_deliveries(
    street: Street,
) -> None:
    assert await street.say(SLUG, "喝", 77) == "来杯咖啡"
    assert await street.say(OTHER, "喝", 77) == "来杯茶"
    shop = street.shop
    people = await shop.rows(select(Follower.account_id, Follower.openid))
    assert {tuple(row) for row in people} == {
        (shop.account_id, openid(1)),
        (street.teahouse, openid(1)),
    }
    receipts = await shop.rows(select(Receipt.account_id).where(Receipt.key == "w:m:77"))
    assert {row.account_id for row in receipts} == {shop.account_id, street.teahouse}
    for table in (Message, SendWindow):
        accounts = await shop.rows(select(table.account_id))
        assert {row.account_id for row in accounts} == {shop.account_id, street.teahouse}
    tags = await shop.rows(
        select(Follower.account_id, Tag.name)
        .join(FollowerTag, FollowerTag.follower_id == Follower.id)
        .join(Tag, Tag.id == FollowerTag.tag_id)
    )
    assert {tuple(row) for row in tags} == {(shop.account_id, "咖啡"), (street.teahouse, "茶")}

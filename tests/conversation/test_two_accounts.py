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
from app.delivery.models import SendWindow
from app.engines.followers.models import Follower, FollowerTag, Tag
from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.support.models import Message
from tests.shop import SLUG, Shop, add_account, open_shop
from tests.wire import ORIGINAL_ID, Sender, openid, value_of

OTHER = "teahouse"
OTHER_ORIGINAL_ID = "gh_ba9876543210"
PLAN = {"steps": [{"ask": "几位？", "expect": "number", "save_as": "count"}]}


def say(text: str) -> dict[str, Any]:
    return {"do": "reply", "with": {"kind": "text", "text": text}}


@dataclass
class Street:
    """A coffee shop in plain mode and a tea house in safe mode."""

    shop: Shop
    teahouse: AccountId

    async def say(self, slug: str, words: str, number: int | None = None) -> str:
        safe = Sender(safe=True, appid="wx00000000000000bb", numbers=self.shop.sender.numbers)
        sender = safe if slug == OTHER else self.shop.sender
        xml = sender.text(openid(1), words, self.shop.clock.now(), number)
        return await self._post(slug, sender, xml)

    async def follow(self, slug: str) -> str:
        safe = Sender(safe=True, appid="wx00000000000000bb")
        sender = safe if slug == OTHER else self.shop.sender
        xml = sender.event(openid(1), "subscribe", self.shop.clock.now())
        return await self._post(slug, sender, xml)

    async def _post(self, slug: str, sender: Sender, xml: str) -> str:
        if slug == OTHER:
            xml = xml.replace(ORIGINAL_ID, OTHER_ORIGINAL_ID)
        response = await self.shop.post(xml, sender, slug)
        assert response.status_code == 200
        return value_of(sender.read(response.content), "Content")


@pytest.fixture
async def street(settings: Settings, clock: FakeClock) -> AsyncIterator[Street]:
    async with open_shop(settings, clock) as shop:
        runtime = shop.runtime
        teahouse = await add_account(
            runtime,
            OTHER,
            mode="safe",
            original_id=OTHER_ORIGINAL_ID,
            appid="wx00000000000000bb",
        )
        replies = runtime.replies
        for account_id, drink in ((shop.account_id, "咖啡"), (teahouse, "茶")):
            rule = RuleInput.model_validate(
                {
                    "name": "喝",
                    "kind": "contains",
                    "words": ["喝"],
                    "answers": [[{"do": "tag", "with": {"names": [drink]}}, say(f"来杯{drink}")]],
                }
            )
            follow = BindingInput.model_validate({"on": "follow", "answers": [[say(drink)]]})
            await runtime.database.transaction(
                lambda tx, a=account_id, r=rule: replies.rules.create(tx, CLI, a, r)
            )
            await runtime.database.transaction(
                lambda tx, a=account_id, f=follow: replies.bindings.create(tx, CLI, a, f)
            )
        flow = FlowInput(name="订位", plan=PLAN)
        start = RuleInput.model_validate(
            {
                "name": "订位",
                "kind": "exact",
                "words": ["订位"],
                "answers": [[{"do": "start_flow", "with": {"flow": "订位"}}]],
            }
        )
        await runtime.database.transaction(lambda tx: replies.flows.create(tx, CLI, teahouse, flow))
        await runtime.database.transaction(
            lambda tx: replies.rules.create(tx, CLI, teahouse, start)
        )
        await runtime.book.refresh()
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

"""The tester says what a delivery gets: the same conversations both ways, over random books."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from app.conversation.models import FlowStateRow
from app.conversation.script import Conversation
from app.conversation.tester import Player
from app.core.clock import FakeClock
from app.core.replies import from_dict, to_dict
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.tx import Tx
from app.engines.followers.models import Follower, FollowerTag, Tag
from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.replies.options import OPTIONS
from app.engines.support.models import Conversation as ConversationRow
from app.engines.support.models import Message
from app.handlers.offline import Offline
from tests.books import stored
from tests.shop import Shop, open_shop
from tests.wire import openid

WORDS = (
    "咖啡",
    "茶",
    "wifi",
    "订位",
    "点单",
    "会员",
    "取消",
    "2",
    "三位",
    "明天",
    "甜",
    "嗯",
    "咖啡和茶",
    "?",
)
KEYS = ("today", "beans", "opt.a", "opt.b")
SCENES = ("door", "poster")
TAGS = ("会员", "老客", "甜口")


class Authors:
    """Writes books and conversations, at random but always the same for a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._said = 0

    def book(self) -> dict[str, Any]:
        bindings = {
            (on, self._chance.choice(keys))
            for on, keys in (
                *[("menu", (*KEYS, ""))] * 3,
                ("scan", SCENES),
                ("follow", (*SCENES, "")),
                ("type", ("image", "voice", "position", "")),
            )
            if self._chance.random() < 0.8
        }
        return {
            "rules": [self._rule(n) for n in range(self._chance.randrange(4, 12))],
            "bindings": [
                BindingInput.model_validate(
                    {"on": on, "key": key, "answers": self._answers(), **self._conditions()}
                )
                for on, key in sorted(bindings)
            ],
            "flows": [self._flow("订位"), self._flow("点单")],
        }

    def _rule(self, number: int) -> RuleInput:
        kind = self._chance.choice(("exact", "contains", "wildcard", "pattern"))
        word = self._chance.choice(WORDS[:6])
        written = {"wildcard": f"*{word}*", "pattern": f"{word}.?"}.get(kind, word)
        return RuleInput.model_validate(
            {
                "name": f"规则{number}",
                "kind": kind,
                "words": [written],
                "priority": self._chance.choice((0, 0, 5)),
                "answers": self._answers(),
                **self._conditions(),
            }
        )

    def _conditions(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._chance.random() < 0.2:
            found["audience"] = {"tags": [self._chance.choice(TAGS)]}
        if self._chance.random() < 0.2:
            found["hours"] = {"daily": [["12:00", self._chance.choice(("12:03", "13:00"))]]}
        return found

    def _flow(self, name: str) -> FlowInput:
        steps: list[dict[str, Any]] = [
            {"ask": "几位？", "expect": "number", "save_as": "size"},
            {
                "ask": "{size} 位，口味？",
                "expect": "choice",
                "choices": ["甜", "咸"],
                "save_as": "t",
            },
            {"ask": "哪天？", "expect": "date", "save_as": "day"},
        ]
        return FlowInput(
            name=name,
            plan={
                "steps": steps[: self._chance.randrange(1, 4)],
                "expires_seconds": 60,
                "finish": [self._say("好了 {size}"), {"do": "tag", "with": {"names": ["老客"]}}],
            },
        )

    def _answers(self) -> list[list[dict[str, Any]]]:
        return [self._answer() for _ in range(self._chance.randrange(1, 4))]

    def _answer(self) -> list[dict[str, Any]]:
        tag = {"names": [self._chance.choice(TAGS)]}
        menu = [{"id": key, "words": f"选{key}"} for key in KEYS[2:]]
        makers = (
            lambda: self._say("好的"),
            lambda: {"do": "tag", "with": tag},
            lambda: {"do": "untag", "with": tag},
            lambda: {"do": "start_flow", "with": {"flow": self._chance.choice(("订位", "点单"))}},
            lambda: {"do": "reply", "with": {"kind": "menu", "head": "选：", "options": menu}},
            lambda: {"do": "reply", "with": {"kind": "image", "media_id": "pic"}},
            lambda: {"do": "handoff", "with": {"text": "这就找人"}},
        )
        return [self._chance.choice(makers)() for _ in range(self._chance.randrange(1, 4))]

    def _say(self, words: str) -> dict[str, Any]:
        self._said += 1
        return {"do": "reply", "with": {"kind": "text", "text": f"{words}{self._said}"}}

    def steps(self) -> list[dict[str, Any]]:
        return [self._step() for _ in range(self._chance.randrange(6, 14))]

    def _step(self) -> dict[str, Any]:
        return self._chance.choice(
            (
                *[{"say": self._chance.choice(WORDS)}] * 8,
                *[{"tap": self._chance.choice(KEYS)}] * 4,
                {"scan": self._chance.choice(SCENES)},
                {"follow": True},
                {"follow": self._chance.choice(SCENES)},
                {"unfollow": True},
                {"send": self._chance.choice(("picture", "voice", "sticker"))},
                {"send": "position", "words": "人民广场"},
                {"wait": self._chance.choice(("5s", "35s", "61s"))},
            )
        )


@dataclass
class Person:
    """One follower of the real shop, told of by what is stored."""

    shop: Shop
    number: int
    shown: Sequence[Any] = ()
    seen: int = 0
    follows: bool = False
    keys: list[str] = field(default_factory=list)

    async def do(self, step: dict[str, Any]) -> dict[str, Any] | None:
        """Delivers the step; what was said, why, and the delivery's key."""
        if "wait" in step:
            self.shop.clock.advance(seconds=int(step["wait"][:-1]))
            return None
        response = await self.shop.post(self._xml(step))
        assert response.status_code == 200
        return await self._came()

    def _xml(self, step: dict[str, Any]) -> str:
        sender, who, now = self.shop.sender, openid(self.number), self.shop.clock.now()
        number = str(next(sender.numbers))

        def message(**fields: str) -> str:
            return sender.xml(who, now, MsgId=number, **fields)

        def event(name: str, **fields: str) -> str:
            # events are told apart by their second: each of a person gets one of its own
            self.shop.clock.advance(seconds=1)
            return sender.event(who, name, self.shop.clock.now(), **fields)

        if "say" in step:
            return message(MsgType="text", Content=step["say"])
        if "tap" in step:
            menus = [dict(reply.options) for reply in self.shown if reply.kind == "menu"]
            words = next((menu[step["tap"]] for menu in menus if step["tap"] in menu), None)
            if words is None:
                return event("CLICK", EventKey=step["tap"])
            return message(MsgType="text", Content=words, bizmsgmenuid=step["tap"])
        if step.get("unfollow"):
            self.follows = False
            return event("unsubscribe", EventKey="")
        if "scan" in step and self.follows:
            return event("SCAN", EventKey=step["scan"], Ticket="t")
        if "scan" in step or "follow" in step:
            self.follows = True
            scene = step.get("scan", step.get("follow"))
            return event("subscribe", EventKey="" if scene is True else f"qrscene_{scene}")
        return {
            "picture": lambda: message(MsgType="image", PicUrl="http://x/p", MediaId="test-media"),
            "voice": lambda: message(MsgType="voice", MediaId="test-media", Format="amr"),
            "sticker": lambda: message(
                MsgType="text", Content="【收到不支持的消息类型，暂无法显示】"
            ),
            "position": lambda: message(
                MsgType="location",
                Location_X="31.23",
                Location_Y="121.47",
                Scale="15",
                Label=step.get("words", ""),
            ),
        }[step["send"]]()

    async def _came(self) -> dict[str, Any]:
        rows = await self.shop.rows(
            select(Message.seq, Message.direction, Message.body, Message.trace, Message.receipt_key)
            .join(Follower, Follower.id == Message.follower_id)
            .where(Follower.openid == openid(self.number), Message.seq > self.seen)
            .order_by(Message.seq)
        )
        self.seen = rows[-1].seq
        (contact,) = [row for row in rows if row.direction == "in"]
        self.shown = [from_dict(row.body) for row in rows if row.direction == "out"]
        self.keys.append(contact.receipt_key)
        return {
            "said": [to_dict(reply) for reply in self.shown],
            "why": contact.trace,
            "key": contact.receipt_key,
        }

    async def end(self) -> dict[str, Any]:
        """What is stored of the follower."""
        mine = select(Follower.id).where(Follower.openid == openid(self.number)).scalar_subquery()
        tags = await self.shop.rows(
            select(Tag.name)
            .join(FollowerTag, FollowerTag.tag_id == Tag.id)
            .where(FollowerTag.follower_id == mine)
        )
        flow = await self.shop.rows(
            select(FlowStateRow.flow).where(
                FlowStateRow.follower_id == mine,
                FlowStateRow.expires_at > self.shop.clock.now(),
                FlowStateRow.flow != OPTIONS,
            )
        )
        missed = await self.shop.rows(
            select(ConversationRow.bot_misses, ConversationRow.state).where(
                ConversationRow.follower_id == mine
            )
        )
        return {
            "tags": tuple(sorted(row.name for row in tags)),
            "flow": flow[0].flow if flow else None,
            "misses": missed[0].bot_misses,
        }


async def put(shop: Shop, book: dict[str, Any]) -> None:
    runtime = shop.runtime

    async def work(tx: Tx) -> None:
        await runtime.replies.import_many(tx, CLI, shop.account_id, **book)

    await runtime.database.transaction(work)
    await runtime.book.refresh()


def without_ids(why: Any) -> Any:
    """A trace as it is stored, but for ids: those of a book that stands still are others."""
    if isinstance(why, dict):
        return {k: without_ids(v) for k, v in why.items() if k not in ("rule", "binding", "begins")}
    return [without_ids(one) for one in why] if isinstance(why, list | tuple) else why


@pytest.mark.parametrize("seed", range(6))
async def test_the_same_conversations_both_ways(
    settings: Settings, clock: FakeClock, seed: int
) -> None:
    authors = Authors(seed)
    book = authors.book()
    answered = 0
    quiet = settings.model_copy(update={"role": "web"})  # what goes out by the ledger stays there
    async with open_shop(quiet, clock) as shop:
        await put(shop, book)
        view = shop.runtime.accounts.all()[0].view
        offline = Offline(stored(**book), view).player
        live = Player(shop.runtime.routing, shop.runtime.book, view)
        for number in range(1, 9):
            person = Person(shop, number)
            steps = authors.steps()
            begun = clock.now()
            real: list[dict[str, Any] | None] = []
            written: list[dict[str, Any]] = []
            for step in steps:
                before = clock.now()
                real.append(came := await person.do(step))
                passed = int((clock.now() - before).total_seconds())
                if came is None:
                    written.append(step)
                    continue
                if passed:  # the second that tells events apart
                    written.append({"wait": f"{passed}s"})
                    real.insert(-1, None)
                written.append({**step, "key": came["key"]})
            conversation = Conversation.model_validate(
                {"name": str(number), "follower": {"new": True}, "steps": written}
            )
            for tester in (offline, live):
                outcome = tester.run(conversation, begun)
                for told, delivered in zip(outcome.steps, real, strict=True):
                    if delivered is None:
                        assert told.came is None
                        continue
                    assert told.came is not None
                    where = (seed, number, told.number, told.step.label)
                    assert [to_dict(m) for m in told.came.messages] == delivered["said"], where
                    assert without_ids(dict(told.came.why)) == without_ids(delivered["why"]), where
                    answered += 1
                last = next(one.came for one in reversed(outcome.steps) if one.came is not None)
                if "wait" in written[-1]:
                    continue  # a dialogue may have ended since
                stands = await person.end()
                assert (last.tags, last.flow) == (stands["tags"], stands["flow"])
    assert answered > 60

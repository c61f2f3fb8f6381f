"""A delivery's way, with the real runtime, database and webhook."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select, update
from structlog.testing import capture_logs

from app.conversation.filters import Keyword, OfKind
from app.conversation.router import Router
from app.core.clock import FakeClock
from app.core.decisions import Decision, Effect, Snapshot
from app.core.incoming import Kind
from app.core.replies import Reply, TextReply
from app.core.rng import secret_token
from app.core.settings import Settings
from app.db.events import EventRow
from app.db.receipts import Receipt
from app.db.tx import Tx
from app.delivery.models import Outbound, SendWindow
from app.engines.followers.models import Follower, FollowerProfile, FollowHistory
from app.engines.support.models import Conversation, Message
from app.runtime import Extensions
from tests.shop import Shop, open_shop
from tests.wire import openid, value_of


@dataclass(frozen=True, slots=True)
class Shout(Effect):
    kind: ClassVar[str] = "shout"
    words: str


class ShoutKind:
    kind: ClassVar[str] = "shout"

    def __init__(self) -> None:
        self.batches: list[int] = []

    async def apply(self, tx: Tx, requests: Sequence[Shout]) -> list[str]:
        self.batches.append(len(requests))
        if any(request.words == "boom" for request in requests):
            raise RuntimeError("the effect broke")
        return [request.words.upper() for request in requests]

    def render(self, outcome: str) -> Reply:
        return TextReply(outcome)


def router() -> Router:
    made = Router("test")

    @made.decide(Keyword("hi"))
    def hello(snap: Snapshot) -> Decision:
        return Decision.say(TextReply(f"hello {secret_token(8)}"))

    @made.decide(Keyword("two"))
    def two(snap: Snapshot) -> Decision:
        return Decision(steps=(TextReply("first"), Shout(snap.follower.id, "second")))

    @made.decide(Keyword("effect"))
    def effect(snap: Snapshot) -> Decision:
        return Decision(steps=(Shout(snap.follower.id, "done"),))

    @made.decide(Keyword("boom"))
    def boom(snap: Snapshot) -> Decision:
        return Decision(steps=(Shout(snap.follower.id, "boom"),))

    @made.decide(Keyword("raise"))
    def raises(snap: Snapshot) -> Decision:
        raise ZeroDivisionError("the handler broke")

    @made.decide(OfKind(Kind.FOLLOW))
    def welcome(snap: Snapshot) -> Decision:
        return Decision.say(TextReply("welcome" if snap.follower.new else "welcome back"))

    return made


@pytest.fixture
async def shop(settings: Settings, clock: FakeClock) -> AsyncIterator[Shop]:
    extensions = Extensions(routers=[router()], kinds=[ShoutKind()])
    async with open_shop(settings, clock, extensions) as opened:
        yield opened


async def test_an_answer_is_stored_before_it_leaves_and_repeated_word_for_word(shop: Shop) -> None:
    first = await shop.say("hi", number=7)
    assert value_of(first, "Content").startswith("hello ")
    assert value_of(first, "ToUserName") == openid(1)
    assert await shop.say("hi", number=7) == first
    assert await shop.say("hi", number=8) != first
    stored = await shop.rows(
        select(Receipt.key, Receipt.status, Receipt.answer).order_by(Receipt.key)
    )
    assert stored[0] == ("w:m:7", 200, first)
    messages = await shop.rows(
        select(Message.seq, Message.direction, Message.kind, Message.text).order_by(Message.seq)
    )
    assert [(m.seq, m.direction) for m in messages] == [
        (1, "in"),
        (2, "out"),
        (3, "in"),
        (4, "out"),
    ]
    assert messages[0].text == "hi"
    assert messages[1].text == value_of(first, "Content")


async def test_repeats_at_the_same_moment_share_one_answer(shop: Shop) -> None:
    answers = await asyncio.gather(*(shop.say("hi", number=9) for _ in range(10)))
    assert len(set(answers)) == 1
    assert await shop.count(Message) == 2


async def test_many_at_once_are_each_answered_and_in_order(shop: Shop) -> None:
    jobs = [shop.say("hi", who=n % 7, number=100 + n) for n in range(70)]
    answers = await asyncio.gather(*jobs)
    assert len(set(answers)) == 70
    assert await shop.count(Follower) == 7
    assert await shop.count(Conversation) == 7
    for row in await shop.rows(select(Conversation.id, Conversation.last_message_seq)):
        seqs = await shop.rows(
            select(Message.seq).where(Message.conversation_id == row.id).order_by(Message.seq)
        )
        assert [s.seq for s in seqs] == list(range(1, row.last_message_seq + 1))
        assert row.last_message_seq == 20


async def test_an_effect_speaks_in_its_place_and_texts_are_merged(shop: Shop) -> None:
    assert value_of(await shop.say("two"), "Content") == "first\n\nSECOND"
    assert value_of(await shop.say("effect"), "Content") == "DONE"


async def test_a_handler_that_raises_means_an_apology_and_a_fault_event(shop: Shop) -> None:
    answer = await shop.say("raise", number=5)
    assert "抱歉" in value_of(answer, "Content")
    assert "010-12345678" in value_of(answer, "Content")
    assert await shop.say("raise", number=5) == answer
    faults = await shop.rows(select(EventRow.payload).where(EventRow.kind == "fault.raised"))
    assert [f.payload["error"] for f in faults] == ["ZeroDivisionError"]


async def test_an_effect_that_raises_harms_nobody_else_in_the_batch(shop: Shop) -> None:
    words = ["hi", "effect", "boom", "two", "hi", "boom", "effect"]
    answers = await asyncio.gather(
        *(shop.say(word, who=n, number=n + 1) for n, word in enumerate(words))
    )
    said = [value_of(answer, "Content") for answer in answers]
    assert ["抱歉" in text for text in said] == [word == "boom" for word in words]
    faults = await shop.rows(select(EventRow.payload).where(EventRow.kind == "fault.raised"))
    assert sorted(f.payload["key"] for f in faults) == ["w:m:3", "w:m:6"]
    assert await shop.count(Receipt) == 7


async def test_follows_are_kept_as_history_and_the_newer_one_wins(shop: Shop) -> None:
    assert value_of(await shop.event("subscribe", EventKey="qrscene_door"), "Content") == "welcome"
    late = shop.clock.now()
    shop.clock.advance(seconds=60)
    assert await shop.event("unsubscribe") == ""
    old_follow = shop.sender.event(openid(1), "subscribe", late, EventKey="", Ticket="t2")
    shop.clock.advance(seconds=5)
    # a repeat under another key of what was before the unfollow: history, but not the truth
    await shop.answer(old_follow.replace("subscribe]]", "subscribe]]"))
    row = (await shop.rows(select(Follower.subscribed, Follower.subscribed_on)))[0]
    assert row.subscribed is False
    shop.clock.advance(seconds=60)
    assert value_of(await shop.event("subscribe"), "Content") == "welcome back"
    history = await shop.rows(
        select(FollowHistory.change, FollowHistory.scene, FollowHistory.code).order_by(
            FollowHistory.id
        )
    )
    assert [tuple(h) for h in history] == [
        ("follow", "qrcode", "door"),
        ("unfollow", None, None),
        ("return", None, None),
    ]
    (first,) = await shop.rows(select(FollowerProfile.first_scene, FollowerProfile.first_code))
    assert tuple(first) == ("qrcode", "door"), "never written over by the return"
    assert (await shop.rows(select(Follower.subscribed)))[0].subscribed is True


@pytest.mark.parametrize(
    ("key", "scene", "code"),
    [
        ("qrscene_12", "qrcode", "12"),
        ("last_trade_no_42000001", "payment", "42000001"),
        ("scanbarcode|ean13|6900000000007", "product", "6900000000007"),
        ("", None, None),
        ("something_new", None, None),
        ("qrscene_" + "x" * 500, "qrcode", "x" * 128),
    ],
)
async def test_how_somebody_came_is_kept(
    shop: Shop, key: str, scene: str | None, code: str | None
) -> None:
    assert value_of(await shop.event("subscribe", EventKey=key), "Content") == "welcome"
    (row,) = await shop.rows(select(FollowHistory.scene, FollowHistory.code))
    assert tuple(row) == (scene, code)


async def test_an_unfollow_ends_the_conversation_and_a_word_reopens_it(shop: Shop) -> None:
    await shop.say("hi")
    await shop.event("unsubscribe")
    row = (await shop.rows(select(Conversation.state, Conversation.resolution_code)))[0]
    assert tuple(row) == ("resolved", "unsubscribed")
    await shop.say("hi")
    row = (await shop.rows(select(Conversation.state, Conversation.reopen_count)))[0]
    assert tuple(row) == ("bot", 1)


async def test_windows_are_granted_as_the_platform_does(shop: Shop) -> None:
    await shop.say("hi")
    await shop.event("CLICK", EventKey="k")
    await shop.event("VIEW", EventKey="https://example.com")
    rows = await shop.rows(select(SendWindow.bucket, SendWindow.quota).order_by(SendWindow.bucket))
    assert [tuple(r) for r in rows] == [("menu", 3), ("message", 5)]


async def test_misses_are_counted_in_a_row(shop: Shop) -> None:
    for expected in (1, 2):
        await shop.say("nobody knows this")
        assert (await shop.rows(select(Conversation.bot_misses)))[0].bot_misses == expected
    await shop.say("hi")
    assert (await shop.rows(select(Conversation.bot_misses)))[0].bot_misses == 0


async def test_a_report_of_the_platform_is_an_event_and_makes_no_follower(shop: Shop) -> None:
    answer = await shop.event(
        "MASSSENDJOBFINISH", MsgID="100", Status="send success", TotalCount="10"
    )
    assert answer == ""
    assert await shop.count(Follower) == 0
    kinds = [r.kind for r in await shop.rows(select(EventRow.kind))]
    assert kinds == ["platform.mass_send_job_finish"]
    await shop.event("MASSSENDJOBFINISH", MsgID="100", Status="send success", TotalCount="10")
    assert await shop.count(EventRow) == 1
    assert await shop.count(Outbound) == 0


async def test_each_message_is_announced_in_order_of_the_conversation(shop: Shop) -> None:
    await shop.say("hi")
    await shop.say("hi")
    rows = await shop.rows(
        select(EventRow.kind, EventRow.aggregate_seq, EventRow.payload).order_by(EventRow.id)
    )
    assert [r.aggregate_seq for r in rows] == [1, 2, 3, 4]
    assert [r.payload["direction"] for r in rows] == ["in", "out", "in", "out"]


async def test_a_position_report_or_a_link_between_two_misses_changes_nothing(shop: Shop) -> None:
    """Clients report where they are every five seconds: nobody asked anything by that."""
    for expected in (1, 2):
        await shop.say("nobody knows this")
        shop.clock.advance(seconds=5)
        await shop.event("LOCATION", Latitude="23.1", Longitude="113.3", Precision="40")
        await shop.event("VIEW", EventKey="https://example.com")
        assert (await shop.rows(select(Conversation.bot_misses)))[0].bot_misses == expected


async def test_what_is_rolled_back_is_neither_counted_nor_told(shop: Shop) -> None:
    """A batch with a broken effect runs again in halves; each delivery still counts once."""
    before = {name: counted(name) for name in ("answered", "empty")}
    faults = faulted("decide")
    words = ["raise", "boom", "hi", "boom", "hi", "raise", "hi"]
    with capture_logs() as lines:
        await asyncio.gather(*(shop.say(word, who=n, number=n + 1) for n, word in enumerate(words)))
    assert counted("answered") - before["answered"] == len(words)
    assert counted("empty") == before["empty"]
    assert faulted("decide") - faults == 2
    told = [line["key"] for line in lines if line["event"] == "handler.failed"]
    assert sorted(told) == ["w:m:1", "w:m:2", "w:m:4", "w:m:6"]


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("guanxi_deliveries_total", {"outcome": outcome}) or 0.0


def faulted(where: str) -> float:
    return REGISTRY.get_sample_value("guanxi_faults_total", {"where": where}) or 0.0


async def test_a_scene_longer_than_the_platform_allows_is_cut_not_refused(shop: Shop) -> None:
    """Whatever arrives authenticated is stored: PostgreSQL holds to the columns' lengths."""
    long = "s" * 300
    assert value_of(await shop.event("subscribe", EventKey=f"qrscene_{long}"), "Content")
    history = await shop.rows(select(FollowHistory.code))
    assert history[0].code == long[:128]
    profile = await shop.rows(select(FollowerProfile.first_code))
    assert profile[0].first_code == long[:128]


async def test_a_lively_chat_writes_neither_window_nor_follower_for_each_message(
    settings: Settings, clock: FakeClock
) -> None:
    """What the rows say is never better than the truth, and at most so much behind it."""
    async with open_shop(settings, clock) as shop:
        began = clock.now()
        await shop.say("a")
        clock.advance(minutes=4)
        await shop.say("b")
        assert await _grants(shop) == [(began, began + timedelta(hours=48))]
        seen = select(Follower.seen_at, Conversation.last_inbound_at).join(
            Conversation, Conversation.follower_id == Follower.id
        )
        assert [tuple(row) for row in await shop.rows(seen)] == [(began, clock.now())]
        await shop.runtime.database.transaction(_an_hour_older)
        await shop.say("c")
        now = clock.now()
        assert await _grants(shop) == [(now, now + timedelta(hours=48))]
        assert [tuple(row) for row in await shop.rows(seen)] == [(now, now)]


async def _an_hour_older(tx: Tx) -> None:
    """Time itself cannot be moved so far: the process would lose the lease of its slot."""
    (follower,) = await tx.all(select(Follower.seen_at))
    (grant,) = await tx.all(select(SendWindow.granted_at, SendWindow.expires_at))
    hour = timedelta(hours=1)
    await tx.run(update(Follower).values(seen_at=follower.seen_at - hour))
    older = {"granted_at": grant.granted_at - hour, "expires_at": grant.expires_at - hour}
    await tx.run(update(SendWindow).values(**older))


async def _grants(shop: Shop) -> list[tuple[datetime, datetime]]:
    rows = await shop.rows(select(SendWindow.granted_at, SendWindow.expires_at))
    return [(row.granted_at, row.expires_at) for row in rows]

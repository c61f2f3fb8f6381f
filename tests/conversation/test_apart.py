"""Handlers that need time: their five seconds, and every way an answer can take.

Time is the tests' own: nothing here waits for the platform's seconds to pass.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from app.conversation.apart import Context
from app.conversation.deadline import DOOR_SECONDS
from app.conversation.filters import Keyword, MenuKey, OfKind
from app.conversation.router import Router
from app.core.clock import FakeClock
from app.core.decisions import Decision, Snapshot
from app.core.incoming import Kind
from app.core.replies import TextReply
from app.core.settings import Settings
from app.db.events import EventRow
from app.db.receipts import Receipt
from app.db.tx import Tx
from app.delivery.models import Job, Outbound
from app.engines.followers.models import Follower
from app.engines.support.models import Message
from app.runtime import Extensions
from tests.calls import Call
from tests.platform import Platform, platform
from tests.shop import SLUG, Shop, open_shop, webhook_of
from tests.wire import openid, value_of


@dataclass
class Handlers:
    """What the handlers do is decided by the test."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    """Until then the handler of `slow` waits."""
    asked: list[str] = field(default_factory=list)
    """The texts handlers were asked about."""
    broken: bool = False

    def router(self) -> Router:
        made = Router("test")

        @made.apart(Keyword("now"), MenuKey("now"))
        async def now(ctx: Context) -> TextReply:
            self.asked.append(ctx.incoming.text)
            return TextReply("at once")

        @made.apart(Keyword("slow", "slow 2"), OfKind(Kind.MENU_LINK))
        async def slow(ctx: Context) -> TextReply:
            self.asked.append(ctx.incoming.text)
            await self.go.wait()
            if self.broken:
                raise ZeroDivisionError("the handler broke")
            return TextReply(f"answer to {ctx.incoming.text}")

        @made.apart(Keyword("several"))
        async def several(ctx: Context) -> list[TextReply]:
            return [TextReply("one " * 400), TextReply("two " * 400)]

        @made.apart(Keyword("nothing"))
        async def nothing(ctx: Context) -> None:
            self.asked.append(ctx.incoming.text)

        @made.apart(Keyword("outside"))
        async def outside(ctx: Context) -> TextReply:
            async def work(tx: Tx) -> None:
                await asyncio.sleep(10)

            await ctx.transaction(work)
            return TextReply("never said")

        @made.apart(Keyword("inside"))
        async def inside(ctx: Context) -> TextReply:
            async def work(tx: Tx) -> int:
                rows = select(Message.id).where(Message.follower_id == ctx.follower.id)
                return len(await tx.all(rows))

            return TextReply(f"{await ctx.transaction(work)} message")

        @made.decide(Keyword("hi"))
        def hello(snap: Snapshot) -> Decision:
            return Decision.say(TextReply("hello"))

        return made


@dataclass
class Scene:
    shop: Shop
    handlers: Handlers
    platform: Platform

    def delivery(
        self, words: str, number: int, who: int = 1, created_at: datetime | None = None
    ) -> Call:
        """An attempt of the platform; of a later one give the moment of the first."""
        moment = created_at or self.shop.clock.now()
        xml = self.shop.sender.text(openid(who), words, moment, number)
        query, body = self.shop.sender.request(xml, self.shop.clock.now())
        hook = webhook_of(self.shop.runtime, self.shop.clock)
        return Call(hook, f"/wechat/{SLUG}", query, [body])

    async def asked(self, count: int = 1) -> None:
        await until(lambda: len(self.handlers.asked) >= count)

    async def door(self, key: str) -> int | None:
        found = await self.shop.rows(select(Receipt.status).where(Receipt.key == key))
        return found[0].status if found else None

    async def tried(self, count: int) -> None:
        """Waits until the platform's attempt of that number was counted."""

        async def tries() -> int:
            found = await self.shop.rows(select(Receipt.tries))
            return found[0].tries if found else 0

        async with asyncio.timeout(10):
            while await tries() < count:  # noqa: ASYNC110  # a condition in the database
                await asyncio.sleep(0.01)

    async def said(self) -> list[str]:
        rows = await self.shop.rows(
            select(Message.text).where(Message.direction == "out").order_by(Message.seq)
        )
        return [row.text for row in rows]

    async def ledger(self) -> list[str]:
        rows = await self.shop.rows(select(Outbound.state).order_by(Outbound.seq))
        return [row.state for row in rows]

    async def jobs_done(self, count: int = 1) -> None:
        async def done() -> int:
            of_handlers = select(Job.id).where(
                Job.task == "conversation.answer_apart", Job.state == "done"
            )
            return len(await self.shop.rows(of_handlers))

        async with asyncio.timeout(10):
            while await done() < count:  # noqa: ASYNC110  # a condition in the database
                await asyncio.sleep(0.01)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  # a condition of the code under test
            await asyncio.sleep(0.005)


def content(call: Call) -> str:
    return value_of(call.body.decode(), "Content")


@asynccontextmanager
async def opened(
    settings: Settings, clock: FakeClock, handler_seconds: float = 60.0, **account: object
) -> AsyncIterator[Scene]:
    handlers = Handlers()
    extensions = Extensions(routers=[handlers.router()], handler_seconds=handler_seconds)
    async with platform() as api:
        there = settings.model_copy(update={"wechat_api_base": api.base})
        async with open_shop(there, clock, extensions, None, **account) as shop:
            yield Scene(shop, handlers, api)
            handlers.go.set()


@pytest.fixture
async def scene(settings: Settings, clock: FakeClock) -> AsyncIterator[Scene]:
    """An account that may send customer messages."""
    async with opened(settings, clock) as made:
        yield made


@pytest.fixture
async def quiet(settings: Settings, clock: FakeClock) -> AsyncIterator[Scene]:
    """An account that has nothing but passive answers."""
    async with opened(settings, clock, kind="subscription", verified=False) as made:
        yield made


class TestInTime:
    async def test_the_answer_takes_the_passive_place(self, scene: Scene) -> None:
        async with scene.delivery("now", 1) as call:
            await call.answered()
        assert (call.status, content(call)) == (200, "at once")
        assert await scene.door("w:m:1") == 200
        assert await scene.ledger() == []
        assert await scene.said() == ["at once"]

    async def test_a_repeat_gets_the_stored_answer_and_asks_nobody(self, scene: Scene) -> None:
        answers = []
        for _ in range(3):
            async with scene.delivery("now", 1, created_at=scene.shop.clock.now()) as call:
                await call.answered()
            answers.append(call.body)
        assert len(set(answers)) == 1
        assert scene.handlers.asked == ["now"]
        assert await scene.said() == ["at once"]

    async def test_nothing_to_say_is_the_empty_success(self, scene: Scene) -> None:
        async with scene.delivery("nothing", 1) as call:
            await call.answered()
        assert call.body == b"success"
        assert await scene.door("w:m:1") == 204
        assert await scene.said() == await scene.ledger() == []

    async def test_what_does_not_fit_into_one_answer_goes_by_the_ledger(self, scene: Scene) -> None:
        async with scene.delivery("several", 1) as call:
            await call.answered()
        assert content(call).startswith("one ")
        await scene.platform.until_sent(1)
        assert [text[:4] for text in scene.platform.texts(openid(1))] == ["two "]
        assert [text[:4] for text in await scene.said()] == ["one ", "two "]

    async def test_its_own_transaction_sees_the_delivery(self, scene: Scene) -> None:
        async with scene.delivery("inside", 1) as call:
            await call.answered()
        assert content(call) == "1 message"

    async def test_requests_that_share_a_delivery_ask_once(self, scene: Scene) -> None:
        """Two attempts that meet in one batch get one answer of one run."""
        one = scene.delivery("slow", 1, created_at=scene.shop.clock.now())
        two = scene.delivery("slow", 1, created_at=scene.shop.clock.now())
        async with one, two:
            await scene.asked()
            scene.handlers.go.set()
            await one.answered()
            await two.answered()
        await scene.jobs_done()
        assert content(one) == content(two) == "answer to slow"
        assert scene.handlers.asked == ["slow"]


class TestTooLate:
    async def test_empty_success_at_the_door_and_the_answer_by_customer_message(
        self, scene: Scene
    ) -> None:
        async with scene.delivery("slow", 1) as call:
            await scene.asked()
            scene.shop.clock.advance(seconds=DOOR_SECONDS - 0.1)
            await asyncio.sleep(0.2)
            assert not call.over
            scene.shop.clock.advance(seconds=0.1)
            await call.answered()
        assert call.body == b"success"
        assert await scene.door("w:m:1") == 204
        scene.handlers.go.set()
        await scene.platform.until_sent(1)
        assert scene.platform.texts(openid(1)) == ["answer to slow"]
        assert await scene.said() == ["answer to slow"]

    async def test_a_repeat_of_an_unfinished_one_waits_for_the_same_answer(
        self, scene: Scene
    ) -> None:
        async with scene.delivery("slow", 1, created_at=scene.shop.clock.now()) as first:
            await scene.asked()
            async with scene.delivery("slow", 1, created_at=scene.shop.clock.now()) as repeat:
                scene.shop.clock.advance(seconds=1)
                await asyncio.sleep(0.2)
                assert not repeat.over
                scene.handlers.go.set()
                await first.answered()
                await repeat.answered()
        assert first.body == repeat.body
        assert content(first) == "answer to slow"
        assert scene.handlers.asked == ["slow"]
        assert await scene.ledger() == []

    async def test_a_repeat_after_the_door_was_closed_gets_the_empty_success(
        self, scene: Scene
    ) -> None:
        start = scene.shop.clock.now()
        async with scene.delivery("slow", 1) as first:
            await scene.asked()
            scene.shop.clock.advance(seconds=DOOR_SECONDS)
            await first.answered()
        scene.handlers.go.set()
        await scene.platform.until_sent(1)
        async with scene.delivery("slow", 1, created_at=start) as repeat:
            await repeat.answered()
        assert first.body == repeat.body == b"success"
        assert len(scene.platform.sent) == 1

    async def test_what_cannot_be_shown_passively_goes_by_the_ledger(self, scene: Scene) -> None:
        """Of a tap on a link nothing is shown; the window of an earlier message is open."""
        async with scene.delivery("hi", 1) as call:
            await call.answered()
        xml = scene.shop.sender.event(
            openid(1), "VIEW", scene.shop.clock.now(), EventKey="http://a"
        )
        query, body = scene.shop.sender.request(xml, scene.shop.clock.now())
        hook = webhook_of(scene.shop.runtime, scene.shop.clock)
        scene.handlers.go.set()
        async with Call(hook, f"/wechat/{SLUG}", query, [body]) as view:
            await view.answered()
        assert view.body == b"success"
        await scene.platform.until_sent(1)
        assert len(scene.platform.texts(openid(1))) == 1

    async def test_a_commit_that_comes_too_late_still_starts_the_handler(
        self, scene: Scene
    ) -> None:
        """Nobody waits any more: silence, and the handler does not wait for its lease to end."""
        database = scene.shop.runtime.database
        if database.dialect != "sqlite":
            pytest.skip("only SQLite has one writer that a test can hold up")
        held, released = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        async def hold(tx: Tx) -> None:
            loop.call_soon_threadsafe(held.set)
            released.wait(10)

        async with asyncio.TaskGroup() as group:
            group.create_task(database.transaction(hold))
            await held.wait()
            call = scene.delivery("now", 1)
            call.parts, call.gate = [b"", *call.parts], asyncio.Event()
            with capture_logs() as lines:
                async with call:
                    await until(lambda: call.read == 1)
                    scene.shop.clock.advance(seconds=4.4)
                    call.gate.set()
                    await call.held()
                    released.set()
            assert [line["why"] for line in lines] == ["LATE"]
        assert call.sent == []
        await scene.jobs_done()
        assert scene.handlers.asked == ["now"]


class TestAccountsThatMayNotSend:
    async def attempt(
        self, scene: Scene, start: datetime, number: int, *, then: float, silent: bool = True
    ) -> Call:
        """One attempt of the platform, dropped in silence or answered; `then` seconds pass in it."""
        call = scene.delivery("slow", 1, created_at=start)
        async with call:
            await scene.tried(number)
            await scene.asked()
            scene.shop.clock.advance(seconds=then)
            if silent:
                await call.held()
            else:
                await call.answered()
        return call

    async def test_two_attempts_in_silence_the_third_is_answered(self, quiet: Scene) -> None:
        start = quiet.shop.clock.now()
        assert (await self.attempt(quiet, start, 1, then=5)).sent == []
        assert (await self.attempt(quiet, start, 2, then=5)).sent == []
        assert await quiet.door("w:m:1") is None
        async with quiet.delivery("slow", 1, created_at=start) as third:
            quiet.handlers.go.set()
            await third.answered()
        assert content(third) == "answer to slow"
        assert await quiet.door("w:m:1") == 200
        assert quiet.handlers.asked == ["slow"]
        assert await quiet.ledger() == []

    async def test_an_answer_between_two_attempts_is_given_to_the_next(self, quiet: Scene) -> None:
        start = quiet.shop.clock.now()
        assert (await self.attempt(quiet, start, 1, then=5)).sent == []
        quiet.handlers.go.set()
        await quiet.jobs_done()
        async with quiet.delivery("slow", 1, created_at=start) as second:
            await second.answered()
        assert content(second) == "answer to slow"

    async def test_too_late_for_the_third_it_waits_for_the_next_contact(self, quiet: Scene) -> None:
        start = quiet.shop.clock.now()
        for number in (1, 2):
            assert (await self.attempt(quiet, start, number, then=5)).sent == []
        third = await self.attempt(quiet, start, 3, then=4.5, silent=False)
        assert third.body == b"success"
        assert await quiet.door("w:m:1") == 204
        quiet.handlers.go.set()
        await quiet.jobs_done()
        assert await quiet.ledger() == ["held"]
        async with quiet.delivery("hi", 2) as later:
            await later.answered()
        assert content(later) == "answer to slow\n\nhello"
        assert await quiet.ledger() == ["sent"]
        async with quiet.delivery("hi", 3) as more:
            await more.answered()
        assert content(more) == "hello"
        assert quiet.platform.sent == []

    async def test_what_is_held_goes_before_the_next_apart_answer(self, quiet: Scene) -> None:
        """Where every word is answered apart, what was held would otherwise never be heard."""
        start = quiet.shop.clock.now()
        quiet.shop.clock.advance(seconds=9)
        await self.attempt(quiet, start, 1, then=4.5, silent=False)
        quiet.handlers.go.set()
        await quiet.jobs_done()
        assert await quiet.ledger() == ["held"]
        quiet.shop.clock.advance(seconds=60)
        async with quiet.delivery("now", 2) as later:
            await later.answered()
        assert content(later) == "answer to slow\n\nat once"
        assert await quiet.ledger() == ["sent"]
        assert (await quiet.shop.rows(select(Follower.held)))[0].held == 0

    async def test_what_is_held_is_heard_though_the_next_handler_says_nothing(
        self, quiet: Scene
    ) -> None:
        start = quiet.shop.clock.now()
        quiet.shop.clock.advance(seconds=9)
        await self.attempt(quiet, start, 1, then=4.5, silent=False)
        quiet.handlers.go.set()
        await quiet.jobs_done()
        quiet.shop.clock.advance(seconds=60)
        async with quiet.delivery("nothing", 2) as later:
            await later.answered()
        assert content(later) == "answer to slow"
        assert await quiet.ledger() == ["sent"]

    async def test_the_third_attempt_is_known_by_its_age_too(self, quiet: Scene) -> None:
        """Attempts may reach a process that could not count them: nine seconds old is the last."""
        start = quiet.shop.clock.now()
        quiet.shop.clock.advance(seconds=9)
        third = await self.attempt(quiet, start, 1, then=4.5, silent=False)
        assert third.body == b"success"

    async def test_an_answer_after_all_repeats_is_held(self, quiet: Scene) -> None:
        start = quiet.shop.clock.now()
        assert (await self.attempt(quiet, start, 1, then=5)).sent == []
        quiet.shop.clock.advance(seconds=60)
        quiet.handlers.go.set()
        await quiet.jobs_done()
        assert await quiet.ledger() == ["held"]
        assert await quiet.door("w:m:1") == 204


class TestAtFault:
    async def faults(self, scene: Scene) -> list[str]:
        rows = await scene.shop.rows(
            select(EventRow.payload).where(EventRow.kind == "fault.raised")
        )
        return [row.payload["error"] for row in rows]

    async def test_a_handler_that_raises(self, scene: Scene) -> None:
        scene.handlers.broken = True
        scene.handlers.go.set()
        async with scene.delivery("slow", 1) as call:
            await call.answered()
        assert "抱歉" in content(call)
        assert "010-12345678" in content(call)
        assert await self.faults(scene) == ["ZeroDivisionError"]
        assert scene.handlers.asked == ["slow"]

    async def test_one_that_raises_too_late(self, scene: Scene) -> None:
        scene.handlers.broken = True
        async with scene.delivery("slow", 1) as call:
            await scene.asked()
            scene.shop.clock.advance(seconds=DOOR_SECONDS)
            await call.answered()
        scene.handlers.go.set()
        await scene.platform.until_sent(1)
        assert "抱歉" in scene.platform.texts(openid(1))[0]
        assert await self.faults(scene) == ["ZeroDivisionError"]

    async def test_one_that_waits_for_something_else_inside_a_transaction(
        self, scene: Scene
    ) -> None:
        async with scene.delivery("outside", 1) as call:
            await call.answered()
        assert "抱歉" in content(call)
        assert await self.faults(scene) == ["AwaitedOutside"]

    async def test_one_that_never_returns(self, settings: Settings, clock: FakeClock) -> None:
        async with opened(settings, clock, handler_seconds=0.05) as scene:
            async with scene.delivery("slow", 1) as call:
                await call.answered()
            assert "抱歉" in content(call)
            assert await self.faults(scene) == ["TimeoutError"]

    async def test_one_that_takes_its_process_down_each_time(self, scene: Scene) -> None:
        """Twice is enough: the last try asks nobody and apologises."""
        async with scene.delivery("slow", 1) as call:
            await scene.asked()
            scene.shop.clock.advance(seconds=DOOR_SECONDS)
            await call.answered()

            async def as_after_two_deaths(tx: Tx) -> None:
                await tx.run(
                    update(Job)
                    .where(Job.task == "conversation.answer_apart")
                    .values(state="ready", attempts=2, fence=Job.fence + 1, lease_until=None)
                )

            await scene.shop.runtime.database.transaction(as_after_two_deaths)
            scene.shop.runtime.runner.wake()
            await scene.platform.until_sent(1)
        assert "抱歉" in scene.platform.texts(openid(1))[0]
        assert await self.faults(scene) == ["NeverFinished"]
        assert scene.handlers.asked == ["slow"]
        scene.handlers.go.set()
        await scene.jobs_done()
        assert len(await scene.said()) == 1


class TestRaces:
    @pytest.mark.parametrize("pause", [0.0, 0.001, 0.003, 0.01, 0.03])
    async def test_either_the_door_or_the_answer_wins(self, scene: Scene, pause: float) -> None:
        """Of ten followers each hears the answer once, passively or by customer message."""
        calls = [scene.delivery("slow", n, who=n) for n in range(1, 11)]
        for call in calls:
            await call.__aenter__()
        await scene.asked(10)
        scene.shop.clock.advance(seconds=DOOR_SECONDS)
        await asyncio.sleep(pause)
        scene.handlers.go.set()
        for call in calls:
            await call.answered()
            await call.__aexit__(None, None, None)
        await scene.jobs_done(10)
        passively = [n for n, call in enumerate(calls, 1) if content(call)]
        await scene.platform.until_sent(10 - len(passively))
        for number, call in enumerate(calls, 1):
            heard = [text for text in (content(call),) if text] + scene.platform.texts(
                openid(number)
            )
            assert heard == ["answer to slow"], number
            assert await scene.door(f"w:m:{number}") == (200 if number in passively else 204)
        assert len(await scene.said()) == 10

    async def test_two_of_one_follower_are_answered_in_order(self, scene: Scene) -> None:
        async with scene.delivery("slow", 1) as first, scene.delivery("slow 2", 2) as second:
            await scene.asked()
            await asyncio.sleep(0.1)
            assert scene.handlers.asked == ["slow"]  # the second waits in the follower's lane
            scene.shop.clock.advance(seconds=DOOR_SECONDS)
            await first.answered()
            await second.answered()
        scene.handlers.go.set()
        await scene.platform.until_sent(2)
        assert scene.handlers.asked == ["slow", "slow 2"]
        assert scene.platform.texts(openid(1)) == ["answer to slow", "answer to slow 2"]
        assert await scene.said() == ["answer to slow", "answer to slow 2"]

    async def test_another_message_is_answered_meanwhile(self, scene: Scene) -> None:
        async with scene.delivery("slow", 1) as slow:
            await scene.asked()
            async with scene.delivery("hi", 2) as quick:
                await quick.answered()
            assert content(quick) == "hello"
            scene.handlers.go.set()
            await slow.answered()
        assert content(slow) == "answer to slow"
        assert await scene.said() == ["hello", "answer to slow"]

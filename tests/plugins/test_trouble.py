"""Plugins that fail in ways that get past a plain `except Exception`, or that one database only minds."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from structlog.testing import capture_logs

from app.core.clock import FakeClock
from app.core.ids import FollowerId
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.tx import Tx
from app.plugins import (
    Action,
    Context,
    Decision,
    Effect,
    FlowState,
    Job,
    JobContext,
    MenuReply,
    Pattern,
    Plugin,
    Reply,
    Router,
    Snapshot,
    TagFollower,
    TextReply,
    offer,
)
from app.plugins.blocks import FOLDER
from app.runtime import Extensions
from tests.plugins.test_running import add_rule, faults, heard
from tests.shop import Shop, open_shop


class Odd(Exception):
    """Cannot even be said in words."""

    def __str__(self) -> str:
        raise LookupError("no words")


def trouble(words: str) -> None:
    match words:
        case "exit":
            sys.exit(3)
        case "nul":
            raise LookupError("no \x00 city")
        case "surrogate":
            raise LookupError("no \ud83d city")
        case "odd":
            raise Odd
        case "cancelled":
            raise asyncio.CancelledError
        case _:
            pass


WAYS = ["exit", "nul", "surrogate", "odd"]


@dataclass(frozen=True, slots=True)
class Mark(Effect):
    kind: ClassVar[str] = "rough.mark"
    how: str


class Marks:
    kind: ClassVar[str] = "rough.mark"

    async def apply(self, tx: Tx, requests: Sequence[Mark]) -> list[str]:
        for request in requests:
            trouble(request.how)
        return [request.how for request in requests]

    def render(self, outcome: str) -> Reply | None:
        return TextReply("记下了")


class Ask(Action):
    """`rough.ask`: asks the apart handler."""

    name: ClassVar[str] = "rough.ask"

    def decide(self, snap: Snapshot) -> Decision:
        return Decision(apart="rough.later")

    def preview(self) -> str:
        return "稍后回答"


def state(snap: Snapshot) -> FlowState:
    return FlowState("rough", 0, {}, snap.now + timedelta(minutes=5))


def odd_decision(snap: Snapshot, how: str) -> Decision:
    """What the types forbid, and a plugin without a type checker gives back all the same."""
    said: Any = TextReply("好")
    flow: dict[str, dict[str, Any]] = {
        "naive": {"expires_at": datetime(2030, 1, 1)},  # noqa: DTZ001  # what is to be found out
        "words": {"expires_at": "tomorrow"},
        "step": {"step": "first"},
        "huge step": {"step": 1 << 40},
        "long name": {"flow": "r" * 41},
        "no name": {"flow": None},
        "nul name": {"flow": "r\x00"},
        "nul": {"answers": {"city": "\x00"}},
        "version": {"version": 1 << 40},
        "path": {"path": ("first",)},
        "paused": {"paused": "yes"},
        "misses": {"misses": 1 << 20},
    }
    if how in flow:
        return Decision(steps=(said,), flow=replace(state(snap), **flow[how]))
    if how == "generator":
        steps: Any = (one for one in (said,))
        return Decision(steps=steps)
    if how == "nul in why":
        return Decision(steps=(said,), why={"city": "\x00"})
    if how == "passed over":
        passed: Any = ("nobody",)
        return Decision(steps=(said,), passed_over=passed)
    if how == "tag":
        return Decision(steps=(said, TagFollower(snap.follower.id, "长" * 41, snap.key)))
    raise AssertionError(how)


ODD = [
    *("naive", "words", "step", "huge step", "long name", "no name", "nul name", "nul"),
    *("version", "path", "paused", "misses", "generator", "nul in why", "passed over"),
]


async def job(ctx: JobContext, how: str = "") -> None:
    trouble(how)


def plugin() -> Plugin:
    router = Router("rough")

    @router.decide(Pattern("^decide "))
    def fails(snap: Snapshot) -> Decision:
        trouble(snap.incoming.text.removeprefix("decide "))
        return Decision.say(TextReply("好"))

    @router.decide(Pattern("^effect "))
    def effect(snap: Snapshot) -> Decision:
        return Decision(steps=(Mark(snap.follower.id, snap.incoming.text[7:]),))

    @router.decide(Pattern("^odd "))
    def odd(snap: Snapshot) -> Decision:
        return odd_decision(snap, snap.incoming.text[4:])

    @router.decide(Pattern("^echo "))
    def echo(snap: Snapshot) -> Decision:
        return Decision.say(TextReply("好"), said=snap.incoming.text)

    @router.apart(Pattern("^later"))
    async def later(ctx: Context) -> TextReply:
        trouble(ctx.incoming.text.removeprefix("later "))
        return TextReply("想好了")

    kinds: Any = [Marks()]
    jobs = [Job(name="job", run=job)]
    return Plugin(name="rough", api=1, routers=[router], actions=[Ask], kinds=kinds, jobs=jobs)


@pytest.fixture
async def shop(settings: Settings, clock: FakeClock) -> AsyncIterator[Shop]:
    extensions = Extensions(plugins=[plugin()], find_plugins=False, handler_seconds=0.3)
    async with open_shop(settings, clock, extensions) as opened:
        yield opened


async def record(shop: Shop) -> Any:
    await shop.runtime.plugins.refresh()
    return shop.runtime.plugins.records.get("rough")


@pytest.mark.parametrize("way", [*WAYS, "cancelled"])
async def test_a_handler_that_fails_so_is_passed_over(shop: Shop, way: str) -> None:
    assert "没听懂" in await heard(shop, f"decide {way}")
    assert (await record(shop)).failures == 1
    assert [told["plugin"] for told in await faults(shop)] == ["rough"]


@pytest.mark.parametrize("way", WAYS)
async def test_an_effect_that_fails_so_is_apologised_for(shop: Shop, way: str) -> None:
    assert "抱歉" in await heard(shop, f"effect {way}")
    assert (await record(shop)).failures == 1
    assert await heard(shop, "effect well") == "记下了"


@pytest.mark.parametrize("way", WAYS)
async def test_an_apart_handler_that_fails_so_is_apologised_for(shop: Shop, way: str) -> None:
    assert "抱歉" in await heard(shop, f"later {way}")
    assert (await record(shop)).failures == 1
    assert await heard(shop, "later well") == "想好了"


@pytest.mark.parametrize("way", WAYS)
async def test_a_job_that_fails_so_is_counted(shop: Shop, way: str) -> None:
    shop.runtime.runner.stop()
    await shop.runtime.runner.stopped()

    async def enqueue(tx: Tx) -> None:
        await shop.runtime.jobs.enqueue(tx, "plugin.rough.job", {"how": way})

    await shop.runtime.database.transaction(enqueue)
    await shop.runtime.runner.drain()
    assert (await record(shop)).failures == 1


@pytest.mark.parametrize("how", ODD)
async def test_what_no_database_could_keep_is_the_plugins_failure(shop: Shop, how: str) -> None:
    """On both databases alike; the follower is answered by whoever is next."""
    assert "没听懂" in await heard(shop, f"odd {how}")
    assert [told["error"] for told in await faults(shop)] == ["BadAnswer"]
    assert (await record(shop)).failures == 1


async def test_a_tag_too_long_for_its_column(shop: Shop) -> None:
    assert "没听懂" in await heard(shop, "odd tag")
    assert (await record(shop)).failures == 1


async def test_an_action_may_leave_the_answer_to_an_apart_handler(shop: Shop) -> None:
    await add_rule(shop, "问问", {"do": "rough.ask"})
    assert await heard(shop, "问问") == "想好了"


def asking(effect: Effect) -> Plugin:
    """Another plugin, which asks for an effect of the first."""
    router = Router("other")

    @router.decide(Pattern("^other$"))
    def other(snap: Snapshot) -> Decision:
        return Decision(steps=(TextReply("好"), replace(effect, follower=snap.follower.id)))

    return Plugin(name="other", api=1, routers=[router])


async def test_its_effects_are_not_written_while_it_is_off(
    settings: Settings, clock: FakeClock
) -> None:
    """Whoever asks for them."""
    plugins = [plugin(), asking(Mark(FollowerId(0), "well"))]
    async with open_shop(settings, clock, Extensions(plugins=plugins, find_plugins=False)) as shop:
        assert "记下了" in await heard(shop, "other")
        runtime = shop.runtime
        await runtime.database.transaction(
            lambda tx: runtime.switchboard.switch(
                tx, "rough", on=False, actor=CLI, loaded=runtime.plugins.loaded
            )
        )
        await runtime.plugins.refresh()
        assert await heard(shop, "other") == "好"


async def test_a_folder_of_blocks_that_cannot_be_read_ends_nothing(
    shop: Shop, settings: Settings
) -> None:
    (settings.data_dir / FOLDER).write_text("no folder")
    with capture_logs() as lines:
        assert "没听懂" in await heard(shop, "decide exit")
        assert (await record(shop)).failures == 1
    assert "plugin.blocks_unreadable" in [line["event"] for line in lines]


async def test_what_followers_type_is_no_nul(shop: Shop) -> None:
    """A backslash and digits are words like any other, also where a plugin repeats them."""
    assert await heard(shop, "echo \\u0000") == "好"
    assert await record(shop) is None


class TestOptions:
    """A number typed after a menu: who fails to answer it is passed over, the next one is asked."""

    async def test_the_plugin_behind_one_that_fails_is_asked(
        self, settings: Settings, clock: FakeClock
    ) -> None:
        behind = Router("behind")

        @behind.decide(Pattern("^菜单$"))
        def menu(snap: Snapshot) -> Decision:
            return offer(snap, MenuReply("要哪个？", (("a", "decide nul"),)))

        @behind.decide(Pattern("^decide nul$"))
        def chosen(snap: Snapshot) -> Decision:
            return Decision.say(TextReply(f"选了 {snap.incoming.key}"))

        plugins = [plugin(), Plugin(name="behind", api=1, routers=[behind])]
        extensions = Extensions(plugins=plugins, find_plugins=False)
        async with open_shop(settings, clock, extensions) as shop:
            await heard(shop, "菜单")
            assert await heard(shop, "1") == "选了 a"
            assert (await record(shop)).failures == 1

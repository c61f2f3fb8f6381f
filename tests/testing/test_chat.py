"""`Chat` as plugin authors use it."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from app.plugins import (
    ArticleReply,
    Context,
    Decision,
    Job,
    JobContext,
    Keyword,
    Kind,
    MenuReply,
    OfKind,
    Plugin,
    Reply,
    Router,
    Snapshot,
    TextReply,
    Tx,
    enqueue,
    offer,
    tag,
)
from app.testing import Chat, PluginFailed, PluginLeftOut
from tests.plugins.weather import Made, WeatherSettings


def talker() -> Plugin:
    """Answers with whatever is asked for."""
    router = Router("talker")

    @router.decide(Keyword("两条"))
    def two(snap: Snapshot) -> Decision:
        return Decision.say(TextReply("第一"), ArticleReply("文章", url="https://example.com"))

    @router.decide(Keyword("选"))
    def menu(snap: Snapshot) -> Decision:
        return offer(snap, MenuReply("要哪个？", (("a", "甲"), ("b", "乙"))))

    @router.decide(Keyword("先说后选"))
    def words_first(snap: Snapshot) -> Decision:
        menu = MenuReply("要哪个？", (("a", "甲"), ("b", "乙")))
        return Decision.say(ArticleReply("文章"), menu)

    @router.decide(Keyword("甲"))
    def first(snap: Snapshot) -> Decision:
        return Decision.say(TextReply(f"选了{snap.incoming.key}"))

    @router.decide(Keyword("几点"))
    def now(snap: Snapshot) -> Decision:
        return Decision.say(TextReply(snap.now.isoformat()))

    @router.decide(OfKind(Kind.IMAGE, Kind.VOICE, Kind.POSITION, Kind.MENU, Kind.SCAN, Kind.FOLLOW))
    def thing(snap: Snapshot) -> Decision:
        return Decision.say(TextReply(f"{snap.incoming.kind.value}:{snap.incoming.key}"))

    @router.apart(Keyword("标签"))
    async def tagged(ctx: Context) -> list[Reply]:
        async def work(tx: Tx) -> bool:
            await enqueue(ctx, tx, "talker.note", {"who": "x"})
            return await tag(ctx, tx, "来过")

        new = await ctx.transaction(work)
        return [TextReply("新的" if new else "旧的")]

    @router.apart(Keyword("慢"))
    async def slow(ctx: Context) -> TextReply:
        await asyncio.sleep(0.05)
        return TextReply("慢慢来")

    return Plugin(
        name="talker", api=1, routers=[router], jobs=[Job(name="note", run=note, every_minutes=60)]
    )


noted: list[dict[str, Any]] = []


async def note(ctx: JobContext, **args: Any) -> None:
    noted.append(args)


async def test_what_came_as_the_answer_and_what_came_after_it() -> None:
    async with Chat([talker()]) as chat:
        said = await chat.say("两条")
        assert [(one.kind, one.text, one.later) for one in said] == [
            ("text", "第一", False),
            ("news", "文章", True),
        ]
        assert said.later.text == "文章"
        assert (await chat.say("慢")).text == "慢慢来"


async def test_options_are_chosen_by_their_words() -> None:
    """The answer itself is a text with numbers; a customer message is a menu to tap."""
    async with Chat([talker()]) as chat:
        assert "1. 甲" in (await chat.say("选")).text
        assert (await chat.choose("甲")).text == "选了a"
        (_, menu) = await chat.say("先说后选")
        assert menu.options == {"a": "甲", "b": "乙"}
        assert (await chat.choose("甲")).text == "选了a"
        with pytest.raises(AssertionError, match="丙"):
            await chat.choose("丙")


async def test_everything_a_phone_can_do() -> None:
    async with Chat([talker()]) as chat:
        assert (await chat.follow("poster")).text == "follow:poster"
        assert (await chat.scan("door")).text == "scan:door"
        assert (await chat.tap("shop.map")).text == "menu:shop.map"
        assert (await chat.send_picture()).text == "image:"
        assert (await chat.send_voice()).text == "voice:"
        assert (await chat.send_position()).text == "position:"
        assert not await chat.unfollow()
        with pytest.raises(AssertionError, match="关注"):
            await chat.say("还在吗")


async def test_followers_are_apart() -> None:
    async with Chat([talker()]) as chat:
        other = chat.follower("小周")
        assert other is chat.follower("小周")
        assert (await other.scan("door")).text == "follow:door"
        assert (await other.say("标签")).text == "新的"
        assert (await other.say("标签")).text == "旧的"
        assert await other.tags() == {"来过"}
        await chat.say("几点")
        assert await chat.tags() == frozenset()


async def test_rules_are_written_short_and_win() -> None:
    reply = [[{"do": "reply", "with": {"kind": "text", "text": "规则说的"}}]]
    bound = {"on": "menu", "key": "k", "answers": reply}
    async with Chat(
        [talker()], rules=[{"words": ["两条"], "answers": reply}], bindings=[bound]
    ) as chat:
        assert (await chat.say("两条")).text == "规则说的"
        assert "rule" in await chat.trace()
        assert (await chat.tap("k")).text == "规则说的"


async def test_time_begins_where_it_is_told_and_moves() -> None:
    noted.clear()
    async with Chat([talker()], starts_at=datetime(2031, 5, 1, 8, 30, tzinfo=UTC)) as chat:
        assert (await chat.say("几点")).text.startswith("2031-05-01T08:30:0")
        await chat.say("标签")
        assert noted == [{"who": "x"}]
        await chat.move_time(hours=1)
        assert noted == [{"who": "x"}, {}]
        assert (await chat.say("几点")).text.startswith("2031-05-01T09:30:0")
        await chat.run_job("talker.note", who="y")
        assert noted[-1] == {"who": "y"}


async def test_an_answer_that_cannot_be_sent_later_waits_for_the_next_contact() -> None:
    async with Chat([talker()], kind="subscription", verified=False) as chat:
        assert (await chat.say("两条")).text == "第一"
        assert "文章" in (await chat.say("几点")).text


async def test_a_failure_is_the_test_s_unless_it_is_meant() -> None:
    async with Chat([Made().plugin()]) as chat:
        with pytest.raises(PluginFailed, match="no forecast") as caught:
            await chat.say("fail")
        assert isinstance(caught.value.__cause__, LookupError)
    async with Chat([Made().plugin()], failing=True) as chat:
        assert "没听懂" in (await chat.say("fail")).text
        assert [(plugin, part) for plugin, part, _ in chat.failures] == [
            ("weather", "handler weather.fail")
        ]


async def test_a_plugin_that_cannot_be_loaded_says_why() -> None:
    with pytest.raises(PluginLeftOut, match="interface 2"):
        async with Chat([Plugin(name="later", api=2)]):
            pass


async def test_settings_are_given_or_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests changes nothing."""
    monkeypatch.setenv("GUANXI_PLUGIN_WEATHER_CITY", "广州")
    rule = {"words": ["说"], "answers": [[{"do": "weather.tell"}]]}
    async with Chat([Made().plugin()], rules=[rule]) as chat:
        assert (await chat.say("说")).text == "上海 晴"
    async with Chat(
        [Made().plugin()], rules=[rule], settings=[WeatherSettings(city="北京")]
    ) as chat:
        assert (await chat.say("说")).text == "北京 晴"


async def test_a_failure_is_told_once() -> None:
    async with Chat([Made().plugin()]) as chat:
        with pytest.raises(PluginFailed):
            await chat.say("fail")
        assert (await chat.say("天气"))[-1].text == "今天晴"

"""A plugin in a running installation: it answers, its failures are contained, counted, and end it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from app.conversation.rehearsal import rehearse
from app.core.clock import FakeClock, to_millis
from app.core.incoming import Incoming, Kind
from app.core.replies import plain_text
from app.core.settings import Settings
from app.db.audit import CLI, AuditRow
from app.db.events import EventRow
from app.db.tx import Tx
from app.delivery.models import Job as JobRow
from app.delivery.tasks import GiveUp
from app.engines.replies.inputs import RuleInput
from app.engines.support.models import Message
from app.plugins.blocks import Block, BlockFiles
from app.plugins.errors import NoSuchPlugin
from app.runtime import Extensions, open_runtime
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


async def test_the_trace_names_who_failed(shop: Shop) -> None:
    await heard(shop, "fail")
    (trace,) = [row.trace for row in await shop.rows(select(Message)) if row.direction == "in"]
    assert trace["failed"] == ["weather"]
    assert trace["handler"] == "fallback.fallback"


async def test_a_dry_run_is_not_counted(shop: Shop, made: Made) -> None:
    account = shop.runtime.accounts.all()[0]
    said = rehearse(
        shop.runtime.routing,
        account.view,
        Incoming(Kind.TEXT, "fail"),
        key="dry-run",
        now=shop.clock.now(),
    )
    assert said.why["failed"] == ["weather"]
    assert await record(shop) is None


async def test_a_dry_run_of_an_action_that_fails_shows_the_apology(shop: Shop) -> None:
    await add_rule(shop, "说天气", {"do": "weather.tell", "with": {"how": "raise"}})
    account = shop.runtime.accounts.all()[0]
    incoming = Incoming(Kind.TEXT, "说天气")
    said = rehearse(shop.runtime.routing, account.view, incoming, key="k", now=shop.clock.now())
    assert (said.why["plugin"], said.why["fault"]) == ("weather", "LookupError")
    assert "抱歉" in plain_text(said.messages[0])
    assert await record(shop) is None


@pytest.mark.parametrize(("how", "error"), [("raise", "LookupError"), ("text", "BadAnswer")])
async def test_an_action_that_fails_is_apologised_for(shop: Shop, how: str, error: str) -> None:
    await add_rule(shop, "说天气", {"do": "weather.tell", "with": {"how": how}})
    assert "抱歉" in await heard(shop, "说天气")
    (told,) = await faults(shop)
    assert (told["plugin"], told["error"]) == ("weather", error)
    assert (await record(shop)).failures == 1


async def test_a_preview_that_fails_breaks_no_list(shop: Shop) -> None:
    action = shop.runtime.actions.parse({"do": "weather.tell", "with": {"how": "raise"}})
    assert action.preview() == "weather.tell（无法预览）"
    assert (await record(shop)).failures == 1


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("raise", "LookupError"),
        ("await", "AwaitedOutside"),
        ("short", "BadAnswer"),
        ("put", "IntegrityError|UniqueViolation"),
        ("words", "BadAnswer"),
    ],
)
async def test_an_effect_that_fails_is_its_followers_alone(
    shop: Shop, how: str, error: str
) -> None:
    """Ten deliveries come together; nine of them have their effect."""
    words = [f"note {how}" if who == 5 else f"note {who}" for who in range(10)]
    said = await asyncio.gather(*(heard(shop, text, who) for who, text in enumerate(words)))
    assert "抱歉" in said[5]
    assert [text for who, text in enumerate(said) if who != 5] == [
        f"记下：{who}" for who in range(10) if who != 5
    ]
    (told,) = await faults(shop)
    assert told["plugin"] == "weather"
    assert told["error"] in error.split("|")
    assert (await record(shop)).failures == 1


@pytest.mark.parametrize(
    ("words", "error"),
    [("later raise", "LookupError"), ("later text", "BadAnswer"), ("later sleep", "TimeoutError")],
)
async def test_an_apart_handler_that_fails_apologises(shop: Shop, words: str, error: str) -> None:
    assert "抱歉" in await heard(shop, words)
    found = await record(shop)
    assert found.failures == 1
    assert error in found.last_failure


async def run_job(shop: Shop, **args: Any) -> None:
    async def enqueue(tx: Tx) -> None:
        await shop.runtime.jobs.enqueue(tx, "plugin.weather.refresh", args)

    await shop.runtime.database.transaction(enqueue)
    await shop.runtime.runner.drain()


async def test_a_job_runs_and_its_failures_are_counted(shop: Shop, made: Made) -> None:
    shop.runtime.runner.stop()
    await shop.runtime.runner.stopped()
    await run_job(shop, city="上海")
    assert made.ran == [{"city": "上海"}]
    made.trouble = LookupError("no satellite")
    await run_job(shop)
    assert "LookupError" in (await record(shop)).last_failure
    made.trouble = GiveUp("never mind")
    await run_job(shop)
    assert (await record(shop)).failures == 1


async def test_the_tenth_failure_within_the_time_switches_it_off(
    settings: Settings, clock: FakeClock, made: Made
) -> None:
    short = settings.model_copy(update={"plugins_failure_minutes": 1.0})
    extensions = Extensions(plugins=[made.plugin()], find_plugins=False)
    async with open_shop(short, clock, extensions) as shop:
        await until_off(shop)


async def until_off(shop: Shop) -> None:
    for _ in range(9):
        await heard(shop, "fail")
    await record(shop)
    shop.clock.advance(minutes=2)
    for _ in range(9):
        await heard(shop, "fail")
    found = await record(shop)
    assert (found.failures, found.off) == (18, False)
    with capture_logs() as lines:
        await heard(shop, "fail")
        assert (await record(shop)).off
    (alert,) = [line for line in lines if line["event"] == "plugin.disabled"]
    assert (alert["log_level"], alert["plugin"]) == ("error", "weather")
    assert "10 failures within 1 minutes" in alert["reason"]
    kinds = [row.kind for row in await shop.rows(select(EventRow)) if row.topic == "plugin"]
    assert kinds == ["plugin.failed", "plugin.failed", "plugin.disabled"]


async def test_failures_of_all_processes_count_together_and_all_follow(
    settings: Settings, clock: FakeClock, made: Made
) -> None:
    extensions = Extensions(plugins=[made.plugin()], find_plugins=False)
    async with (
        open_shop(settings, clock, extensions) as shop,
        open_runtime(settings, clock, extensions) as other,
    ):
        for _ in range(5):
            await heard(shop, "fail")
        await shop.runtime.plugins.refresh()
        for _ in range(5):
            other.plugins.apart_failed("weather.later", LookupError("elsewhere"))
        async with asyncio.timeout(5):  # the promise is two seconds; a busy machine gets more
            while await heard(shop, "天气") == "今天晴":  # noqa: ASYNC110  # it looks each second
                await asyncio.sleep(0.05)
        assert other.plugins.problem() is not None


async def test_off_it_is_asked_nothing(shop: Shop, made: Made) -> None:
    await add_rule(shop, "说天气", {"do": "weather.tell"})
    await switch(shop, on=False)
    assert FALLBACK in await heard(shop, "天气")
    assert await heard(shop, "说天气", 2) == "抱歉，这项服务暂时没有开放。"
    assert "没能帮上" in await heard(shop, "later")
    assert "weather is switched off" in (shop.runtime.plugins.problem() or "")
    assert (await record(shop)).failures == 0
    await switch(shop, on=True)
    assert await heard(shop, "天气") == "今天晴"
    assert shop.runtime.plugins.problem() is None


async def test_off_its_jobs_wait_and_its_timetable_does_not_pile_up(
    shop: Shop, made: Made, clock: FakeClock
) -> None:
    shop.runtime.runner.stop()
    await shop.runtime.runner.stopped()
    shop.runtime.ids.good_until = None  # the process's slot is not what time is moved for
    await shop.runtime.timetable.tick()
    await switch(shop, on=False)
    await run_job(shop, city="上海")
    clock.advance(minutes=20)
    await shop.runtime.timetable.tick()
    await shop.runtime.runner.drain()
    assert made.ran == []
    waiting = await shop.rows(select(JobRow).where(JobRow.task == "plugin.weather.refresh"))
    assert [(row.state, row.attempts) for row in waiting] == [("ready", 0)]
    await switch(shop, on=True)
    clock.advance(minutes=2)
    await shop.runtime.runner.drain()
    assert made.ran == [{"city": "上海"}]


async def test_jobs_of_a_plugin_that_is_not_there_wait(
    settings: Settings, clock: FakeClock, made: Made
) -> None:
    """A release with a broken plugin loses none of what was queued before."""
    extensions = Extensions(plugins=[made.plugin()], find_plugins=False)
    idle = settings.model_copy(update={"role": "web"})
    async with open_shop(idle, clock, extensions) as shop:

        async def enqueue(tx: Tx) -> None:
            await shop.runtime.jobs.enqueue(tx, "plugin.weather.refresh", {"city": "上海"})

        await shop.runtime.database.transaction(enqueue)
    async with open_runtime(idle, clock, Extensions(find_plugins=False)) as without:
        for _ in range(7):
            assert await without.runner.drain() == 1
            clock.advance(seconds=601)
    async with open_runtime(idle, clock, extensions) as mended:
        await mended.runner.drain()
    assert made.ran == [{"city": "上海"}]


async def test_switching_is_on_record_and_happens_once(shop: Shop) -> None:
    await switch(shop, on=False)
    await switch(shop, on=False)
    await switch(shop, on=True)
    rows = [row for row in await shop.rows(select(AuditRow)) if row.target == "plugin:weather"]
    assert [(row.action, row.actor) for row in rows] == [
        ("plugin.disabled", "cli"),
        ("plugin.enabled", "cli"),
    ]
    with pytest.raises(NoSuchPlugin) as caught:
        await shop.runtime.database.transaction(
            lambda tx: shop.runtime.switchboard.switch(
                tx, "weatherman", on=True, actor=CLI, loaded=shop.runtime.plugins.loaded
            )
        )
    assert "weather" in caught.value.say("en")


async def test_one_that_is_off_stays_off_after_a_restart(
    settings: Settings, clock: FakeClock, made: Made
) -> None:
    extensions = Extensions(plugins=[made.plugin()], find_plugins=False)
    async with open_shop(settings, clock, extensions) as shop:
        await switch(shop, on=False)
    async with open_runtime(settings, clock, extensions) as again:
        assert again.plugins.problem() is not None


async def test_blocks_kept_by_a_dead_process_are_counted_once(
    shop: Shop, settings: Settings, clock: FakeClock
) -> None:
    """Three of them switch it off."""
    files = BlockFiles(settings.data_dir)
    for number in range(3):
        files.write(Block("weather", to_millis(clock.now()) + number, 15.2))
        found = await record(shop)
        assert (found.blocks, found.failures, found.off) == (number + 1, number + 1, number == 2)
    again = await record(shop)
    assert again.blocks == 3
    assert "blocked a process for good 3 times" in again.reason
    await switch(shop, on=True)
    assert (await record(shop)).blocks == 0

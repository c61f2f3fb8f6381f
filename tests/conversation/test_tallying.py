"""Answers are counted after the fact: exactly, whoever counts and whoever is killed."""

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from app.core.clock import FakeClock
from app.core.ids import AccountId
from app.core.rng import SeededRng
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.database import Database, open_database
from app.db.feed import Feed, Page, read_until
from app.db.tx import Tx
from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.replies.models import Binding, Flow, Miss, Rule, Tally
from app.engines.replies.tallies import MISSES_KEPT, digest_of
from app.runtime import Runtime
from tests.conversation.counting import tallying
from tests.shop import Shop, open_shop
from tests.wire import value_of

WORDS = ("甲", "乙", "丙")
MISSED = ("嗯", "Hello", "ＨＥＬＬＯ")


def say(text: str) -> list[list[dict[str, Any]]]:
    return [[{"do": "reply", "with": {"kind": "text", "text": text}}]]


BOOKING = FlowInput(name="订位", plan={"steps": [{"ask": "几位？", "save_as": "size"}]})
RULES = [
    RuleInput.model_validate({"name": w, "kind": "exact", "words": [w], "answers": say(f"答{w}")})
    for w in WORDS
]
BOOK = RuleInput.model_validate(
    {
        "name": "订位",
        "kind": "exact",
        "words": ["订位"],
        "answers": [[{"do": "start_flow", "with": {"flow": "订位"}}]],
    }
)
TAP = BindingInput.model_validate({"on": "menu", "key": "today", "answers": say("今日")})


@asynccontextmanager
async def stocked(settings: Settings, clock: FakeClock) -> AsyncIterator[Shop]:
    async with open_shop(settings, clock) as opened:
        runtime, account = opened.runtime, opened.account_id

        async def fill(tx: Tx) -> None:
            await runtime.replies.import_many(
                tx, CLI, account, rules=[*RULES, BOOK], bindings=[TAP], flows=[BOOKING]
            )

        await runtime.database.transaction(fill)
        await runtime.book.refresh()
        yield opened


@pytest.fixture
async def shop(settings: Settings, clock: FakeClock) -> AsyncIterator[Shop]:
    async with stocked(settings, clock) as opened:
        yield opened


@pytest.fixture
async def other(settings: Settings, shop: Shop) -> AsyncIterator[Database]:
    """A worker in another process, as far as the database can tell."""
    opened = open_database(settings, SeededRng(2))
    yield opened
    await asyncio.wait_for(opened.close(), 10)


async def tallies(shop: Shop) -> dict[tuple[str, str], int]:
    """Hits by sort and name, over all days."""
    names: dict[tuple[str, int], str] = {}
    for what, table, name in (
        ("rule", Rule, Rule.name),
        ("binding", Binding, Binding.key),
        ("flow", Flow, Flow.name),
    ):
        for number, called in await shop.rows(select(table.__table__.c.id, name)):
            names[what, number] = called
    found: Counter[tuple[str, str]] = Counter()
    for what, target, hits in await shop.rows(select(Tally.what, Tally.target_id, Tally.hits)):
        found[what, names[what, target]] += hits
    return dict(found)


async def misses(shop: Shop) -> dict[str, int]:
    return {row.text: row.times for row in await shop.rows(select(Miss.text, Miss.times))}


async def count(runtime: Runtime) -> None:
    await runtime.tallying.catch_up()


class TestWhatIsCounted:
    async def test_rules_bindings_flows_and_misses(self, shop: Shop) -> None:
        await shop.say("甲")
        await shop.say(" 甲 ")
        await shop.event("CLICK", EventKey="today")
        await shop.say("订位", who=2)
        await shop.say("三位", who=2)
        for words in MISSED:
            await shop.say(words)
        await shop.event("CLICK", EventKey="unknown")
        await count(shop.runtime)
        assert await tallies(shop) == {
            ("rule", "甲"): 2,
            ("binding", "today"): 1,
            ("rule", "订位"): 1,
            ("flow", "订位"): 1,
        }
        assert await misses(shop) == {"嗯": 1, "hello": 2}
        rows = await shop.rows(select(Miss.example, Miss.digest).where(Miss.text == "hello"))
        assert tuple(rows[0]) == ("ＨＥＬＬＯ", digest_of("hello"))

    async def test_a_repeat_counts_once_and_a_dry_run_not_at_all(self, shop: Shop) -> None:
        for _ in range(3):
            await shop.say("甲", number=77)
        await count(shop.runtime)
        await count(shop.runtime)
        assert await tallies(shop) == {("rule", "甲"): 1}

    async def test_a_day_is_one_of_the_account_s(self, settings: Settings) -> None:
        clock = FakeClock(datetime(2026, 1, 1, 15, 59, tzinfo=UTC))  # 23:59 in Shanghai
        async with stocked(settings, clock) as shop:
            await shop.say("甲")
            clock.advance(minutes=2)
            await shop.say("甲")
            await count(shop.runtime)
            rows = await shop.rows(select(Tally.day, Tally.hits, Tally.last_at).order_by(Tally.day))
        assert [tuple(row) for row in rows] == [
            ("2026-01-01", 1, datetime(2026, 1, 1, 15, 59, tzinfo=UTC)),
            ("2026-01-02", 1, datetime(2026, 1, 1, 16, 1, tzinfo=UTC)),
        ]

    async def test_long_texts_are_told_apart_and_cut(self, shop: Shop) -> None:
        await shop.say("长" * 300)
        await shop.say("长" * 299 + "短")
        await count(shop.runtime)
        rows = await shop.rows(select(Miss.text, Miss.times))
        assert [tuple(row) for row in rows] == [("长" * 200, 1)] * 2

    async def test_every_minute_by_itself(self, shop: Shop, clock: FakeClock) -> None:
        """The job as the timetable runs it; what is not due costs nothing."""
        await shop.say("甲")
        async with asyncio.timeout(20):
            while not await tallies(shop):
                clock.advance(seconds=30)
                shop.runtime.runner.wake()
                await asyncio.sleep(0.02)
        assert await tallies(shop) == {("rule", "甲"): 1}

        async def until(tx: Tx) -> datetime | None:
            return await read_until(tx, "replies.tally")

        counted = await shop.runtime.database.read(until)
        assert counted is not None
        assert clock.now() - counted < timedelta(minutes=5)


async def talk(shop: Shop, seed: int, each: int) -> tuple[Counter[str], Counter[str]]:
    """Followers say random things at once; what the platform saw: answers, and words not understood."""
    chance = random.Random(seed)
    answered: Counter[str] = Counter()
    missed: Counter[str] = Counter()

    async def follower(who: int) -> None:
        for _ in range(each):
            words = chance.choice((*WORDS, *MISSED))
            answer = value_of(await shop.say(words, who), "Content")
            if answer.startswith("答"):
                assert answer == f"答{words}"
                answered[words] += 1
            else:
                missed["嗯" if words == "嗯" else "hello"] += 1

    await asyncio.gather(*(follower(who) for who in range(1, 9)))
    return answered, missed


class TestExactlyOnce:
    async def test_two_workers_side_by_side(self, shop: Shop, other: Database) -> None:
        workers = [shop.runtime.tallying, tallying(other), tallying(other)]
        done = asyncio.Event()

        async def work(number: int) -> None:
            while not done.is_set():
                await workers[number].catch_up()
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(work(number))
            answered, missed = await talk(shop, 1, 25)
            done.set()
        await workers[1].catch_up()
        assert await tallies(shop) == {("rule", word): n for word, n in answered.items()}
        assert await misses(shop) == dict(missed)
        assert sum(answered.values()) + sum(missed.values()) == 200

    async def test_killed_processes(self, shop: Shop, database_url: str) -> None:
        kills = 0
        done = asyncio.Event()

        async def worker() -> None:
            nonlocal kills
            chance = random.Random(3)
            while not done.is_set():
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "tests.conversation.counting", database_url),
                    stdout=asyncio.subprocess.PIPE,
                )
                assert process.stdout is not None
                assert await process.stdout.readline() == b"ready\n"
                await asyncio.sleep(chance.uniform(0.02, 0.3))
                process.send_signal(signal.SIGKILL)
                await process.communicate()
                kills += 1

        async with asyncio.TaskGroup() as group:
            group.create_task(worker())
            answered, missed = Counter[str](), Counter[str]()
            for seed in range(30):
                more, lost = await talk(shop, seed, 5)
                answered += more
                missed += lost
                if kills >= 3:
                    break
                await asyncio.sleep(0.1)
            done.set()
        await shop.runtime.tallying.catch_up()
        assert kills >= 3
        assert await tallies(shop) == {("rule", word): n for word, n in answered.items()}
        assert await misses(shop) == dict(missed)

    async def test_a_cursor_in_a_transaction_of_its_own_is_caught(
        self, shop: Shop, other: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The broken variant: the same kills, counted twice."""

        async def take(self: Feed, page: Page) -> None:
            await self._database.transaction(lambda tx: self._hand_over(tx, page))
            if next(kills):
                raise OSError("killed")
            await self._database.transaction(lambda tx: self._move(tx, page))

        kills = iter([True, False, False])
        answered, _ = await talk(shop, 1, 5)
        monkeypatch.setattr(Feed, "_take", take)
        with pytest.raises(OSError, match="killed"):
            await tallying(other).catch_up()
        await tallying(other).catch_up()
        assert await tallies(shop) != {("rule", word): n for word, n in answered.items()}


class TestBounds:
    async def test_rare_old_misses_go_and_dismissed_ones_stay(
        self, shop: Shop, clock: FakeClock
    ) -> None:
        now, account = clock.now(), shop.account_id

        def row(number: int, **other: Any) -> dict[str, Any]:
            text = f"词{number}"
            return {
                "account_id": account,
                "digest": digest_of(text),
                "text": text,
                "example": text,
                "times": 2,
                "first_at": now,
                "last_at": now,
                "dismissed_at": None,
                **other,
            }

        async def fill(tx: Tx) -> None:
            old = now - timedelta(days=90)
            rows = [row(n) for n in range(MISSES_KEPT)]
            rows += [row(MISSES_KEPT + n, times=1) for n in range(600)]
            rows += [row(MISSES_KEPT + 600 + n, last_at=old) for n in range(40)]
            rows.append(row(9999, times=1, last_at=old, dismissed_at=now))
            rows.append(row(1, account_id=account + 1))
            await tx.many(insert(Miss), rows)

        await shop.runtime.database.transaction(fill)
        await shop.say("没听过的")
        await count(shop.runtime)
        left = {text for (text,) in await shop.rows(select(Miss.text))}
        assert await shop.count(Miss) == MISSES_KEPT + 1
        assert not left & {f"词{MISSES_KEPT + n}" for n in range(640)}
        assert {"词9999", "词1"} <= left
        assert "没听过的" not in left

    async def test_counts_of_long_ago_go(self, shop: Shop, clock: FakeClock) -> None:
        now = clock.now()

        def row(number: int, days: int) -> dict[str, Any]:
            day = (now - timedelta(days=days)).date().isoformat()
            return {
                "account_id": AccountId(1),
                "what": "rule",
                "target_id": number,
                "day": day,
                "hits": 1,
                "last_at": now,
            }

        async def fill(tx: Tx) -> None:
            await tx.many(insert(Tally), [row(n, 401) for n in range(1100)])
            await tx.many(insert(Tally), [row(1, 300), row(1, 0)])

        await shop.runtime.database.transaction(fill)
        async with asyncio.timeout(20):
            while await shop.count(Tally) > 2:
                clock.advance(hours=6)
                shop.runtime.runner.wake()
                await asyncio.sleep(0.02)
        assert await shop.count(Tally) == 2
